//! What is worth knowing about a step besides its losses, as device scalars for [`Metrics`](crate::report::Metrics).
//!
//! None of these reads a value back, and none records a gradient. A user's own is one small system in
//! [`LearnSystems::Measure`](crate::schedule::LearnSystems::Measure) that records a tensor under a name.

use burn::tensor::{Int, Tensor};

/// The share of rows whose largest logit is the target's: logits `[batch, classes]`, targets `[batch]`, result `[1]`.
///
/// ```
/// use yarak::prelude::*;
///
/// let device = ComputeDevice::cpu().plain();
/// let logits = Tensor::<2>::from_floats([[2.0, 1.0], [0.0, 3.0], [5.0, 4.0]], &device);
/// let classes = Tensor::<1, Int>::from_ints([0, 1, 1], &device);
/// let accuracy: f32 = measures::accuracy(logits, classes).into_scalar();
/// assert!((accuracy - 2.0 / 3.0).abs() < 1e-6);
/// ```
///
/// # Panics
/// When the batches differ.
pub fn accuracy(logits: Tensor<2>, target: Tensor<1, Int>) -> Tensor<1> {
    assert_eq!(
        logits.dims()[0],
        target.dims()[0],
        "logits [batch, classes] and targets [batch] must have the same batch"
    );
    let chosen = logits.no_grad().argmax(1).squeeze_dim::<1>(1);
    chosen.equal(target).float().mean()
}

/// How much of the targets' variance the predictions explain, 1 − Var(y − ŷ) / Var(y): 1 is all of it, 0 no more than their
/// mean. `[batch]` each, result `[1]`; NaN, which is no value, where the targets do not vary.
///
/// ```
/// use yarak::prelude::*;
///
/// let device = ComputeDevice::cpu().plain();
/// let y = Tensor::<1>::from_floats([1.0, 2.0, 3.0, 4.0], &device);
/// let half = y.clone() * 0.5;
/// assert_eq!(measures::explained_variance(y.clone(), y.clone()).into_scalar::<f32>(), 1.0);
/// assert_eq!(measures::explained_variance(half, y).into_scalar::<f32>(), 0.75);
/// ```
///
/// # Panics
/// When the batches differ.
pub fn explained_variance(prediction: Tensor<1>, target: Tensor<1>) -> Tensor<1> {
    assert_eq!(
        prediction.dims(),
        target.dims(),
        "predictions [batch] and targets [batch] must have the same batch"
    );
    let (prediction, target) = (prediction.no_grad(), target.no_grad());
    let variance = |x: Tensor<1>| (x.clone() - x.mean()).square().mean();
    variance(target.clone() - prediction)
        .div(variance(target))
        .neg()
        + 1.0
}

/// How far values are from their target, the mean of |y − q|: values `[members, batch]`, target `[batch]`, result `[1]`.
///
/// ```
/// use yarak::prelude::*;
///
/// let device = ComputeDevice::cpu().plain();
/// let q = Tensor::<2>::from_floats([[1.0, 2.0], [0.0, 3.0]], &device);
/// let y = Tensor::<1>::from_floats([0.0, 3.0], &device);
/// assert_eq!(measures::td_error(q, y).into_scalar::<f32>(), 0.5);
/// ```
///
/// # Panics
/// When the batches differ.
pub fn td_error(q: Tensor<2>, y: Tensor<1>) -> Tensor<1> {
    assert_eq!(
        q.dims()[1],
        y.dims()[0],
        "values [members, batch] and their target [batch] must have the same batch"
    );
    (q.no_grad() - y.no_grad().unsqueeze::<2>()).abs().mean()
}

/// The approximate KL divergence of the new policy from the old one, mean(r − 1 − log r) with r = π(a|s) / π_old(a|s), from
/// log-probabilities `[batch]`; `[1]`, never negative (Schulman 2020, <http://joschu.net/blog/kl-approx.html>).
///
/// ```
/// use yarak::prelude::*;
///
/// let device = ComputeDevice::cpu().plain();
/// let old = Tensor::<1>::from_floats([-1.0, -2.0], &device);
/// let new = Tensor::<1>::from_floats([-1.5, -1.5], &device);
/// let kl: f32 = measures::approximate_kl(new, old).into_scalar();
/// // (e^-0.5 - 1 + 0.5 + e^0.5 - 1 - 0.5) / 2
/// assert!((kl - 0.127_626).abs() < 1e-5);
/// ```
///
/// # Panics
/// When the batches differ.
pub fn approximate_kl(new: Tensor<1>, old: Tensor<1>) -> Tensor<1> {
    assert_eq!(
        new.dims(),
        old.dims(),
        "log-probabilities of both policies [batch] must have the same batch"
    );
    let log_ratio = new.no_grad() - old.no_grad();
    (log_ratio.clone().exp() - 1.0 - log_ratio).mean()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::ComputeDevice;

    fn tensor(values: &[f32]) -> Tensor<1> {
        Tensor::from_floats(values, &ComputeDevice::cpu().plain())
    }

    #[test]
    fn explained_variance_of_targets_that_do_not_vary_is_no_value() {
        let explained = explained_variance(tensor(&[1.0, 2.0]), tensor(&[3.0, 3.0]));
        assert!(!explained.into_scalar::<f32>().is_finite());
    }

    #[test]
    fn a_constant_prediction_explains_nothing_and_a_bad_one_less() {
        let y = [1.0, 2.0, 3.0];
        let constant = explained_variance(tensor(&[9.0; 3]), tensor(&y));
        assert_eq!(constant.into_scalar::<f32>(), 0.0);
        let worse = explained_variance(tensor(&[3.0, 2.0, 1.0]), tensor(&y));
        assert_eq!(worse.into_scalar::<f32>(), -3.0);
    }

    #[test]
    fn recorded_tensors_are_measured_and_leave_no_graph() {
        let device = ComputeDevice::cpu().autodiff();
        let new = Tensor::<1>::from_floats([-1.0, -1.0], &device).require_grad();
        let kl = approximate_kl(new, tensor(&[-1.0, -1.0]));
        assert!(!kl.device().is_autodiff());
        assert_eq!(kl.into_scalar::<f32>(), 0.0);
    }
}
