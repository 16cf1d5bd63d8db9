//! What a checkpoint says of the network that acts: enough to act with it, without the algorithm that trained it.

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use super::policy::Broken;
use crate::checkpoint::Snapshot;
use crate::data::ActionChunk;
use crate::nn::denoising::{Denoiser, DenoiserForm};
use crate::nn::{Activation, EncoderModule, EncoderSettings, Mlp, MlpShape, Trunk};
use crate::observation::EncoderInput;

/// The key of a checkpoint's state under which it is.
pub(crate) const KEY: &str = "policy";

/// A network that acts, as a [`Policy`](super::Policy) can: an encoder if it is no `Mlp`, one perceptron, and what becomes of its outputs.
///
/// A network of your own that is built on a [`Trunk`] travels when its [`Act::architecture`](crate::evaluate::Act::architecture) says this.
///
/// ```
/// use yarak::policy::{Architecture, ActionRule};
/// use yarak::prelude::*;
///
/// let device = ComputeDevice::cpu().plain();
/// let init = &mut Random::<Init>::new(Seed(0));
/// let actor = ActorNetwork::new(&[256, 256], ActorHead::Deterministic, 3, 1, &device, init)?;
/// let architecture = Architecture::of(actor.trunk(), ActionRule::Outputs);
/// assert_eq!(architecture.sizes, [3, 256, 256, 1]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Architecture {
    /// What encodes the observation. `None`: the perceptron itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoder: Option<EncoderForm>,
    /// Widths from the observation, or from the encoder's features, to the outputs.
    pub sizes: Vec<usize>,
    /// The activation after each hidden layer.
    pub hidden: Activation,
    /// The activation after the outputs.
    pub output: Activation,
    /// What is added to the variance where hidden layers are normalized.
    pub layer_norm: Option<f32>,
    /// How outputs become an action, or a whole chunk of them.
    pub rule: ActionRule,
    /// How many actions the outputs are, and how they are executed. `None`: one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chunk: Option<ActionChunk>,
    /// What the network is made for, if it makes actions out of noise; then `rule` is about what it makes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub denoiser: Option<DenoiserForm>,
}

/// Among how many discrete actions a checkpoint's policy chooses; `None` where it does not.
pub(crate) fn saved_discrete_actions(snapshot: &Snapshot) -> Option<usize> {
    match snapshot.state(KEY).ok()? {
        Saved::Network {
            architecture:
                Architecture {
                    rule: ActionRule::Greatest { discrete_actions },
                    ..
                },
            ..
        } => Some(discrete_actions),
        _ => None,
    }
}

/// An encoder of a [`Architecture`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EncoderForm {
    /// Its name in scenes.
    pub name: String,
    /// Its settings, as a scene gives them.
    pub settings: String,
    /// What an observation is.
    pub input: EncoderInput,
}

/// How a perceptron's outputs become an action in [-1, 1], or a choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ActionRule {
    /// They are it.
    Outputs,
    /// They are it, clipped to [-1, 1]: the mean of a Gaussian that is not squashed.
    Clipped,
    /// The hyperbolic tangent of the first `action` of them: the mean of a Gaussian.
    TanhOfMean {
        /// The action's width.
        action: usize,
    },
    /// The outputs are `modes` means of width `action`, as many deviations, then the weights of the modes: the hyperbolic
    /// tangent of the weightiest mode's mean.
    TanhOfBestMode {
        /// How many modes.
        modes: usize,
        /// The action's width.
        action: usize,
    },
    /// The place of the greatest of `discrete_actions` values; a dueling network has the state's value in front of them.
    Greatest {
        /// How many discrete actions.
        discrete_actions: usize,
    },
}

impl Architecture {
    /// The first member of a trunk, and what becomes of its outputs.
    pub fn of(trunk: &Trunk, rule: ActionRule) -> Self {
        let shape = trunk.layers().shape();
        let encoder = (!trunk.is_fused()).then(|| EncoderForm {
            name: trunk.encoder().name().to_owned(),
            settings: trunk.encoder().written(),
            input: trunk.input().clone(),
        });
        Architecture {
            encoder,
            sizes: shape.sizes.clone(),
            hidden: shape.hidden,
            output: shape.output,
            layer_norm: shape.layer_norm,
            rule,
            chunk: None,
            denoiser: None,
        }
    }

