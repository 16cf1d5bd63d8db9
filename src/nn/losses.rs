//! Losses over a batch. Ranks are types: rewards `[batch]` against values `[batch, 1]` do not compile.

use burn::tensor::Tensor;

/// Mean squared error, `mean((prediction - target)^2)`, shape `[1]`. The target is a constant.
///
/// # Panics
/// When the shapes differ: that is a mistake in an algorithm, never in data.
pub fn mse<const D: usize>(prediction: Tensor<D>, target: Tensor<D>) -> Tensor<1> {
    same_shape(&prediction, &target);
    (prediction.clone() - like(target, &prediction))
        .square()
        .mean()
}

/// For each member of an ensemble the mean squared error of its predictions `[members, batch]` against the same targets
/// `[batch]`; shape `[members]`. The targets are constants.
///
/// # Panics
/// When the batches differ.
pub fn mse_of_each(prediction: Tensor<2>, target: Tensor<1>) -> Tensor<1> {
    mean_of_each(error_of_each(prediction, target).square())
}

/// For each member of an ensemble the smooth L1 loss with β = 1 (Huber with δ = 1): `e^2 / 2` where `|e| <= 1`, else `|e| - 1/2`.
/// Predictions `[members, batch]`, targets `[batch]`, result `[members]`. The targets are constants.
///
/// ```
/// use yarak::prelude::*;
///
/// let device = ComputeDevice::cpu().plain();
/// let q = Tensor::<2>::from_floats([[0.5, 2.0]], &device);
/// let y = Tensor::<1>::from_floats([0.0, 0.0], &device);
/// assert_eq!(losses::smooth_l1_of_each(q, y).into_scalar::<f32>(), 0.8125);
/// ```
///
/// # Panics
/// When the batches differ.
pub fn smooth_l1_of_each(prediction: Tensor<2>, target: Tensor<1>) -> Tensor<1> {
    let size = error_of_each(prediction, target).abs();
    // With c = min(|e|, 1), both branches are c * (|e| - c / 2): smooth, and without a mask.
    let clipped = size.clone().clamp_max(1.0);
    mean_of_each(clipped.clone() * (size - clipped * 0.5))
}

fn error_of_each(prediction: Tensor<2>, target: Tensor<1>) -> Tensor<2> {
    let [_, batch] = prediction.dims();
    assert_eq!(
        batch,
        target.dims()[0],
        "predictions [members, batch] and targets [batch] must have the same batch"
    );
    let target = like(target.unsqueeze::<2>(), &prediction);
    prediction - target
}

fn mean_of_each(values: Tensor<2>) -> Tensor<1> {
    values.mean_dim(1).squeeze_dim::<1>(1)
}

/// The target without a graph, on the prediction's side of the border.
pub(super) fn like<const D: usize>(target: Tensor<D>, prediction: &Tensor<D>) -> Tensor<D> {
    let plain = target.no_grad();
    if prediction.device().is_autodiff() {
        Tensor::from_inner(plain)
    } else {
        plain
    }
}

fn same_shape<const D: usize>(a: &Tensor<D>, b: &Tensor<D>) {
    assert_eq!(
        a.dims(),
        b.dims(),
        "prediction and target must have one shape"
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learner::ComputeDevice;

    #[test]
    fn smooth_l1_is_quadratic_inside_and_linear_outside() {
        let device = ComputeDevice::cpu().plain();
        let q = Tensor::<2>::from_floats([[0.5, -2.0], [1.0, 3.0]], &device);
        let y = Tensor::<1>::from_floats([0.0, 0.0], &device);
        let loss: Vec<f32> = smooth_l1_of_each(q, y).into_data().to_vec().unwrap();
        assert_eq!(loss, [0.8125, 1.5]);
    }

    #[test]
    fn each_member_has_its_own_loss_and_the_target_gets_no_gradient() {
        let device = ComputeDevice::cpu().autodiff();
        let q = Tensor::<2>::from_floats([[1.0, 3.0], [0.0, 0.0]], &device).require_grad();
        let y = Tensor::<1>::from_floats([0.0, 1.0], &device).require_grad();
        let loss = mse_of_each(q.clone(), y.clone());
        let values: Vec<f32> = loss.clone().into_data().to_vec().unwrap();
        assert_eq!(values, [2.5, 0.5]);
        let gradients = loss.sum().backward();
        assert!(y.grad(&gradients).is_none());
        let gradient: Vec<f32> = q.grad(&gradients).unwrap().into_data().to_vec().unwrap();
        assert_eq!(gradient, [1.0, 2.0, 0.0, -1.0]);
    }
}
