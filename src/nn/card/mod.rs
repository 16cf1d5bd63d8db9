//! Kernels of our own for cards, in CubeCL: where Burn's operations take many launches, these take few.
//!
//! They compute what Burn's operations compute, to rounding, and tests compare the two. What they do not know, layer normalization, dropout,
//! GELU and rules other than Adam's, is computed by Burn's operations.
//!
//! - `product`: a product of matrices with bias and activation, or with what their gradients need.
//! - `perceptron`: all layers of an ensemble, forward and backward.
//! - `matrix_product`: a product of matrices by itself, and its gradients.
//! - `regression`: the mean cost of errors, and its gradient.
//! - `flat`: a step of Adam, a target that follows, norms, each over all numbers of a tensor.

mod flat;
mod matrix_product;
mod perceptron;
mod product;
mod regression;
mod sum;

use burn_cubecl::CubeRuntime;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;

/// A tensor whose numbers lie one after the other.
fn contiguous<R: CubeRuntime>(tensor: CubeTensor<R>) -> CubeTensor<R> {
    into_contiguous(tensor)
}

/// Room for a tensor of this shape, next to another one.
fn room<R: CubeRuntime, const D: usize>(like: &CubeTensor<R>, shape: [usize; D]) -> CubeTensor<R> {
    let (client, device) = (like.client.clone(), like.device.clone());
    empty_device_contiguous_dtype(client, device, shape.into(), like.dtype)
}
