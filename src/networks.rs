//! Building an algorithm's networks for the data or the environments at hand.
//!
//! An algorithm says in `Plugin::build` which action spaces it can train on, and builds its networks in `Startup`, where the sizes of
//! observations and actions are known.

use bevy_app::App;
use bevy_ecs::prelude::*;
use bevy_ecs::system::SystemParam;
use burn::tensor::Device;

use crate::data::{ActionChunk, DiscreteActionsOnly, Preprocessing, ResetsAtHorizon, Spaces};
use crate::env::Space;
use crate::learner::{ComputeDevice, CriticSettings, Init, Net, Random, Role, Target};
use crate::nn::denoising::{Denoiser, DenoiserForm};
use crate::nn::{
    ActorHead, ActorNetwork, CriticHead, CriticNetwork, InitError, Layers, Network, seeded_module,
};
use crate::observation::EncoderInput;
use crate::schedule::InputError;

/// The action spaces that an algorithm can train on.
#[derive(Resource, Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrainsOn {
    /// Actions of real numbers.
    Continuous,
    /// One of so many actions.
    Discrete,
    /// Both.
    Both,
}

/// Why an algorithm cannot train in an environment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ActionSpaceError {
    /// It needs real numbers.
    #[error(
        "{who} acts with real numbers, and {environment} has {n} discrete actions: name an environment with continuous actions, such as `Pendulum-v1`, or take `Dqn`, `Ppo` or `A2c`"
    )]
    Discrete {
        /// The algorithm, or its network.
        who: String,
        /// The environment.
        environment: String,
        /// How many actions.
        n: usize,
    },
    /// It needs discrete actions.
    #[error(
        "{who} chooses among discrete actions, and {environment} has none: name an environment with discrete actions, such as `CartPole-v1`, or data of discrete actions, or take `Td3`, `Sac` or `Ppo`"
    )]
    Continuous {
        /// The algorithm, or its network.
        who: String,
        /// The environment.
        environment: String,
    },
    /// Nothing acts with several spaces at once.
    #[error(
        "the actions of {environment} are a dictionary, and {who} acts in one space: name an environment whose actions are one space"
    )]
    Dictionary {
        /// The algorithm, or its network.
        who: String,
        /// The environment.
        environment: String,
    },
}

impl TrainsOn {
    /// Whether the environment that an app acts in is one that its algorithm can train in, as far as that is known before the first
    /// step.
    pub(crate) fn check(world: &World, algorithm: &str) -> Result<(), ActionSpaceError> {
        match (
            world.get_resource::<TrainsOn>(),
            world.get_resource::<Spaces>(),
        ) {
            (Some(trains_on), Some(spaces)) => trains_on.allow(algorithm, spaces),
            _ => Ok(()),
        }
    }

    fn allow(self, who: &str, spaces: &Spaces) -> Result<(), ActionSpaceError> {
        let (who, environment) = (who.to_owned(), spaces.environment.clone());
        match (self, &spaces.action) {
            (_, Space::Dict { .. }) => Err(ActionSpaceError::Dictionary { who, environment }),
            (TrainsOn::Continuous, Space::Discrete { n }) => {
                let n = *n;
                Err(ActionSpaceError::Discrete {
                    who,
                    environment,
                    n,
                })
            }
            (TrainsOn::Discrete, Space::Box { .. }) => {
                Err(ActionSpaceError::Continuous { who, environment })
            }
            _ => Ok(()),
        }
    }
}

/// Says what an algorithm can train on.
pub trait AppTrainsOnExt {
    /// The app's algorithm trains on these action spaces; `yarak scene check` refuses environments with others.
    fn trains_on(&mut self, spaces: TrainsOn) -> &mut Self;
}

impl AppTrainsOnExt for App {
    fn trains_on(&mut self, spaces: TrainsOn) -> &mut Self {
        if spaces == TrainsOn::Discrete {
            self.init_resource::<DiscreteActionsOnly>();
        }
        self.insert_resource(spaces)
    }
}

/// What an algorithm's networks are built with, in `Startup`: sizes, device, initial weights.
///
/// ```
/// use yarak::prelude::*;
///
/// fn build_networks(settings: Res<Td3>, mut networks: Networks) -> Result {
///     let actor = networks.actor(settings.actor.layers(), ActorHead::Deterministic)?;
///     let critic = networks.critics(&settings.critic)?;
///     networks.insert_with_target::<Actor>(actor);
///     networks.insert_with_target::<Critic>(critic);
///     Ok(())
/// }
/// ```
#[derive(SystemParam)]
pub struct Networks<'w, 's> {
    preprocessing: Res<'w, Preprocessing>,
    spaces: Option<Res<'w, Spaces>>,
    chunk: Option<Res<'w, ActionChunk>>,
    resets: Option<Res<'w, ResetsAtHorizon>>,
    device: Res<'w, ComputeDevice>,
    /// The stream of initial weights.
    pub init: ResMut<'w, Random<Init>>,
    commands: Commands<'w, 's>,
}

impl Networks<'_, '_> {
    /// What networks are given of an observation.
    pub fn input(&self) -> EncoderInput {
        self.preprocessing.input()
    }

    /// Numbers in an action.
    pub fn action(&self) -> usize {
        self.preprocessing.widths()[1]
    }

    /// How many discrete actions there are; `None` where actions are real numbers.
    pub fn discrete_actions(&self) -> Option<usize> {
        match &self.spaces.as_ref()?.action {
            Space::Discrete { n } => Some(*n),
            _ => None,
        }
    }

    /// The device that networks are built on: tracked, so that they know which of their parameters are trained.
    pub fn device(&self) -> Device {
        self.device.autodiff()
    }

