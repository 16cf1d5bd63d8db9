//! Losses over a batch.
//!
//! Ranks are types: rewards `[batch]` against values `[batch, 1]` do not compile, so they never make a `[batch, batch]` matrix.
//!
//! ```compile_fail
//! use yarak::prelude::*;
//!
//! fn loss(values: Tensor<2>, rewards: Tensor<1>) -> Tensor<1> {
//!     losses::mse(values, rewards)
//! }
//! ```
//!
//! Shapes of one rank are compared when the loss is computed, and a difference is refused in words. Weights multiply each
//! element's loss before the mean: mean(w · e²). Targets and weights are constants: no gradient flows into them.

use burn::tensor::{Int, Tensor, activation};

use super::StopGradient;
use super::regression::{self, Cost};

/// Mean squared error, `mean((prediction - target)^2)`, shape `[1]`. The target is a constant.
///
/// # Panics
/// When the shapes differ: that is a mistake in an algorithm, never in data.
pub fn mse<const D: usize>(prediction: Tensor<D>, target: Tensor<D>) -> Tensor<1> {
    mean_cost(prediction, target, None, Cost::Squared)
}

/// Squared errors, `(prediction - target)^2`, one for each element. The target is a constant.
///
/// # Panics
/// When the shapes differ.
pub fn squared_error<const D: usize>(prediction: Tensor<D>, target: Tensor<D>) -> Tensor<D> {
    error(prediction, target).square()
}

/// Mean squared error with a weight for each element, `mean(weight * (prediction - target)^2)`, shape `[1]`.
///
/// # Panics
/// When the shapes differ.
pub fn weighted_mse<const D: usize>(
    prediction: Tensor<D>,
    target: Tensor<D>,
    weight: Tensor<D>,
) -> Tensor<1> {
    mean_cost(prediction, target, Some(weight), Cost::Squared)
}

/// The Huber loss (Huber 1964), shape `[1]`: the mean of `e^2 / 2` where `|e| <= delta`, else `delta * (|e| - delta / 2)`.
///
/// ```
/// use yarak::prelude::*;
///
/// let device = ComputeDevice::cpu().plain();
/// let prediction = Tensor::<1>::from_floats([0.5, 2.0], &device);
/// let target = Tensor::<1>::from_floats([0.0, 0.0], &device);
/// assert_eq!(losses::huber(prediction, target, 1.0).into_scalar::<f32>(), 0.8125);
/// ```
///
/// # Panics
/// When the shapes differ.
pub fn huber<const D: usize>(prediction: Tensor<D>, target: Tensor<D>, delta: f32) -> Tensor<1> {
    mean_cost(prediction, target, None, Cost::Huber(delta))
}

/// The Huber loss with a weight for each element, shape `[1]`.
///
/// # Panics
/// When the shapes differ.
pub fn weighted_huber<const D: usize>(
    prediction: Tensor<D>,
    target: Tensor<D>,
    delta: f32,
    weight: Tensor<D>,
) -> Tensor<1> {
    mean_cost(prediction, target, Some(weight), Cost::Huber(delta))
}

/// The expectile loss (Newey & Powell 1987; IQL's, <https://arxiv.org/abs/2110.06169>), shape `[1]`: the mean of
/// `|expectile - 1(e < 0)| * e^2` with `e = target - prediction`. At 0.5 it is half the mean squared error; above, predictions
/// that are too low cost more.
///
/// ```
/// use yarak::prelude::*;
///
/// let device = ComputeDevice::cpu().plain();
/// let v = Tensor::<1>::from_floats([0.0, 0.0], &device);
/// let q = Tensor::<1>::from_floats([1.0, -2.0], &device);
/// // (0.7 * 1 + 0.3 * 4) / 2
/// assert!((losses::expectile(v, q, 0.7).into_scalar::<f32>() - 0.95).abs() < 1e-6);
/// ```
///
/// # Panics
/// When the shapes differ.
pub fn expectile<const D: usize>(
    prediction: Tensor<D>,
    target: Tensor<D>,
    expectile: f32,
) -> Tensor<1> {
    expectile_error(prediction, target, expectile).mean()
}

