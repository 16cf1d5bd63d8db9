//! The border between plain and tracked values.

use burn::tensor::Tensor;

/// A value as a constant of a loss.
pub trait StopGradient {
    /// The same values, tracked as a constant: no gradient flows into what they were computed from.
    ///
    /// Batches and the outputs of targets are plain tensors, and Burn refuses to mix those with tracked ones; this brings
    /// them over. On a tracked tensor it is what JAX calls `stop_gradient` and PyTorch `detach`.
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

    /// The same values as a constant of what is computed from `other`: tracked where that is, plain where it is not. So a loss is
    /// written once for training and for validation.
    ///
    /// ```
    /// use yarak::prelude::*;
    ///
    /// fn weighted(q: Tensor<1>, weight: Tensor<1>) -> Tensor<1> {
    ///     (weight.constant_of(&q) * q).mean()
    /// }
    ///
    /// let device = ComputeDevice::cpu();
    /// let weight = Tensor::<1>::from_floats([1.0, 2.0], &device.plain());
    /// for device in [device.plain(), device.autodiff()] {
    ///     let q = Tensor::<1>::from_floats([3.0, 4.0], &device);
    ///     assert_eq!(weighted(q, weight.clone()).into_scalar::<f32>(), 5.5);
    /// }
    /// ```
    #[must_use]
    fn constant_of<const E: usize>(self, other: &Tensor<E>) -> Self;
}

impl<const D: usize> StopGradient for Tensor<D> {
    fn stop_gradient(self) -> Self {
        Tensor::from_inner(self.no_grad())
    }

    fn constant_of<const E: usize>(self, other: &Tensor<E>) -> Self {
        let plain = self.no_grad();
        if other.device().is_autodiff() {
            Tensor::from_inner(plain)
        } else {
            plain
        }
    }
}