    /// Whether its memory begins anew every so many steps of an episode.
    pub(super) fn resets_at_horizon(&self) -> bool {
        let settings = self.encoder.as_ref().map(EncoderForm::settings);
        settings.is_some_and(|settings| settings.is_ok_and(|it| it.resets_at_horizon()))
    }

    /// Numbers in an observation.
    pub(super) fn observation(&self) -> usize {
        match &self.encoder {
            Some(encoder) => encoder.input.width(),
            None => {
                let inputs = self.sizes.first().copied().unwrap_or_default();
                let beside = self.denoiser.as_ref().map_or(0, DenoiserForm::beside);
                inputs.saturating_sub(beside)
            }
        }
    }

    /// Numbers that the network says of an observation.
    pub(super) fn outputs(&self) -> usize {
        let last = self.sizes.last().copied().unwrap_or_default();
        self.denoiser.as_ref().map_or(last, DenoiserForm::width)
    }

    /// The network that makes actions out of noise, with these parameters.
    ///
    /// # Errors
    /// When they do not fit, or a part cannot be made.
    pub(super) fn denoiser(
        &self,
        form: &DenoiserForm,
        parameters: &[f32],
    ) -> Result<Denoiser, Broken> {
        const MISFIT: &str = "its parts are not those of one denoising network";
        let misfit = || Broken::Layers(MISFIT.to_owned());
        let shape = self.shape();
        let count = |pieces: &[(String, Vec<usize>)]| -> usize {
            let shapes = pieces
                .iter()
                .map(|(_, shape)| shape.iter().product::<usize>());
            shapes.sum()
        };
        let encoder = self
            .encoder_pieces(parameters.len())
            .map_err(Broken::Encoder)?;
        let encoder = count(&encoder);
        let fits = form.is_possible()
            && shape.sizes.last() == Some(&form.layers_outputs())
            && parameters.len() >= encoder + shape.parameters();
        if !fits {
            return Err(misfit());
        }
        let (encoder, rest) = parameters.split_at(encoder);
        let (layers, unet) = rest.split_at(shape.parameters());
        let input = match &self.encoder {
            Some(encoder) => encoder.input.clone(),
            None => self.observation().into(),
        };
        let encoder = match &self.encoder {
            None => None,
            Some(form) => {
                let settings = form.settings();
                let module = form.module(encoder).map_err(Broken::Encoder)?;
                Some((settings.map_err(Broken::Encoder)?, module))
            }
        };
        let features = encoder.as_ref().map(|(_, module)| module.width());
        let features = features.unwrap_or(input.width());
        if features + form.beside() != shape.inputs() {
            return Err(misfit());
        }
        let layers = Mlp::from_values(shape, layers.to_vec(), &Device::flex());
        let trunk = Trunk::of_parts(encoder, input, layers);
        let unet = form.unet_with(unet);
        let unet = unet.map_err(|error| Broken::Encoder(error.to_string()))?;
        Ok(Denoiser::of_parts(trunk, unet, form.clone()))
    }

    /// The names and shapes of the network's tensors, in order: the encoder's, then those of the perceptron as they lie in its
    /// parameters, then a U-Net's. `most` is how many numbers its file has: nothing that would take more of them is made.
    ///
    /// # Errors
    /// In words, when the encoder is not known, cannot be made, or takes more.
    pub(super) fn pieces(&self, most: usize) -> Result<Vec<(String, Vec<usize>)>, String> {
        let layers = self.sizes.len().saturating_sub(1);
        let mut pieces = self.encoder_pieces(most)?;
        for (layer, pair) in self.sizes.windows(2).enumerate() {
            let mut vectors = vec!["bias"];
            if self.layer_norm.is_some() && layer + 1 < layers {
                vectors.extend(["gain", "offset"]);
            }
            pieces.push((format!("{layer}.weight"), pair.to_vec()));
            let vectors = vectors.into_iter();
            pieces.extend(vectors.map(|name| (format!("{layer}.{name}"), vec![pair[1]])));
        }
        if let Some(form) = &self.denoiser {
            if !form.is_possible() {
                return Err(format!("its denoising network cannot be: {form:?}"));
            }
            let unet = form
                .declared_unet_pieces(most)
                .map_err(|error| error.to_string())?;
            let unet = unet.into_iter();
            pieces.extend(unet.map(|(_, piece)| (piece.name, piece.shape)));
        }
        Ok(pieces)
    }