/// The same for each element, `|expectile - 1(e < 0)| * e^2`. The target is a constant.
///
/// # Panics
/// When the shapes differ.
pub fn expectile_error<const D: usize>(
    prediction: Tensor<D>,
    target: Tensor<D>,
    expectile: f32,
) -> Tensor<D> {
    let short = error(prediction, target).neg();
    let (under, over) = (short.clone().clamp_min(0.0), short.clamp_max(0.0));
    under.square() * expectile + over.square() * (1.0 - expectile)
}

/// The quantile loss (Koenker & Bassett 1978), shape `[1]`: the mean of `max(quantile * e, (quantile - 1) * e)` with
/// `e = target - prediction`. At 0.5 it is half the mean absolute error.
///
/// ```
/// use yarak::prelude::*;
///
/// let device = ComputeDevice::cpu().plain();
/// let prediction = Tensor::<1>::from_floats([0.0, 0.0], &device);
/// let target = Tensor::<1>::from_floats([1.0, -2.0], &device);
/// // (0.9 * 1 + 0.1 * 2) / 2
/// assert!((losses::quantile(prediction, target, 0.9).into_scalar::<f32>() - 0.55).abs() < 1e-6);
/// ```
///
/// # Panics
/// When the shapes differ.
pub fn quantile<const D: usize>(
    prediction: Tensor<D>,
    target: Tensor<D>,
    quantile: f32,
) -> Tensor<1> {
    let short = error(prediction, target).neg();
    let (under, over) = (short.clone().clamp_min(0.0), short.clamp_max(0.0));
    (under * quantile - over * (1.0 - quantile)).mean()
}

/// Cross-entropy between logits `[batch, classes]` and the right classes `[batch]`, `mean(-log softmax(logits)[class])`, shape
/// `[1]`.
///
/// ```
/// use yarak::prelude::*;
///
/// let device = ComputeDevice::cpu().plain();
/// let logits = Tensor::<2>::from_floats([[0.0, 0.0], [2.0, 0.0]], &device);
/// let classes = Tensor::<1, Int>::from_ints([0, 1], &device);
/// // (log 2 + log(1 + e^2)) / 2
/// assert!((losses::cross_entropy(logits, classes).into_scalar::<f32>() - 1.410_038).abs() < 1e-5);
/// ```
///
/// # Panics
/// When the batches differ.
pub fn cross_entropy(logits: Tensor<2>, target: Tensor<1, Int>) -> Tensor<1> {
    let [batch, _] = logits.dims();
    assert_eq!(
        batch,
        target.dims()[0],
        "logits [batch, classes] and classes [batch] must have the same batch"
    );
    let target = if logits.device().is_autodiff() && !target.device().is_autodiff() {
        Tensor::from_inner(target)
    } else {
        target
    };
    let chosen = activation::log_softmax(logits, 1).gather(1, target.unsqueeze_dim::<2>(1));
    chosen.mean().neg()
}

/// For each member of an ensemble the mean squared error of its predictions `[members, batch]` against the same targets
/// `[batch]`; shape `[members]`. The targets are constants.
///
/// # Panics
/// When the batches differ.
pub fn mse_of_each(prediction: Tensor<2>, target: Tensor<1>) -> Tensor<1> {
    mean_cost_of_each(prediction, target, None, Cost::Squared, 1)
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
    mean_cost_of_each(prediction, target, None, SMOOTH_L1, 1)
}

/// For each member of an ensemble the mean squared error with a weight for each row, `mean(weight * (prediction - target)^2)`.
/// Predictions `[members, batch]`, targets and weights `[batch]`, result `[members]`. Targets and weights are constants.
///
/// ```
/// use yarak::prelude::*;
///
/// let device = ComputeDevice::cpu().plain();
/// let q = Tensor::<2>::from_floats([[1.0, 2.0]], &device);
/// let y = Tensor::<1>::from_floats([0.0, 0.0], &device);
/// let weight = Tensor::<1>::from_floats([1.0, 0.5], &device);
/// assert_eq!(losses::weighted_mse_of_each(q, y, weight).into_scalar::<f32>(), 1.5);
/// ```
///
/// # Panics
/// When the batches differ.
pub fn weighted_mse_of_each(
    prediction: Tensor<2>,
    target: Tensor<1>,
    weight: Tensor<1>,
) -> Tensor<1> {
    mean_cost_of_each(prediction, target, Some(weight), Cost::Squared, 1)
}

