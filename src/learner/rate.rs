//! Learning rates over time.

use std::f64::consts::PI;
use std::marker::PhantomData;

use bevy_ecs::prelude::*;
use bevy_reflect::Reflect;

use super::Role;
use crate::scene::Bounds;
use crate::schedule::{Clock, Tick};

/// How a learning rate moves over training. Steps are the network's own ([`Tick`]), epochs the run's, from 1.
///
/// ```
/// use yarak::prelude::*;
///
/// let rate = LearningRate::Multistep { initial: 3e-4, decay_factor: 0.1, epoch_schedule: vec![2] };
/// assert_eq!(rate.at(0, 2), 3e-4);
/// assert!((rate.at(0, 3) - 3e-5).abs() < 1e-11);
///
/// let rate = LearningRate::WarmUp { initial: 1.0, steps: 4 };
/// assert_eq!((rate.at(0, 1), rate.at(3, 1), rate.at(900, 1)), (0.25, 1.0, 1.0));
///
/// let rate = LearningRate::Cosine { initial: 1.0, steps: 100, warm_up: None };
/// assert_eq!((rate.at(0, 1), rate.at(100, 1), rate.at(900, 1)), (1.0, 0.0, 0.0));
/// assert!((rate.at(50, 1) - 0.5).abs() < 1e-12);
/// ```
#[derive(Clone, Debug, PartialEq, Reflect)]
pub enum LearningRate {
    /// Always the same.
    Constant(#[reflect(@Bounds::at_least(0.0))] f64),
    /// Multiplied by `decay_factor` after each of the epochs in `epoch_schedule`: with `[2]`, epochs 1 and 2 have the initial rate.
    Multistep {
        /// The rate in the first epoch.
        #[reflect(@Bounds::at_least(0.0))]
        initial: f64,
        /// What it is multiplied by, each time.
        #[reflect(@Bounds::at_least(0.0))]
        decay_factor: f64,
        /// The last epoch before each decay.
        epoch_schedule: Vec<u64>,
    },
    /// In a straight line from `initial` to `end` over `steps` steps, then held.
    Linear {
        /// The rate of the first step.
        #[reflect(@Bounds::at_least(0.0))]
        initial: f64,
        /// The rate after `steps` steps.
        #[reflect(@Bounds::at_least(0.0))]
        end: f64,
        /// The length of the line, in gradient steps.
        #[reflect(@Bounds::at_least(1.0))]
        steps: u64,
    },
    /// Half a cosine from `initial` to 0 over `steps` steps, then held at 0 (Loshchilov & Hutter 2017, without restarts).
    Cosine {
        /// The rate at the top.
        #[reflect(@Bounds::at_least(0.0))]
        initial: f64,
        /// The step at which it reaches 0, warm-up included.
        #[reflect(@Bounds::at_least(1.0))]
        steps: u64,
        /// Steps over which the rate first rises in a straight line to `initial`.
        warm_up: Option<u64>,
    },
    /// In a straight line from `initial` / `steps` up to `initial` over `steps` steps, then held.
    WarmUp {
        /// The rate that is reached and held.
        #[reflect(@Bounds::at_least(0.0))]
        initial: f64,
        /// The length of the rise, in gradient steps.
        #[reflect(@Bounds::at_least(1.0))]
        steps: u64,
    },
}

impl Default for LearningRate {
    fn default() -> Self {
        LearningRate::Constant(3e-4)
    }
}

impl LearningRate {
    /// The rate of the step that follows `taken` steps, in `epoch` (from 1).
    pub fn at(&self, taken: u64, epoch: u64) -> f64 {
        match self {
            LearningRate::Constant(rate) => *rate,
            LearningRate::Multistep {
                initial,
                decay_factor,
                epoch_schedule,
            } => {
                let passed = epoch_schedule.iter().filter(|last| epoch > **last).count();
                // At most as many milestones as fit in memory, far below i32::MAX.
                initial * decay_factor.powi(passed as i32)
            }
            LearningRate::Linear {
                initial,
                end,
                steps,
            } => {
                let share = share(taken, *steps);
                initial + (end - initial) * share
            }
            LearningRate::Cosine {
                initial,
                steps,
                warm_up,
            } => {
                let warm_up = warm_up.unwrap_or(0);
                if taken < warm_up {
                    return initial * share(taken + 1, warm_up);
                }
                let share = share(taken - warm_up, steps.saturating_sub(warm_up));
                // The cosine of pi is not exactly -1 in every library; the end is exactly 0.
                if share >= 1.0 {
                    0.0
                } else {
                    initial * 0.5 * (1.0 + (PI * share).cos())
                }
            }
            LearningRate::WarmUp { initial, steps } => initial * share(taken + 1, *steps),
        }
    }
}

/// How much of a length has passed, from 0 to 1.
fn share(taken: u64, steps: u64) -> f64 {
    if taken >= steps {
        1.0
    } else {
        taken as f64 / steps as f64
    }
}

/// The learning rate of role `R`'s network.
#[derive(Resource, Debug)]
pub struct Rate<R: Role> {
    /// How it moves.
    pub schedule: LearningRate,
    /// The rate of the next step.
    pub current: f64,
    role: PhantomData<R>,
}

impl<R: Role> Rate<R> {
    /// A rate at its beginning.
    pub fn new(schedule: LearningRate) -> Self {
        Rate {
            current: schedule.at(0, 1),
            schedule,
            role: PhantomData,
        }
    }
}

/// Moves a learning rate on, after the step. It is a function of the counters alone, so nothing of it is saved.
pub(super) fn move_rate<R: Role>(tick: Res<Tick<R>>, clock: Res<Clock>, mut rate: ResMut<Rate<R>>) {
    rate.current = rate.schedule.at(tick.count, clock.next_epoch());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warm_up_rises_to_the_initial_rate_and_the_cosine_ends_at_zero() {
        let rate = LearningRate::Cosine {
            initial: 1.0,
            steps: 110,
            warm_up: Some(10),
        };
        assert!((rate.at(0, 1) - 0.1).abs() < 1e-12);
        assert_eq!(rate.at(9, 1), 1.0);
        assert_eq!(rate.at(10, 1), 1.0);
        assert!((rate.at(60, 1) - 0.5).abs() < 1e-12);
        assert_eq!(rate.at(110, 1), 0.0);
    }

    #[test]
    fn a_line_is_half_way_at_half_time_and_held_at_its_end() {
        let rate = LearningRate::Linear {
            initial: 1.0,
            end: 0.0,
            steps: 10,
        };
        assert_eq!(rate.at(5, 1), 0.5);
        assert_eq!(rate.at(10, 1), 0.0);
        assert_eq!(rate.at(1000, 1), 0.0);
    }

    #[test]
    fn milestones_count_whole_epochs() {
        let rate = LearningRate::Multistep {
            initial: 1.0,
            decay_factor: 0.1,
            epoch_schedule: vec![2, 3],
        };
        let rates: Vec<f64> = (1..=4).map(|epoch| rate.at(0, epoch)).collect();
        for (found, expected) in rates.iter().zip([1.0, 1.0, 0.1, 0.01]) {
            assert!((found - expected).abs() < 1e-8, "{rates:?}");
        }
    }
}
