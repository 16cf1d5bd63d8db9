//! `yarak collect`.

use std::path::{Path, PathBuf};

use bevy_app::{App, AppExit};
use bevy_ecs::prelude::*;
use clap::Args;

use super::building::{For, Program, failure, folders_of};
use super::error::CliError;
use super::eval::{check_that_it_is_plain, find};
use super::modules::Modules;
use super::playing::play_in;
use super::print;
use super::ready::{Source, learns_from};
use crate::checkpoint::without_persisting;
use crate::collect::{
    Actions, DatasetRecorder, DatasetRecorderPlugin, EnvironmentRow, Environments, Exploration,
    Generator, Restart, StandingStill, act_deterministically, seed_bridged, seed_environments,
};
use crate::data::Spaces;
use crate::data::convert::{check_that_it_is_recordable, write_recorded};
use crate::env::{NumpyRandom, Space};
use crate::evaluate::Evaluation;
use crate::learner::{AppRandomExt, Random};
use crate::schedule::{
    AppScheduleExt, Collect as Collecting, CollectSystems, Failure, Outcome, Training,
};

/// Write a dataset of what a policy does, in D4RL's layout; in robomimic's where observations are pictures or have names.
///
/// Of a scene with `Environments`, everything that it collects while it runs. Of a run or a checkpoint, the steps of the trained
/// policy: deterministic, with noise, or partly random.
#[derive(Args)]
pub struct Collect {
    /// A scene, a run's folder, or a checkpoint in it
    #[arg(value_name = "SCENE|RUN|CHECKPOINT")]
    source: PathBuf,
    /// The file to write
    #[arg(long, value_name = "FILE.hdf5")]
    out: PathBuf,
    /// Environment steps; the scene's own if not given, and 10000 of a trained policy
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    steps: Option<u64>,
    /// The environment of a trained policy; the scene's if not given
    #[arg(long, value_name = "NAME")]
    env: Option<String>,
    /// The first environment's seed, of a trained policy [default: 0]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Deviation of normal noise on a trained policy's actions, which lie in [-1, 1] [default: 0]
    #[arg(long, value_name = "STD")]
    noise: Option<f32>,
    /// The share of a trained policy's steps that are uniformly random instead [default: 0]
    #[arg(long, value_name = "SHARE")]
    random: Option<f32>,
    /// Override a value of a scene, such as Environments.num_envs=4
    #[arg(long = "set", value_name = "PATH=VALUE")]
    overrides: Vec<String>,
    /// Replace the file
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    modules: Modules,
}

/// A trained policy with noise on its actions.
#[derive(Resource, Clone, Copy)]
struct NoisyPolicy {
    noise: f32,
    random: f32,
}

impl Collect {
    /// Collects and writes.
    pub fn run(&self, program: &Program) -> Result<AppExit, CliError> {
        let program = &program.allowing(self.modules.with_env(self.env.as_deref()));
        let (noise, random) = (self.noise.unwrap_or(0.0), self.random.unwrap_or(0.0));
        if !(0.0..=1.0).contains(&random) {
            return Err(CliError::input("--random: a share from 0 to 1"));
        }
        if !(noise >= 0.0 && noise.is_finite()) {
            return Err(CliError::input("--noise: a deviation of at least 0"));
        }
        if self
            .out
            .extension()
            .is_some_and(|it| it.eq_ignore_ascii_case("npz"))
        {
            return Err(CliError::input(format!(
                "{}: what is collected is written as HDF5: name the file such as {}",
                self.out.display(),
                self.out.with_extension("hdf5").display()
            )));
        }
        // Found before anything is played and not after.
        if self.out.exists() && !self.force {
            return Err(CliError::input(format!(
                "{}: there is something already; choose another name, or give --force to replace it",
                self.out.display()
            )));
        }
        let app = if self.source.is_file() {
            self.of_scene(program)?
        } else {
            self.of_policy(program, NoisyPolicy { noise, random })?
        };
        let recorder = app.world().resource::<DatasetRecorder>();
        let transitions = recorder.transitions().map_err(CliError::failed)?;
        let spaces = app.world().resource::<Spaces>();
        let written = write_recorded(&transitions, spaces, &self.out, self.force)
            .map_err(|error| CliError::of(false, &error))?;
        print(&written.to_string())?;
        Ok(AppExit::Success)
    }

    /// Runs a scene to its end.
    fn of_scene(&self, program: &Program) -> Result<App, CliError> {
        let of_policies = [
            (
                "--env",
                self.env.is_some(),
                "--set Environments.env=\"...\"",
            ),
            ("--seed", self.seed.is_some(), "--set seed=..."),
            (
                "--noise",
                self.noise.is_some(),
                "the scene's own exploration",
            ),
            (
                "--random",
                self.random.is_some(),
                "the scene's own exploration",
            ),
        ];
        if let Some((option, _, instead)) = of_policies.iter().find(|(_, is_given, _)| *is_given) {
            return Err(CliError::input(format!(
                "{option} is for a trained policy, and {} is a scene, which acts as it says itself: take {instead}",
                self.source.display()
            )));
        }
        let mut scene = program.read_scene(&self.source, &self.overrides)?;
        if scene.settings::<Environments>().is_none() {
            return Err(CliError::input(format!(
                "{}: nothing is collected in it, for it has no `Environments`; train it, and collect with the run's folder",
                self.source.display()
            )));
        }
        scene.steps = self.steps.unwrap_or(scene.steps);
        let prepare = |app: &mut App| {
            app.add_plugins(DatasetRecorderPlugin);
        };
        let purpose = For::Collecting {
            policy: None,
            prepare: &prepare,
        };
        let mut app = program.app(&scene, scene.seed, folders_of(&self.source), purpose)?;
        check_that_it_is_kept(&app)?;
        loop {
            app.update();
            match &app.world().resource::<Training>().outcome {
                None => {}
                Some(Outcome::Failed(failure)) => return Err(failure.clone().into()),
                Some(Outcome::Finished | Outcome::Interrupted) => return Ok(app),
            }
        }
    }

