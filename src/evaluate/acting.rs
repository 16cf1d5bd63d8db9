//! The policy of a run, whatever the algorithm.

use bevy_app::App;
use bevy_ecs::prelude::*;
use burn::tensor::Tensor;

use crate::checkpoint::{AppPersistExt, Snapshot};
use crate::data::ActionChunk;
use crate::learner::{Critic, Net, Role, Target, Value, target_file};
use crate::nn::denoising::Denoiser;
use crate::nn::{ActorHead, ActorNetwork, CriticHead, CriticNetwork};
use crate::policy::{ActionRule, Architecture, KEY, Saved, SavedValues, VALUES, sampled};
use crate::schedule::{ScheduleError, ScheduleErrors};

/// A network that chooses actions.
pub trait Act {
    /// The deterministic actions `[batch, action]`, in [-1, 1] for a box and indices for a discrete space, for preprocessed observations
    /// `[batch, observation]`. A policy that predicts chunks gives all actions of each, `[batch, prediction_horizon * action]`.
    fn act_deterministically(&self, observation: Tensor<2>) -> Tensor<2>;

    /// What a [`policy::Policy`](crate::policy::Policy) has to know to act as this network does, without its algorithm: written
    /// into every checkpoint. `None`, unless said otherwise: the network is no perceptron, and does not travel.
    fn architecture(&self) -> Option<Architecture> {
        None
    }
}

impl Act for ActorNetwork {
    fn act_deterministically(&self, observation: Tensor<2>) -> Tensor<2> {
        self.act(observation)
    }

    fn architecture(&self) -> Option<Architecture> {
        let action = self.action_size();
        let rule = match self.head() {
            ActorHead::Deterministic => ActionRule::Outputs,
            ActorHead::UnboundedGaussian { .. } => ActionRule::Clipped,
            ActorHead::Gaussian(_) | ActorHead::SquashedGaussian => {
                ActionRule::TanhOfMean { action }
            }
            ActorHead::Mixture(settings) => ActionRule::TanhOfBestMode {
                modes: settings.modes,
                action,
            },
            ActorHead::Categorical => ActionRule::Greatest {
                discrete_actions: action,
            },
        };
        Some(Architecture::of(self.trunk(), rule))
    }
}

/// Actions that are sampled, from noise that is a function of the observation
/// ([`ObservationNoise`](crate::nn::denoising::ObservationNoise)).
impl Act for Denoiser {
    fn act_deterministically(&self, observation: Tensor<2>) -> Tensor<2> {
        sampled(self, observation)
    }

    fn architecture(&self) -> Option<Architecture> {
        Some(Architecture {
            denoiser: Some(self.form().clone()),
            ..Architecture::of(self.trunk(), ActionRule::Outputs)
        })
    }
}

/// The discrete actions of the greatest values, as indices `[batch, 1]`.
impl Act for CriticNetwork {
    fn act_deterministically(&self, observation: Tensor<2>) -> Tensor<2> {
        self.greedy(observation)
    }

    fn architecture(&self) -> Option<Architecture> {
        let CriticHead::Discrete {
            n: discrete_actions,
            ..
        } = *self.head()
        else {
            return None;
        };
        Some(Architecture::of(
            self.trunk(),
            ActionRule::Greatest { discrete_actions },
        ))
    }
}

/// Which network acts at evaluation.
#[derive(Resource, Clone, Copy)]
pub struct Acting {
    act: fn(&World, Tensor<2>) -> Option<Tensor<2>>,
    /// What a checkpoint says of it; `None` before the network was built.
    describe: fn(&World) -> Option<Saved>,
}

impl Acting {
    /// The deterministic actions of these observations, `[batch, action]`: of a chunk, the first. `None` before the network was built.
    pub fn act(&self, world: &World, observation: Tensor<2>) -> Option<Tensor<2>> {
        let chunk = self.predict(world, observation)?;
        Some(match world.get_resource::<ActionChunk>() {
            None => chunk,
            Some(ActionChunk {
                prediction_horizon, ..
            }) => {
                let width = chunk.dims()[1] / prediction_horizon;
                chunk.narrow(1, 0, width)
            }
        })
    }

