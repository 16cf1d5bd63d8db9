//! The border between values and recorded values.

use burn::tensor::Tensor;

/// A value as a constant of a loss.
pub trait StopGradient {
    /// The same values, recorded as a constant: no gradient flows into what they were computed from.
    ///
    /// Batches and the outputs of targets are plain tensors, and Burn refuses to mix those with recorded ones; this brings
    /// them over. On a recorded tensor it is what JAX calls `stop_gradient` and PyTorch `detach`.
    ///
    /// ```
    /// use yarak::prelude::*;
    ///
    /// let device = ComputeDevice::cpu();
    /// let y = Tensor::<1>::from_floats([1.0, 2.0], &device.plain());
    /// let q = Tensor::<1>::from_floats([1.5, 2.5], &device.autodiff()).require_grad();
    /// let loss = (q.clone() - y.stop_gradient()).square().mean();
    /// let gradients = loss.backward();
    /// let gradient: Vec<f32> = q.grad(&gradients).unwrap().into_data().to_vec().unwrap();
    /// assert_eq!(gradient, [0.5, 0.5]);
    /// ```
    #[must_use]
    fn stop_gradient(self) -> Self;
}

impl<const D: usize> StopGradient for Tensor<D> {
    fn stop_gradient(self) -> Self {
        Tensor::from_inner(self.no_grad())
    }
}
