//! One step of all environments, in the small: order, ends, restarts, rows, and that entities play what environments play.

use std::num::NonZeroU64;

use bevy_app::{App, PostStartup};
use bevy_ecs::prelude::*;

use super::*;
use crate::checkpoint::{RestorePlugin, ResumeFrom, Snapshot, gather, restore};
use crate::data::Column;
use crate::env::{self, Environment, EnvironmentError, Space, StepResult, registry};
use crate::learner::{Random, Seed};
use crate::report::Metrics;
use crate::schedule::{Collect, FacilitatorPlugin, SchedulePlugin, take_failure};

fn app(environments: Environments) -> App {
    let mut app = App::new();
    app.add_plugins((
        SchedulePlugin,
        FacilitatorPlugin,
        RestorePlugin,
        environments,
    ))
    .init_resource::<Metrics>();
    begin(&mut app);
    app
}

fn begin(app: &mut App) {
    app.finish();
    app.cleanup();
    app.world_mut().run_schedule(PostStartup);
    assert_eq!(take_failure(), None);
}

fn step(app: &mut App, actions: &[f32]) {
    app.world_mut()
        .resource_mut::<Actions>()
        .values
        .copy_from_slice(actions);
    app.world_mut().run_schedule(Collect);
    assert_eq!(take_failure(), None);
}

/// Actions as a policy would give them, for `rows` environments.
fn draw(random: &mut Random<Exploration>, space: &Space, rows: usize) -> Vec<f32> {
    match space {
        Space::Discrete { n } => {
            let indices = random.indices(rows, *n);
            indices.into_iter().map(|index| index as f32).collect()
        }
        _ => random.uniforms(rows * space.size(), -1.5, 1.5),
    }
}

fn settings(env: &str, num_envs: usize) -> Environments {
    Environments {
        env: env.to_owned(),
        num_envs,
        seed: 7,
        rescale_actions: false,
        clip_actions: false,
        ..Environments::default()
    }
}

/// Plays `steps` steps of all environments as entities next to the same environments one by one, bit for bit.
fn plays_as_one_by_one(environments: Environments, steps: usize) -> usize {
    let (name, num_envs) = (environments.env.clone(), environments.num_envs);
    let mut app = app(environments.clone());
    let mut twins: Vec<_> = (0..num_envs)
        .map(|_| registry::make(&name).unwrap())
        .collect();
    let width = twins[0].observation_space().size();
    let space = twins[0].action_space().clone();
    let mut seen = Column::zeros(num_envs, width);
    for (row, twin) in twins.iter_mut().enumerate() {
        let seed = environments.seed + row as u64;
        twin.reset(Some(seed), seen.row_mut(row)).unwrap();
    }
    let mut random = Random::<Exploration>::new(Seed(1));
    let mut due = vec![false; num_envs];
    let mut ended = 0;
    for t in 0..steps {
        assert_eq!(app.world().resource::<Observations>().values, seen.values);
        let actions = draw(&mut random, &space, num_envs);
        step(&mut app, &actions);
        let kept = app.world().resource::<StepResults>();
        for (row, twin) in twins.iter_mut().enumerate() {
            let place = format!("{name}, step {t}, row {row}");
            assert_eq!(kept.observation.row(row), seen.row(row), "{place}");
            let action = &actions[row * space.size()..(row + 1) * space.size()];
            assert_eq!(kept.action.row(row), action, "{place}");
            assert_eq!(kept.valid[row], !due[row], "{place}");
            if due[row] {
                twin.reset(None, seen.row_mut(row)).unwrap();
                due[row] = false;
                assert_eq!((kept.reward[row], kept.ended(row)), (0.0, false), "{place}");
                continue;
            }
            let outcome = twin.step(action, seen.row_mut(row)).unwrap();
            let bits = |values: &[f32]| values.iter().map(|it| it.to_bits()).collect::<Vec<_>>();
            assert_eq!(
                bits(kept.next_observation.row(row)),
                bits(seen.row(row)),
                "{place}"
            );
            assert_eq!(kept.reward[row], outcome.reward as f32, "{place}");
            assert_eq!(kept.terminated[row], outcome.terminated, "{place}");
            assert_eq!(kept.truncated[row], outcome.truncated, "{place}");
            if outcome.ended() {
                ended += 1;
                match environments.autoreset {
                    Autoreset::SameStep => twin.reset(None, seen.row_mut(row)).unwrap(),
                    Autoreset::NextStep => due[row] = true,
                }
            }
        }
    }
    ended
}

