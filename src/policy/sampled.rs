//! Actions that are sampled, the same ones whoever asks.

use burn::tensor::Tensor;

use crate::nn::denoising::{Denoiser, ObservationNoise};
use crate::transfer::download;

/// The chunks `[batch, horizon * action]` in [-1, 1] that a denoiser makes for preprocessed observations `[batch, observation]`: from
/// [`ObservationNoise`], so that a row's depends on its observation alone.
pub(crate) fn sampled(denoiser: &Denoiser, observation: Tensor<2>) -> Tensor<2> {
    let ([_, seen], device) = (observation.dims(), observation.device());
    let values = download(observation.clone());
    let mut noise = ObservationNoise::of(&values, seen);
    let width = denoiser.form().width();
    denoiser.sample(observation, || noise.draw(width, &device))
}
