//! The average of a network's weights over training.

use bevy_reflect::Reflect;
use bevy_reflect::prelude::ReflectDefault;

use crate::scene::Bounds;

/// How an average of a network's weights follows the network: θ' ← d θ' + (1 − d) θ after every update, with a decay d that grows,
/// d = min(`max_decay`, 1 − (1 + n)^−`power`) for n = 0, 0, 1, 2, .. after the first, second, third, fourth update: the average
/// begins as a copy (Chi et al. 2023, <https://arxiv.org/abs/2303.04137>, whose code's `EMAModel` this is).
///
/// ```
/// use yarak::nn::denoising::WeightAveraging;
///
/// let averaging = WeightAveraging::default();
/// assert_eq!((averaging.tau(1), averaging.tau(2)), (1.0, 1.0));
/// assert!((averaging.tau(3) - 2_f32.powf(-0.75)).abs() < 1e-7);
/// assert!((averaging.tau(10_000_000) - 1e-4).abs() < 1e-7);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Reflect)]
#[reflect(Default)]
pub struct WeightAveraging {
    /// How fast the decay grows. 0: there is none, and the average is the network.
    #[reflect(@Bounds::at_least(0.0))]
    pub power: f32,
    /// The greatest decay.
    #[reflect(@Bounds::within(0.0, 1.0))]
    pub max_decay: f32,
}

impl Default for WeightAveraging {
    /// Diffusion Policy's.
    fn default() -> Self {
        WeightAveraging {
            power: 0.75,
            max_decay: 0.9999,
        }
    }
}

impl WeightAveraging {
    /// 1 − d: how much of the network goes into the average after its update number `updates`, from 1.
    pub fn tau(&self, updates: u64) -> f32 {
        let n = updates.saturating_sub(2) as f64;
        let share = (1.0 + n).powf(-f64::from(self.power));
        share.max(1.0 - f64::from(self.max_decay)) as f32
    }
}