#[test]
fn entities_play_what_environments_play_one_by_one() {
    for name in registry::built_in_names() {
        for autoreset in [Autoreset::SameStep, Autoreset::NextStep] {
            let environments = Environments {
                autoreset,
                ..settings(name, 5)
            };
            let ended = plays_as_one_by_one(environments, 1_010);
            assert!(ended >= 5, "{name}: {ended}");
        }
    }
}

#[test]
fn a_chunk_that_is_not_full_and_more_than_one_chunk_play_the_same() {
    for num_envs in [1, 63, 64, 65, 200] {
        assert!(plays_as_one_by_one(settings("CartPole-v1", num_envs), 40) > 0);
    }
}

#[test]
fn returns_are_raw_and_counted_for_each_environment() {
    let mut app = app(settings("CartPole-v1", 3));
    let mut lengths = [0_u64; 3];
    let mut finished = 0;
    for t in 0..200 {
        // Each row leans another way.
        let actions = [(t % 2) as f32, 1.0, (t / 3 % 2) as f32];
        step(&mut app, &actions);
        let world = app.world();
        let steps = world.resource::<StepResults>();
        let mut expected = Vec::new();
        for (row, length) in lengths.iter_mut().enumerate() {
            *length += 1;
            if steps.ended(row) {
                expected.push((row, *length as f64, *length));
                *length = 0;
            }
        }
        let told = &world.resource::<FinishedEpisodes>().0;
        let told: Vec<_> = told
            .iter()
            .map(|it| (it.row, it.total_reward, it.length))
            .collect();
        assert_eq!(told, expected);
        finished += told.len();
    }
    assert!(finished > 10);
    let means = app.world_mut().resource_mut::<Metrics>().read();
    let of = |name: &str| means.iter().find(|it| it.0 == name).unwrap().1;
    assert_eq!(of("rollout/episodic_return"), of("rollout/episodic_length"));
}

#[test]
fn a_time_limit_of_ones_own_truncates_and_the_final_observation_is_kept() {
    let mut app = app(Environments {
        time_limit: Some(3),
        ..settings("Pendulum-v1", 2)
    });
    for t in 1..=9 {
        step(&mut app, &[0.5, -0.5]);
        let steps = app.world().resource::<StepResults>();
        let shown = app.world().resource::<Observations>();
        let cut = t % 3 == 0;
        assert_eq!(steps.truncated, [cut, cut]);
        assert_eq!(steps.terminated, [false, false]);
        assert_eq!(shown.values == steps.next_observation.values, !cut);
    }
}

#[test]
fn actions_are_rescaled_to_the_bounds_and_clipped() {
    let mut app = App::new();
    app.add_plugins((
        SchedulePlugin,
        FacilitatorPlugin,
        Environments {
            rescale_actions: true,
            clip_actions: true,
            ..settings("Pendulum-v1", 4)
        },
    ))
    .init_resource::<Metrics>();
    begin(&mut app);
    step(&mut app, &[0.25, -1.0, 1.75, -7.0]);
    let mut agents = app.world_mut().query::<(&EnvironmentRow, &Action)>();
    let mut done: Vec<_> = agents
        .iter(app.world())
        .map(|(agent, action)| (agent.row, action.0.to_vec()))
        .collect();
    done.sort_by_key(|(row, _)| *row);
    let done: Vec<f32> = done.into_iter().flat_map(|(_, action)| action).collect();
    assert_eq!(done, [0.5, -2.0, 2.0, -2.0]);
    // Buffers keep what the policy gave.
    let kept = &app.world().resource::<StepResults>().action.values;
    assert_eq!(kept[..], [0.25, -1.0, 1.75, -7.0]);
}

