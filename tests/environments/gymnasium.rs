//! The classic control environments against episodes that Gymnasium 1.4 played (`fixtures/gymnasium/make.py`).
//!
//! On Linux with glibc on x86-64, where they were recorded, states, observations, rewards and ends must be equal to the bit: NumPy
//! and Rust's standard library both take `sin`, `cos` and `pow` from the C library there. Other C libraries may answer with a
//! neighboring number. A single step then differs by a rounding, but a free-running episode does not stay close (Acrobot
//! is chaotic, and a pendulum near the top doubles a difference every four steps), so there each recorded state is stepped
//! forward once, to a tolerance, and free-running episodes are compared over their first steps only.

use std::path::Path;

use safetensors::SafeTensors;
use yarak::env::{Environment, Snapshot, registry};

const SAME_C_LIBRARY: bool = cfg!(all(
    target_os = "linux",
    target_env = "gnu",
    target_arch = "x86_64"
));

/// Steps of a free-running episode that another C library must agree on, to [`DRIFT`].
const CLOSE_STEPS: usize = 25;
const DRIFT: f64 = 1e-4;

struct Episode {
    place: String,
    seed: Option<u64>,
    states: Vec<Vec<f64>>,
    observations: Vec<Vec<f32>>,
    actions: Vec<Vec<f32>>,
    rewards: Vec<f64>,
    terminated: Vec<bool>,
    truncated: Vec<bool>,
}

fn fixture() -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/gymnasium/classic_control.safetensors");
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The rows of a tensor; a vector has rows of one.
fn rows<T: Copy, const BYTES: usize>(
    tensors: &SafeTensors<'_>,
    name: &str,
    read: fn([u8; BYTES]) -> T,
) -> Vec<Vec<T>> {
    let view = tensors.tensor(name).unwrap();
    let width: usize = view.shape()[1..].iter().product();
    let values: Vec<T> = view
        .data()
        .chunks_exact(BYTES)
        .map(|bytes| read(bytes.try_into().unwrap()))
        .collect();
    assert_eq!(values.len(), width * view.shape()[0], "{name}");
    values.chunks(width).map(<[T]>::to_vec).collect()
}

fn episodes(environment: &str) -> Vec<Episode> {
    let bytes = fixture();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    (0..)
        .map(|index| format!("{environment}/{index}"))
        .take_while(|place| tensors.tensor(&format!("{place}/states")).is_ok())
        .map(|place| {
            let at = |what: &str| format!("{place}/{what}");
            let flags = |what: &str| -> Vec<bool> {
                let flags = rows(&tensors, &at(what), |[byte]: [u8; 1]| byte != 0);
                flags.concat()
            };
            Episode {
                seed: tensors
                    .tensor(&at("seed"))
                    .ok()
                    .map(|_| rows(&tensors, &at("seed"), u64::from_le_bytes)[0][0]),
                states: rows(&tensors, &at("states"), f64::from_le_bytes),
                observations: rows(&tensors, &at("observations"), f32::from_le_bytes),
                actions: rows(&tensors, &at("actions"), f32::from_le_bytes),
                rewards: rows(&tensors, &at("rewards"), f64::from_le_bytes).concat(),
                terminated: flags("terminated"),
                truncated: flags("truncated"),
                place,
            }
        })
        .collect()
}

/// Equal to the bit, or within the tolerance where the C library is another one.
fn assert_equal(found: f64, expected: f64, tolerance: f64, place: &str) {
    if SAME_C_LIBRARY {
        assert_eq!(
            found.to_bits(),
            expected.to_bits(),
            "{place}: {found:e} and not {expected:e}"
        );
    } else {
        assert!(
            (found - expected).abs() <= tolerance * expected.abs().max(1.0),
            "{place}: {found:e} and not {expected:e}"
        );
    }
}

fn assert_all_equal(found: &[f64], expected: &[f64], tolerance: f64, place: &str) {
    assert_eq!(found.len(), expected.len(), "{place}");
    for (found, expected) in found.iter().zip(expected) {
        assert_equal(*found, *expected, tolerance, place);
    }
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|value| f64::from(*value)).collect()
}

fn new_observation(environment: &dyn Environment) -> Vec<f32> {
    vec![0.0; environment.observation_space().size()]
}

