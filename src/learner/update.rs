//! The optimizers' rules in Burn's operations: what every device can do, and what the one-pass kernels are tested against.

use burn::tensor::Tensor;

use super::Optimizer;
use super::optimizer::{AdamNumbers, EPSILON, Memories, SMOOTHING, setting};

/// One step of one parameter, `[members, n]`, by the rule with weight decay and learning rate.
pub(super) fn step(
    (rule, decay, rate): (Optimizer, f64, f64),
    mut values: Tensor<2>,
    mut gradient: Tensor<2>,
    memories: &mut Memories,
) -> Tensor<2> {
    if decay > 0.0 {
        match rule {
            Optimizer::AdamW { .. } => values = values * (1.0 - rate * decay),
            _ => gradient = gradient + values.clone() * decay,
        }
    }
    memories.steps += 1;
    let direction = match (rule, &mut memories.values[..]) {
        (
            Optimizer::Adam { betas, epsilon } | Optimizer::AdamW { betas, epsilon },
            [first, second],
        ) => {
            let adam = AdamNumbers::new(betas, epsilon);
            let [correction_1, correction_2] = adam.corrections(memories.steps);
            *first = first.clone() * adam.beta_1 + gradient.clone() * (1.0 - adam.beta_1);
            *second = second.clone() * adam.beta_2 + gradient.square() * (1.0 - adam.beta_2);
            let denominator = second.clone().sqrt() / correction_2.sqrt() + adam.epsilon;
            first.clone() / denominator / correction_1
        }
        (Optimizer::Sgd { momentum }, [buffer]) => carried(buffer, momentum, gradient),
        (
            Optimizer::RmsProp {
                smoothing,
                epsilon,
                momentum,
            },
            [mean, buffer @ ..],
        ) => {
            let smoothing = setting(smoothing, SMOOTHING);
            *mean = mean.clone() * smoothing + gradient.clone().square() * (1.0 - smoothing);
            let direction = gradient / (mean.clone().sqrt() + setting(epsilon, EPSILON));
            match buffer {
                [buffer] => carried(buffer, momentum, direction),
                _ => direction,
            }
        }
        // Gradient descent without momentum: the rules' memories are made by `Optimizer::memories`.
        _ => gradient,
    };
    values - direction * rate
}