/// The same environments, resumed.
fn resumed(environments: Environments, saved: &Snapshot) -> App {
    let mut app = App::new();
    app.add_plugins((
        SchedulePlugin,
        FacilitatorPlugin,
        RestorePlugin,
        environments,
    ))
    .init_resource::<Metrics>()
    .insert_resource(ResumeFrom(saved.clone()));
    begin(&mut app);
    app
}

#[test]
fn restored_environments_go_on_to_the_bit_in_every_state_of_an_episode() {
    for name in registry::built_in_names() {
        for autoreset in [Autoreset::SameStep, Autoreset::NextStep] {
            let environments = Environments {
                autoreset,
                time_limit: Some(5),
                ..settings(name, 3)
            };
            let space = registry::make(name).unwrap().action_space().clone();
            let mut whole = app(environments.clone());
            // Every state of the limit, the step that only restarts included.
            let mut random = Random::<Exploration>::new(Seed(1));
            for cut in 0..7 {
                let mut other = resumed(environments.clone(), &gather(whole.world(), 0).unwrap());
                let place = random.state();
                for t in 0..14 {
                    let actions = draw(&mut random, &space, 3);
                    step(&mut whole, &actions);
                    step(&mut other, &actions);
                    let (one, two) = (whole.world(), other.world());
                    let place = format!("{name}, cut {cut}, step {t}");
                    assert_eq!(
                        one.resource::<StepResults>(),
                        two.resource::<StepResults>(),
                        "{place}"
                    );
                    assert_eq!(
                        one.resource::<Observations>(),
                        two.resource::<Observations>(),
                        "{place}"
                    );
                }
                let (one, two) = (whole.world(), other.world());
                assert_eq!(gather(one, 0).unwrap(), gather(two, 0).unwrap());
                random.restore(place);
                let actions = draw(&mut random, &space, 3);
                step(&mut whole, &actions);
            }
        }
    }
}

#[test]
fn a_row_without_an_entity_is_refused_before_the_first_step() {
    let mut app = App::new();
    app.add_plugins((
        SchedulePlugin,
        FacilitatorPlugin,
        OwnEnvironments {
            num_envs: 3,
            ..OwnEnvironments::default()
        },
    ))
    .init_resource::<Metrics>();
    for row in [0, 2, 2] {
        let seen = Observation(SmallVector::zeros(1));
        app.world_mut().spawn((EnvironmentRow { row }, seen));
    }
    app.finish();
    app.world_mut().run_schedule(PostStartup);
    let failure = take_failure().unwrap();
    assert!(failure.message.contains("none has row 1"), "{failure}");
    assert!(failure.input);
}

#[test]
fn actions_that_are_none_end_the_run_and_name_the_environment() {
    for (env, actions, word) in [
        (
            "CartPole-v1",
            [1.0, 2.0],
            "environment 1: 2 is not an action",
        ),
        (
            "CartPole-v1",
            [0.5, 0.0],
            "environment 0: 0.5 is not an action",
        ),
        (
            "CartPole-v1",
            [-1.0, 0.0],
            "environment 0: -1 is not an action",
        ),
        ("CartPole-v1", [f32::NAN, 0.0], "action[0] is NaN"),
        (
            "Pendulum-v1",
            [0.0, f32::INFINITY],
            "environment 1: action[0] is inf",
        ),
    ] {
        let mut app = app(settings(env, 2));
        app.world_mut().resource_mut::<Actions>().values = actions.to_vec();
        app.world_mut().run_schedule(Collect);
        let failure = take_failure().unwrap();
        assert!(failure.message.contains(word), "{failure}");
    }
}

