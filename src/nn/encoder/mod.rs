//! Encoders: what a network makes of an observation before its head.
//!
//! Every network of every algorithm is an encoder and a head, and a scene chooses the encoder: `encoder: Mlp(hidden_sizes: [256, 256])`.
//! [`MlpSettings`](super::MlpSettings) is the first of them, and is one fused operation together with the head's layers. Any other is a
//! module of Burn's layers: implement [`Encoder`] for its settings and register it, and every algorithm's scenes can name it.
//!
//! - `cnn` and `resnet` see pictures, which `transforms` changes in training; `pooling` is what becomes of what they find; `combined`
//!   gives each part of an observation an encoder of its own;
//! - `recurrent` and `transformer` remember: they read the steps that `frame_stack` lays side by side, which `steps` takes apart;
//! - `erased` makes one type of all modules; `module` is that module in a network, with its random numbers;
//! - `settings` is the choice in a scene, `table` what can be chosen.

mod cnn;
mod combined;
mod erased;
mod module;
mod moved;
mod pooling;
mod recurrent;
mod resnet;
mod settings;
mod steps;
mod table;
mod transformer;
mod transforms;

use std::fmt::Debug;

use bevy_ecs::prelude::Result;
use bevy_reflect::structs::Struct;
use bevy_reflect::{GetTypeRegistration, Reflect, Typed};
use burn::module::AutodiffModule;
use burn::tensor::{Device, Tensor};

use crate::observation::EncoderInput;
use crate::scene::FieldProblems;

pub use cnn::{Cnn, Convolutions};
pub use combined::{Combined, PartEncoder};
pub use module::EncoderModule;
pub(crate) use module::seeded_module;
pub use pooling::Pooling;
pub use recurrent::{Gru, Horizon, Lstm};
pub use resnet::ResNet18;
pub use settings::EncoderSettings;
pub use table::{AppEncoderExt, register_encoder};
pub use transformer::{Positions, Transformer};
pub use transforms::Transform;

