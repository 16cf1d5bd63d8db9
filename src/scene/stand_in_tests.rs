//! Settings like the real ones, for the tests of scenes alone.

use std::path::PathBuf;

use bevy_app::{App, Plugin};
use bevy_ecs::prelude::Resource;
use bevy_reflect::Reflect;
use bevy_reflect::prelude::ReflectDefault;

use super::read::Reader;
use super::split::split;
use super::text::Source;
use super::{Bounds, FieldProblems, PluginKind, SceneRegistry, Settings};
use super::{Problem, Problems};

/// TD3+BC: TD3 whose actor also imitates the data (Fujimoto & Gu 2021).
///
/// A stand-in.
#[derive(Clone, Debug, PartialEq, Resource, Reflect)]
#[reflect(@PluginKind::Algorithm)]
pub(crate) struct Td3Bc {
    /// Weight of the Q term against the imitation term; λ = alpha / mean|Q|. Higher means bolder.
    #[reflect(@Bounds::at_least(0.0))]
    pub(crate) alpha: f32,
    /// Discount of future rewards, γ.
    #[reflect(@Bounds::within(0.0, 1.0))]
    pub(crate) discount: f64,
    /// Steps of reward in a target.
    #[reflect(@Bounds::at_least(1.0))]
    pub(crate) n_step: usize,
    /// Rows in a minibatch.
    #[reflect(@Bounds::at_least(1.0))]
    pub(crate) batch_size: usize,
    /// The critics.
    pub(crate) critic: CriticSettings,
    /// The actor.
    pub(crate) actor: ActorSettings,
}

/// How the critics learn.
#[derive(Clone, Debug, PartialEq, Reflect)]
pub(crate) struct CriticSettings {
    /// Adam's step size.
    pub(crate) learning_rate: Rate,
    /// Weight decay.
    #[reflect(@Bounds::at_least(0.0))]
    pub(crate) weight_decay: f32,
    /// First epoch in which the critics learn.
    pub(crate) start_epoch: Option<u32>,
    /// How many critics vote.
    pub(crate) ensemble: Ensemble,
    /// Widths of the hidden layers.
    #[reflect(@Bounds::at_least(1.0))]
    pub(crate) layers: Vec<usize>,
    /// Smallest and largest value that a target may take.
    pub(crate) value_bounds: Option<(f32, f32)>,
}

/// An ensemble's size and its votes.
#[derive(Clone, Debug, PartialEq, Reflect)]
pub(crate) struct Ensemble {
    /// Members.
    #[reflect(@Bounds::at_least(1.0))]
    pub(crate) n: usize,
    /// Weight of the smallest member against the mean.
    #[reflect(@Bounds::within(0.0, 1.0))]
    pub(crate) weight: f32,
}

/// How the actor learns.
#[derive(Clone, Debug, PartialEq, Reflect)]
pub(crate) struct ActorSettings {
    /// Adam's step size.
    pub(crate) learning_rate: Rate,
    /// Steps of the critics for one of the actor.
    #[reflect(@Bounds::at_least(1.0))]
    pub(crate) update_freq: u64,
    /// The function between layers.
    pub(crate) activation: Activation,
    /// Noise that is added to actions, by phase.
    pub(crate) noise: Vec<Noise>,
    /// Dropout in the hidden layers.
    pub(crate) dropout: Option<Noise>,
    /// Limits of an action.
    pub(crate) limits: [f32; 2],
}

/// Noise in one phase.
#[derive(Clone, Debug, PartialEq, Reflect)]
#[reflect(Default)]
pub(crate) struct Noise {
    /// Standard deviation.
    #[reflect(@Bounds::at_least(0.0))]
    pub(crate) scale: f32,
    /// Where it is cut off.
    pub(crate) clip: Option<f32>,
}