#[test]
fn random_actions_reach_all_discrete_actions_and_both_ends() {
    for (env, least, most) in [("MountainCar-v0", 0.0, 2.0), ("Pendulum-v1", -0.99, 0.99)] {
        let mut app = App::new();
        app.add_plugins((
            SchedulePlugin,
            FacilitatorPlugin,
            settings(env, 500),
            ActRandomly {},
        ))
        .init_resource::<Metrics>();
        begin(&mut app);
        app.world_mut().run_schedule(Collect);
        let actions = &app.world().resource::<Actions>().values;
        assert!(actions.iter().any(|it| *it <= least) && actions.iter().any(|it| *it >= most));
    }
}

#[test]
fn every_built_in_environment_has_equations_that_are_stepped_without_a_pointer() {
    let names: Vec<&str> = environments::BUILT_IN.iter().map(|it| it.0).collect();
    assert!(
        names
            .iter()
            .eq(registry::built_in_names().collect::<Vec<_>>().iter())
    );
}

/// Acrobots that are not stepped as equations: behind pointers in this thread, or in so many others.
fn acrobots(num_envs: usize, threads: usize, resume: Option<Snapshot>) -> App {
    let mut app = App::new();
    let known = registry::specification("Acrobot-v1").unwrap();
    app.add_plugins((
        SchedulePlugin,
        FacilitatorPlugin,
        RestorePlugin,
        OwnEnvironments {
            name: "Acrobot-v1".to_owned(),
            observation: known.observation_space,
            action: known.action_space,
            num_envs,
            time_limit: NonZeroU64::new(50),
            ..OwnEnvironments::default()
        },
    ))
    .init_resource::<Metrics>();
    let made = (0..num_envs).map(|_| registry::make("Acrobot-v1").unwrap());
    match threads {
        0 => any_environment::spawn(&mut app, made.collect(), 7),
        threads => workers::spawn(&mut app, made.collect(), 7, threads),
    }
    if let Some(snapshot) = resume {
        app.insert_resource(ResumeFrom(snapshot));
    }
    begin(&mut app);
    app
}

#[test]
fn environments_in_threads_play_and_resume_the_same_whatever_their_number() {
    let mut alone = acrobots(5, 0, None);
    let mut threaded: Vec<App> = [1, 2, 3, 5, 9].map(|it| acrobots(5, it, None)).into();
    let mut random = Random::<Exploration>::new(Seed(1));
    for t in 0..160 {
        let actions = draw(&mut random, &Space::Discrete { n: 3 }, 5);
        step(&mut alone, &actions);
        for app in &mut threaded {
            step(app, &actions);
            let (one, two) = (alone.world(), app.world());
            assert_eq!(
                one.resource::<StepResults>(),
                two.resource::<StepResults>(),
                "{t}"
            );
            let seen = one.resource::<Observations>();
            assert_eq!(seen, two.resource::<Observations>(), "{t}");
        }
        if t == 70 {
            let saved = gather(alone.world(), 0).unwrap();
            for app in &threaded {
                assert_eq!(gather(app.world(), 0).unwrap(), saved);
            }
            // What one number of threads saved, any other goes on from.
            threaded.push(acrobots(5, 2, Some(saved.clone())));
            let of_threads = gather(threaded[2].world(), 0).unwrap();
            alone = acrobots(5, 0, Some(of_threads));
        }
    }
    let finished = |app: &mut App| {
        let mut statistics = app.world_mut().query::<&EpisodeStatistics>();
        let episodes = statistics.iter(app.world()).map(|it| it.episodes);
        episodes.sum::<u64>()
    };
    assert!(finished(&mut alone) >= 15);
}

