//! The whole way from noise to actions.

use bevy_reflect::Reflect;
use bevy_reflect::prelude::ReflectDefault;
use burn::tensor::{Tensor, TensorData};
use serde::{Deserialize, Serialize};

use super::NoiseSchedule;
use crate::transfer::upload;

/// How the steps of a diffusion are taken back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Reflect, Serialize, Deserialize)]
#[reflect(Default)]
pub enum Sampler {
    /// Without fresh noise, so that few steps will do (Song et al. 2021, <https://arxiv.org/abs/2010.02502>).
    #[default]
    Ddim,
    /// With fresh noise at each step but the last (Ho et al. 2020, <https://arxiv.org/abs/2006.11239>).
    Ddpm,
}

/// What a denoiser's outputs mean, and how noise becomes actions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Process {
    /// They are the noise in actions of a diffusion step.
    Diffusion {
        /// Steps of the diffusion.
        diffusion_steps: usize,
        /// Steps that are taken back, evenly spread over them: at most as many.
        sampling_steps: usize,
        /// How.
        sampler: Sampler,
    },
    /// They are the velocity from noise to actions.
    Flow {
        /// Euler steps from noise to actions.
        flow_steps: usize,
    },
}

/// The most steps of a process.
pub(super) const MOST_STEPS: usize = 10_000;

/// What the time of a whole flow is for a network, so that its sinusoids are as far apart as those of a diffusion of 100 steps.
const FLOW_TIME: f32 = 100.0;

impl Process {
    /// The time of a flow as a network is given it; `share` goes from 0, where all is noise, to 1.
    pub fn flow_time(share: f32) -> f32 {
        FLOW_TIME * share
    }

    /// Where a flow from `noise` along `velocity`, both `[rows, n]`, is after a share of its way, one a row.
    pub fn on_the_way(noise: Tensor<2>, velocity: Tensor<2>, shares: &[f32]) -> Tensor<2> {
        let data = TensorData::new(shares.to_vec(), [shares.len(), 1]);
        let shares: Tensor<2> = upload(data, &velocity.device());
        noise + velocity * shares
    }

    /// Actions `[rows, n]` from noise of that shape. `estimate` is the network's output for noisy actions and their time, and `fresh`
    /// draws more noise.
    pub(super) fn run(
        self,
        noise: Tensor<2>,
        estimate: impl Fn(Tensor<2>, f32) -> Tensor<2>,
        mut fresh: impl FnMut() -> Tensor<2>,
    ) -> Tensor<2> {
        let mut actions = noise;
        match self {
            Process::Diffusion {
                diffusion_steps,
                sampling_steps,
                sampler,
            } => {
                let schedule = NoiseSchedule::squared_cosine(diffusion_steps);
                let steps = leading_steps(diffusion_steps, sampling_steps);
                for (place, from) in steps.iter().enumerate() {
                    let steps = (*from, steps.get(place + 1).copied());
                    let noise = estimate(actions.clone(), *from as f32);
                    actions = match sampler {
                        Sampler::Ddim => schedule.ddim_step(steps, actions, noise),
                        Sampler::Ddpm => schedule.ddpm_step(steps, actions, noise, &mut fresh),
                    };
                }
            }
            Process::Flow { flow_steps } => {
                for step in 0..flow_steps {
                    let time = Self::flow_time(step as f32 / flow_steps as f32);
                    let velocity = estimate(actions.clone(), time);
                    actions = actions + velocity / flow_steps as f32;
                }
            }
        }
        actions.clamp(-1.0, 1.0)
    }

    /// Whether its numbers of steps can be.
    pub(super) fn is_possible(self) -> bool {
        match self {
            Process::Diffusion {
                diffusion_steps,
                sampling_steps,
                ..
            } => {
                (1..=MOST_STEPS).contains(&diffusion_steps)
                    && (1..=diffusion_steps).contains(&sampling_steps)
            }
            Process::Flow { flow_steps } => (1..=MOST_STEPS).contains(&flow_steps),
        }
    }
}

/// Diffusion steps to take back, the noisiest first: multiples of `diffusion_steps / sampling_steps` rounded down, from 0 on, as the
/// diffusers library spaces them where it is not asked for anything else.
fn leading_steps(diffusion_steps: usize, sampling_steps: usize) -> Vec<usize> {
    let ratio = diffusion_steps / sampling_steps.max(1);
    (0..sampling_steps).rev().map(|step| step * ratio).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::ComputeDevice;

    /// What a network that knows the actions would say of noisy ones: the noise that is in them.
    fn knowing(actions: f64, schedule: &NoiseSchedule) -> impl Fn(Tensor<2>, f32) -> Tensor<2> {
        move |noisy, time| {
            let kept = schedule.kept(time as usize);
            (noisy - (kept.sqrt() * actions) as f32) / (1.0 - kept).sqrt() as f32
        }
    }

    #[test]
    fn whoever_knows_the_actions_comes_to_them_from_any_noise() {
        let device = ComputeDevice::cpu().plain();
        let noise = || Tensor::<2>::from_floats([[-1.5, 0.2, 2.0]], &device);
        let schedule = NoiseSchedule::squared_cosine(100);
        for (sampler, sampling_steps) in [(Sampler::Ddim, 7), (Sampler::Ddpm, 100)] {
            let process = Process::Diffusion {
                diffusion_steps: 100,
                sampling_steps,
                sampler,
            };
            let actions = process.run(noise(), knowing(0.4, &schedule), noise);
            let actions: Vec<f32> = actions.into_data().into_vec().unwrap();
            assert!(
                actions.iter().all(|it| (it - 0.4).abs() < 1e-4),
                "{actions:?}"
            );
        }
        let flow = Process::Flow { flow_steps: 10 };
        let velocity = |noisy: Tensor<2>, time: f32| (noisy.neg() + 0.4) / (1.0 - time / 100.0);
        let actions = flow.run(noise(), velocity, noise);
        let actions: Vec<f32> = actions.into_data().into_vec().unwrap();
        assert!(
            actions.iter().all(|it| (it - 0.4).abs() < 1e-5),
            "{actions:?}"
        );
    }

    #[test]
    fn sampled_steps_are_evenly_spread_from_the_first_on() {
        assert_eq!(leading_steps(100, 4), [75, 50, 25, 0]);
        assert_eq!(leading_steps(10, 3), [6, 3, 0]);
        let all: Vec<usize> = (0..5).rev().collect();
        assert_eq!(leading_steps(5, 5), all);
    }
}