/// A learning rate over time.
#[derive(Clone, Debug, PartialEq, Reflect)]
pub(crate) enum Rate {
    /// Always the same.
    Constant(#[reflect(@Bounds::above(0.0))] f32),
    /// Smaller by a factor at each of some epochs.
    Multistep {
        /// The rate at the start.
        #[reflect(@Bounds::above(0.0))]
        initial: f32,
        /// What it is multiplied by.
        decay_factor: f32,
        /// The epochs.
        epoch_schedule: Vec<u32>,
    },
    /// From one rate to another.
    Linear {
        /// The rate at the start.
        initial: f32,
        /// The rate at the end.
        last: f32,
    },
    /// Half a cosine to zero.
    Cosine {
        /// The rate at the start.
        initial: f32,
        /// Steps until zero.
        steps: u64,
        /// Steps of rising at the start.
        warm_up: Option<u64>,
    },
}

/// The function between two layers.
#[derive(Clone, Copy, Debug, PartialEq, Reflect)]
pub(crate) enum Activation {
    /// max(0, x).
    Relu,
    /// tanh x.
    Tanh,
}

impl Default for Noise {
    fn default() -> Self {
        Self {
            scale: 0.1,
            clip: Some(0.5),
        }
    }
}

impl Default for Td3Bc {
    fn default() -> Self {
        Self {
            alpha: 2.5,
            discount: 0.99,
            n_step: 1,
            batch_size: 256,
            critic: CriticSettings {
                learning_rate: Rate::Constant(3e-4),
                weight_decay: 0.0,
                start_epoch: None,
                ensemble: Ensemble { n: 2, weight: 1.0 },
                layers: vec![256, 256],
                value_bounds: None,
            },
            actor: ActorSettings {
                learning_rate: Rate::Cosine {
                    initial: 1e-3,
                    steps: 1_000_000,
                    warm_up: None,
                },
                update_freq: 2,
                activation: Activation::Relu,
                noise: vec![Noise::default()],
                dropout: None,
                limits: [-1.0, 1.0],
            },
        }
    }
}

impl Plugin for Td3Bc {
    fn build(&self, app: &mut App) {
        app.insert_resource(self.clone());
    }
}

impl Settings for Td3Bc {
    fn check(&self, problems: &mut FieldProblems) {
        if self.n_step > self.batch_size {
            problems.refuse("batch_size", "a batch needs at least n_step rows");
        }
        if let Some((low, high)) = self.critic.value_bounds
            && low >= high
        {
            problems.refuse(
                "critic.value_bounds",
                "the lower bound must lie below the upper one",
            );
        }
    }
}

/// Rollouts in an environment.
#[derive(Clone, Debug, PartialEq, Resource, Reflect)]
pub(crate) struct Evaluation {
    /// The environment's name.
    pub(crate) env: String,
    /// Steps between two evaluations.
    #[reflect(@Bounds::at_least(1.0))]
    pub(crate) every: u64,
    /// Write a video of it.
    pub(crate) record: bool,
    /// Where scores are known.
    pub(crate) scores: Option<PathBuf>,
    /// Longest episode; `inf` for no limit.
    #[reflect(@Bounds::above(0.0).or_infinite())]
    pub(crate) seconds: f64,
}

impl Default for Evaluation {
    fn default() -> Self {
        Self {
            env: "Pendulum-v1".into(),
            every: 2_000,
            record: false,
            scores: None,
            seconds: f64::INFINITY,
        }
    }
}

impl Plugin for Evaluation {
    fn build(&self, app: &mut App) {
        app.insert_resource(self.clone());
    }
}

impl Settings for Evaluation {}

/// Reports to TensorBoard.
#[derive(Clone, Debug, Default, PartialEq, Resource, Reflect)]
pub(crate) struct TensorBoard;

impl Plugin for TensorBoard {
    fn build(&self, app: &mut App) {
        app.insert_resource(self.clone());
    }
}

impl Settings for TensorBoard {}

/// A scene with everything that a scene can have.
pub(crate) const WHOLE: &str = r#"
#![enable(implicit_some)]
// A scene with everything.
Scene(
    name: "pendulum, \"TD3+BC\"",
    seed: 3,
    device: "cuda:0",
    steps: 20_000,
    seeds: [1, 2,],
    plugins: [
        Td3Bc(
            alpha: 0.1, /* λ */
            critic: (
                learning_rate: Multistep(initial: 3e-4, decay_factor: 0.1, epoch_schedule: [100]),
                value_bounds: (-1.5, 1e10),
            ),
            actor: (noise: [(scale: 0.3), (clip: None)], limits: (-2, 2)),
        ),
        Evaluation(env: r"C:\env", scores: "a/b.json"),
        TensorBoard,
    ],
    order: [ Replace(Actor, with: "bc::clone_behavior"), Remove(Measure) ],
)
"#;

/// A registry of all of these.
pub(crate) fn registry() -> SceneRegistry {
    let mut registry = SceneRegistry::new();
    registry.register::<Td3Bc>().unwrap();
    registry.register::<Evaluation>().unwrap();
    registry.register::<TensorBoard>().unwrap();
    registry
}

/// Reads one plugin's settings.
pub(crate) fn read_td3_bc(text: &str) -> Result<Td3Bc, Problems> {
    let registry = registry();
    let source = Source::file("a.ron", text);
    let (node, extensions) = split(&source).unwrap();
    let mut reader = Reader::new(registry.types());
    reader.extensions = extensions;
    let mut value = Td3Bc::default();
    reader.read(&node, &mut value, None, "Td3Bc");
    reader.problems.into_result().map(|()| value)
}

/// The mistakes in one plugin's settings: `path: message | help`.
pub(crate) fn messages(text: &str) -> Vec<String> {
    let problems = read_td3_bc(text).unwrap_err();
    let line = |problem: &Problem| {
        let help = problem.help.as_deref().unwrap_or_default();
        format!("{}: {} | {help}", problem.path, problem.message)
    };
    problems.iter().map(line).collect()
}