    /// All that the policy says, as [`Act::act_deterministically`]: whole chunks, where it predicts them.
    pub fn predict(&self, world: &World, observation: Tensor<2>) -> Option<Tensor<2>> {
        (self.act)(world, observation)
    }
}

/// Says which network acts.
pub trait AppActingExt {
    /// Role `R`'s network acts at evaluation.
    fn acts_with<R: Role<Network: Act>>(&mut self) -> &mut Self;

    /// Role `R`'s target acts at evaluation, where it is an average of the network's weights over time: it is what a checkpoint's policy
    /// is, too.
    fn acts_with_target<R: Role<Network: Act>>(&mut self) -> &mut Self;

    /// The function acts at evaluation, where it takes more than one network to choose an action: from the world and
    /// preprocessed observations `[batch, observation]` to actions `[batch, action]` in [-1, 1], or `None` before the networks
    /// were built. It must give the same actions when it is asked again, and an action must not depend on the other rows.
    ///
    /// ```
    /// use yarak::prelude::*;
    /// use yarak::evaluate::Acting;
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
        self.acts_as(Acting {
            act: |world, observation| {
                let net = world.get_resource::<Net<R>>()?;
                Some(net.act_deterministically(observation))
            },
            describe: |world| {
                let net = world.get_resource::<Net<R>>()?;
                Some(saved(world, &**net, R::NAME))
            },
        })
    }

    fn acts_with_target<R: Role<Network: Act>>(&mut self) -> &mut Self {
        self.acts_as(Acting {
            act: |world, observation| {
                let target = world.get_resource::<Target<R>>()?;
                Some(target.act_deterministically(observation))
            },
            describe: |world| {
                let target = world.get_resource::<Target<R>>()?;
                Some(saved(world, &**target, &target_file::<R>()))
            },
        })
    }

    fn acts_by(&mut self, act: fn(&World, Tensor<2>) -> Option<Tensor<2>>) -> &mut Self {
        self.acts_as(Acting {
            act,
            describe: |_| {
                Some(own(
                    "its actions take more than one network, and its algorithm",
                ))
            },
        })
    }
}

/// What a checkpoint says of the networks next to the one that acts.
fn values_of(world: &World) -> SavedValues {
    let mut values = SavedValues::default();
    if let Some(critic) = world.get_resource::<Net<Critic>>() {
        values.add(Critic::NAME, critic);
    }
    if let Some(value) = world.get_resource::<Net<Value>>() {
        values.add(Value::NAME, value);
    }
    values
}

/// What a checkpoint says of a network that acts and lies in `file`.
fn saved<N: Act>(world: &World, network: &N, file: &str) -> Saved {
    match network.architecture() {
        Some(architecture) => Saved::Network {
            file: file.to_owned(),
            architecture: Architecture {
                chunk: world.get_resource::<ActionChunk>().copied(),
                ..architecture
            },
        },
        None => own(&format!(
            "its policy `{}` does not say its `Act::architecture`",
            disqualified::ShortName::of::<N>()
        )),
    }
}

fn own(why: &str) -> Saved {
    Saved::Own {
        why: why.to_owned(),
    }
}

trait ActsAs {
    fn acts_as(&mut self, acting: Acting) -> &mut Self;
}

impl ActsAs for App {
    /// Also lets checkpoints say what acts, for whoever loads the policy alone.
    fn acts_as(&mut self, acting: Acting) -> &mut Self {
        let save = |world: &World, snapshot: &mut Snapshot| {
            snapshot.put_state(VALUES, &values_of(world))?;
            let acting = world.get_resource::<Acting>();
            match acting.and_then(|acting| (acting.describe)(world)) {
                Some(saved) => snapshot.put_state(KEY, &saved),
                None => Ok(()),
            }
        };
        if self.world().contains_resource::<Acting>() {
            let cause = "`acts_with` was called twice, and one network acts in a run: keep one algorithm in it, and one call".to_owned();
            let mut errors = self.world_mut().get_resource_or_init::<ScheduleErrors>();
            errors.0.push(ScheduleError::Prepare { cause });
            return self;
        }
        self.insert_resource(acting)
            .persist_with(KEY, save, |_, _| Ok(()))
    }
}
