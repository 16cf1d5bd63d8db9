//! Networks that make chunks of actions out of noise, a little at a time: diffusion policies and flow matching.
//!
//! - [`Denoiser`] is the network: an encoder of the observation, and a perceptron or a one-dimensional U-Net that is given a noisy chunk
//!   and the time; [`DenoiserForm`] is what it is made for;
//! - [`NoiseSchedule`] says how much noise a diffusion step has, and takes DDPM's and DDIM's steps back; [`Process`] is the whole way
//!   from noise to actions;
//! - [`ObservationNoise`] is the noise that a policy begins with where it acts; [`WeightAveraging`] is how the weights that act follow
//!   those that are trained.

mod denoiser;
mod noise_schedule;
mod observation_noise;
mod process;
mod time_features;
mod unet;
mod weight_averaging;

pub use denoiser::{Denoiser, DenoiserBody, DenoiserForm};
pub use noise_schedule::NoiseSchedule;
pub use observation_noise::ObservationNoise;
pub use process::{Process, Sampler};
pub use weight_averaging::WeightAveraging;