/// As [`smooth_l1_of_each`], with a weight for each row, `[batch]`. The weights are constants.
///
/// # Panics
/// When the batches differ.
pub fn weighted_smooth_l1_of_each(
    prediction: Tensor<2>,
    target: Tensor<1>,
    weight: Tensor<1>,
) -> Tensor<1> {
    mean_cost_of_each(prediction, target, Some(weight), SMOOTH_L1, 1)
}

/// Huber with δ = 1.
pub(crate) const SMOOTH_L1: Cost = Cost::Huber(1.0);

/// The mean cost of all errors, `[1]`: one operation on a card.
fn mean_cost<const D: usize>(
    prediction: Tensor<D>,
    target: Tensor<D>,
    weight: Option<Tensor<D>>,
    cost: Cost,
) -> Tensor<1> {
    let n = prediction.shape().num_elements();
    if regression::is_there(&prediction, n) {
        same_shape("predictions and targets", &prediction, &target);
        if let Some(weight) = &weight {
            same_shape("losses and weights", &prediction, weight);
        }
        let (prediction, target) = (prediction.reshape([1, n]), target.reshape([n]));
        let weight = weight.map(|weight| weight.reshape([n]));
        return regression::mean_costs(prediction, target, weight, cost);
    }
    let costs = cost_of(error(prediction, target), cost);
    match weight {
        Some(weight) => weighted_mean(costs, weight),
        None => costs.mean(),
    }
}

/// The mean cost of each member's errors, `[members]`; of a stack of so many learners over each learner's rows, `[learners * members]`.
/// For one learner it is one operation on a card.
pub(crate) fn mean_cost_of_each(
    prediction: Tensor<2>,
    target: Tensor<1>,
    weight: Option<Tensor<1>>,
    cost: Cost,
    learners: usize,
) -> Tensor<1> {
    let [_, batch] = prediction.dims();
    same_batch("targets", batch, &target);
    if let Some(weight) = &weight {
        same_batch("weights", batch, weight);
    }
    if learners == 1 && regression::is_there(&prediction, batch) {
        return regression::mean_costs(prediction, target, weight, cost);
    }
    let target = target.unsqueeze::<2>().constant_of(&prediction);
    let mut costs = cost_of(prediction - target, cost);
    if let Some(weight) = weight {
        let weight = weight.unsqueeze::<2>().constant_of(&costs);
        costs = costs * weight;
    }
    match learners {
        1 => costs.mean_dim(1).squeeze_dim::<1>(1),
        _ => mean_of_each(costs, learners),
    }
}

fn cost_of<const D: usize>(error: Tensor<D>, cost: Cost) -> Tensor<D> {
    match cost {
        Cost::Squared => error.square(),
        Cost::Huber(delta) => huber_of(error, delta),
    }
}

/// `prediction - target`, with the target as a constant.
fn error<const D: usize>(prediction: Tensor<D>, target: Tensor<D>) -> Tensor<D> {
    same_shape("predictions and targets", &prediction, &target);
    let target = target.constant_of(&prediction);
    prediction - target
}

/// `mean(weight * values)`, shape `[1]`, such as log-probabilities weighted by advantages. The weight is a constant.
///
/// # Panics
/// When the shapes differ.
pub fn weighted_mean<const D: usize>(values: Tensor<D>, weight: Tensor<D>) -> Tensor<1> {
    weigh(values, weight).mean()
}

/// `weight * values`, element by element. The weight is a constant.
///
/// # Panics
/// When the shapes differ.
pub fn weigh<const D: usize>(values: Tensor<D>, weight: Tensor<D>) -> Tensor<D> {
    same_shape("losses and weights", &values, &weight);
    let weight = weight.constant_of(&values);
    values * weight
}

/// With c = min(|e|, delta), both branches are c * (|e| - c / 2): smooth, and without a mask.
fn huber_of<const D: usize>(error: Tensor<D>, delta: f32) -> Tensor<D> {
    let size = error.abs();
    let clipped = size.clone().clamp_max(delta);
    clipped.clone() * (size - clipped * 0.5)
}

/// The mean of each member `[members, batch]` over its rows; of a stack of so many learners, whose rows lie one behind the other's, over
/// each learner's: `[learners * members]`.
pub(crate) fn mean_of_each(values: Tensor<2>, learners: usize) -> Tensor<1> {
    let [members, rows] = values.dims();
    let of_learners = values.reshape([members, learners, rows / learners]);
    let means = of_learners.mean_dim(2).squeeze_dim::<2>(2);
    means.swap_dims(0, 1).reshape([learners * members])
}

