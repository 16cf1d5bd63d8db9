//! Optimizers.
//!
//! Adam (Kingma & Ba 2015, <https://arxiv.org/abs/1412.6980>) with PyTorch's conventions: eps 1e-8 beside the square root
//! of the corrected second moment, L2 added to the gradient. AdamW (Loshchilov & Hutter 2019,
//! <https://arxiv.org/abs/1711.05101>) decouples the decay from the gradient.

use std::marker::PhantomData;

use bevy_ecs::prelude::Resource;
use bevy_reflect::Reflect;
use burn::tensor::Tensor;

use super::{Role, on_cpu, parameters};

/// The rule that turns gradients into steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Reflect)]
pub enum Optimizer {
    /// Adam: `l2` is added to the gradient.
    #[default]
    Adam,
    /// AdamW: `l2` decays the weights directly, times the learning rate.
    AdamW,
}

pub(super) const BETA1: f64 = 0.9;
pub(super) const BETA2: f64 = 0.999;
pub(super) const EPSILON: f64 = 1e-8;

/// The optimizer of role `R`'s network.
#[derive(Resource)]
pub struct Optim<R: Role> {
    /// The rule.
    pub rule: Optimizer,
    /// Weight decay, at least 0.
    pub l2: f32,
    /// The norm that each member's gradient is clipped to.
    pub max_gradient_norm: Option<f32>,
    /// For each parameter; `None` until it gets its first gradient.
    pub(super) moments: Vec<Option<Moments>>,
    role: PhantomData<R>,
}

/// What Adam remembers of a parameter, `[members, n]`.
#[derive(Clone, Debug)]
pub(super) struct Moments {
    pub first: Tensor<2>,
    pub second: Tensor<2>,
    pub steps: u64,
}

impl<R: Role> Optim<R> {
    /// An optimizer before its first step.
    pub fn new(rule: Optimizer, l2: f32, max_gradient_norm: Option<f32>) -> Self {
        Optim {
            rule,
            l2,
            max_gradient_norm,
            moments: Vec::new(),
            role: PhantomData,
        }
    }

    /// One step of the network against its gradients; the norm of each member's gradient, before clipping, `[members]`.
    pub(super) fn step(
        &mut self,
        network: R::Network,
        gradients: Vec<Option<Tensor<2>>>,
        rate: f64,
    ) -> (R::Network, Tensor<1>) {
        self.moments.resize_with(gradients.len(), || None);
        if gradients.iter().flatten().all(on_cpu::is_here) {
            self.step_on_cpu(network, gradients, rate)
        } else {
            self.step_anywhere(network, gradients, rate)
        }
    }

    /// One pass over flat buffers.
    fn step_on_cpu(
        &mut self,
        network: R::Network,
        mut gradients: Vec<Option<Tensor<2>>>,
        rate: f64,
    ) -> (R::Network, Tensor<1>) {
        let present: Vec<Tensor<2>> = gradients.iter().flatten().cloned().collect();
        let norms = on_cpu::norms(&present);
        drop(present);
        let scale: Option<Vec<f32>> = self.max_gradient_norm.map(|most| {
            let scale = |norm: &f32| (most / norm.max(f32::MIN_POSITIVE)).min(1.0);
            norms.iter().map(scale).collect()
        });
        let rule = (self.rule, f64::from(self.l2), rate);
        let network = parameters::map(network, |index, values| {
            let Some(gradient) = gradients[index].take() else {
                return values;
            };
            let moments = self.moments[index].get_or_insert_with(|| Moments::new(&values));
            on_cpu::adam(rule, values, gradient, scale.as_deref(), moments)
        });
        (network, on_cpu::vector(norms))
    }

    /// The same in Burn's operations.
    fn step_anywhere(
        &mut self,
        network: R::Network,
        mut gradients: Vec<Option<Tensor<2>>>,
        rate: f64,
    ) -> (R::Network, Tensor<1>) {
        let norms = norms(&gradients);
        let scale = self.max_gradient_norm.map(|most| clip_scale(&norms, most));
        let network = parameters::map(network, |index, values| {
            let Some(gradient) = gradients[index].take() else {
                return values;
            };
            let gradient = match &scale {
                Some(scale) => gradient * scale.clone(),
                None => gradient,
            };
            let moments = self.moments[index].get_or_insert_with(|| Moments::new(&values));
            update(
                self.rule,
                f64::from(self.l2),
                rate,
                values,
                gradient,
                moments,
            )
        });
        (network, norms.squeeze_dim::<1>(1))
    }
}

impl Moments {
    fn new(values: &Tensor<2>) -> Self {
        Moments {
            first: values.zeros_like(),
            second: values.zeros_like(),
            steps: 0,
        }
    }
}