    /// Lets a trained policy act.
    fn of_policy(&self, program: &Program, noisy: NoisyPolicy) -> Result<App, CliError> {
        if let Some(first) = self.overrides.first() {
            return Err(CliError::input(format!(
                "--set {first}: a run's scene stays as it was trained; `--set` is for scenes"
            )));
        }
        let (checkpoint, snapshot) = find(&self.source)?;
        let run = checkpoint.parent().and_then(Path::parent);
        let scene_file = run.unwrap_or(Path::new(".")).join("scene.ron");
        check_that_it_is_plain(&scene_file)?;
        let mut scene = program.read_scene(&scene_file, &["device=cpu".to_owned()])?;
        scene.steps = snapshot.step;
        let online = scene.settings::<Environments>().cloned();
        if let (Some(asked), Some(online)) = (&self.env, &online)
            && *asked != online.env
        {
            return Err(CliError::input(format!(
                "--env {asked}: the policy was trained in {}, and collects there",
                online.env
            )));
        }
        let kwargs = scene
            .settings::<Evaluation>()
            .filter(|evaluation| self.env.as_ref().is_none_or(|env| *env == evaluation.env))
            .and_then(|evaluation| evaluation.kwargs.clone())
            .unwrap_or_default();
        let goal = scene
            .settings::<Evaluation>()
            .and_then(|evaluation| evaluation.goal.clone());
        let env = play_in(&mut scene, self.env.as_deref())?;
        program.check_modules(&scene)?;
        let add = |app: &mut App| {
            app.insert_resource(noisy)
                .insert_resource(StandingStill)
                .add_random::<Exploration>()
                .add_plugins(DatasetRecorderPlugin);
            let act = (act_deterministically, add_noise).chain();
            let explores = matches!(learns_from(app), Some(Source::Replay | Source::Rollouts));
            if online.is_none() {
                app.add_plugins(Environments {
                    env: env.clone(),
                    goal: goal.clone(),
                    kwargs: kwargs.clone(),
                    ..Environments::default()
                });
            }
            if explores || online.is_some() {
                // In place of the algorithm's own exploration.
                app.replace(Collecting, CollectSystems::Act, act);
            } else {
                app.add_systems(Collecting, act.in_set(CollectSystems::Act));
            }
        };
        let prepare = |app: &mut App| without_persisting(app, add);
        let purpose = For::Collecting {
            policy: Some(&snapshot),
            prepare: &prepare,
        };
        let mut app = program.app(&scene, scene.seed, folders_of(&scene_file), purpose)?;
        // Networks are built and restored; all steps are taken already, so nothing is learned.
        app.update();
        check(failure(&app))?;
        check_that_it_is_kept(&app)?;
        self.begin_anew(app.world_mut());
        app.world_mut().run_schedule(Collecting);
        check(failure(&app))?;
        let steps = self.steps.unwrap_or(10_000) as usize;
        while app.world().resource::<DatasetRecorder>().steps() < steps {
            app.world_mut().run_schedule(Collecting);
            check(failure(&app))?;
        }
        Ok(app)
    }

    /// Every environment begins a first episode, from the seed that was asked for.
    fn begin_anew(&self, world: &mut World) {
        let seed = self.seed.unwrap_or(0);
        seed_bridged(world, seed);
        let mut agents = world.query::<(&EnvironmentRow, &mut Restart, Option<&mut Generator>)>();
        for (agent, mut restart, generator) in agents.iter_mut(world) {
            restart.0 = true;
            if let Some(mut generator) = generator {
                generator.0 = NumpyRandom::new(seed.wrapping_add(agent.row as u64));
            }
        }
        seed_environments(world, seed);
    }
}

/// Found before anything is played and not after.
fn check_that_it_is_kept(app: &App) -> Result<(), CliError> {
    let spaces = app.world().get_resource::<Spaces>();
    spaces.map_or(Ok(()), |spaces| {
        check_that_it_is_recordable(spaces).map_err(|error| CliError::of(true, &error))
    })
}

fn check(failure: Option<Failure>) -> Result<(), CliError> {
    failure.map_or(Ok(()), |failure| Err(failure.into()))
}

/// Noise on the policy's actions, and random ones in their place.
fn add_noise(
    noisy: Res<NoisyPolicy>,
    spaces: Res<Spaces>,
    mut random: ResMut<Random<Exploration>>,
    mut actions: ResMut<Actions>,
) {
    let rows = actions.rows();
    let width = actions.width;
    if noisy.noise > 0.0 && matches!(spaces.action, Space::Box { .. }) {
        let noise = random.normals(rows * width);
        for (action, noise) in actions.values.iter_mut().zip(noise) {
            *action = (*action + noisy.noise * noise).clamp(-1.0, 1.0);
        }
    }
    if noisy.random > 0.0 {
        let draws = random.uniforms(rows, 0.0, 1.0);
        for (row, draw) in draws.into_iter().enumerate() {
            let other = match spaces.action {
                Space::Discrete { n } => vec![random.indices(1, n)[0] as f32],
                _ => random.uniforms(width, -1.0, 1.0),
            };
            if draw < noisy.random {
                actions.row_mut(row).copy_from_slice(&other);
            }
        }
    }
}
