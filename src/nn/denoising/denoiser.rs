//! The network of a diffusion policy or of a flow.

use bevy_reflect::Reflect;
use bevy_reflect::prelude::ReflectDefault;
use burn::module::{AutodiffModule, Module};
use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use super::Process;
use super::time_features::sinusoids;
use super::unet::Unet;
use crate::nn::sides::{plain_device, side_by_side};
use crate::nn::trunk::Sizes;
use crate::nn::{
    Activation, EncoderModule, EncoderSettings, InitError, Layers, Network, Piece, Trunk,
};
use crate::observation::EncoderInput;
use crate::random::{Init, Random};
use crate::scene::{Bounds, FieldProblems};
use crate::transfer::upload;

/// What is behind the encoder of a [`Denoiser`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Reflect, Serialize, Deserialize)]
#[reflect(Default)]
pub enum DenoiserBody {
    /// The layers behind the encoder see the features, the time and the whole noisy chunk: with an `Mlp` as encoder, one perceptron.
    #[default]
    Mlp,
    /// A U-Net along the chunk's steps, which features and time modulate (Chi et al. 2023, <https://arxiv.org/abs/2303.04137>).
    Unet {
        /// Channels at each depth; each but the last halves the chunk's length.
        #[reflect(@Bounds::within(1.0, 65_536.0))]
        channels: Vec<usize>,
        /// Steps that a convolution sees, an odd number.
        #[reflect(@Bounds::within(1.0, 99.0))]
        kernel_size: usize,
        /// Groups of channels that are normalized together, a divisor of each number of channels.
        #[reflect(@Bounds::within(1.0, 65_536.0))]
        groups: usize,
    },
}

impl DenoiserBody {
    /// Refuses what contradicts itself, or cannot be of chunks of `horizon` actions, for
    /// [`Settings::check`](crate::scene::Settings::check); `field` is where this setting is, such as `body`.
    pub fn check(&self, horizon: usize, field: &str, problems: &mut FieldProblems) {
        let unet = self.unet_of(horizon);
        if let Some(Err(error)) = unet.map(|unet| unet.check_shape()) {
            problems.refuse(field, error.to_string());
        }
    }

    /// The U-Net for chunks of so many actions, where it is one; the rest is left to be said.
    fn unet_of(&self, horizon: usize) -> Option<Unet> {
        match self {
            DenoiserBody::Mlp => None,
            DenoiserBody::Unet {
                channels,
                kernel_size,
                groups,
            } => Some(Unet {
                channels: channels.clone(),
                kernel_size: *kernel_size,
                groups: *groups,
                horizon,
                ..Unet::default()
            }),
        }
    }

    /// The U-Net with Diffusion Policy's settings for observations that are no pictures.
    pub fn unet() -> Self {
        DenoiserBody::Unet {
            channels: vec![256, 512, 1024],
            kernel_size: 5,
            groups: 8,
        }
    }
}

/// What a [`Denoiser`] is made for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DenoiserForm {
    /// Actions in a chunk.
    pub horizon: usize,
    /// Numbers in an action.
    pub action: usize,
    /// Numbers that the time becomes, an even number of at least 2.
    pub time_features: usize,
    /// What is behind the encoder.
    pub body: DenoiserBody,
    /// What the outputs mean.
    pub process: Process,
}

/// What a U-Net is given of an observation.
const CONDITION: usize = 256;

impl DenoiserForm {
    /// Numbers in a chunk.
    pub fn width(&self) -> usize {
        self.horizon.saturating_mul(self.action)
    }

    /// Numbers that are next to an observation's features in front of the layers.
    pub(crate) fn beside(&self) -> usize {
        match self.body {
            DenoiserBody::Mlp => self.time_features.saturating_add(self.width()),
            DenoiserBody::Unet { .. } => 0,
        }
    }

    /// Outputs of the layers behind the encoder.
    pub(crate) fn layers_outputs(&self) -> usize {
        match self.body {
            DenoiserBody::Mlp => self.width(),
            DenoiserBody::Unet { .. } => CONDITION,
        }
    }

