//! Environments as entities against Gymnasium's vector environments in both autoreset modes (`fixtures/gymnasium/make_vector.py`).
//!
//! To the bit where the C library is the one that they were recorded with; see `gymnasium.rs` for other machines.

use std::path::Path;

use safetensors::SafeTensors;
use yarak::checkpoint::{ResumeFrom, gather};
use yarak::collect::{
    Actions, Autoreset, FinishedEpisodes, NormalizeObservations, NormalizeReturns, Observations,
};
use yarak::collect::{ObservationMoments, StepResults};
use yarak::prelude::*;
use yarak::schedule::take_failure;

const ROWS: usize = 3;

fn fixture() -> Vec<u8> {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/gymnasium/vector.safetensors");
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn values<T, const BYTES: usize>(
    tensors: &SafeTensors<'_>,
    name: &str,
    read: fn([u8; BYTES]) -> T,
) -> Vec<T> {
    let view = tensors.tensor(name).unwrap();
    let chunks = view.data().chunks_exact(BYTES);
    chunks
        .map(|bytes| read(bytes.try_into().unwrap()))
        .collect()
}

fn app(name: &str, autoreset: Autoreset) -> App {
    let mut app = App::new();
    app.add_plugins((
        YarakPlugins,
        Environments {
            env: name.to_owned(),
            num_envs: ROWS,
            seed: 5,
            autoreset,
            time_limit: Some(12),
            rescale_actions: false,
            clip_actions: false,
            ..default()
        },
    ));
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

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

const NAMES: [&str; 5] = [
    "Acrobot-v1",
    "CartPole-v1",
    "MountainCar-v0",
    "MountainCarContinuous-v0",
    "Pendulum-v1",
];

#[test]
#[cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64"))]
fn entities_play_gymnasiums_vector_environments_to_the_bit() {
    let bytes = fixture();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    for name in NAMES {
        for (mode, autoreset) in [
            ("same_step", Autoreset::SameStep),
            ("next_step", Autoreset::NextStep),
        ] {
            let at = |what: &str| format!("{name}/{mode}/{what}");
            let singles = |what: &str| values(&tensors, &at(what), f32::from_le_bytes);
            let flags = |what: &str| values(&tensors, &at(what), |[byte]: [u8; 1]| byte != 0);
            let (actions, shown) = (singles("actions"), singles("observations"));
            let last = singles("final_observations");
            let rewards = values(&tensors, &at("rewards"), f64::from_le_bytes);
            let (terminated, truncated) = (flags("terminated"), flags("truncated"));
            let mut app = app(name, autoreset);
            begin(&mut app);
            let steps = rewards.len() / ROWS;
            let action = actions.len() / steps;
            let width = last.len() / steps;
            let (mut ends, mut before) = (0, [false; ROWS]);
            for t in 0..steps {
                let place = format!("{name}, {mode}, step {t}");
                let world = app.world();
                let seen = &world.resource::<Observations>().values;
                let of = |all: &[f32], t: usize| bits(&all[t * width..(t + 1) * width]);
                assert_eq!(bits(seen), of(&shown, t), "{place}");
                step(&mut app, &actions[t * action..(t + 1) * action]);
                let kept = app.world().resource::<StepResults>();
                let rows = t * ROWS..(t + 1) * ROWS;
                assert_eq!(kept.terminated, terminated[rows.clone()], "{place}");
                assert_eq!(kept.truncated, truncated[rows.clone()], "{place}");
                let raw: Vec<f32> = rewards[rows].iter().map(|it| *it as f32).collect();
                assert_eq!(bits(&kept.reward), bits(&raw), "{place}");
                for row in 0..ROWS {
                    // The step after an end only restarts in one of the modes, and does nothing else.
                    let valid = !(autoreset == Autoreset::NextStep && before[row]);
                    assert_eq!(kept.valid[row], valid, "{place}");
                    let one = width / ROWS;
                    let expected = &last[t * width + row * one..t * width + (row + 1) * one];
                    if valid {
                        assert_eq!(
                            bits(kept.next_observation.row(row)),
                            bits(expected),
                            "{place}"
                        );
                    }
                    before[row] = kept.ended(row);
                    ends += usize::from(kept.ended(row));
                }
            }
            assert!(ends >= 2 * ROWS, "{name} {ends}");
            if name == "CartPole-v1" {
                assert!(terminated.contains(&true) && truncated.contains(&true));
            }
        }
    }
}

#[test]
fn running_moments_of_observations_are_gymnasiums_and_reach_the_policy() {
    let bytes = fixture();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    for name in NAMES {
        let at = |what: &str| format!("{name}/next_step/{what}");
        let actions = values(&tensors, &at("actions"), f32::from_le_bytes);
        let mean = values(&tensors, &at("observation_mean"), f64::from_le_bytes);
        let variance = values(&tensors, &at("observation_var"), f64::from_le_bytes);
        let mut app = app(name, Autoreset::NextStep);
        app.add_plugins(NormalizeObservations {});
        begin(&mut app);
        for actions in actions.chunks(actions.len() / 40) {
            step(&mut app, actions);
        }
        let world = app.world();
        let moments = &world.resource::<ObservationMoments>().0;
        let close = |found: &[f64], expected: &[f64]| {
            assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(expected) {
                assert!(
                    (found - expected).abs() < 1e-6 * (1.0 + expected.abs()),
                    "{name}"
                );
            }
        };
        close(moments.mean(), &mean);
        close(moments.variance(), &variance);
        // Saved and restored with the run, and what networks see is centered by it.
        let saved = gather(world, 1).unwrap();
        let shown = world.resource::<Preprocessing>().observation.clone();
        for (found, expected) in shown.mean.iter().zip(&mean) {
            assert!((f64::from(*found) - expected).abs() < 1e-5, "{name}");
        }
        let mut other = self::app(name, Autoreset::NextStep);
        other
            .add_plugins(NormalizeObservations {})
            .insert_resource(ResumeFrom(saved.clone()));
        begin(&mut other);
        assert_eq!(gather(other.world(), 1).unwrap(), saved);
        assert_eq!(other.world().resource::<Preprocessing>().observation, shown);
    }
}

#[test]
fn rewards_are_scaled_by_the_returns_as_gymnasium_scales_them_and_scores_stay_raw() {
    let bytes = fixture();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    // Where a task never terminates: see the plugin's page for the one difference.
    let at = |what: &str| format!("Pendulum-v1/same_step/{what}");
    let actions = values(&tensors, &at("actions"), f32::from_le_bytes);
    let scaled = values(&tensors, &at("scaled_rewards"), f64::from_le_bytes);
    let raw = values(&tensors, &at("rewards"), f64::from_le_bytes);
    let mut app = app("Pendulum-v1", Autoreset::SameStep);
    app.add_plugins(NormalizeReturns::default());
    begin(&mut app);
    let mut sums = [0.0; ROWS];
    let mut finished = 0;
    for (t, actions) in actions.chunks(ROWS).enumerate() {
        step(&mut app, actions);
        let world = app.world();
        for row in 0..ROWS {
            let found = f64::from(world.resource::<StepResults>().reward[row]);
            let expected = scaled[t * ROWS + row];
            // Gymnasium keeps the returns in single precision.
            assert!(
                (found - expected).abs() < 1e-5 * (1.0 + expected.abs()),
                "step {t}"
            );
            sums[row] += raw[t * ROWS + row];
        }
        for episode in &world.resource::<FinishedEpisodes>().0 {
            let sum = std::mem::take(&mut sums[episode.row]);
            assert!((episode.total_reward - sum).abs() < 1e-9);
            finished += 1;
        }
    }
    assert_eq!(finished, 3 * ROWS);
}
