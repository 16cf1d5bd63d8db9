//! The noise that a policy which is sampled begins with.

use burn::tensor::{Device, Tensor, TensorData};

use crate::random::{Noise, Random, Seed};
use crate::transfer::upload;

/// Noise that is a function of what is seen: the stream of each row begins at a number made of the bits of its observation.
///
/// So a policy is a function of its weights and the observation: it acts alike when it is asked again, alone or among others, at
/// evaluation and in the program that it travels to, and takes no draw from training. Two observations that differ in one bit have
/// noise that has nothing in common.
///
/// ```
/// use yarak::nn::denoising::ObservationNoise;
/// use yarak::prelude::*;
///
/// let device = ComputeDevice::cpu().plain();
/// let mut both = ObservationNoise::of(&[0.5, 1.0, 0.5, 2.0], 2);
/// let mut second = ObservationNoise::of(&[0.5, 2.0], 2);
/// let of_both = both.draw(3, &device).narrow(0, 1, 1).into_data();
/// assert_eq!(of_both, second.draw(3, &device).into_data());
/// ```
pub struct ObservationNoise(Vec<Random<Noise>>);

impl ObservationNoise {
    /// For preprocessed observations `[rows, width]` on the host.
    pub fn of(observations: &[f32], width: usize) -> Self {
        let rows = observations.chunks(width.max(1));
        ObservationNoise(rows.map(stream).collect())
    }

    /// The next `width` standard normal draws of each row, `[rows, width]`.
    pub fn draw(&mut self, width: usize, device: &Device) -> Tensor<2> {
        let rows = self.0.len();
        let draws = self.0.iter_mut().flat_map(|stream| stream.normals(width));
        upload(TensorData::new(draws.collect(), [rows, width]), device)
    }
}

/// Training's streams have other numbers.
const ACTING_STREAM: u64 = 2;

/// FNV-1a over the numbers' bits; ChaCha does the mixing. Zeros of both signs are one number.
fn stream(observation: &[f32]) -> Random<Noise> {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in observation.iter().flat_map(|it| (it + 0.0).to_le_bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    Random::forked(Seed(hash), ACTING_STREAM)
}
