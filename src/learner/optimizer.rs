//! Optimizers.
//!
//! All have PyTorch's conventions: Adam (Kingma & Ba 2015, <https://arxiv.org/abs/1412.6980>) with epsilon next to the square
//! root of the corrected second moment, weight decay added to the gradient; AdamW (Loshchilov & Hutter 2019,
//! <https://arxiv.org/abs/1711.05101>) with the decay decoupled from it; gradient descent with momentum; RMSProp (Tieleman &
//! Hinton 2012, not centered) with eps next to the root. The rules themselves are in `update`, in Burn's operations, and in
//! `on_cpu` and `on_card`, in one pass.

use std::marker::PhantomData;

use bevy_ecs::prelude::Resource;
use bevy_reflect::Reflect;
use burn::tensor::Tensor;

use super::parameters::Members;
use super::{Role, on_card, on_cpu, parameters, update};
use crate::nn::cpu::WeightDecay;
use crate::scene::Bounds;

/// The rule that turns gradients into steps.
///
/// In a scene: `rule: AdamW`, `rule: Adam(betas: (0.5, 0.999))`, `rule: Sgd(momentum: 0.9)`.
#[derive(Clone, Copy, Debug, PartialEq, Reflect)]
pub enum Optimizer {
    /// Adam: weight decay is added to the gradient.
    Adam {
        /// β: how much of the two running means, of gradients and of their squares, stays at each step. None: 0.9 and 0.999.
        #[reflect(@Bounds::at_least(0.0).under(1.0))]
        betas: Option<(f32, f32)>,
        /// Added to the root. None: 1e-8.
        #[reflect(@Bounds::above(0.0))]
        epsilon: Option<f32>,
    },
    /// AdamW: weight decay shrinks the weights directly, times the learning rate.
    AdamW {
        /// β, as Adam's. None: 0.9 and 0.999.
        #[reflect(@Bounds::at_least(0.0).under(1.0))]
        betas: Option<(f32, f32)>,
        /// Added to the root. None: 1e-8.
        #[reflect(@Bounds::above(0.0))]
        epsilon: Option<f32>,
    },
    /// Gradient descent: b ← momentum · b + g, θ ← θ − rate · b; weight decay is added to the gradient.
    Sgd {
        /// How much of the last step's direction stays. None: 0.
        #[reflect(@Bounds::at_least(0.0).under(1.0))]
        momentum: Option<f32>,
    },
    /// RMSProp: the gradient over the root of the running mean of its squares; weight decay is added to the gradient.
    RmsProp {
        /// How much of the mean stays at each step. None: 0.99.
        #[reflect(@Bounds::at_least(0.0).under(1.0))]
        smoothing: Option<f32>,
        /// Added to the root. None: 1e-8.
        #[reflect(@Bounds::above(0.0))]
        epsilon: Option<f32>,
        /// How much of the last step's direction stays. None: 0.
        #[reflect(@Bounds::at_least(0.0).under(1.0))]
        momentum: Option<f32>,
    },
}

impl Default for Optimizer {
    fn default() -> Self {
        Optimizer::adam()
    }
}

impl Optimizer {
    /// Adam with β = (0.9, 0.999) and ε = 1e-8.
    pub const fn adam() -> Self {
        let (betas, epsilon) = (None, None);
        Optimizer::Adam { betas, epsilon }
    }

    /// AdamW with β = (0.9, 0.999) and ε = 1e-8.
    pub const fn adam_w() -> Self {
        let (betas, epsilon) = (None, None);
        Optimizer::AdamW { betas, epsilon }
    }

    /// What it remembers of each parameter from one step to the next, by the names that checkpoints have.
    pub(super) fn memories(self) -> &'static [&'static str] {
        let moves = |momentum: Option<f32>| momentum.is_some_and(|momentum| momentum > 0.0);
        match self {
            Optimizer::Adam { .. } | Optimizer::AdamW { .. } => &["first_moment", "second_moment"],
            Optimizer::Sgd { momentum } if moves(momentum) => &["momentum"],
            Optimizer::Sgd { .. } => &[],
            Optimizer::RmsProp { momentum, .. } if moves(momentum) => &["mean_square", "momentum"],
            Optimizer::RmsProp { .. } => &["mean_square"],
        }
    }
}

/// What Adam and AdamW are set to, the defaults filled in.
pub(super) struct AdamNumbers {
    pub beta_1: f64,
    pub beta_2: f64,
    pub epsilon: f64,
}

impl AdamNumbers {
    pub fn new(betas: Option<(f32, f32)>, epsilon: Option<f32>) -> Self {
        AdamNumbers {
            beta_1: setting(betas.map(|betas| betas.0), 0.9),
            beta_2: setting(betas.map(|betas| betas.1), 0.999),
            epsilon: setting(epsilon, EPSILON),
        }
    }