    /// The same of the encoder alone.
    fn encoder_pieces(&self, most: usize) -> Result<Vec<(String, Vec<usize>)>, String> {
        let Some(EncoderForm {
            name,
            settings,
            input,
        }) = &self.encoder
        else {
            return Ok(Vec::new());
        };
        let settings = EncoderSettings::read(name, settings)?;
        let pieces = EncoderModule::declared_pieces(&settings, input, most);
        let pieces = pieces.map_err(|error| error.to_string())?.into_iter();
        Ok(pieces.map(|(_, piece)| (piece.name, piece.shape)).collect())
    }

    /// The perceptron's shape.
    pub(super) fn shape(&self) -> MlpShape {
        MlpShape {
            members: 1,
            sizes: self.sizes.clone(),
            hidden: self.hidden,
            output: self.output,
            layer_norm: self.layer_norm,
        }
    }
}

impl EncoderForm {
    fn settings(&self) -> Result<EncoderSettings, String> {
        EncoderSettings::read(&self.name, &self.settings)
    }

    /// The module with the given parameters, one after the other.
    ///
    /// # Errors
    /// In words, when the encoder is not known, cannot be made, or takes more of them.
    pub(super) fn module(&self, values: &[f32]) -> Result<EncoderModule, String> {
        let settings = self.settings()?;
        let module = EncoderModule::with_values(&settings, &self.input, values);
        module.map_err(|error| error.to_string())
    }
}

impl ActionRule {
    /// The action's width for so many outputs; `None` where they do not fit.
    pub(super) fn width(self, outputs: usize) -> Option<usize> {
        let (fits, width) = match self {
            ActionRule::Outputs | ActionRule::Clipped => (true, outputs),
            ActionRule::TanhOfMean { action } => (action <= outputs, action),
            ActionRule::TanhOfBestMode { modes, action } => {
                let each = action.checked_mul(2).and_then(|both| both.checked_add(1));
                let all = each.and_then(|each| each.checked_mul(modes));
                (modes > 0 && all == Some(outputs), action)
            }
            ActionRule::Greatest { discrete_actions } => {
                let dueling = discrete_actions.checked_add(1) == Some(outputs);
                (
                    discrete_actions > 0 && (discrete_actions == outputs || dueling),
                    1,
                )
            }
        };
        (fits && width > 0).then_some(width)
    }
}

/// What is in a checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(
    clippy::large_enum_variant,
    reason = "there is one of them in a checkpoint"
)]
pub(crate) enum Saved {
    /// One network, in the tensor file of that name.
    Network {
        /// `actor` for `actor.safetensors`.
        file: String,
        /// What it is.
        architecture: Architecture,
    },
    /// Something that takes its algorithm to act.
    Own {
        /// What it would take, as the beginning of a sentence.
        why: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_readout_fits_its_own_number_of_outputs_alone() {
        for (rule, outputs, width) in [
            (ActionRule::Outputs, 3, Some(3)),
            (ActionRule::Clipped, 3, Some(3)),
            (ActionRule::TanhOfMean { action: 3 }, 6, Some(3)),
            (ActionRule::TanhOfMean { action: 3 }, 2, None),
            (ActionRule::TanhOfMean { action: 0 }, 2, None),
            (
                ActionRule::TanhOfBestMode {
                    modes: 5,
                    action: 3,
                },
                35,
                Some(3),
            ),
            (
                ActionRule::TanhOfBestMode {
                    modes: 5,
                    action: 3,
                },
                34,
                None,
            ),
            (
                ActionRule::TanhOfBestMode {
                    modes: usize::MAX,
                    action: usize::MAX,
                },
                34,
                None,
            ),
            (
                ActionRule::Greatest {
                    discrete_actions: 2,
                },
                2,
                Some(1),
            ),
            (
                ActionRule::Greatest {
                    discrete_actions: 2,
                },
                3,
                Some(1),
            ),
            (
                ActionRule::Greatest {
                    discrete_actions: 2,
                },
                4,
                None,
            ),
            (
                ActionRule::Greatest {
                    discrete_actions: 0,
                },
                0,
                None,
            ),
        ] {
            assert_eq!(rule.width(outputs), width, "{rule:?} {outputs}");
        }
    }
}
