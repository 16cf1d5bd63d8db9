//! Learners in their environments.

use bevy_app::{App, Plugin, Plugins, PostStartup, Startup};
use bevy_ecs::prelude::*;
use bevy_ecs::schedule::ScheduleLabel;

use super::Aged;
use super::windows::{Windows, ages, check, grow};
use crate::checkpoint::RestorePlugin;
use crate::cli::error::CliError;
use crate::collect::Environments;
use crate::data::{OffPolicySettings, Replay};
use crate::learner::{ComputeDevice, OptimizerSettings, Seed};
use crate::nn::set_threads;
use crate::plugins::{Ppo, Sac, Td3};
use crate::report::Reports;
use crate::schedule::{
    Cadence, Clock, Collect, FacilitatorPlugin, Learn, Prepare, SchedulePlugin, StepsPerCollect,
};

/// Steps a second of one environment with one gradient step for each of its steps, at each age.
pub(super) fn off_policy(
    env: &str,
    algorithm: impl Plugin,
    threads: usize,
    age: u64,
    windows: Windows,
) -> Result<Vec<Aged>, CliError> {
    set_threads(threads);
    let environments = Environments {
        env: env.to_owned(),
        ..Environments::default()
    };
    let app = learner((environments, Replay::default(), algorithm))?;
    at_each_age(app, age, windows, take_rounds)
}

/// Environment steps a second of PPO's whole rounds: acting, stepping, advantages and gradient steps. The settings are those of
/// the peers' script.
pub(super) fn rounds_of_ppo(
    threads: usize,
    age: u64,
    windows: Windows,
) -> Result<Vec<Aged>, CliError> {
    set_threads(threads);
    let optimizer = OptimizerSettings {
        max_gradient_norm: Some(0.5),
        ..OptimizerSettings::at(2.5e-4)
    };
    let mut ppo = Ppo {
        steps: 128,
        epochs: 4,
        minibatches: 4,
        value_clip: Some(0.2),
        entropy_coefficient: 0.01,
        ..Ppo::default()
    };
    (ppo.actor.optimizer, ppo.critic.optimizer) = (optimizer.clone(), optimizer);
    let environments = Environments {
        env: "CartPole-v1".to_owned(),
        num_envs: 8,
        ..Environments::default()
    };
    let app = learner((environments, ppo))?;
    let cadence = *app.world().resource::<Cadence>();
    let each = app.world().resource::<StepsPerCollect>().0;
    at_each_age(app, age, windows, |world| {
        for _ in 0..cadence.collect {
            world.resource_mut::<Clock>().step += each;
            world.run_schedule(Collect);
        }
        world.run_schedule(Prepare);
        for _ in 0..cadence.learn {
            world.resource_mut::<Clock>().gradient_steps += 1;
            world.run_schedule(Learn);
        }
        (cadence.collect * each) as f64
    })
}

fn at_each_age(
    mut app: App,
    age: u64,
    windows: Windows,
    advance: impl Fn(&mut World) -> f64,
) -> Result<Vec<Aged>, CliError> {
    let mut aged = Vec::new();
    for age in ages(age) {
        grow(&mut app, age, &advance)?;
        let values = windows.rates(|| {
            let done = advance(app.world_mut());
            check().map(|()| done)
        })?;
        aged.push(Aged { age, values });
    }
    Ok(aged)
}

/// Steps at random before the first gradient step, as the peers' script has it.
const WARM_UP: u64 = 200;

/// Takes steps of the environment, each with the gradient step that follows it once the run is warm, and returns how many.
fn take_rounds(world: &mut World) -> f64 {
    const ROUNDS: u64 = 20;
    for _ in 0..ROUNDS {
        world.resource_mut::<Clock>().step += 1;
        world.run_schedule(Collect);
        if world.resource::<Clock>().step > WARM_UP {
            world.resource_mut::<Clock>().gradient_steps += 1;
            world.run_schedule(Learn);
        }
    }
    ROUNDS as f64
}

pub(super) fn td3() -> Td3 {
    Td3 {
        off_policy: OffPolicySettings {
            learning_starts: WARM_UP,
            ..OffPolicySettings::default()
        },
        ..Td3::default()
    }
}

pub(super) fn sac() -> Sac {
    Sac {
        off_policy: OffPolicySettings {
            learning_starts: WARM_UP,
            ..OffPolicySettings::default()
        },
        ..Sac::default()
    }
}

/// A learner in its environments, before its first step.
fn learner<M>(plugins: impl Plugins<M>) -> Result<App, CliError> {
    let mut app = App::new();
    app.add_plugins((
        SchedulePlugin,
        FacilitatorPlugin,
        RestorePlugin,
        Reports::default(),
    ))
    .insert_resource(Seed(0))
    .insert_resource(ComputeDevice::cpu())
    .add_plugins(plugins);
    app.world_mut().resource_mut::<Clock>().steps = u64::MAX;
    app.finish();
    app.cleanup();
    for schedule in [Startup.intern(), PostStartup.intern()] {
        app.world_mut().run_schedule(schedule);
    }
    check().map(|()| app)
}
