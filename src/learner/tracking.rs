//! Targets that follow their networks.

use bevy_app::App;
use bevy_ecs::prelude::*;
use bevy_ecs::system::SystemParam;
use bevy_reflect::Reflect;
use burn::tensor::Tensor;

use super::{Net, Network, Role, Roles, Target, on_cpu, parameters};
use crate::checkpoint::AppPersistExt;
use crate::scene::Bounds;

/// How a target follows its network. The τ of soft updates is a setting of its own, as papers have it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Reflect)]
pub enum TargetUpdate {
    /// θ' ← τ θ + (1 − τ) θ' at each update.
    #[default]
    Soft,
    /// θ' ← θ at every n-th update.
    Hard(#[reflect(@Bounds::at_least(1.0))] u64),
}

/// The network of role `R` and its target, to be brought nearer.
///
/// ```
/// use yarak::prelude::*;
///
/// fn track_targets(mut actor: Tracking<Actor>, mut critic: Tracking<Critic>) {
///     actor.soft(0.005);
///     critic.soft(0.005);
/// }
/// ```
#[derive(SystemParam)]
pub struct Tracking<'w, R: Role> {
    net: Res<'w, Net<R>>,
    target: ResMut<'w, Target<R>>,
}

impl<R: Role> Tracking<'_, R> {
    /// θ' ← τ θ + (1 − τ) θ', written θ' + τ (θ − θ').
    pub fn soft(&mut self, tau: f32) {
        let mut sources = values(&**self.net).into_iter();
        self.target.change(|target| {
            parameters::map(target, |_, old| match sources.next() {
                Some(new) if on_cpu::is_here(&old) => on_cpu::track(old, new, tau),
                Some(new) => old.clone() + (new - old) * tau,
                None => old,
            })
        });
    }

    /// θ' ← θ.
    pub fn hard(&mut self) {
        *self.target = Target::copy_of(&self.net);
    }

    /// Update number `count` (from 1) by the given rule; `tau` is for soft ones.
    pub fn follow(&mut self, rule: TargetUpdate, tau: f32, count: u64) {
        match rule {
            TargetUpdate::Soft => self.soft(tau),
            TargetUpdate::Hard(every) if count.checked_rem(every) == Some(0) => self.hard(),
            TargetUpdate::Hard(_) => {}
        }
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
}

impl AppTargetExt for App {
    fn add_target<R: Role>(&mut self) -> &mut Self {
        let mut roles = self.world_mut().get_resource_or_init::<Roles>();
        roles.declare::<R>().has_target = true;
        self.persist::<Target<R>>()
    }
}