/// An encoder of your own: its settings, and the module of Burn's layers that they make.
///
/// Once it is registered with [`register_encoder`](AppEncoderExt::register_encoder), any network of any algorithm may have it:
/// `actor: (encoder: Residual(width: 64))`. It trains, resumes and repeats bit for bit, and is exported with the policy.
///
/// ```
/// use burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig};
/// use yarak::prelude::*;
/// use yarak::observation::EncoderInput;
///
/// /// A hidden layer with a shortcut around it.
/// #[derive(Clone, Debug, Reflect)]
/// pub struct Residual {
///     /// Features.
///     #[reflect(@Bounds::at_least(1.0))]
///     pub width: usize,
/// }
///
/// impl Default for Residual {
///     fn default() -> Self {
///         Residual { width: 64 }
///     }
/// }
///
/// #[derive(Module, Debug)]
/// pub struct ResidualModule {
///     straight: Linear,
///     bent: Linear,
///     dropout: Dropout,
/// }
///
/// impl Encoder for Residual {
///     type Module = ResidualModule;
///
///     fn init(&self, input: &EncoderInput, device: &Device) -> Result<ResidualModule> {
///         Ok(ResidualModule {
///             straight: LinearConfig::new(input.width(), self.width).init(device),
///             bent: LinearConfig::new(input.width(), self.width).init(device),
///             dropout: DropoutConfig::new(0.1).init(),
///         })
///     }
///
///     fn forward(module: &ResidualModule, observation: Tensor<2>) -> Tensor<2> {
///         let bent = module.bent.forward(observation.clone()).tanh();
///         module.straight.forward(observation) + module.dropout.forward(bent)
///     }
/// }
///
/// let mut app = App::new();
/// app.register_encoder::<Residual>();
/// let layers = EncoderSettings::new(Residual::default());
/// let init = &mut Random::<Init>::new(Seed(0));
/// let device = ComputeDevice::cpu().plain();
/// let actor = ActorNetwork::new(layers, ActorHead::Deterministic, 3, 1, &device, init)?;
/// assert_eq!(actor.act(Tensor::zeros([10, 3], &device)).dims(), [10, 1]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Weights may come from Burn's initializers: its global generator is seeded from the run's [`Init`](crate::learner::Init) stream while
/// the module is made, and from dropout's while it is trained. Burn's `Dropout` is on in training and off elsewhere. What keeps running
/// statistics, such as `BatchNorm`, is refused: they are no parameters.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no encoder",
    note = "implement `Encoder` for the settings: derive `Clone`, `Debug` and `Reflect`, implement `Default`, and say what module they make"
)]
pub trait Encoder:
    Reflect + Struct + Typed + GetTypeRegistration + Default + Clone + Debug
{
    /// The module: any of Burn's layers, or made of them.
    type Module: AutodiffModule + Sync + 'static;

    /// The module for such an input, made on `device`, with its initial weights. Most need the input's width alone; what has to tell
    /// a picture from a vector finds the parts in it.
    ///
    /// # Errors
    /// When the settings do not fit the observations; the message names the remedy.
    fn init(&self, input: &EncoderInput, device: &Device) -> Result<Self::Module>;

    /// Refuses settings that contradict each other whatever the observations are, for `yarak scene check` to find them; `field` is where
    /// this encoder is, such as `actor.encoder`. [`init`](Self::init) refuses them too.
    fn check(&self, field: &str, problems: &mut FieldProblems) {
        let _ = (field, problems);
    }

    /// Features `[batch, width]` of rows `[batch, input]`, in which the parts lie as the input says. A row's features must not depend on the other rows.
    fn forward(module: &Self::Module, observation: Tensor<2>) -> Tensor<2>;

    /// Whether it reads the observations side by side one after the other, and so has features at each of them.
    const HAS_MEMORY: bool = false;

    /// Whether it begins anew every `frame_stack` steps where it acts, as [`Horizon::Resetting`] says: then rows have from one to
    /// `frame_stack` steps there, and training asks for the features at each of them.
    fn resets_at_horizon(&self) -> bool {
        false
    }

    /// Features `[batch * steps, width]` at each step of the rows, a row's steps one after the other: at a step it knows that step and
    /// those before it alone. The features of the last one are those of [`forward`](Self::forward). Asked for where it has memory.
    fn forward_each(module: &Self::Module, observation: Tensor<2>) -> Tensor<2> {
        Self::forward(module, observation)
    }

    /// How many numbers a pass keeps for each row, until the gradient is known; 0 where nobody knows. A batch for which there is no
    /// memory is refused by it, so it may be too low and never too high.
    fn values_per_row(module: &Self::Module) -> usize {
        let _ = module;
        0
    }
}

/// Why an encoder cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InitError {
    /// It refused its settings.
    #[error("the encoder `{encoder}` cannot be made: {why}")]
    Refused {
        /// Its name in scenes.
        encoder: &'static str,
        /// What it said.
        why: String,
    },
    /// The body of a denoising network refused its settings.
    #[error("the body `{body}` cannot be made: {why}")]
    BadBody {
        /// Its name in scenes.
        body: &'static str,
        /// What it said.
        why: String,
    },
    /// A perceptron would be shown a picture.
    #[error(
        "an `Mlp` would take the picture{} {pictures} for unrelated numbers: write `encoder: {instead}`",
        if pictures.contains(',') { "s" } else { "" }
    )]
    Pictures {
        /// Their names.
        pictures: String,
        /// What sees pictures.
        instead: &'static str,
    },
    /// There is no memory for its weights.
    #[error("{0}")]
    TooLarge(String),
    /// A stack of learners has no such networks.
    #[error(
        "{what} is not what learners of one stack can have: take an `Mlp` without it, or train the seeds side by side, without `--stacked`"
    )]
    NotStacked {
        /// What it is.
        what: String,
    },
    /// It keeps what is no parameter.
    #[error(
        "the encoder keeps running statistics in a `BatchNorm`, which are neither trained nor saved with a run: take `LayerNorm` or `GroupNorm`"
    )]
    RunningStatistics,
    /// Its output is no matrix with a row for each observation.
    #[error(
        "the encoder `{encoder}` made {found:?} of one observation: it must be [1, width], with a width of at least 1"
    )]
    BadOutput {
        /// Its name in scenes.
        encoder: &'static str,
        /// The shape.
        found: [usize; 2],
    },
}
