//! Targets that follow their networks.

use std::f64::consts::LN_2;

use bevy_app::{App, Startup};
use bevy_ecs::prelude::*;
use bevy_ecs::system::SystemParam;
use bevy_reflect::Reflect;
use burn::tensor::Tensor;

use super::{Net, Network, Role, Roles, Target, on_card, on_cpu, parameters};
use crate::checkpoint::AppPersistExt;
use crate::report::console::Console;
use crate::scene::Bounds;
use crate::schedule::{Learn, LearnSystems, every};

/// How the targets follow their networks: θ' ← τ θ + (1 − τ) θ' at every k-th update of the critic, softly with a small τ, as
/// a copy with τ = 1. They begin as copies.
///
/// Both papers' ways are this one: TD3's `(every: 2, tau: 0.005)`, DQN's `(every: 10_000, tau: 1.0)`. So τ, the `target_tau` of
/// robomimic, has its name inside: there is one place that says how targets move, and none in which a τ would not count.
///
/// ```
/// use yarak::prelude::*;
///
/// let soft = TargetUpdate { every: 2, tau: 0.005 };
/// assert_eq!(soft.half_life().round(), 277.0);
/// let copies = TargetUpdate { every: 10_000, tau: 1.0 };
/// assert_eq!(copies.half_life(), 10_000.0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Resource, Reflect)]
pub struct TargetUpdate {
    /// Updates of the critic between two moves of the targets.
    #[reflect(@Bounds::at_least(1.0))]
    pub every: u64,
    /// τ: how much of the network goes into its target. 1: the target becomes a copy.
    #[reflect(@Bounds::above(0.0).up_to(1.0))]
    pub tau: f32,
}

impl Default for TargetUpdate {
    fn default() -> Self {
        TargetUpdate {
            every: 1,
            tau: 0.005,
        }
    }
}

/// The half-life from which a run warns.
const LONG_HALF_LIFE: f64 = 10_000.0;

impl TargetUpdate {
    /// The updates of the critic after which half of what a target was is gone: every · ln ½ / ln (1 − τ), and no less than
    /// `every`, before which nothing moves.
    pub fn half_life(&self) -> f64 {
        let moves = LN_2 / -(-f64::from(self.tau)).ln_1p();
        self.every as f64 * moves.max(1.0)
    }

    /// What is to be said of a half-life that is so long that the critic learns from what it believed long ago.
    fn warning(&self) -> Option<String> {
        let half_life = self.half_life();
        (half_life > LONG_HALF_LIFE).then(|| {
            format!(
                "warning: with `target_update: (every: {}, tau: {})` the targets' half-life is {half_life:.0} steps: values spread that slowly; raise `tau` or lower `every`",
                self.every, self.tau
            )
        })
    }
}

/// The network of role `R` and its target, which follows it.
///
/// ```
/// use yarak::prelude::*;
///
/// fn track_targets(update: Res<TargetUpdate>, mut actor: Tracking<Actor>, mut critic: Tracking<Critic>) {
///     actor.follow(update.tau);
///     critic.follow(update.tau);
/// }
/// ```
#[derive(SystemParam)]
pub struct Tracking<'w, R: Role> {
    net: Res<'w, Net<R>>,
    target: ResMut<'w, Target<R>>,
}

impl<R: Role> Tracking<'_, R> {
    /// θ' ← τ θ + (1 − τ) θ', written θ' + τ (θ − θ'); with τ = 1 θ' is a copy of θ, to the last bit.
    pub fn follow(&mut self, tau: f32) {
        if tau >= 1.0 {
            *self.target = Target::copy_of(&self.net);
            return;
        }
        let mut sources = values(&**self.net).into_iter();
        self.target.change(|target| {
            parameters::map(target, |_, old| match sources.next() {
                Some(new) if on_cpu::is_here(&old) => on_cpu::track(old, new, tau),
                Some(new) if on_card::is_here(&old) => on_card::track(old, new, tau),
                Some(new) => old.clone() + (new - old) * tau,
                None => old,
            })
        });
    }
}

fn values<N: Network>(network: &N) -> Vec<Tensor<2>> {
    parameters::parameters(network)
        .into_iter()
        .map(|parameter| parameter.values)
        .collect()
}

/// Declares targets on an [`App`].
pub trait AppTargetExt {
    /// Makes role `R`'s [`Target`] part of checkpoints. The target itself is inserted in `Startup`, with [`Target::copy_of`].
    fn add_target<R: Role>(&mut self) -> &mut Self;

    /// Runs the slot [`LearnSystems::Targets`] as `update` says, at every k-th update of role `R`, the critic, and inserts it for
    /// the slot's step. A run with a long half-life warns of it.
    fn update_targets_with<R: Role>(&mut self, update: TargetUpdate) -> &mut Self;
}

impl AppTargetExt for App {
    fn add_target<R: Role>(&mut self) -> &mut Self {
        let mut roles = self.world_mut().get_resource_or_init::<Roles>();
        roles.declare::<R>().has_target = true;
        self.persist::<Target<R>>()
    }

    fn update_targets_with<R: Role>(&mut self, update: TargetUpdate) -> &mut Self {
        self.insert_resource(update)
            .configure_sets(
                Learn,
                LearnSystems::Targets.run_if(every::<R>(update.every)),
            )
            .add_systems(Startup, warn_of_a_long_half_life)
    }
}

fn warn_of_a_long_half_life(update: Res<TargetUpdate>, console: Option<Res<Console>>) {
    if let (Some(warning), Some(console)) = (update.warning(), console) {
        console.message(&warning);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn half_life(every: u64, tau: f32) -> f64 {
        TargetUpdate { every, tau }.half_life()
    }

    #[test]
    fn the_half_life_is_the_steps_after_which_half_is_gone() {
        assert!((half_life(1, 0.005) - 138.282_573).abs() < 1e-4);
        assert!((half_life(2, 0.005) - 276.565_146).abs() < 1e-4);
        assert!((half_life(1, 1e-5) - 69_314.37).abs() < 0.1);
        assert_eq!(half_life(1, 0.5), 1.0);
        assert_eq!(half_life(300, 0.9), 300.0);
        assert_eq!(half_life(20_000, 1.0), 20_000.0);
    }

    #[test]
    fn a_half_life_beyond_ten_thousand_steps_is_warned_of_with_its_length() {
        let warning = |every, tau| TargetUpdate { every, tau }.warning();
        assert_eq!(warning(10_000, 1.0), None);
        assert_eq!(warning(72, 0.005), None);
        let long = warning(73, 0.005).unwrap();
        assert!(long.contains("half-life is 10095 steps"), "{long}");
        assert!(warning(10_001, 1.0).unwrap().contains("is 10001 steps"));
    }
}