    /// 1 − β₁ᵗ and 1 − β₂ᵗ.
    pub fn corrections(&self, steps: u64) -> [f64; 2] {
        // Beyond i32::MAX steps both are 1 to the last bit.
        let steps = i32::try_from(steps).unwrap_or(i32::MAX);
        [self.beta_1, self.beta_2].map(|beta| 1.0 - beta.powi(steps))
    }
}

/// How Adam and AdamW hold parameters down.
pub(super) fn weight_decay(rule: Optimizer, decay: f64) -> WeightDecay {
    match rule {
        _ if decay == 0.0 => WeightDecay::None,
        Optimizer::AdamW { .. } => WeightDecay::Decoupled(decay),
        _ => WeightDecay::Coupled(decay),
    }
}

pub(super) const EPSILON: f64 = 1e-8;
pub(super) const SMOOTHING: f64 = 0.99;

/// A setting as it was written: `0.9` and not the nearest 32-bit number.
pub(super) fn setting(value: Option<f32>, default: f64) -> f64 {
    // The shortest decimal that is this 32-bit number is what the user wrote.
    value.map_or(default, |value| {
        value.to_string().parse().unwrap_or(default)
    })
}

/// The optimizer of role `R`'s network.
#[derive(Resource)]
pub struct Optim<R: Role> {
    /// The rule.
    pub rule: Optimizer,
    /// Weight decay, at least 0.
    pub weight_decay: f32,
    /// The norm that each member's gradient is clipped to.
    pub max_gradient_norm: Option<f32>,
    /// For each parameter; `None` until it gets its first gradient.
    pub(super) memories: Vec<Option<Memories>>,
    /// Steps taken.
    pub(super) updates: u64,
    /// How many learners of a stack its network is of.
    pub(super) learners: usize,
    role: PhantomData<R>,
}

/// What a rule remembers of a parameter.
#[derive(Clone, Debug)]
pub(super) struct Memories {
    /// One for each of [`Optimizer::memories`], `[members, n]`.
    pub values: Vec<Tensor<2>>,
    /// Steps taken.
    pub steps: u64,
}

impl Memories {
    /// Before the first step.
    pub fn new(rule: Optimizer, parameter: &Tensor<2>) -> Self {
        let zero = |_: &&str| parameter.zeros_like();
        Memories {
            values: rule.memories().iter().map(zero).collect(),
            steps: 0,
        }
    }
}

impl<R: Role> Optim<R> {
    /// An optimizer before its first step.
    pub fn new(rule: Optimizer, weight_decay: f32, max_gradient_norm: Option<f32>) -> Self {
        Optim {
            rule,
            weight_decay,
            max_gradient_norm,
            memories: Vec::new(),
            updates: 0,
            learners: 1,
            role: PhantomData,
        }
    }

    /// The same for the network of so many learners.
    pub(super) fn of_learners(self, learners: usize) -> Self {
        Optim { learners, ..self }
    }

    /// How many steps the network took.
    pub fn updates(&self) -> u64 {
        self.updates
    }

    /// The norm of each member's gradient, `[members]`.
    pub(super) fn norm(network: &R::Network, gradients: &[Option<Tensor<2>>]) -> Tensor<1> {
        norms(gradients, &Members::of(network)).squeeze_dim::<1>(1)
    }

    /// One step of the network against its gradients; the norm of each member's gradient, before clipping, `[members]`.
    pub(super) fn step(
        &mut self,
        network: R::Network,
        gradients: Vec<Option<Tensor<2>>>,
        rate: f64,
    ) -> (R::Network, Tensor<1>) {
        self.updates += 1;
        self.memories.resize_with(gradients.len(), || None);
        let members = Members::of(&network);
        if gradients.iter().flatten().all(on_cpu::is_here) {
            self.step_on_cpu(network, &members, gradients, rate)
        } else if self.is_one_operation(&members, &gradients) {
            self.step_on_card(network, gradients, rate)
        } else {
            self.step_anywhere(network, &members, gradients, rate)
        }
    }

    /// Steps each parameter that has a gradient.
    fn step_each(
        &mut self,
        network: R::Network,
        mut gradients: Vec<Option<Tensor<2>>>,
        mut step: impl FnMut(usize, Tensor<2>, Tensor<2>, &mut Memories) -> Tensor<2>,
    ) -> R::Network {
        parameters::map(network, |index, values| {
            let Some(gradient) = gradients[index].take() else {
                return values;
            };
            let memories =
                self.memories[index].get_or_insert_with(|| Memories::new(self.rule, &values));
            step(index, values, gradient, memories)
        })
    }