#[test]
fn environments_in_threads_tell_the_first_refusal_and_other_numbers_of_them() {
    let mut app = acrobots(4, 2, None);
    let saved = gather(app.world(), 0).unwrap();
    let mut fewer = acrobots(3, 2, None);
    let told = restore(fewer.world_mut(), &saved).unwrap_err().to_string();
    assert!(told.contains('4') && told.contains('3'), "{told}");

    // An entity's row says nothing else than the check of all actions does, so the environment itself is asked wrongly.
    app.world_mut().resource_mut::<Actions>().values = vec![1.0, 2.0, 0.0, 1.0];
    app.add_systems(
        Collect,
        (|mut agents: Query<(&EnvironmentRow, &mut Action)>| {
            for (agent, mut action) in &mut agents {
                action.0.set(&[agent.row as f32 + 2.0]);
            }
        })
        .after(EnvironmentSystems::ScatterActions)
        .before(EnvironmentSystems::Step),
    );
    app.world_mut().run_schedule(Collect);
    let failure = take_failure().unwrap();
    assert!(failure.message.contains("3 is not an action"), "{failure}");
}

#[test]
fn a_thread_that_is_gone_ends_the_run_with_the_environments_that_it_had() {
    struct Fragile(Box<dyn Environment>);
    impl Environment for Fragile {
        fn name(&self) -> &str {
            self.0.name()
        }
        fn observation_space(&self) -> &Space {
            self.0.observation_space()
        }
        fn action_space(&self) -> &Space {
            self.0.action_space()
        }
        fn reset(&mut self, seed: Option<u64>, seen: &mut [f32]) -> Result<(), EnvironmentError> {
            self.0.reset(seed, seen)
        }
        fn step(&mut self, action: &[f32], _: &mut [f32]) -> Result<StepResult, EnvironmentError> {
            panic!("this one breaks on purpose at {action:?}")
        }
        fn snapshot(&self) -> env::Snapshot {
            self.0.snapshot()
        }
        fn restore(&mut self, snapshot: &env::Snapshot) -> Result<(), EnvironmentError> {
            self.0.restore(snapshot)
        }
    }
    let mut app = App::new();
    let known = registry::specification("Pendulum-v1").unwrap();
    app.add_plugins((
        SchedulePlugin,
        FacilitatorPlugin,
        OwnEnvironments {
            observation: known.observation_space,
            action: known.action_space,
            num_envs: 4,
            ..OwnEnvironments::default()
        },
    ))
    .init_resource::<Metrics>();
    let made = (0..4).map(|row| -> Box<dyn Environment> {
        let environment = registry::make("Pendulum-v1").unwrap();
        match row {
            3 => Box::new(Fragile(environment)),
            _ => environment,
        }
    });
    workers::spawn(&mut app, made.collect(), 0, 2);
    begin(&mut app);
    for _ in 0..2 {
        app.world_mut().run_schedule(Collect);
        let failure = take_failure().unwrap();
        assert!(failure.message.contains("environments 2 to 3"), "{failure}");
    }
    assert!(gather(app.world(), 0).is_err());
}

#[test]
fn environments_behind_a_pointer_play_the_same() {
    let mut fast = app(Environments {
        time_limit: Some(50),
        ..settings("Acrobot-v1", 3)
    });
    let mut slow = acrobots(3, 0, None);
    let mut random = Random::<Exploration>::new(Seed(1));
    for t in 0..1_200 {
        let actions = draw(&mut random, &Space::Discrete { n: 3 }, 3);
        step(&mut fast, &actions);
        step(&mut slow, &actions);
        assert_eq!(
            fast.world().resource::<StepResults>(),
            slow.world().resource::<StepResults>(),
            "step {t}"
        );
        if t == 700 {
            let saved = gather(slow.world(), 0).unwrap();
            for _ in 0..3 {
                step(&mut slow, &[0.0, 0.0, 0.0]);
            }
            restore(slow.world_mut(), &saved).unwrap();
            let shown = fast.world().resource::<Observations>().clone();
            *slow.world_mut().resource_mut::<Observations>() = shown;
        }
    }
}

/// Three rows of an app's own world, which count up from what a restart sets.
fn frogs() -> App {
    frogs_from(None)
}

