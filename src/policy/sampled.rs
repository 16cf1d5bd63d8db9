//! Actions that are sampled, the same ones whoever asks.

use burn::tensor::Tensor;

use crate::nn::denoising::{Denoiser, ObservationNoise};

/// The chunks `[batch, horizon * action]` in [-1, 1] that a denoiser makes for preprocessed observations `[batch, observation]`: from
/// [`ObservationNoise`], so that a row's depends on its observation alone.
pub(crate) fn sampled(denoiser: &Denoiser, observation: Tensor<2>) -> Tensor<2> {
    let ([_, seen], device) = (observation.dims(), observation.device());
    let values = observation.clone().into_data().into_vec::<f32>();
    let values = values.expect("yarak's tensors are of f32");
    let mut noise = ObservationNoise::of(&values, seen);
    let width = denoiser.form().width();
    denoiser.sample(observation, || noise.draw(width, &device))
}
