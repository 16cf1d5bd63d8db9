//! Numbers that move over training: learning rates, the noise of exploration.

use std::f64::consts::PI;

use bevy_reflect::Reflect;

use crate::scene::{Bounds, FieldProblems};

/// A number over training. A learning rate's steps are the updates of its own network, so that a network with half as many
/// updates as another takes twice as long for the same schedule; steps of exploration are the environments'. Epochs count
/// from 1, and a schedule in epochs moves between two of them.
///
/// ```
/// use yarak::prelude::*;
///
/// let rate = Schedule::Multistep { initial: 3e-4, decay_factor: 0.1, epoch_schedule: vec![2] };
/// assert_eq!(rate.at(0, 2), 3e-4);
/// assert!((rate.at(0, 3) - 3e-5).abs() < 1e-11);
///
/// let rate = Schedule::WarmUp { initial: 1.0, over: Span::Steps(4) };
/// assert_eq!((rate.at(0, 1), rate.at(3, 1), rate.at(900, 1)), (0.25, 1.0, 1.0));
///
/// let rate = Schedule::Cosine { initial: 1.0, over: Span::Steps(100), warm_up: None };
/// assert_eq!((rate.at(0, 1), rate.at(100, 1), rate.at(900, 1)), (1.0, 0.0, 0.0));
/// assert!((rate.at(50, 1) - 0.5).abs() < 1e-12);
///
/// let epsilon = Schedule::Linear { initial: 1.0, end: 0.1, over: Span::Epochs(10) };
/// assert_eq!((epsilon.at(0, 1), epsilon.at(900, 11)), (1.0, 0.1));
/// assert!((epsilon.at(77, 6) - 0.55).abs() < 1e-12);
/// ```
#[derive(Clone, Debug, PartialEq, Reflect)]
pub enum Schedule {
    /// Always the same.
    Constant(#[reflect(@Bounds::at_least(0.0))] f64),
    /// Multiplied by `decay_factor` after each of the epochs in `epoch_schedule`: with `[2]`, epochs 1 and 2 have the initial value.
    Multistep {
        /// The value in the first epoch.
        #[reflect(@Bounds::at_least(0.0))]
        initial: f64,
        /// What it is multiplied by, each time.
        #[reflect(@Bounds::at_least(0.0))]
        decay_factor: f64,
        /// The last epoch before each decay.
        epoch_schedule: Vec<u64>,
    },
    /// In a straight line from `initial` to `end`, then held.
    Linear {
        /// The value of the first step.
        #[reflect(@Bounds::at_least(0.0))]
        initial: f64,
        /// The value at the end.
        #[reflect(@Bounds::at_least(0.0))]
        end: f64,
        /// The length of the line.
        over: Span,
    },
    /// Half a cosine from `initial` to 0, then held at 0 (Loshchilov & Hutter 2017, without restarts).
    Cosine {
        /// The value at the top.
        #[reflect(@Bounds::at_least(0.0))]
        initial: f64,
        /// When it reaches 0, warm-up included.
        over: Span,
        /// How many of these steps or epochs the value first rises for, in a straight line to `initial`. None: it begins there.
        warm_up: Option<u64>,
    },
    /// In a straight line up to `initial`, then held. The first of n steps has an n-th of it.
    WarmUp {
        /// The value that is reached and held.
        #[reflect(@Bounds::at_least(0.0))]
        initial: f64,
        /// The length of the rise.
        over: Span,
    },
}

/// The length of a [`Schedule`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Reflect)]
pub enum Span {
    /// So many steps.
    Steps(#[reflect(@Bounds::at_least(1.0))] u64),
    /// So many epochs.
    Epochs(#[reflect(@Bounds::at_least(1.0))] u64),
}

impl Default for Schedule {
    fn default() -> Self {
        Schedule::Constant(0.0)
    }
}

impl Span {
    /// What has passed of it and what it is, in its own unit.
    fn passed(self, taken: u64, epoch: u64) -> (u64, u64) {
        match self {
            Span::Steps(steps) => (taken, steps),
            Span::Epochs(epochs) => (epoch.saturating_sub(1), epochs),
        }
    }
}

impl Schedule {
    /// Refuses what contradicts itself, for [`Settings::check`](crate::scene::Settings::check); `field` is where the schedule is, such as
    /// `actor.optimizer.learning_rate`.
    pub fn check(&self, field: &str, problems: &mut FieldProblems) {
        match self {
            Schedule::Cosine {
                over: Span::Steps(length) | Span::Epochs(length),
                warm_up: Some(warm_up),
                ..
            } if warm_up >= length => problems.refuse(
                field,
                format!(
                    "its `warm_up` of {warm_up} must be below the {length} of `over`, which it is part of, or the value falls from its top to 0 at once"
                ),
            ),
            Schedule::Multistep { epoch_schedule, .. }
                if epoch_schedule.first() == Some(&0) || !epoch_schedule.is_sorted() =>
            {
                problems.refuse(
                    field,
                    "its `epoch_schedule` must rise, and begin at 1 or later: the last epoch before each decay",
                );
            }
            _ => {}
        }
    }

    /// The value of the step that follows `taken` steps, in `epoch` (from 1).
    pub fn at(&self, taken: u64, epoch: u64) -> f64 {
        match self {
            Schedule::Constant(value) => *value,
            Schedule::Multistep {
                initial,
                decay_factor,
                epoch_schedule,
            } => {
                let passed = epoch_schedule.iter().filter(|last| epoch > **last).count();
                // At most as many milestones as fit in memory, far below i32::MAX.
                initial * decay_factor.powi(passed as i32)
            }
            Schedule::Linear { initial, end, over } => {
                let (passed, length) = over.passed(taken, epoch);
                let share = share(passed, length);
                // The line's own arithmetic need not end at its end to the last bit.
                if share >= 1.0 {
                    *end
                } else {
                    initial + (end - initial) * share
                }
            }
            Schedule::Cosine {
                initial,
                over,
                warm_up,
            } => {
                let (passed, length) = over.passed(taken, epoch);
                let warm_up = warm_up.unwrap_or(0);
                if passed < warm_up {
                    return initial * share(passed + 1, warm_up);
                }
                let share = share(passed - warm_up, length.saturating_sub(warm_up));
                // The cosine of pi is not exactly -1 in every library; the end is exactly 0.
                if share >= 1.0 {
                    0.0
                } else {
                    initial * 0.5 * (1.0 + (PI * share).cos())
                }
            }
            Schedule::WarmUp { initial, over } => {
                let (passed, length) = over.passed(taken, epoch);
                initial * share(passed + 1, length)
            }
        }
    }

    /// The greatest value that it ever has.
    pub fn greatest(&self) -> f64 {
        match self {
            Schedule::Constant(value) => *value,
            Schedule::Multistep {
                initial,
                decay_factor,
                epoch_schedule,
            } => initial * decay_factor.max(1.0).powi(epoch_schedule.len() as i32),
            Schedule::Linear { initial, end, .. } => initial.max(*end),
            Schedule::Cosine { initial, .. } | Schedule::WarmUp { initial, .. } => *initial,
        }
    }
}

/// How much of a length has passed, from 0 to 1.
fn share(passed: u64, length: u64) -> f64 {
    if passed >= length {
        1.0
    } else {
        passed as f64 / length as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_contradicts_itself_is_refused() {
        let is_refused = |schedule: Schedule| {
            let mut problems = FieldProblems::default();
            schedule.check("actor.optimizer.learning_rate", &mut problems);
            !problems.is_empty()
        };
        let cosine = |warm_up| Schedule::Cosine {
            initial: 1.0,
            over: Span::Steps(4),
            warm_up,
        };
        assert_eq!(
            [None, Some(3), Some(4), Some(9)].map(|warm_up| is_refused(cosine(warm_up))),
            [false, false, true, true]
        );
        let steps = |epochs: &[u64]| Schedule::Multistep {
            initial: 1.0,
            decay_factor: 0.1,
            epoch_schedule: epochs.to_vec(),
        };
        let all: [&[u64]; 5] = [&[], &[1, 5], &[2, 2], &[0], &[3, 2]];
        let refused = all.map(|epochs| is_refused(steps(epochs)));
        assert_eq!(refused, [false, false, false, true, true]);
    }

    #[test]
    fn warm_up_rises_to_the_initial_value_and_the_cosine_ends_at_zero() {
        let rate = Schedule::Cosine {
            initial: 1.0,
            over: Span::Steps(110),
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
        let rate = Schedule::Linear {
            initial: 1.0,
            end: 0.1,
            over: Span::Steps(10),
        };
        assert!((rate.at(5, 1) - 0.55).abs() < 1e-12);
        assert_eq!([rate.at(10, 1), rate.at(1000, 1)], [0.1, 0.1]);
    }

    #[test]
    fn milestones_count_whole_epochs() {
        let rate = Schedule::Multistep {
            initial: 1.0,
            decay_factor: 0.1,
            epoch_schedule: vec![2, 3],
        };
        let rates: Vec<f64> = (1..=4).map(|epoch| rate.at(0, epoch)).collect();
        for (found, expected) in rates.iter().zip([1.0, 1.0, 0.1, 0.01]) {
            assert!((found - expected).abs() < 1e-8, "{rates:?}");
        }
    }

    #[test]
    fn a_schedule_in_epochs_moves_between_them_whatever_their_steps() {
        let over = Span::Epochs(4);
        let line = Schedule::Linear {
            initial: 1.0,
            end: 0.0,
            over,
        };
        let cosine = Schedule::Cosine {
            initial: 1.0,
            over,
            warm_up: Some(2),
        };
        let rise = Schedule::WarmUp { initial: 1.0, over };
        let of = |schedule: &Schedule| [1, 2, 3, 4, 5].map(|epoch| schedule.at(epoch * 77, epoch));
        assert_eq!(of(&line), [1.0, 0.75, 0.5, 0.25, 0.0]);
        let [first, second, third, fourth, fifth] = of(&cosine);
        assert_eq!([first, second, third, fifth], [0.5, 1.0, 1.0, 0.0]);
        assert!((fourth - 0.5).abs() < 1e-12);
        assert_eq!(of(&rise), [0.25, 0.5, 0.75, 1.0, 1.0]);
    }
}
