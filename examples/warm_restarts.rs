//! A schedule of your own for learning rates: a cosine that begins anew again and again (Loshchilov & Hutter 2017, "SGDR: Stochastic
//! Gradient Descent with Warm Restarts", <https://arxiv.org/abs/1608.03983>, equation 5).
//!
//! `cargo run --release --example warm_restarts -- train examples/warm_restarts.ron`

use std::f64::consts::PI;

use yarak::prelude::*;

/// Moves the learning rates of actor and critic along half a cosine from `eta_max` to `eta_min`, and begins anew, each time for longer.
#[derive(Clone, Debug, Resource, Reflect)]
pub struct WarmRestarts {
    /// η_max: the rate at each beginning.
    #[reflect(@Bounds::at_least(0.0))]
    pub eta_max: f64,
    /// η_min: the rate before each beginning.
    #[reflect(@Bounds::at_least(0.0))]
    pub eta_min: f64,
    /// T₀: updates of the network up to its first restart.
    #[reflect(@Bounds::at_least(1.0))]
    pub t_0: u64,
    /// T_mult: how many times as long each stretch is as the one before.
    #[reflect(@Bounds::at_least(1.0))]
    pub t_mult: u64,
}

impl Default for WarmRestarts {
    fn default() -> Self {
        WarmRestarts {
            eta_max: 3e-4,
            eta_min: 0.0,
            t_0: 1_000,
            t_mult: 2,
        }
    }
}

impl Settings for WarmRestarts {
    fn check(&self, problems: &mut FieldProblems) {
        if self.eta_min > self.eta_max {
            problems.refuse("eta_min", "must not be above `eta_max`");
        }
    }
}

impl Plugin for WarmRestarts {
    fn build(&self, app: &mut App) {
        app.insert_resource(self.clone())
            .sets_rate::<Actor, _>(rate)
            .sets_rate::<Critic, _>(rate);
    }
}

/// η_min + (η_max − η_min) (1 + cos(π T_cur / T_i)) / 2, for a network that has taken so many updates.
pub fn rate(In(updates): In<u64>, settings: Res<WarmRestarts>) -> f64 {
    let (mut t_cur, mut t_i) = (updates, settings.t_0);
    while t_cur >= t_i {
        t_cur -= t_i;
        t_i = t_i.saturating_mul(settings.t_mult);
    }
    let share = t_cur as f64 / t_i as f64;
    settings.eta_min + (settings.eta_max - settings.eta_min) * 0.5 * (1.0 + (PI * share).cos())
}

fn main() -> AppExit {
    yarak::cli::run(|app| {
        app.register_for_scenes::<WarmRestarts>();
    })
}
