//! A generative model of the data's actions.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::q_ensemble::side_by_side;
use super::{Activation, DiagonalGaussian, Mlp, MlpSettings};
use crate::nn::{Network, Piece};
use crate::random::{Dropout, Init, Random};

/// A conditional variational autoencoder of actions given observations (Kingma & Welling 2014,
/// <https://arxiv.org/abs/1312.6114>; Sohn et al. 2015): an encoder of (s, a) into a Gaussian over a latent z, and a decoder of
/// (s, z) into an action in [-1, 1].
///
/// ```
/// use yarak::prelude::*;
///
/// let device = ComputeDevice::cpu().plain();
/// let init = &mut Random::<Init>::new(Seed(0));
/// let vae = ActionVae::new(3, 1, 2, &[64, 64], &device, init);
/// let action = vae.decode(Tensor::zeros([10, 3], &device), Tensor::zeros([10, 2], &device));
/// assert_eq!(action.dims(), [10, 1]);
/// ```
#[derive(Module, Debug)]
pub struct ActionVae {
    encoder: Mlp,
    decoder: Mlp,
    #[module(skip)]
    latent: usize,
}

/// ln σ of the latent is kept within these, as in BCQ's code, for the sake of the exponential.
const LOG_STD: (f32, f32) = (-4.0, 15.0);

impl ActionVae {
    /// A model for observations and actions of the given widths, with a latent of width `latent`, and the given hidden layers in
    /// both halves: their widths, or [`MlpSettings`].
    pub fn new(
        observation: usize,
        action: usize,
        latent: usize,
        hidden: impl Into<MlpSettings>,
        device: &Device,
        init: &mut Random<Init>,
    ) -> Self {
        let hidden = hidden.into();
        let mut half = |input, output, activation| {
            let shape = hidden.shape(1, input, output, activation);
            Mlp::new(shape, device, init).with_dropout(hidden.dropout)
        };
        ActionVae {
            encoder: half(observation + action, 2 * latent, Activation::Identity),
            decoder: half(observation + latent, action, Activation::Tanh),
            latent,
        }
    }

    /// q(z | s, a), over latents `[batch, latent]`.
    pub fn encode(&self, observation: Tensor<2>, action: Tensor<2>) -> DiagonalGaussian {
        let input = side_by_side(observation, action);
        self.code_of(self.encoder.forward(input))
    }

    /// The same in a training step: where the model has dropout, it drops. See [`Mlp::forward_dropping`].
    pub fn encode_dropping(
        &self,
        observation: Tensor<2>,
        action: Tensor<2>,
        dropout: &mut Random<Dropout>,
    ) -> DiagonalGaussian {
        let input = side_by_side(observation, action);
        self.code_of(self.encoder.forward_dropping(input, dropout))
    }

    /// The Gaussians of the encoder's outputs `[1, batch, outputs]`.
    fn code_of(&self, out: Tensor<3>) -> DiagonalGaussian {
        let out = out.squeeze_dim::<2>(0);
        let log_std = out.clone().narrow(1, self.latent, self.latent);
        DiagonalGaussian {
            mean: out.narrow(1, 0, self.latent),
            std: log_std.clamp(LOG_STD.0, LOG_STD.1).exp(),
        }
    }

    /// The actions `[batch, action]` in [-1, 1] of latents `[batch, latent]`.
    pub fn decode(&self, observation: Tensor<2>, latent: Tensor<2>) -> Tensor<2> {
        let out = self.decoder.forward(side_by_side(observation, latent));
        out.squeeze_dim::<2>(0)
    }

    /// The same in a training step: where the model has dropout, it drops.
    pub fn decode_dropping(
        &self,
        observation: Tensor<2>,
        latent: Tensor<2>,
        dropout: &mut Random<Dropout>,
    ) -> Tensor<2> {
        let input = side_by_side(observation, latent);
        let out = self.decoder.forward_dropping(input, dropout);
        out.squeeze_dim::<2>(0)
    }

    /// The latent's width.
    pub fn latent(&self) -> usize {
        self.latent
    }
}

impl Network for ActionVae {
    fn pieces(&self, path: &str) -> Vec<Piece> {
        if path.starts_with("encoder") {
            self.encoder.pieces(path)
        } else {
            self.decoder.pieces(path)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;

    #[test]
    fn each_half_saves_its_pieces_under_its_own_name() {
        let device = ComputeDevice::cpu().plain();
        let vae = ActionVae::new(3, 1, 2, &[4], &device, &mut Random::<Init>::new(Seed(0)));
        let names = |path| -> Vec<String> {
            vae.pieces(path)
                .into_iter()
                .map(|piece| piece.name)
                .collect()
        };
        assert_eq!(names("encoder.parameters")[0], "encoder.0.weight");
        assert_eq!(names("decoder.parameters")[3], "decoder.1.bias");
        assert_eq!(vae.pieces("encoder.parameters")[0].shape, [4, 4]);
        assert_eq!(vae.pieces("decoder.parameters")[0].shape, [5, 4]);
    }
}