    /// Whether its numbers can be, of a file that anybody may have written.
    pub(crate) fn is_possible(&self) -> bool {
        const MOST: usize = 1 << 24;
        let time =
            (2..=65_536).contains(&self.time_features) && self.time_features.is_multiple_of(2);
        time && (1..=MOST).contains(&self.width()) && self.process.is_possible()
    }

    /// The U-Net as an encoder of features, time and a noisy chunk, where the body is one.
    fn unet(&self) -> Option<(EncoderSettings, EncoderInput)> {
        let unet = Unet {
            condition: CONDITION,
            time_features: self.time_features,
            action: self.action,
            ..self.body.unet_of(self.horizon)?
        };
        let width = CONDITION + self.time_features + self.width();
        Some((EncoderSettings::new(unet), width.into()))
    }

    /// The U-Net with the given parameters, one after the other. `None` where there is none.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(crate) fn unet_with(&self, values: &[f32]) -> Result<Option<EncoderModule>, InitError> {
        let unet = self.unet();
        let made = unet.map(|(unet, input)| EncoderModule::with_values(&unet, &input, values));
        made.transpose().map_err(of_body)
    }

    /// The names in files of the tensors of the U-Net, if the body is one, with their shapes: `most` is how many numbers there are for
    /// them.
    ///
    /// # Errors
    /// When it cannot be made, or takes more.
    pub(crate) fn declared_unet_pieces(
        &self,
        most: usize,
    ) -> Result<Vec<(String, Piece)>, InitError> {
        let Some((unet, input)) = self.unet() else {
            return Ok(Vec::new());
        };
        let pieces = EncoderModule::declared_pieces(&unet, &input, most).map_err(of_body)?;
        Ok(renamed(pieces))
    }

    /// The names in files of a U-Net's tensors, by their paths in its module, with their shapes.
    pub(crate) fn unet_pieces(unet: &EncoderModule) -> Vec<(String, Piece)> {
        renamed(unet.pieces())
    }
}

/// The pieces of an encoder, named as a U-Net's.
fn renamed(pieces: Vec<(String, Piece)>) -> Vec<(String, Piece)> {
    let renamed = pieces.into_iter().map(|(path, piece)| {
        let name = piece.name.replacen("encoder", "unet", 1);
        (path, Piece { name, ..piece })
    });
    renamed.collect()
}

/// To a scene a U-Net is no encoder.
fn of_body(error: InitError) -> InitError {
    match error {
        InitError::Refused { encoder, why } => InitError::BadBody { body: encoder, why },
        error => error,
    }
}

/// A network that says of a noisy chunk of actions what is noise in it, or which way actions are, for an observation and a time.
///
/// It is an encoder of the observation and a [`DenoiserBody`]. As a policy it begins with noise and takes the steps of its [`Process`].
///
/// ```
/// use yarak::nn::denoising::{Denoiser, DenoiserBody, DenoiserForm, Process};
/// use yarak::prelude::*;
///
/// let form = DenoiserForm {
///     horizon: 8,
///     action: 2,
///     time_features: 16,
///     body: DenoiserBody::Mlp,
///     process: Process::Flow { flow_steps: 10 },
/// };
/// let device = ComputeDevice::cpu().plain();
/// let init = &mut Random::<Init>::new(Seed(0));
/// let denoiser = Denoiser::new(&[64, 64], form, 3, &device, init)?;
/// let seen = denoiser.condition(Tensor::zeros([10, 3], &device));
/// let velocity = denoiser.estimate(seen, Tensor::zeros([10, 16], &device), &[50.0; 10]);
/// assert_eq!(velocity.dims(), [10, 16]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Module, Debug)]
pub struct Denoiser {
    trunk: Trunk,
    unet: Option<EncoderModule>,
    #[module(skip)]
    form: DenoiserForm,
}