#[test]
fn seeded_episodes_run_freely_as_in_gymnasium() {
    for name in registry::built_in_names() {
        let mut environment = registry::make(name).unwrap();
        let mut observation = new_observation(&*environment);
        for episode in episodes(name) {
            environment.reset(episode.seed, &mut observation).unwrap();
            let state = environment.snapshot().state;
            let place = format!("{} reset", episode.place);
            assert_all_equal(&state, &episode.states[0], 0.0, &place);
            let first = wide(&episode.observations[0]);
            assert_all_equal(&wide(&observation), &first, 1e-6, &place);

            let length = episode.actions.len();
            let compared = if SAME_C_LIBRARY {
                length
            } else {
                length.min(CLOSE_STEPS)
            };
            for t in 0..compared {
                let outcome = environment
                    .step(&episode.actions[t], &mut observation)
                    .unwrap();
                let place = format!("{} step {t}", episode.place);
                let state = environment.snapshot().state;
                assert_all_equal(&state, &episode.states[t + 1], DRIFT, &place);
                let expected = wide(&episode.observations[t + 1]);
                assert_all_equal(&wide(&observation), &expected, DRIFT, &place);
                assert_equal(outcome.reward, episode.rewards[t], DRIFT, &place);
                assert_eq!(outcome.terminated, episode.terminated[t], "{place}");
                assert_eq!(outcome.truncated, episode.truncated[t], "{place}");
            }
        }
    }
}

#[test]
fn every_recorded_state_steps_to_the_next_one() {
    for name in registry::built_in_names() {
        // A rounding of the state's own precision, which is single for this one.
        let tolerance = match name {
            "MountainCarContinuous-v0" => 2.0 * f64::from(f32::EPSILON),
            _ => 1e-12,
        };
        let mut environment = registry::make(name).unwrap();
        let mut observation = new_observation(&*environment);
        for episode in episodes(name) {
            for t in 0..episode.actions.len() {
                let before = Snapshot {
                    environment: name.to_owned(),
                    generator: None,
                    state: episode.states[t].clone(),
                    steps: t as u64,
                    over: false,
                };
                environment.restore(&before).unwrap();
                let outcome = environment
                    .step(&episode.actions[t], &mut observation)
                    .unwrap();
                let place = format!("{} step {t}", episode.place);
                let state = environment.snapshot().state;
                assert_all_equal(&state, &episode.states[t + 1], tolerance, &place);
                let expected = wide(&episode.observations[t + 1]);
                assert_all_equal(&wide(&observation), &expected, 1e-6, &place);
                assert_equal(outcome.reward, episode.rewards[t], 1e-12, &place);
                assert_eq!(outcome.terminated, episode.terminated[t], "{place}");
                assert_eq!(outcome.truncated, episode.truncated[t], "{place}");
            }
        }
    }
}

#[test]
fn recordings_meet_every_end_and_every_kind_of_reset() {
    for name in registry::built_in_names() {
        let limit = registry::specification(name).unwrap().time_limit.get();
        let episodes = episodes(name);
        assert!(episodes.len() >= 5, "{name}");
        assert!(episodes.iter().any(|episode| episode.seed.is_none()));
        assert!(
            episodes
                .iter()
                .any(|episode| episode.seed > Some(u32::MAX.into()))
        );
        for episode in &episodes {
            let ends = |flags: &[bool]| flags.iter().filter(|flag| **flag).count();
            assert_eq!(
                ends(&episode.truncated) == 1,
                episode.actions.len() as u64 == limit,
                "{}",
                episode.place
            );
            assert!(ends(&episode.terminated) <= 1);
        }
        assert!(
            episodes
                .iter()
                .any(|episode| episode.truncated.ends_with(&[true]))
        );
        assert_eq!(
            episodes
                .iter()
                .any(|episode| episode.terminated.ends_with(&[true])),
            name != "Pendulum-v1"
        );
    }
}

#[test]
fn restored_environment_finishes_the_episode_and_starts_the_same_next_one() {
    for name in registry::built_in_names() {
        let episode = &episodes(name)[0];
        let mut environment = registry::make(name).unwrap();
        let mut observation = new_observation(&*environment);
        environment.reset(episode.seed, &mut observation).unwrap();
        let middle = episode.actions.len() / 2;
        for action in &episode.actions[..middle] {
            environment.step(action, &mut observation).unwrap();
        }
        let text = serde_json::to_string(&environment.snapshot()).unwrap();

        let mut twin = registry::make(name).unwrap();
        let mut twin_observation = observation.clone();
        twin.restore(&serde_json::from_str(&text).unwrap()).unwrap();
        for action in &episode.actions[middle..] {
            let outcome = environment.step(action, &mut observation).unwrap();
            assert_eq!(twin.step(action, &mut twin_observation).unwrap(), outcome);
            assert_eq!(twin_observation, observation);
            if outcome.ended() {
                break;
            }
        }
        environment.reset(None, &mut observation).unwrap();
        twin.reset(None, &mut twin_observation).unwrap();
        assert_eq!(twin.snapshot(), environment.snapshot());
        assert_eq!(twin_observation, observation);
    }
}
