//! Numbers that move over a run.

use bevy_reflect::Reflect;

use crate::scene::Bounds;

/// A number over the run's steps: the noise of exploration, for instance.
///
/// ```
/// use yarak::prelude::*;
///
/// let epsilon = Annealed::Linear { start: 1.0, end: 0.1, steps: 100 };
/// assert_eq!((epsilon.at(0), epsilon.at(100), epsilon.at(900)), (1.0, 0.1, 0.1));
/// assert!((epsilon.at(50) - 0.55).abs() < 1e-6);
/// assert_eq!(Annealed::Constant(0.2).at(7), 0.2);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Reflect)]
pub enum Annealed {
    /// Always the same.
    Constant(#[reflect(@Bounds::at_least(0.0))] f32),
    /// In a straight line from `start` to `end` over `steps` steps, then held.
    Linear {
        /// The number at the beginning.
        #[reflect(@Bounds::at_least(0.0))]
        start: f32,
        /// The number after `steps` steps.
        #[reflect(@Bounds::at_least(0.0))]
        end: f32,
        /// The length of the line.
        #[reflect(@Bounds::at_least(1.0))]
        steps: u64,
    },
}

impl Default for Annealed {
    fn default() -> Self {
        Annealed::Constant(0.0)
    }
}

impl Annealed {
    /// The number after so many steps.
    pub fn at(&self, step: u64) -> f32 {
        match *self {
            Annealed::Constant(number) => number,
            Annealed::Linear { end, steps, .. } if step >= steps => end,
            Annealed::Linear { start, end, steps } => {
                start + (end - start) * (step as f64 / steps as f64) as f32
            }
        }
    }
}