fn same_batch(what: &str, batch: usize, rows: &Tensor<1>) {
    assert_eq!(
        batch,
        rows.dims()[0],
        "predictions [members, batch] and {what} [batch] must have the same batch"
    );
}

fn same_shape<const D: usize>(what: &str, a: &Tensor<D>, b: &Tensor<D>) {
    assert_eq!(
        a.dims(),
        b.dims(),
        "{what} must have one shape: reshape one of them, or they would be broadcast against each other"
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::ComputeDevice;

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

    #[test]
    fn weights_come_after_the_huber_loss_and_get_no_gradient() {
        let device = ComputeDevice::cpu().autodiff();
        let e = Tensor::<1>::from_floats([0.5, 2.0], &device).require_grad();
        let zero = Tensor::<1>::zeros([2], &device);
        let w = Tensor::<1>::from_floats([1.0, 3.0], &device).require_grad();
        let loss = weighted_huber(e.clone(), zero.clone(), 1.0, w.clone());
        // (0.125 + 3 * 1.5) / 2, and not the loss of weighted errors.
        assert_eq!(loss.clone().into_scalar::<f32>(), 2.3125);
        let gradients = loss.backward();
        assert!(w.grad(&gradients).is_none());
        let gradient: Vec<f32> = e.grad(&gradients).unwrap().into_data().to_vec().unwrap();
        assert_eq!(gradient, [0.25, 1.5]);
        let loss = weighted_mse(e, zero, w);
        assert_eq!(loss.into_scalar::<f32>(), (0.25 + 12.0) / 2.0);
    }

    #[test]
    fn huber_is_linear_beyond_its_delta() {
        let device = ComputeDevice::cpu().plain();
        let e = Tensor::<1>::from_floats([3.0, -1.0], &device);
        // (0.5 * (3 - 0.25) + 0.5 * (1 - 0.25)) / 2
        let loss: f32 = huber(e, Tensor::zeros([2], &device), 0.5).into_scalar();
        assert_eq!(loss, 0.875);
    }

    #[test]
    fn asymmetric_losses_have_their_gradients_and_leave_the_target_alone() {
        let device = ComputeDevice::cpu().autodiff();
        let v = Tensor::<1>::from_floats([0.0, 0.0], &device).require_grad();
        let q = Tensor::<1>::from_floats([1.0, -2.0], &device).require_grad();
        let of = |loss: Tensor<1>| {
            let gradients = loss.backward();
            assert!(q.grad(&gradients).is_none());
            let gradient = v.grad(&gradients).unwrap().into_data();
            gradient.to_vec::<f32>().unwrap()
        };
        let close = |found: Vec<f32>, expected: [f32; 2]| {
            let near = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-6;
            assert!(found.iter().zip(&expected).all(near), "{found:?}");
        };
        // d/dv of 0.7 (q - v)^2 / 2 is -0.7 (q - v); of 0.3 (q - v)^2 / 2 it is -0.3 (q - v).
        close(of(expectile(v.clone(), q.clone(), 0.7)), [-0.7, 0.6]);
        close(of(quantile(v.clone(), q.clone(), 0.9)), [-0.45, 0.05]);
    }

    #[test]
    fn cross_entropys_gradient_is_the_softmax_less_the_class() {
        let device = ComputeDevice::cpu().autodiff();
        let logits = Tensor::<2>::from_floats([[0.0, 0.0, 0.0]], &device).require_grad();
        let class = Tensor::<1, Int>::from_ints([2], &ComputeDevice::cpu().plain());
        let gradients = cross_entropy(logits.clone(), class).backward();
        let gradient = logits.grad(&gradients).unwrap().into_data();
        let gradient = gradient.to_vec::<f32>().unwrap();
        for (found, expected) in gradient.iter().zip([1.0 / 3.0, 1.0 / 3.0, -2.0 / 3.0]) {
            assert!((found - expected).abs() < 1e-6, "{gradient:?}");
        }
    }

    #[test]
    #[should_panic(expected = "predictions and targets must have one shape")]
    fn a_column_against_a_row_is_refused_and_not_a_matrix() {
        let device = ComputeDevice::cpu().plain();
        let column = Tensor::<2>::zeros([4, 1], &device);
        let _ = mse(column, Tensor::zeros([1, 4], &device));
    }
}
