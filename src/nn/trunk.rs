//! The body of every network: an encoder, and the layers behind it.

use std::sync::Arc;

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::sides::side_by_side;
use super::{Activation, EncoderModule, EncoderSettings, InitError, Mlp, MlpSettings};
use crate::nn::{Network, Piece};
use crate::observation::EncoderInput;
use crate::random::{Init, Random};

/// What a network is made of, before its head's outputs: its encoder, the layers behind it, and how the layers begin.
///
/// Wherever it is wanted, an encoder or a list of widths will do.
#[derive(Clone, Debug, PartialEq)]
pub struct Layers {
    /// The encoder.
    pub encoder: EncoderSettings,
    /// Widths of the hidden layers behind the encoder, which in a critic also see the action. `None`: none behind an `Mlp`, and one of
    /// 256 behind any other encoder.
    pub head_sizes: Option<Vec<usize>>,
    /// The initial weights of the layers behind the encoder, and of an `Mlp`.
    pub weights: Weights,
}

/// How a perceptron's weights begin.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Weights {
    /// PyTorch's: weights and biases uniform in ±1/√in.
    #[default]
    Uniform,
    /// Orthogonal with gain √2, biases of 0: what on-policy algorithms are usually begun with.
    Orthogonal {
        /// The last layer's gain.
        last: f32,
    },
}

impl Layers {
    /// The same with orthogonal initial weights; `last` is the last layer's gain.
    #[must_use]
    pub fn orthogonal(self, last: f32) -> Self {
        Layers {
            weights: Weights::Orthogonal { last },
            ..self
        }
    }
}

impl Default for Layers {
    fn default() -> Self {
        Layers::from(EncoderSettings::default())
    }
}

impl<E: Into<EncoderSettings>> From<E> for Layers {
    fn from(encoder: E) -> Self {
        Layers {
            encoder: encoder.into(),
            head_sizes: None,
            weights: Weights::Uniform,
        }
    }
}

/// The sizes of a trunk, which the data or the environment knows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes<'a> {
    pub members: usize,
    /// What an observation is.
    pub input: &'a EncoderInput,
    /// Numbers that are next to the features of every observation: an action, a latent, or none.
    pub beside: usize,
    pub outputs: usize,
    /// The activation after the outputs.
    pub output: Activation,
}

/// An encoder and the layers behind it, for each member of an ensemble. With an `Mlp` as encoder they are one fused perceptron.
#[derive(Module, Debug)]
pub struct Trunk {
    /// One for each member; none where the encoder is an `Mlp`.
    encoders: Vec<EncoderModule>,
    layers: Mlp,
    #[module(skip)]
    encoder: EncoderSettings,
    #[module(skip)]
    input: Arc<EncoderInput>,
}

impl Trunk {
    /// A trunk on a tracked device, so that its parameters know that they are to be trained.
    pub(super) fn new(
        layers: Layers,
        sizes: Sizes<'_>,
        device: &Device,
        init: &mut Random<Init>,
    ) -> Result<Self, InitError> {
        let mut encoders = Vec::new();
        knows_stacks(&layers, init.learners())?;
        let (mut inputs, mut hidden) = (sizes.input.width(), MlpSettings::from(&[]));
        match layers.encoder.as_mlp() {
            Some(mlp) => {
                no_pictures(sizes.input)?;
                hidden = mlp.clone();
                hidden
                    .hidden_sizes
                    .extend(layers.head_sizes.iter().flatten());
            }
            None => {
                for _ in 0..sizes.members {
                    let settings = &layers.encoder;
                    encoders.push(EncoderModule::new(settings, sizes.input, device, init)?);
                }
                inputs = encoders.first().map_or(0, EncoderModule::width);
                hidden.hidden_sizes = layers.head_sizes.unwrap_or_else(|| vec![HEAD_WIDTH]);
            }
        }
        let inputs = inputs + sizes.beside;
        let shape = hidden.shape(sizes.members, inputs, sizes.outputs, sizes.output);
        let fits = shape.fits_the_machine();
        fits.map_err(|error| InitError::TooLarge(error.to_string()))?;
        let mlp = match layers.weights {
            Weights::Uniform => Mlp::new(shape, device, init),
            Weights::Orthogonal { last } => Mlp::orthogonal(shape, last, device, init),
        };
        Ok(Trunk {
            encoders,
            layers: mlp.with_dropout(hidden.dropout),
            encoder: layers.encoder,
            input: Arc::new(sizes.input.clone()),
        })
    }

    /// The outputs `[members, batch, outputs]` for observations `[batch, observation]` and what is next to them, `[batch, beside]`.
    pub(super) fn forward(&self, observation: Tensor<2>, beside: Option<Tensor<2>>) -> Tensor<3> {
        if self.encoders.is_empty() {
            return self.layers.forward(joined(observation, beside));
        }
        let members = 0..self.encoders.len();
        let each = members.map(|member| {
            let out = self.forward_member(member, observation.clone(), beside.clone());
            out.unsqueeze::<3>()
        });
        Tensor::cat(each.collect(), 0)
    }

    /// The outputs `[batch, outputs]` of one member alone. The others cost nothing.
    pub(super) fn forward_member(
        &self,
        member: usize,
        observation: Tensor<2>,
        beside: Option<Tensor<2>>,
    ) -> Tensor<2> {
        let features = match self.encoders.get(member) {
            Some(encoder) => encoder.forward(observation),
            None => observation,
        };
        self.layers.forward_member(member, joined(features, beside))
    }