    /// How many actions the policy predicts at once: 1, or what the algorithm's minibatches were asked for.
    pub fn prediction_horizon(&self) -> usize {
        let chunk = self.chunk.as_deref();
        chunk.map_or(1, |chunk| chunk.prediction_horizon)
    }

    /// An actor for these observations and actions, all actions of a chunk where it predicts chunks.
    ///
    /// # Errors
    /// When the encoder does not fit the observations, or the head the actions.
    pub fn actor(&mut self, layers: impl Into<Layers>, head: ActorHead) -> Result<ActorNetwork> {
        let layers = layers.into();
        if self.resets.is_none() {
            trained_at_the_last_step(&layers)?;
        }
        let discrete = head == ActorHead::Categorical;
        let action = self.fitting("the actor", discrete)? * self.prediction_horizon();
        let (input, device) = (self.input(), self.device());
        let actor = ActorNetwork::new(layers, head, input, action, &device, &mut self.init);
        Ok(actor.map_err(InputError::new)?)
    }

    /// A network that makes actions out of noise, for these observations and actions.
    ///
    /// # Errors
    /// When the encoder does not fit the observations, the body the chunk, or the actions are discrete.
    pub fn denoiser(&mut self, layers: impl Into<Layers>, form: DenoiserForm) -> Result<Denoiser> {
        let layers = layers.into();
        trained_at_the_last_step(&layers)?;
        self.fitting("the actor", false)?;
        let (input, device) = (self.input(), self.device());
        let denoiser = Denoiser::new(layers, form, input, &device, &mut self.init);
        Ok(denoiser.map_err(InputError::new)?)
    }

    /// An ensemble of `members` critics for these observations.
    ///
    /// # Errors
    /// When the encoder does not fit the observations, or the head the actions.
    pub fn critic(
        &mut self,
        layers: impl Into<Layers>,
        head: CriticHead,
        members: usize,
    ) -> Result<CriticNetwork> {
        let layers = layers.into();
        trained_at_the_last_step(&layers)?;
        match head {
            CriticHead::State => {}
            CriticHead::Continuous { .. } => drop(self.fitting("the critic", false)?),
            CriticHead::Discrete { .. } => drop(self.fitting("the critic", true)?),
        }
        let (input, device) = (self.input(), self.device());
        let critic = CriticNetwork::new(layers, head, members, input, &device, &mut self.init);
        Ok(critic.map_err(InputError::new)?)
    }

    /// The ensemble of action values that the settings say.
    ///
    /// # Errors
    /// As [`critic`](Self::critic).
    pub fn critics(&mut self, settings: &CriticSettings) -> Result<CriticNetwork> {
        let head = settings.head(self.action());
        self.critic(settings.layers(), head, settings.ensemble.n)
    }

    /// A network of your own, of Burn's layers: `make` is given the device on which it makes them. Their initial weights come from the
    /// run's stream, so that the seed determines them; Burn's layers alone would draw theirs from a generator of the process.
    ///
    /// ```
    /// use burn::nn::{Linear, LinearConfig};
    /// use yarak::prelude::*;
    ///
    /// /// A model of what an action leads to.
    /// #[derive(Module, Debug)]
    /// struct Model {
    ///     layer: Linear,
    /// }
    ///
    /// impl Network for Model {}
    ///
    /// impl Role for Model {
    ///     type Network = Model;
    ///     const NAME: &'static str = "model";
    /// }
    ///
    /// fn build_model(mut networks: Networks) {
    ///     let (s, a) = (networks.input().width(), networks.action());
    ///     let model = networks.module(|device| Model {
    ///         layer: LinearConfig::new(s + a, s).init(device),
    ///     });
    ///     networks.insert::<Model>(model);
    /// }
    /// ```
    pub fn module<N: Network>(&mut self, make: impl FnOnce(&Device) -> N) -> N {
        let device = self.device();
        seeded_module(&device, &mut self.init, make)
    }

    /// The size of an action for a head over discrete actions or over continuous actions.
    fn fitting(&self, who: &str, discrete: bool) -> Result<usize> {
        if let Some(spaces) = &self.spaces {
            let wanted = if discrete {
                TrainsOn::Discrete
            } else {
                TrainsOn::Continuous
            };
            wanted.allow(who, spaces).map_err(InputError::new)?;
        }
        if !discrete {
            return Ok(self.action());
        }
        Ok(self.discrete_actions().ok_or_else(|| {
            InputError::new(ActionSpaceError::Continuous {
                who: who.to_owned(),
                environment: "the data".to_owned(),
            })
        })?)
    }

    /// Makes a network that of role `R`.
    pub fn insert<R: Role>(&mut self, network: R::Network) {
        self.commands.insert_resource(Net::<R>::new(network));
    }

    /// The same, with a target that begins as its copy.
    pub fn insert_with_target<R: Role>(&mut self, network: R::Network) {
        let net = Net::<R>::new(network);
        self.commands.insert_resource(Target::copy_of(&net));
        self.commands.insert_resource(net);
    }

    /// What networks cannot be built because of, as the user's mistake.
    ///
    /// # Errors
    /// The same.
    pub fn checked<T>(&self, built: Result<T, InitError>) -> Result<T> {
        Ok(built.map_err(InputError::new)?)
    }
}

/// Refuses an encoder that begins anew where it acts, of a network that is trained at the last step of a window alone.
fn trained_at_the_last_step(layers: &Layers) -> Result<()> {
    match layers.encoder.refusal_of_resets() {
        Some(error) => Err(InputError::new(error).into()),
        None => Ok(()),
    }
}
