//! Adam and tracking as single operations over flat buffers, where the tensors lie on a card.
//!
//! The same rules in Burn's operations are in `update` and `tracking`, and tests compare.

use burn::backend::Dispatch;
use burn::tensor::Tensor;

use super::Optimizer;
use super::optimizer::{AdamNumbers, Memories, weight_decay};
use crate::nn::{AdamStep, FlatKernels};
use crate::transfer::{fits_a_launch, is_far};

/// Whether a plain tensor lies on a card, and is one launch there.
pub(super) fn is_here(tensor: &Tensor<2>) -> bool {
    is_far(&tensor.device()) && fits_a_launch(tensor.shape().num_elements())
}

/// Whether the rule is computed here.
pub(super) fn knows(rule: Optimizer) -> bool {
    matches!(rule, Optimizer::Adam { .. } | Optimizer::AdamW { .. })
}

/// The squares of all gradients, summed up in parts for each member, `[members, parts]`.
pub(super) fn squares(gradients: &[Option<Tensor<2>>]) -> Tensor<2> {
    let squares = gradients.iter().flatten().map(|gradient| {
        let squares = <Dispatch as FlatKernels>::squares(gradient.clone().into_dispatch());
        Tensor::from_dispatch(squares)
    });
    let mut squares: Vec<Tensor<2>> = squares.collect();
    match squares.len() {
        1 => squares.remove(0),
        _ => Tensor::cat(squares, 1),
    }
}

/// One step of one parameter, in place, and the norm of each member's gradient, `[members, 1]`. The rule is one that this file
/// [`knows`].
pub(super) fn step(
    (rule, decay, rate): (Optimizer, f64, f64),
    most: Option<f32>,
    values: Tensor<2>,
    gradient: Tensor<2>,
    squares: Tensor<2>,
    memories: &mut Memories,
) -> (Tensor<2>, Tensor<2>) {
    memories.steps += 1;
    let (Optimizer::Adam { betas, epsilon } | Optimizer::AdamW { betas, epsilon }) = rule else {
        unreachable!("the caller has asked `knows`");
    };
    let adam = AdamNumbers::new(betas, epsilon);
    let [correction_1, correction_2] = adam.corrections(memories.steps);
    let (coupled, kept) = weight_decay(rule, decay).parts(rate);
    let step = AdamStep {
        rate: rate as f32,
        beta_1: adam.beta_1 as f32,
        rest_1: (1.0 - adam.beta_1) as f32,
        beta_2: adam.beta_2 as f32,
        rest_2: (1.0 - adam.beta_2) as f32,
        correction_1: correction_1 as f32,
        root_correction_2: correction_2.sqrt() as f32,
        epsilon: adam.epsilon as f32,
        coupled: coupled as f32,
        kept: kept as f32,
        most,
    };
    // Nobody else has them then, so that they are changed in place.
    let mut memory = std::mem::take(&mut memories.values).into_iter();
    let mut take = || memory.next().expect("Adam has two").into_dispatch();
    let (values, first, second, norms) = <Dispatch as FlatKernels>::adam(
        values.into_dispatch(),
        take(),
        take(),
        gradient.into_dispatch(),
        squares.into_dispatch(),
        step,
    );
    memories.values = vec![Tensor::from_dispatch(first), Tensor::from_dispatch(second)];
    (Tensor::from_dispatch(values), Tensor::from_dispatch(norms))
}

/// θ' ← θ' + τ (θ − θ'), in place.
pub(super) fn track(target: Tensor<2>, source: Tensor<2>, tau: f32) -> Tensor<2> {
    let tracked =
        <Dispatch as FlatKernels>::track(target.into_dispatch(), source.into_dispatch(), tau);
    Tensor::from_dispatch(tracked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learner::update;
    use crate::testing_data::card;
    use burn::tensor::TensorData;

    fn numbers(tensor: Tensor<2>) -> Vec<f32> {
        tensor.into_data().into_vec().unwrap()
    }

    fn wave(speed: f32) -> Vec<f32> {
        (0..2 * 1_000)
            .map(|i| (0.7 + speed * i as f32).sin())
            .collect()
    }

    fn assert_close(found: &[f32], expected: &[f32]) {
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            let off = (found - expected).abs();
            assert!(off < 1e-6 * expected.abs().max(1.0), "{found} {expected}");
        }
    }

    #[test]
    fn a_step_of_adam_and_of_a_target_is_that_of_burns_operations() {
        if let Some(device) = card() {
            let tensor = |speed: f32| -> Tensor<2> {
                Tensor::from_data(TensorData::new(wave(speed), [2, 1_000]), &device)
            };
            for (rule, decay, most) in [
                (Optimizer::adam(), 0.0, None),
                (Optimizer::adam(), 0.1, Some(1.0)),
                (Optimizer::adam_w(), 0.1, Some(1e3)),
            ] {
                let all = (rule, decay, 1e-2);
                let [mut ours, mut theirs] = [tensor(1.3), tensor(1.3)];
                let mut memories = [Memories::new(rule, &ours), Memories::new(rule, &theirs)];
                for speed in [0.3, 0.5, 0.9] {
                    let gradient = tensor(speed);
                    let squares = squares(&[Some(gradient.clone()), None]);
                    let norms = gradient.clone().square().sum_dim(1).sqrt();
                    let [first, second] = &mut memories;
                    let (values, found) = step(all, most, ours, gradient.clone(), squares, first);
                    assert_close(&numbers(found), &numbers(norms.clone()));
                    let scale = norms.recip() * most.unwrap_or(f32::MAX);
                    let clipped = gradient * scale.clamp_max(1.0);
                    ours = values;
                    theirs = update::step(all, theirs, clipped, second);
                }
                assert_close(&numbers(ours), &numbers(theirs));
            }
            let (target, source) = (tensor(0.2), tensor(0.4));
            let expected = target.clone() + (source.clone() - target.clone()) * 0.25;
            let kept = target.clone();
            let tracked = track(target, source, 0.25);
            assert_close(&numbers(tracked), &numbers(expected));
            // Somebody else has it, so that it stays.
            assert_eq!(numbers(kept), wave(0.2));
        }
    }
}