/// The same, going on from a checkpoint.
fn frogs_from(resume: Option<Snapshot>) -> App {
    let mut app = App::new();
    app.add_plugins((
        SchedulePlugin,
        FacilitatorPlugin,
        RestorePlugin,
        OwnEnvironments {
            num_envs: 3,
            ..OwnEnvironments::default()
        },
        NormalizeObservations {},
        DatasetRecorderPlugin,
    ))
    .init_resource::<Metrics>()
    .steps_environments(
        |mut frogs: Query<(&mut Observation, &mut Reward)>| {
            for (mut seen, mut reward) in &mut frogs {
                let next = seen.0[0] + 1.0;
                seen.0.set(&[next]);
                reward.0 = 1.0;
            }
        },
        |mut frogs: Query<(&Restart, &mut Observation)>| {
            for (_, mut seen) in frogs.iter_mut().filter(|(restart, _)| restart.0) {
                seen.0.set(&[10.0]);
            }
        },
    );
    for row in 0..3 {
        let seen = Observation(SmallVector::zeros(1));
        app.world_mut().spawn((EnvironmentRow { row }, seen));
    }
    if let Some(snapshot) = resume {
        app.insert_resource(ResumeFrom(snapshot));
    }
    begin(&mut app);
    app
}

fn frog_of(app: &mut App, row: usize) -> Entity {
    let mut all = app.world_mut().query::<(Entity, &EnvironmentRow)>();
    let mut all = all.iter(app.world());
    all.find(|(_, agent)| agent.row == row).unwrap().0
}

fn valid(app: &App) -> Vec<bool> {
    app.world().resource::<StepResults>().valid.clone()
}

#[test]
fn the_row_of_an_entity_that_is_gone_is_no_step_until_another_one_takes_it() {
    let mut app = frogs();
    step(&mut app, &[0.0; 3]);
    assert_eq!(valid(&app), [true; 3]);
    let gone = frog_of(&mut app, 1);
    app.world_mut().despawn(gone);
    for _ in 0..3 {
        step(&mut app, &[0.0; 3]);
        assert_eq!(valid(&app), [true, false, true]);
        assert_eq!(
            app.world().resource::<StepResults>().reward,
            [1.0, 0.0, 1.0]
        );
    }
    // What nobody sees is not measured: the row's last 11 counts once.
    let moments = &app.world().resource::<ObservationMoments>().0;
    let seen = [
        10.0, 10.0, 10.0, 11.0, 11.0, 11.0, 12.0, 12.0, 13.0, 13.0, 14.0, 14.0,
    ];
    let mean = seen.iter().sum::<f64>() / seen.len() as f64;
    assert!((moments.mean()[0] - mean).abs() < 1e-3, "{moments:?}");

    let seen = Observation(SmallVector::zeros(1));
    app.world_mut().spawn((EnvironmentRow { row: 1 }, seen));
    step(&mut app, &[0.0; 3]);
    assert_eq!(
        valid(&app),
        [true, false, true],
        "it only begins its episode"
    );
    assert_eq!(app.world().resource::<Observations>().row(1), [10.0]);
    step(&mut app, &[0.0; 3]);
    assert_eq!(valid(&app), [true; 3]);
    // The former's episode is not the newcomer's.
    let recorded = app.world().resource::<DatasetRecorder>().transitions();
    let recorded = recorded.unwrap();
    let mut lengths: Vec<usize> = recorded.episodes().iter().map(|it| it.rows.len()).collect();
    lengths.sort_unstable();
    assert_eq!(lengths, [1, 1, 6, 6]);
}

