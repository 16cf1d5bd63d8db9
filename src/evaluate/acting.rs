//! The policy of a run, whatever the algorithm.

use bevy_app::App;
use bevy_ecs::prelude::*;
use burn::tensor::Tensor;

use crate::learner::{Net, Role};
use crate::nn::{DensityPolicy, DiscreteQ, Policy, SpacePolicy, SquashedGaussian};

/// A network that chooses actions.
pub trait Act {
    /// The deterministic actions `[batch, action]`, in [-1, 1] for a box and indices for a discrete space, for preprocessed observations `[batch, observation]`.
    fn act_deterministically(&self, observation: Tensor<2>) -> Tensor<2>;
}

impl Act for Policy {
    fn act_deterministically(&self, observation: Tensor<2>) -> Tensor<2> {
        self.act(observation)
    }
}

impl Act for DensityPolicy {
    fn act_deterministically(&self, observation: Tensor<2>) -> Tensor<2> {
        self.act(observation)
    }
}

impl Act for SquashedGaussian {
    fn act_deterministically(&self, observation: Tensor<2>) -> Tensor<2> {
        self.distribution(observation).mode()
    }
}

/// Numbers, or indices `[batch, 1]`.
impl Act for SpacePolicy {
    fn act_deterministically(&self, observation: Tensor<2>) -> Tensor<2> {
        self.act(observation)
    }
}

/// The actions are indices, `[batch, 1]`.
impl Act for DiscreteQ {
    fn act_deterministically(&self, observation: Tensor<2>) -> Tensor<2> {
        self.greedy(observation)
    }
}

/// Which network acts at evaluation.
#[derive(Resource, Clone, Copy)]
pub struct Acting {
    act: fn(&World, Tensor<2>) -> Option<Tensor<2>>,
}

impl Acting {
    /// The deterministic actions, as [`Act::act_deterministically`]; `None` before the network was built.
    pub fn act(&self, world: &World, observation: Tensor<2>) -> Option<Tensor<2>> {
        (self.act)(world, observation)
    }
}

/// Says which network acts.
pub trait AppActingExt {
    /// Role `R`'s network acts at evaluation.
    fn acts_with<R: Role<Network: Act>>(&mut self) -> &mut Self;

    /// The function acts at evaluation, where it takes more than one network to choose an action: from the world and
    /// preprocessed observations `[batch, observation]` to actions `[batch, action]` in [-1, 1], or `None` before the networks
    /// were built. It must give the same actions when it is asked again, and an action must not depend on the other rows.
    ///
    /// ```
    /// use yarak::prelude::*;
    ///
    /// fn stand_still(_: &World, observation: Tensor<2>) -> Option<Tensor<2>> {
    ///     Some(Tensor::zeros([observation.dims()[0], 1], &observation.device()))
    /// }
    ///
    /// let mut app = App::new();
    /// app.acts_by(stand_still);
    /// let acting = *app.world().resource::<Acting>();
    /// let observation = Tensor::ones([5, 3], &ComputeDevice::cpu().plain());
    /// assert_eq!(acting.act(app.world(), observation).unwrap().dims(), [5, 1]);
    /// ```
    fn acts_by(&mut self, act: fn(&World, Tensor<2>) -> Option<Tensor<2>>) -> &mut Self;
}

impl AppActingExt for App {
    fn acts_with<R: Role<Network: Act>>(&mut self) -> &mut Self {
        self.insert_resource(Acting {
            act: |world, observation| {
                let net = world.get_resource::<Net<R>>()?;
                Some(net.act_deterministically(observation))
            },
        })
    }

    fn acts_by(&mut self, act: fn(&World, Tensor<2>) -> Option<Tensor<2>>) -> &mut Self {
        self.insert_resource(Acting { act })
    }
}
