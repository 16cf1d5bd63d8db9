//! The learning rate of a network.

use std::marker::PhantomData;

use bevy_ecs::prelude::*;

use super::{Optim, Role, Schedule};
use crate::schedule::{Clock, EpochWindow, Tick};

/// The learning rate of role `R`'s network. Its schedule is counted by the network's own updates, and by the epochs in which
/// it is trained: of a network that is trained from epoch 3 on, that is the first.
#[derive(Resource, Debug)]
pub struct Rate<R: Role> {
    /// How it moves.
    pub schedule: Schedule,
    /// The rate of the next step.
    pub current: f64,
    role: PhantomData<R>,
}

impl<R: Role> Rate<R> {
    /// A rate at its beginning.
    pub fn new(schedule: Schedule) -> Self {
        Rate {
            current: schedule.at(0, 1),
            schedule,
            role: PhantomData,
        }
    }

    /// Moves to the rate of the step that follows so many updates, in that epoch of the run.
    pub(super) fn move_to(&mut self, updates: u64, epoch: u64, window: EpochWindow) {
        let before = window.start_epoch.unwrap_or(1).saturating_sub(1);
        let epoch = epoch.saturating_sub(before).max(1);
        self.current = self.schedule.at(updates, epoch);
    }
}

/// Moves a learning rate on, after the step. It is a function of the counters alone, so nothing of it is saved.
pub(super) fn move_rate<R: Role>(
    optim: Res<Optim<R>>,
    tick: Res<Tick<R>>,
    clock: Res<Clock>,
    mut rate: ResMut<Rate<R>>,
) {
    rate.move_to(optim.updates(), clock.next_epoch(), tick.window);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learner::Critic;

    #[test]
    fn epochs_count_from_the_first_in_which_the_network_is_trained() {
        let mut rate = Rate::<Critic>::new(Schedule::Multistep {
            initial: 1.0,
            decay_factor: 0.5,
            epoch_schedule: vec![1, 3],
        });
        let mut rates = |start_epoch| {
            let end_epoch = None;
            [1, 2, 3, 4, 5, 6].map(|epoch| {
                let window = EpochWindow {
                    start_epoch,
                    end_epoch,
                };
                rate.move_to(0, epoch, window);
                rate.current
            })
        };
        assert_eq!(rates(None), [1.0, 0.5, 0.5, 0.25, 0.25, 0.25]);
        assert_eq!(rates(Some(3)), [1.0, 1.0, 1.0, 0.5, 0.5, 0.25]);
    }
}