/// The norm over all parameters, for each member, `[members, 1]`.
fn norms(gradients: &[Option<Tensor<2>>]) -> Tensor<2> {
    let squares = gradients.iter().flatten().map(|gradient| {
        let square = gradient.clone().square();
        square.sum_dim(1)
    });
    squares
        .reduce(|a, b| a + b)
        .expect("a step has a gradient for at least one parameter")
        .sqrt()
}

/// What each member's gradient is multiplied by, `[members, 1]`: its norm is at most `most` afterwards.
fn clip_scale(norms: &Tensor<2>, most: f32) -> Tensor<2> {
    // A norm of 0 stays unclipped: 0 * most / tiny is 0.
    (norms.clone().clamp_min(f32::MIN_POSITIVE).recip() * most).clamp_max(1.0)
}

/// Adam on one parameter.
fn update(
    rule: Optimizer,
    l2: f64,
    rate: f64,
    mut values: Tensor<2>,
    mut gradient: Tensor<2>,
    moments: &mut Moments,
) -> Tensor<2> {
    if l2 > 0.0 {
        match rule {
            Optimizer::Adam => gradient = gradient + values.clone() * l2,
            Optimizer::AdamW => values = values * (1.0 - rate * l2),
        }
    }
    moments.steps += 1;
    // Beyond i32::MAX steps both corrections are 1 to the last bit.
    let steps = i32::try_from(moments.steps).unwrap_or(i32::MAX);
    let correction1 = 1.0 - BETA1.powi(steps);
    let correction2 = 1.0 - BETA2.powi(steps);
    let first = moments.first.clone() * BETA1 + gradient.clone() * (1.0 - BETA1);
    let second = moments.second.clone() * BETA2 + gradient.square() * (1.0 - BETA2);
    moments.first = first.clone();
    moments.second = second.clone();
    let denominator = second.sqrt() / correction2.sqrt() + EPSILON;
    values - first / denominator * (rate / correction1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learner::ComputeDevice;

    fn tensor(values: [f32; 2]) -> Tensor<2> {
        Tensor::from_floats([values], &ComputeDevice::cpu().plain())
    }

    fn numbers(tensor: Tensor<2>) -> Vec<f32> {
        tensor.into_data().to_vec().unwrap()
    }

    #[test]
    fn a_gradient_is_clipped_to_the_norm_and_never_enlarged() {
        let gradient = tensor([3.0, 4.0]);
        let norm = norms(&[Some(gradient.clone()), None]);
        assert_eq!(numbers(norm.clone()), [5.0]);
        let clipped = numbers(gradient.clone() * clip_scale(&norm, 1.0));
        assert!((clipped[0] - 0.6).abs() < 1e-6 && (clipped[1] - 0.8).abs() < 1e-6);
        assert_eq!(numbers(gradient * clip_scale(&norm, 10.0)), [3.0, 4.0]);
        let zero = norms(&[Some(tensor([0.0, 0.0]))]);
        assert_eq!(numbers(clip_scale(&zero, 1.0)), [1.0]);
    }

    fn moments() -> Moments {
        Moments {
            first: tensor([0.0, 0.0]),
            second: tensor([0.0, 0.0]),
            steps: 0,
        }
    }

    #[test]
    fn the_first_adam_step_is_the_rate_against_the_sign() {
        let mut moments = moments();
        let values = update(
            Optimizer::Adam,
            0.0,
            0.1,
            tensor([1.0, 1.0]),
            tensor([3.0, -0.5]),
            &mut moments,
        );
        let values = numbers(values);
        assert!(
            (values[0] - 0.9).abs() < 1e-6 && (values[1] - 1.1).abs() < 1e-6,
            "{values:?}"
        );
        assert_eq!(numbers(moments.first), [0.3, -0.05]);
    }

    #[test]
    fn l2_is_in_the_gradient_for_adam_and_beside_it_for_adamw() {
        // With no gradient of its own, Adam's step is the rate; AdamW's is rate * l2 * value.
        let adam = update(
            Optimizer::Adam,
            0.5,
            0.1,
            tensor([2.0, 2.0]),
            tensor([0.0, 0.0]),
            &mut moments(),
        );
        let adamw = update(
            Optimizer::AdamW,
            0.5,
            0.1,
            tensor([2.0, 2.0]),
            tensor([0.0, 0.0]),
            &mut moments(),
        );
        let (adam, adamw) = (numbers(adam), numbers(adamw));
        assert!((adam[0] - 1.9).abs() < 1e-6, "{adam:?}");
        assert!((adamw[0] - 1.9).abs() < 1e-6, "{adamw:?}");
        let adam = numbers(update(
            Optimizer::Adam,
            0.5,
            0.1,
            tensor([20.0, 2.0]),
            tensor([0.0, 0.0]),
            &mut moments(),
        ));
        assert!((adam[0] - 19.9).abs() < 1e-5, "{adam:?}");
    }
}
