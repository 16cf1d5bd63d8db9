//! What counts: the run's [`Clock`], and a [`Tick`] for each network.

use std::marker::PhantomData;

use bevy_app::{App, Plugin};
use bevy_ecs::prelude::*;
use serde::{Deserialize, Serialize};

use super::needs::written_always;
use super::{Learn, LearnSystems};

/// Where the run is. `step` counts gradient steps offline and environment steps online.
///
/// ```
/// use yarak::prelude::*;
///
/// let mut clock = Clock { steps: 1_000, steps_per_epoch: 100, ..default() };
/// clock.gradient_steps = 100;
/// assert_eq!(clock.epoch(), 1);
/// clock.gradient_steps = 101;
/// assert_eq!(clock.epoch(), 2);
/// ```
#[derive(Resource, Clone, Debug, PartialEq, Eq)]
pub struct Clock {
    /// The step being taken, from 1; 0 before the first. With several environments, the last of those that are taken together.
    pub step: u64,
    /// The step after which the run is done. `u64::MAX`: not known before the data is, as `epochs` say it.
    pub steps: u64,
    /// The epochs after which the run is done, if that is earlier. Offline, where an epoch is a number of steps.
    pub epochs: Option<u64>,
    /// Gradient steps in an epoch, at least 1. Algorithms set it when the data is known.
    pub steps_per_epoch: u64,
    /// Gradient steps taken. Equal to `step` offline.
    pub gradient_steps: u64,
}

impl Default for Clock {
    fn default() -> Self {
        Clock {
            step: 0,
            steps: 0,
            epochs: None,
            steps_per_epoch: 1,
            gradient_steps: 0,
        }
    }
}

impl Clock {
    /// Says how long an epoch is, now that the data is known: a run of so many epochs ends with the last of them.
    ///
    /// ```
    /// use yarak::prelude::*;
    ///
    /// let mut clock = Clock { steps: u64::MAX, epochs: Some(3), ..default() };
    /// clock.set_epoch(100);
    /// assert_eq!((clock.steps_per_epoch, clock.steps), (100, 300));
    /// ```
    pub fn set_epoch(&mut self, steps_per_epoch: u64) {
        self.steps_per_epoch = steps_per_epoch.max(1);
        if let Some(epochs) = self.epochs {
            self.steps = self.steps.min(epochs.saturating_mul(self.steps_per_epoch));
        }
    }

    /// The epoch of the gradient step being taken, from 1.
    pub fn epoch(&self) -> u64 {
        epoch_of(self.gradient_steps.max(1), self.steps_per_epoch)
    }

    /// The epoch of the gradient step after this one, from 1.
    pub fn next_epoch(&self) -> u64 {
        epoch_of(self.gradient_steps + 1, self.steps_per_epoch)
    }
}

fn epoch_of(gradient_step: u64, steps_per_epoch: u64) -> u64 {
    (gradient_step - 1) / steps_per_epoch.max(1) + 1
}

/// How many environment steps one run of [`Collect`](super::Collect) is: the number of environments.
#[derive(Resource, Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepsPerCollect(pub u64);

impl Default for StepsPerCollect {
    fn default() -> Self {
        StepsPerCollect(1)
    }
}

/// The epochs in which a network is trained: `start` inclusive, `end` exclusive, `None` is no bound. Epochs count from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EpochWindow {
    /// The first epoch of training.
    pub start_epoch: Option<u64>,
    /// The first epoch without training.
    pub end_epoch: Option<u64>,
}

impl EpochWindow {
    /// Whether a network of this window is trained in that epoch.
    pub fn contains(&self, epoch: u64) -> bool {
        self.start_epoch.is_none_or(|start| epoch >= start)
            && self.end_epoch.is_none_or(|end| epoch < end)
    }
}

/// A counter of one network's gradient steps: it rises in [`LearnSystems::First`] on each `Learn` inside the network's
/// window of epochs. Delays are multiples of it, so a critic that is frozen does not freeze the actor.
#[derive(Resource, Debug)]
pub struct Tick<R: Send + Sync + 'static> {
    /// How often it rose.
    pub count: u64,
    /// Whether it rose in this step: the step lies in the window.
    pub active: bool,
    /// When the network is trained.
    pub window: EpochWindow,
    role: PhantomData<R>,
}

impl<R: Send + Sync + 'static> Tick<R> {
    /// A counter at 0 for a network with that window.
    pub fn new(window: EpochWindow) -> Self {
        Tick {
            count: 0,
            active: false,
            window,
            role: PhantomData,
        }
    }

    /// What is saved of it: the count.
    pub fn state(&self) -> TickState {
        TickState { count: self.count }
    }

    /// Goes on from a saved count.
    pub fn restore(&mut self, state: TickState) {
        self.count = state.count;
    }
}

/// What is saved of a [`Tick`].
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct TickState {
    count: u64,
}

/// Adds a [`Tick`] for role `R` and the system that raises it.
pub struct TickPlugin<R> {
    window: EpochWindow,
    role: PhantomData<fn() -> R>,
}

impl<R> TickPlugin<R> {
    /// A counter that rises inside that window.
    pub fn new(window: EpochWindow) -> Self {
        TickPlugin {
            window,
            role: PhantomData,
        }
    }
}

impl<R: Send + Sync + 'static> Plugin for TickPlugin<R> {
    fn build(&self, app: &mut App) {
        written_always::<Tick<R>>(app);
        app.insert_resource(Tick::<R>::new(self.window))
            .add_systems(Learn, raise_tick::<R>.in_set(LearnSystems::First));
    }
}

/// Raises a network's counter when the step lies in its window.
fn raise_tick<R: Send + Sync + 'static>(clock: Res<Clock>, mut tick: ResMut<Tick<R>>) {
    tick.active = tick.window.contains(clock.epoch());
    if tick.active {
        tick.count += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_includes_its_start_and_excludes_its_end() {
        let window = EpochWindow {
            start_epoch: Some(2),
            end_epoch: Some(4),
        };
        let inside: Vec<u64> = (1..=5).filter(|epoch| window.contains(*epoch)).collect();
        assert_eq!(inside, [2, 3]);
        assert!(EpochWindow::default().contains(1));
    }

    #[test]
    fn epochs_count_from_one() {
        let mut clock = Clock {
            steps_per_epoch: 3,
            ..Clock::default()
        };
        let mut epochs = Vec::new();
        for step in 1..=7 {
            clock.gradient_steps = step;
            epochs.push((clock.epoch(), clock.next_epoch()));
        }
        assert_eq!(
            epochs,
            [(1, 1), (1, 1), (1, 2), (2, 2), (2, 2), (2, 3), (3, 3)]
        );
    }
}