    /// The outputs `[batch * steps, outputs]` of the first member at each step of the rows; `None` where its encoder has no memory.
    pub(super) fn forward_each(&self, observation: Tensor<2>) -> Option<Tensor<2>> {
        let encoder = self.encoders.first()?;
        self.encoder.has_memory().then(|| {
            let features = encoder.forward_each(observation);
            self.layers.forward_member(0, features)
        })
    }

    /// What the layers of the only member see of observations, `[batch, features]`: all of it, where the encoder is an `Mlp`.
    pub(super) fn features(&self, observation: Tensor<2>) -> Tensor<2> {
        match self.encoders.first() {
            Some(encoder) => encoder.forward(observation),
            None => observation,
        }
    }

    /// The outputs `[batch, outputs]` of the only member for its [`features`](Self::features) and what is next to them.
    pub(super) fn behind(&self, features: Tensor<2>, beside: Tensor<2>) -> Tensor<2> {
        self.layers
            .forward_member(0, side_by_side(features, beside))
    }

    /// A trunk of one member, made of parts that fit each other; without an encoder the layers are an `Mlp`.
    pub(crate) fn of_parts(
        encoder: Option<(EncoderSettings, EncoderModule)>,
        input: EncoderInput,
        layers: Mlp,
    ) -> Self {
        let (encoder, module) = encoder.unzip();
        Trunk {
            encoders: module.into_iter().collect(),
            layers,
            encoder: encoder.unwrap_or_default(),
            input: Arc::new(input),
        }
    }

    /// What an observation is.
    pub fn input(&self) -> &EncoderInput {
        &self.input
    }

    /// The encoder.
    pub fn encoder(&self) -> &EncoderSettings {
        &self.encoder
    }

    /// The layers behind the encoder; all layers, where the encoder is an `Mlp`.
    pub fn layers(&self) -> &Mlp {
        &self.layers
    }

    /// Whether encoder and layers are one fused perceptron.
    pub fn is_fused(&self) -> bool {
        self.encoders.is_empty()
    }

    /// How many numbers a pass keeps for each row.
    pub(super) fn values_per_row(&self) -> usize {
        let encoders = self.encoders.iter().map(EncoderModule::values_per_row);
        self.layers.shape().values_per_row() + encoders.sum::<usize>()
    }

    pub(super) fn members(&self) -> usize {
        self.layers.members()
    }

    /// How many learners of a stack it is of.
    pub(super) fn learners(&self) -> usize {
        self.layers.learners()
    }

    /// Which member a parameter belongs to, where it does not belong to all; `path` is its path in the trunk.
    pub(super) fn member_of(&self, path: &str) -> Option<usize> {
        let member = path.strip_prefix("encoders.")?.split('.').next()?;
        member.parse().ok()
    }

    /// The named tensors of a parameter: a perceptron's as they have always been called, an encoder's by their own names.
    pub(super) fn pieces(&self, path: &str) -> Vec<Piece> {
        if let Some(member) = self.member_of(path) {
            let Some(encoder) = self.encoders.get(member) else {
                return Vec::new();
            };
            let within = path.strip_prefix(&format!("encoders.{member}."));
            let mut pieces = encoder.pieces().into_iter();
            let piece = pieces.find(|(known, _)| Some(known.as_str()) == within);
            return piece.map_or(Vec::new(), |(_, mut piece)| {
                if self.members() > 1 {
                    piece.name = format!("{member}.{}", piece.name);
                }
                vec![piece]
            });
        }
        self.layers.pieces("parameters")
    }
}

/// Refuses what no stack of learners has.
fn knows_stacks(layers: &Layers, learners: usize) -> Result<(), InitError> {
    if learners == 1 {
        return Ok(());
    }
    let refused = |what: String| Err(InitError::NotStacked { what });
    match layers.encoder.as_mlp() {
        None => refused(format!("the encoder `{}`", layers.encoder.name())),
        Some(mlp) if mlp.dropout > 0.0 => refused("`dropout`".to_owned()),
        Some(_) if layers.weights != Weights::Uniform => {
            refused("orthogonal initial weights".to_owned())
        }
        Some(_) => Ok(()),
    }
}

/// Refuses pictures, which a perceptron would take for unrelated numbers.
pub(super) fn no_pictures(input: &EncoderInput) -> Result<(), InitError> {
    let pictures = input.pictures();
    if pictures.is_empty() {
        return Ok(());
    }
    let names = pictures.iter().map(|name| match name.as_str() {
        "" => "that is observed".to_owned(),
        name => format!("`{name}`"),
    });
    Err(InitError::Pictures {
        pictures: names.collect::<Vec<_>>().join(", "),
        instead: match input.picture() {
            Some(_) => "Cnn()",
            None => "Combined()",
        },
    })
}

/// The hidden layer behind an encoder that is no `Mlp`, where nothing else is said.
const HEAD_WIDTH: usize = 256;

fn joined(features: Tensor<2>, beside: Option<Tensor<2>>) -> Tensor<2> {
    match beside {
        Some(beside) => side_by_side(features, beside),
        None => features,
    }
}