#[test]
fn a_world_that_was_saved_while_a_row_was_empty_goes_on_as_it_was() {
    let mut whole = frogs();
    step(&mut whole, &[0.0; 3]);
    let gone = frog_of(&mut whole, 1);
    whole.world_mut().despawn(gone);
    for _ in 0..2 {
        step(&mut whole, &[0.0; 3]);
    }
    let saved = gather(whole.world(), 0).unwrap();
    let mut resumed = frogs_from(Some(saved.clone()));
    assert_eq!(gather(resumed.world(), 0).unwrap(), saved);
    for t in 0..5 {
        if t == 3 {
            // Somebody takes the row in both.
            for app in [&mut whole, &mut resumed] {
                let seen = Observation(SmallVector::zeros(1));
                app.world_mut().spawn((EnvironmentRow { row: 1 }, seen));
            }
        }
        for app in [&mut whole, &mut resumed] {
            step(app, &[0.0; 3]);
            assert_eq!(valid(app), [true, t == 4, true], "{t}");
        }
        let (one, two) = (whole.world(), resumed.world());
        let of = |world: &World| {
            let steps = world.resource::<StepResults>();
            let observed = steps.observation.values.clone();
            (
                observed,
                steps.reward.clone(),
                world.resource::<Observations>().clone(),
            )
        };
        assert_eq!(of(one), of(two), "{t}");
        assert_eq!(gather(one, 0).unwrap(), gather(two, 0).unwrap(), "{t}");
    }
}

#[test]
fn an_entity_beyond_the_rows_or_of_a_row_that_is_taken_is_an_error_with_words() {
    for (row, words) in [
        (3, "there are 3 environments, rows 0 to 2"),
        (usize::MAX, "raise `num_envs`"),
        (1, "two entities have `EnvironmentRow { row: 1 }`"),
    ] {
        let mut app = frogs();
        step(&mut app, &[0.0; 3]);
        let seen = Observation(SmallVector::zeros(1));
        app.world_mut().spawn((EnvironmentRow { row }, seen));
        app.world_mut().run_schedule(Collect);
        let failure = take_failure().unwrap();
        assert!(failure.message.contains(words), "{failure}");
    }
}

#[test]
fn an_action_of_whole_numbers_is_learned_from_as_the_environment_got_it() {
    let mut app = App::new();
    app.add_plugins((
        SchedulePlugin,
        FacilitatorPlugin,
        OwnEnvironments {
            action: Space::from_bounds(&[(-2.0, 2.0)]),
            num_envs: 4,
            integer_actions: true,
            ..OwnEnvironments::default()
        },
        DatasetRecorderPlugin,
    ))
    .init_resource::<Metrics>();
    for row in 0..4 {
        let seen = Observation(SmallVector::zeros(1));
        app.world_mut().spawn((EnvironmentRow { row }, seen));
    }
    begin(&mut app);
    step(&mut app, &[0.2, 0.3, -0.9, 7.0]);
    let mut agents = app.world_mut().query::<&Action>();
    let got: Vec<f32> = agents.iter(app.world()).map(|it| it.0[0]).collect();
    assert_eq!(got, [0.0, 1.0, -2.0, 2.0]);
    let kept = &app.world().resource::<StepResults>().action.values;
    assert_eq!(kept[..], [0.0, 0.5, -1.0, 1.0]);
    // What is recorded of it says so to whoever learns from it alone.
    let recorded = app.world().resource::<DatasetRecorder>();
    let recorded = recorded.transitions().unwrap();
    assert_eq!(recorded.action().values, [0.0, 1.0, -2.0, 2.0]);
    assert!(recorded.has_whole_actions());
}

#[test]
fn an_own_world_without_bounds_says_which_element_it_is_before_it_begins() {
    use crate::schedule::ScheduleErrors;
    let mut app = App::new();
    app.add_plugins((
        SchedulePlugin,
        FacilitatorPlugin,
        OwnEnvironments {
            name: "Frogs".to_owned(),
            action: Space::from_bounds(&[(0.0, 1.0), (0.0, f32::INFINITY)]),
            ..OwnEnvironments::default()
        },
    ));
    app.finish();
    let errors = &app.world().resource::<ScheduleErrors>().0;
    let said = errors[0].to_string();
    assert!(
        said.contains("Frogs: action element 1 ranges from 0 to inf"),
        "{said}"
    );
    assert!(said.contains("[(0.0, 1.0)]"), "{said}");
}
