//! A generative model of the data's actions.

use burn::module::{AutodiffModule, Module};
use burn::tensor::{Device, Tensor};

use super::sides::plain_device;
use super::trunk::Sizes;
use super::{Activation, DiagonalGaussian, InitError, Layers, Trunk};
use crate::nn::{Network, Piece};
use crate::observation::EncoderInput;
use crate::random::{Init, Random};

/// A conditional variational autoencoder of actions given observations (Kingma & Welling 2014,
/// <https://arxiv.org/abs/1312.6114>; Sohn et al. 2015): an encoder of (s, a) into a Gaussian over a latent z, and a decoder of
/// (s, z) into an action in [-1, 1].
///
/// ```
/// use yarak::prelude::*;
///
/// let device = ComputeDevice::cpu().plain();
/// let init = &mut Random::<Init>::new(Seed(0));
/// let vae = ActionVae::new(&[64, 64], 2, 3, 1, &device, init)?;
/// let action = vae.decode(Tensor::zeros([10, 3], &device), Tensor::zeros([10, 2], &device));
/// assert_eq!(action.dims(), [10, 1]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Module, Debug)]
pub struct ActionVae {
    encoder: Trunk,
    decoder: Trunk,
    #[module(skip)]
    latent: usize,
}

/// ln σ of the latent is kept within these, as in BCQ's code, for the sake of the exponential.
const LOG_STD: (f32, f32) = (-4.0, 15.0);

impl ActionVae {
    /// A model for observations such as `input` and actions of `action` elements, with a latent of width `latent`. Both halves
    /// have the given layers: an encoder, a list of widths, or [`Layers`].
    ///
    /// # Errors
    /// When the encoder cannot be made for such observations.
    pub fn new(
        layers: impl Into<Layers>,
        latent: usize,
        input: impl Into<EncoderInput>,
        action: usize,
        device: &Device,
        init: &mut Random<Init>,
    ) -> Result<Self, InitError> {
        let (layers, input) = (layers.into(), input.into());
        let tracked = plain_device(device).autodiff();
        let mut half = |beside, outputs, output| {
            let sizes = Sizes {
                members: 1,
                input: &input,
                beside,
                outputs,
                output,
            };
            Trunk::new(layers.clone(), sizes, &tracked, init)
        };
        let vae = ActionVae {
            encoder: half(action, 2 * latent, Activation::Identity)?,
            decoder: half(latent, action, Activation::Tanh)?,
            latent,
        };
        Ok(if device.is_autodiff() {
            vae
        } else {
            vae.valid()
        })
    }

    /// q(z | s, a), over latents `[batch, latent]`.
    pub fn encode(&self, observation: Tensor<2>, action: Tensor<2>) -> DiagonalGaussian {
        let out = self.encoder.forward(observation, Some(action));
        let out = out.squeeze_dim::<2>(0);
        let log_std = out.clone().narrow(1, self.latent, self.latent);
        DiagonalGaussian {
            mean: out.narrow(1, 0, self.latent),
            std: log_std.clamp(LOG_STD.0, LOG_STD.1).exp(),
        }
    }

    /// The actions `[batch, action]` in [-1, 1] of latents `[batch, latent]`.
    pub fn decode(&self, observation: Tensor<2>, latent: Tensor<2>) -> Tensor<2> {
        let out = self.decoder.forward(observation, Some(latent));
        out.squeeze_dim::<2>(0)
    }

    /// The latent's width.
    pub fn latent(&self) -> usize {
        self.latent
    }
}

impl Network for ActionVae {
    fn values_per_row(&self) -> usize {
        self.encoder.values_per_row() + self.decoder.values_per_row()
    }

    fn pieces(&self, path: &str) -> Vec<Piece> {
        let (half, trunk, path) = match path.split_once('.') {
            Some(("encoder", path)) => ("encoder", &self.encoder, path),
            Some((_, path)) => ("decoder", &self.decoder, path),
            None => return Vec::new(),
        };
        let pieces = trunk.pieces(path).into_iter();
        let named = pieces.map(|piece| Piece {
            name: format!("{half}.{}", piece.name),
            ..piece
        });
        named.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;

    #[test]
    fn each_half_saves_its_pieces_under_its_own_name() {
        let device = ComputeDevice::cpu().plain();
        let init = &mut Random::<Init>::new(Seed(0));
        let vae = ActionVae::new(&[4], 2, 3, 1, &device, init).unwrap();
        let names = |path| -> Vec<String> {
            vae.pieces(path)
                .into_iter()
                .map(|piece| piece.name)
                .collect()
        };
        assert_eq!(names("encoder.layers.parameters")[0], "encoder.0.weight");
        assert_eq!(names("decoder.layers.parameters")[3], "decoder.1.bias");
        assert_eq!(vae.pieces("encoder.layers.parameters")[0].shape, [4, 4]);
        assert_eq!(vae.pieces("decoder.layers.parameters")[0].shape, [5, 4]);
    }
}