    /// One pass over flat buffers.
    fn step_on_cpu(
        &mut self,
        network: R::Network,
        members: &Members,
        gradients: Vec<Option<Tensor<2>>>,
        rate: f64,
    ) -> (R::Network, Tensor<1>) {
        let norms = on_cpu::norms(&gradients, members);
        let scale: Option<Vec<f32>> = self.max_gradient_norm.map(|most| {
            let scale = |norm: &f32| (most / norm.max(f32::MIN_POSITIVE)).min(1.0);
            norms.iter().map(scale).collect()
        });
        let rule = (self.rule, f64::from(self.weight_decay), rate);
        let network = self.step_each(network, gradients, |index, values, gradient, memories| {
            let scale = scale.as_deref().map(|scale| match members.owner(index) {
                Some(member) => &scale[member..=member],
                None => scale,
            });
            on_cpu::step(rule, values, gradient, scale, memories)
        });
        (network, on_cpu::vector(norms))
    }

    /// Whether a card takes this step by kernels of ours.
    fn is_one_operation(&self, members: &Members, gradients: &[Option<Tensor<2>>]) -> bool {
        let is_shared = |index: usize| members.owner(index).is_none();
        on_card::knows(self.rule)
            && gradients.iter().flatten().all(on_card::is_here)
            && (0..gradients.len()).all(is_shared)
    }

    /// An operation for each parameter, and one more for its part of the norm.
    fn step_on_card(
        &mut self,
        network: R::Network,
        gradients: Vec<Option<Tensor<2>>>,
        rate: f64,
    ) -> (R::Network, Tensor<1>) {
        let squares = on_card::squares(&gradients);
        let rule = (self.rule, f64::from(self.weight_decay), rate);
        let most = self.max_gradient_norm;
        let mut norms = None;
        let network = self.step_each(network, gradients, |_, values, gradient, memories| {
            let squares = squares.clone();
            let (values, all) = on_card::step(rule, most, values, gradient, squares, memories);
            norms = Some(all);
            values
        });
        let norms = norms.expect("a step has a gradient for at least one parameter");
        (network, norms.squeeze_dim::<1>(1))
    }

    /// The same in Burn's operations.
    fn step_anywhere(
        &mut self,
        network: R::Network,
        members: &Members,
        gradients: Vec<Option<Tensor<2>>>,
        rate: f64,
    ) -> (R::Network, Tensor<1>) {
        let norms = norms(&gradients, members);
        let scale = self.max_gradient_norm.map(|most| clip_scale(&norms, most));
        let rule = (self.rule, f64::from(self.weight_decay), rate);
        let network = self.step_each(network, gradients, |index, values, gradient, memories| {
            let gradient = match &scale {
                Some(scale) => match members.owner(index) {
                    Some(member) => gradient * scale.clone().narrow(0, member, 1),
                    None => gradient * scale.clone(),
                },
                None => gradient,
            };
            update::step(rule, values, gradient, memories)
        });
        (network, norms.squeeze_dim::<1>(1))
    }
}

/// The norm over all parameters, for each member, `[members, 1]`.
fn norms(gradients: &[Option<Tensor<2>>], members: &Members) -> Tensor<2> {
    let present = gradients.iter().enumerate();
    let squares = present.filter_map(|(index, gradient)| {
        let square = gradient.clone()?.square().sum_dim(1);
        Some(match members.owner(index) {
            Some(member) => {
                let zeros = Tensor::zeros([members.count(), 1], &square.device());
                zeros.slice_assign([member..member + 1, 0..1], square)
            }
            None => square,
        })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learner::ComputeDevice;
    use crate::nn::Scalar;

    fn tensor(values: [f32; 2]) -> Tensor<2> {
        Tensor::from_floats([values], &ComputeDevice::cpu().plain())
    }

    fn numbers(tensor: Tensor<2>) -> Vec<f32> {
        tensor.into_data().to_vec().unwrap()
    }

    #[test]
    fn a_gradient_is_clipped_to_the_norm_and_never_enlarged() {
        let gradient = tensor([3.0, 4.0]);
        let one = Members::of(&Scalar::new(0.0, &ComputeDevice::cpu().plain()));
        let norm = norms(&[Some(gradient.clone()), None], &one);
        assert_eq!(numbers(norm.clone()), [5.0]);
        let clipped = numbers(gradient.clone() * clip_scale(&norm, 1.0));
        assert!((clipped[0] - 0.6).abs() < 1e-6 && (clipped[1] - 0.8).abs() < 1e-6);
        assert_eq!(numbers(gradient * clip_scale(&norm, 10.0)), [3.0, 4.0]);
        let zero = norms(&[Some(tensor([0.0, 0.0]))], &one);
        assert_eq!(numbers(clip_scale(&zero, 1.0)), [1.0]);
    }

    #[test]
    fn settings_are_the_decimals_that_were_written() {
        assert_eq!(setting(Some(0.9), 0.0), 0.9);
        assert_eq!(setting(Some(1e-5), 0.0), 1e-5);
        assert_eq!(setting(None, 0.99), 0.99);
    }
}
