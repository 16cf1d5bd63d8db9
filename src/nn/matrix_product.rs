//! Products of matrices in 32 bits on every device.
//!
//! Burn's own products round 32-bit numbers to TF32, which has ten bits behind the point in place of 23, where a card of NVIDIA's can multiply
//! those faster. So layers of ours take their products from here: on a card from `card`, elsewhere from Burn.
// Without a card's feature nobody has this kernel.
#![cfg_attr(
    not(any(feature = "cuda", feature = "vulkan")),
    allow(unused_variables)
)]

#[cfg(any(feature = "cuda", feature = "vulkan"))]
use burn::backend::Autodiff;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, backend_extension};
use burn::nn::Linear;
use burn::tensor::Tensor;

#[cfg(feature = "cuda")]
use burn::backend::Cuda;
#[cfg(feature = "vulkan")]
use burn::backend::Vulkan;

use crate::transfer::is_far;

/// Backends that have it as an operation of ours.
#[backend_extension(
    Autodiff: cfg(any(feature = "cuda", feature = "vulkan")),
    Vulkan: cfg(feature = "vulkan"),
    Cuda: cfg(feature = "cuda")
)]
pub(crate) trait MatrixProduct: Backend {
    /// `[members, rows, columns]` of `[members, rows, inner]` and `[members, inner, columns]`.
    fn matrix_product(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// The product of matrices `[.., rows, inner]` and `[.., inner, columns]`, the same number of both, which are both tracked or both plain.
pub(super) fn matrix_product<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> Tensor<D> {
    if !is_far(&a.device()) {
        return a.matmul(b);
    }
    let mut dims = a.dims();
    let [rows, inner] = [dims[D - 2], dims[D - 1]];
    let columns = b.dims()[D - 1];
    let members: usize = dims[..D - 2].iter().product();
    let (a, b) = (
        a.reshape([members, rows, inner]),
        b.reshape([members, inner, columns]),
    );
    let multiply = |a: Tensor<3>, b: Tensor<3>| {
        let (a, b) = (a.into_dispatch(), b.into_dispatch());
        Tensor::<3>::from_dispatch(<Dispatch as MatrixProduct>::matrix_product(a, b))
    };
    // A launch has cubes for so many; more are multiplied in parts.
    const MOST: usize = 65_535;
    let product = if members <= MOST {
        multiply(a, b)
    } else {
        let part = |from: usize| {
            let part = from..members.min(from + MOST);
            multiply(a.clone().slice([part.clone()]), b.clone().slice([part]))
        };
        Tensor::cat((0..members).step_by(MOST).map(part).collect(), 0)
    };
    dims[D - 1] = columns;
    product.reshape(dims)
}

/// A layer of Burn's applied to rows `[batch, in]`, on a card by products from here.
pub(super) fn linear(layer: &Linear, rows: Tensor<2>) -> Tensor<2> {
    if !is_far(&rows.device()) {
        return layer.forward(rows);
    }
    let out = matrix_product(rows, layer.weight.val());
    match &layer.bias {
        Some(bias) => out + bias.val().unsqueeze::<2>(),
        None => out,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing_data::card;
    use burn::nn::LinearConfig;
    use burn::tensor::{Device, TensorData};

    fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
        tensor.into_data().into_vec().unwrap()
    }

    fn wave<const D: usize>(speed: f32, shape: [usize; D], device: &Device) -> Tensor<D> {
        let n = shape.iter().product::<usize>();
        let wave = (0..n).map(|i| (0.7 + speed * i as f32).sin()).collect();
        Tensor::from_data(TensorData::new(wave, shape), device)
    }

    /// The product and the gradients of both matrices, the second of which is turned.
    fn product_and_gradients(device: &Device) -> [Vec<f32>; 3] {
        let device = device.clone().autodiff();
        let a = wave(0.3, [2, 3, 5, 40], &device).require_grad();
        let b = wave(0.9, [2, 3, 37, 40], &device).require_grad();
        let product = matrix_product(a.clone(), b.clone().transpose());
        let gradients = (product.clone() * wave(0.5, [2, 3, 5, 37], &device))
            .sum()
            .backward();
        let [d_a, d_b] = [a, b].map(|it| numbers(it.grad(&gradients).unwrap()));
        [numbers(product), d_a, d_b]
    }

    fn assert_close(found: &[f32], expected: &[f32]) {
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 2e-5, "{found} {expected}");
        }
    }

    #[test]
    fn products_on_a_card_are_those_of_the_processor() {
        if let Some(card) = card() {
            let (ours, expected) = (&card, &Device::flex());
            let both = product_and_gradients(ours)
                .into_iter()
                .zip(product_and_gradients(expected));
            both.for_each(|(found, expected)| assert_close(&found, &expected));
        }
    }

    #[test]
    fn a_layer_of_burns_is_applied_as_by_itself() {
        for device in [Some(Device::flex()), card()].into_iter().flatten() {
            for bias in [true, false] {
                let layer = LinearConfig::new(3, 4).with_bias(bias).init(&device);
                let rows = wave(0.4, [7, 3], &device);
                let expected = numbers(layer.forward(rows.clone()));
                assert_close(&numbers(linear(&layer, rows)), &expected);
            }
        }
    }
}