/// b ← momentum · b + direction.
fn carried(buffer: &mut Tensor<2>, momentum: Option<f32>, direction: Tensor<2>) -> Tensor<2> {
    *buffer = buffer.clone() * setting(momentum, 0.0) + direction;
    buffer.clone()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learner::{ComputeDevice, on_cpu};

    const GRADIENTS: [[f32; 2]; 3] = [[0.5, -1.0], [1.0, 0.25], [-0.75, 2.0]];

    const SGD: Optimizer = Optimizer::Sgd { momentum: None };
    const MOMENTUM: Optimizer = Optimizer::Sgd {
        momentum: Some(0.9),
    };
    const ADAM: Optimizer = Optimizer::adam();
    const ADAM_W: Optimizer = Optimizer::adam_w();
    const ADAM_WITH_ALL: Optimizer = Optimizer::Adam {
        betas: Some((0.5, 0.9)),
        epsilon: Some(0.1),
    };
    const RMS_PROP: Optimizer = Optimizer::RmsProp {
        smoothing: None,
        epsilon: None,
        momentum: None,
    };
    const RMS_PROP_WITH_ALL: Optimizer = Optimizer::RmsProp {
        smoothing: Some(0.9),
        epsilon: Some(1e-5),
        momentum: Some(0.5),
    };

    fn tensor(values: [f32; 2]) -> Tensor<2> {
        Tensor::from_floats([values], &ComputeDevice::cpu().plain())
    }

    fn numbers(tensor: Tensor<2>) -> Vec<f32> {
        tensor.into_data().to_vec().unwrap()
    }

    /// The parameters [1, -2] after each of three steps with learning rate 0.1, in Burn's operations and in one pass.
    fn steps(rule: Optimizer, decay: f64) -> [Vec<[f32; 2]>; 2] {
        [false, true].map(|one_pass| {
            let mut values = tensor([1.0, -2.0]);
            let mut memories = Memories::new(rule, &values);
            GRADIENTS
                .map(|gradient| {
                    let (all, gradient) = ((rule, decay, 0.1), tensor(gradient));
                    values = if one_pass {
                        on_cpu::step(all, values.clone(), gradient, None, &mut memories)
                    } else {
                        step(all, values.clone(), gradient, &mut memories)
                    };
                    let values = numbers(values.clone());
                    [values[0], values[1]]
                })
                .to_vec()
        })
    }

    #[test]
    fn every_rule_takes_pytorchs_steps_in_burns_operations_and_in_one_pass() {
        // From torch.optim 2.x in float64, with the same parameters, gradients and learning rate.
        for (rule, decay, expected) in [
            (SGD, 0.0, [[0.95, -1.9], [0.85, -1.925], [0.925, -2.125]]),
            (
                SGD,
                0.1,
                [[0.94, -1.88], [0.8306, -1.8862], [0.897_294, -2.067_338]],
            ),
            (
                MOMENTUM,
                0.0,
                [[0.95, -1.9], [0.805, -1.835], [0.7495, -1.9765]],
            ),
            (
                MOMENTUM,
                0.1,
                [[0.94, -1.88], [0.7766, -1.7782], [0.696_774, -1.868_798]],
            ),
            (
                RMS_PROP,
                0.0,
                [
                    [2e-7, -1.000_000_1],
                    [-0.895_322_7, -1.243_685_2],
                    [-0.335_921, -2.134_381_4],
                ],
            ),
            (
                RMS_PROP,
                0.1,
                [
                    [1.667e-7, -1.000_000_1],
                    [-0.858_629_9, -1.124_65],
                    [-0.273_624_2, -1.969_084_7],
                ],
            ),
            (
                RMS_PROP_WITH_ALL,
                0.0,
                [
                    [0.683_792_2, -1.683_782_2],
                    [0.239_982_2, -1.606_253],
                    [0.201_876_4, -1.854_187_7],
                ],
            ),
            (
                ADAM,
                0.0,
                [
                    [0.9, -1.9],
                    [0.803_481_8, -1.853_053_2],
                    [0.777_136_2, -1.893_235_6],
                ],
            ),
            (
                ADAM_WITH_ALL,
                0.0,
                [
                    [0.916_666_7, -1.909_090_9],
                    [0.824_377_1, -1.888_559],
                    [0.832_458_8, -1.962_962_5],
                ],
            ),
            (
                ADAM_W,
                0.1,
                [
                    [0.89, -1.88],
                    [0.784_581_8, -1.814_253_2],
                    [0.750_390_4, -1.836_293_1],
                ],
            ),
        ] {
            for found in steps(rule, decay) {
                for (found, expected) in found.iter().flatten().zip(expected.iter().flatten()) {
                    let expected: f32 = *expected;
                    assert!(
                        (found - expected).abs() < 1e-6,
                        "{rule:?} with weight decay {decay}: {found} is not {expected}"
                    );
                }
            }
        }
    }

    #[test]
    fn the_first_adam_step_is_the_rate_against_the_sign() {
        let mut memories = Memories::new(ADAM, &tensor([1.0, 1.0]));
        let values = step(
            (ADAM, 0.0, 0.1),
            tensor([1.0, 1.0]),
            tensor([3.0, -0.5]),
            &mut memories,
        );
        let values = numbers(values);
        assert!((values[0] - 0.9).abs() < 1e-6 && (values[1] - 1.1).abs() < 1e-6);
        assert_eq!(numbers(memories.values[0].clone()), [0.3, -0.05]);
    }

    #[test]
    fn weight_decay_is_in_the_gradient_for_adam_and_next_to_it_for_adamw() {
        let one = |rule, value: f32| {
            let mut memories = Memories::new(rule, &tensor([value, 2.0]));
            let all = (rule, 0.5, 0.1);
            numbers(step(
                all,
                tensor([value, 2.0]),
                tensor([0.0; 2]),
                &mut memories,
            ))[0]
        };
        // With no gradient of its own, Adam's step is the rate; AdamW's is rate * decay * value.
        assert!((one(ADAM, 2.0) - 1.9).abs() < 1e-6);
        assert!((one(ADAM_W, 2.0) - 1.9).abs() < 1e-6);
        assert!((one(ADAM, 20.0) - 19.9).abs() < 1e-5);
        assert!((one(ADAM_W, 20.0) - 19.0).abs() < 1e-5);
    }

    #[test]
    fn a_rule_remembers_what_it_needs_and_no_more() {
        let remembered = [SGD, MOMENTUM, RMS_PROP, RMS_PROP_WITH_ALL, ADAM]
            .map(|rule| Memories::new(rule, &tensor([0.0; 2])).values.len());
        assert_eq!(remembered, [0, 1, 1, 2, 2]);
    }
}
