//! The mean cost of each member's errors as one differentiable operation on a card: what `card` computes.
//!
//! Elsewhere, and for more rows than one cube of a card sums up, [`losses`](super::losses) makes it of Burn's operations.
// Without a card's feature nobody has this kernel.
#![cfg_attr(
    not(any(feature = "cuda", feature = "vulkan")),
    allow(unused_variables, dead_code)
)]

#[cfg(any(feature = "cuda", feature = "vulkan"))]
use burn::backend::Autodiff;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, backend_extension};
use burn::tensor::Tensor;

#[cfg(feature = "cuda")]
use burn::backend::Cuda;
#[cfg(feature = "vulkan")]
use burn::backend::Vulkan;

use super::StopGradient;
use crate::transfer::is_far;

/// What an error e costs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Cost {
    /// e²
    Squared,
    /// e² / 2 where |e| is at most this δ, else δ (|e| − δ / 2).
    Huber(f32),
}

/// Backends that have it as one operation.
#[backend_extension(
    Autodiff: cfg(any(feature = "cuda", feature = "vulkan")),
    Vulkan: cfg(feature = "vulkan"),
    Cuda: cfg(feature = "cuda")
)]
pub(crate) trait Regression: Backend {
    /// Means `[members]` of predictions `[members, n]`, targets `[n]` and, where it is weighted, weights `[n]`: anything where it is not.
    /// Gradients flow into the predictions alone.
    fn mean_costs(
        prediction: FloatTensor<Self>,
        target: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        is_weighted: bool,
        cost: Cost,
    ) -> FloatTensor<Self>;
}

/// The most rows that are summed up by one cube.
const MOST: usize = 1 << 16;

/// Whether these predictions lie on a card that has this operation.
pub(crate) fn is_there<const D: usize>(prediction: &Tensor<D>, rows: usize) -> bool {
    is_far(&prediction.device()) && (1..=MOST).contains(&rows)
}

/// The mean cost of each member, `[members]`, for predictions `[members, n]` where [`is_there`], targets `[n]` and a weight for each row.
/// Targets and weights are constants.
pub(crate) fn mean_costs(
    prediction: Tensor<2>,
    target: Tensor<1>,
    weight: Option<Tensor<1>>,
    cost: Cost,
) -> Tensor<1> {
    let target = target.constant_of(&prediction);
    let is_weighted = weight.is_some();
    let weight = match weight {
        Some(weight) => weight.constant_of(&prediction),
        None => target.clone(),
    };
    let means = <Dispatch as Regression>::mean_costs(
        prediction.into_dispatch(),
        target.into_dispatch(),
        weight.into_dispatch(),
        is_weighted,
        cost,
    );
    Tensor::from_dispatch(means)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::losses;
    use crate::testing_data::card;
    use burn::tensor::{Device, TensorData};

    fn wave<const D: usize>(speed: f32, shape: [usize; D], device: &Device) -> Tensor<D> {
        let n = shape.iter().product::<usize>();
        let wave = (0..n).map(|i| 2.0 * (0.7 + speed * i as f32).sin());
        Tensor::from_data(TensorData::new(wave.collect(), shape), device)
    }

    type Loss<'a> = &'a dyn Fn(Tensor<2>) -> Tensor<1>;

    /// Losses, and the gradients of predictions, of a sum that weighs each loss differently.
    fn losses_and_gradients(device: &Device, members: usize, batch: usize) -> Vec<[Vec<f32>; 2]> {
        let target = || wave(0.8, [batch], device);
        let weight = || wave(0.5, [batch], device);
        let all = || wave(1.1, [members, batch], device);
        let kinds: [Loss; 8] = [
            &|q| losses::mse_of_each(q, target()),
            &|q| losses::smooth_l1_of_each(q, target()),
            &|q| losses::weighted_mse_of_each(q, target(), weight()),
            &|q| losses::weighted_smooth_l1_of_each(q, target(), weight()),
            &|q| losses::mse(q, all()),
            &|q| losses::huber(q, all(), 0.6),
            &|q| losses::weighted_mse(q, all(), all()),
            &|q| losses::weighted_huber(q, all(), 0.6, all()),
        ];
        let numbers = |tensor: Tensor<1>| tensor.into_data().into_vec().unwrap();
        let each = kinds.into_iter().map(|loss| {
            let q = Tensor::from_inner(wave(0.3, [members, batch], device)).require_grad();
            let losses = loss(q.clone());
            let weights = Tensor::from_inner(wave(0.9, losses.dims(), device));
            let gradients = (losses.clone() * weights).sum().backward();
            let gradient = q.grad(&gradients).unwrap();
            [numbers(losses), numbers(gradient.flatten(0, 1))]
        });
        each.collect()
    }

    #[test]
    fn the_costs_of_errors_on_a_card_are_those_of_burns_operations() {
        let Some(card) = card() else { return };
        for (members, batch) in [(1, 1), (2, 29), (3, 300)] {
            assert!(is_there(&wave(0.3, [members, batch], &card), batch));
            let ours = losses_and_gradients(&card, members, batch);
            let theirs = losses_and_gradients(&Device::flex(), members, batch);
            for (kind, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
                for (found, expected) in ours.iter().flatten().zip(theirs.iter().flatten()) {
                    let off = (found - expected).abs();
                    let most = 2e-6 * expected.abs().max(1.0);
                    assert!(off < most, "{kind} {members} {batch}: {found} {expected}");
                }
            }
        }
    }
}