impl Denoiser {
    /// A network for observations such as `input`. `layers` is an encoder, a list of widths, or [`Layers`].
    ///
    /// # Errors
    /// When the encoder cannot be made for such observations, or the U-Net for such chunks.
    pub fn new(
        layers: impl Into<Layers>,
        form: DenoiserForm,
        input: impl Into<EncoderInput>,
        device: &Device,
        init: &mut Random<Init>,
    ) -> Result<Self, InitError> {
        let sizes = Sizes {
            members: 1,
            input: &input.into(),
            beside: form.beside(),
            outputs: form.layers_outputs(),
            output: Activation::Identity,
        };
        let tracked = plain_device(device).autodiff();
        let trunk = Trunk::new(layers.into(), sizes, &tracked, init)?;
        let unet = form.unet();
        let unet = unet.map(|(unet, input)| EncoderModule::new(&unet, &input, &tracked, init));
        let denoiser = Denoiser {
            trunk,
            unet: unet.transpose().map_err(of_body)?,
            form,
        };
        Ok(if device.is_autodiff() {
            denoiser
        } else {
            denoiser.valid()
        })
    }

    /// One made of parts that fit each other.
    pub(crate) fn of_parts(trunk: Trunk, unet: Option<EncoderModule>, form: DenoiserForm) -> Self {
        Denoiser { trunk, unet, form }
    }

    /// What the body is given of observations `[batch, observation]`, once for all steps: `[batch, condition]`.
    pub fn condition(&self, observation: Tensor<2>) -> Tensor<2> {
        match self.form.body {
            DenoiserBody::Mlp => self.trunk.features(observation),
            DenoiserBody::Unet { .. } => self.trunk.forward_member(0, observation, None),
        }
    }

    /// The noise in noisy chunks `[batch, horizon * action]`, or the velocity towards actions, as the process has it. `times` are one a
    /// row: a diffusion step, or [`flow_time`](Process::flow_time).
    pub fn estimate(&self, condition: Tensor<2>, noisy: Tensor<2>, times: &[f32]) -> Tensor<2> {
        let width = self.form.time_features;
        let time = TensorData::new(sinusoids(times, width), [times.len(), width]);
        let time = upload(time, &plain_device(&noisy.device()));
        let beside = side_by_side(time, noisy);
        match &self.unet {
            None => self.trunk.behind(condition, beside),
            Some(unet) => unet.forward(side_by_side(condition, beside)),
        }
    }

    /// Chunks `[batch, horizon * action]` in [-1, 1] for observations `[batch, observation]`, with noise of that shape that is drawn
    /// anew at each call of `noise`.
    pub fn sample(
        &self,
        observation: Tensor<2>,
        mut noise: impl FnMut() -> Tensor<2>,
    ) -> Tensor<2> {
        let condition = self.condition(observation);
        let rows = condition.dims()[0];
        let estimate = |noisy, time| self.estimate(condition.clone(), noisy, &vec![time; rows]);
        let first = noise();
        self.form.process.run(first, estimate, noise)
    }

    /// What it was made for.
    pub fn form(&self) -> &DenoiserForm {
        &self.form
    }

    /// The encoder, and the layers behind it.
    pub fn trunk(&self) -> &Trunk {
        &self.trunk
    }
}

impl Network for Denoiser {
    fn values_per_row(&self) -> usize {
        let unet = self.unet.as_ref().map_or(0, EncoderModule::values_per_row);
        self.trunk.values_per_row() + unet
    }

    fn pieces(&self, path: &str) -> Vec<Piece> {
        match (path.split_once('.'), &self.unet) {
            (Some(("trunk", path)), _) => self.trunk.pieces(path),
            (Some(("unet", path)), Some(unet)) => {
                let pieces = DenoiserForm::unet_pieces(unet).into_iter();
                let own = pieces.filter(|(known, _)| known == path);
                own.map(|(_, piece)| piece).collect()
            }
            _ => Vec::new(),
        }
    }
}
