//! The planar walkers against episodes that Gymnasium 1.4 played with MuJoCo 4.0.0 (`fixtures/gymnasium/make_mujoco.py`).
//!
//! States, observations, rewards and ends must be equal to the bit where the library is the one that they were recorded with, on
//! x86-64 Linux with glibc. Without the library, or with another version, the tests that need it say so and pass: set
//! `MUJOCO_LIB` or `YARAK_PYTHON` to run them.

#![cfg(feature = "mujoco")]

use std::path::Path;

use safetensors::SafeTensors;
use yarak::env::mujoco::{self, Version};
use yarak::env::registry::{self, Engine};
use yarak::env::{Environment, EnvironmentError, Snapshot};

fn names() -> Vec<&'static str> {
    let names = registry::names()
        .filter(|name| registry::specification(name).unwrap().engine == Engine::Mujoco);
    names.collect()
}

/// Whether there is a library at all.
fn library() -> Option<Version> {
    match mujoco::version() {
        Ok(version) => Some(version),
        Err(error) => {
            eprintln!("skipped: {error}");
            None
        }
    }
}

struct Episode {
    place: String,
    seed: Option<u64>,
    /// Of every so many steps, and of the last.
    states: Vec<Vec<f64>>,
    observations: Vec<Vec<f32>>,
    actions: Vec<Vec<f32>>,
    rewards: Vec<f64>,
    terminated: Vec<bool>,
    truncated: Vec<bool>,
}

fn fixture() -> Vec<u8> {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/gymnasium/mujoco.safetensors");
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn metadata(key: &str) -> String {
    let bytes = fixture();
    let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
    metadata.metadata().as_ref().unwrap()[key].clone()
}

/// Whether this is the library that the episodes were recorded with, on the same kind of machine.
fn same_library() -> bool {
    let recorded = metadata("mujoco");
    let same_machine = cfg!(all(
        target_os = "linux",
        target_env = "gnu",
        target_arch = "x86_64"
    ));
    match library() {
        Some(version) if version.to_string() == recorded && same_machine => true,
        Some(version) => {
            eprintln!(
                "skipped: recorded with MuJoCo {recorded} on x86-64 Linux; this is {version}"
            );
            false
        }
        None => false,
    }
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

fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|value| value.to_bits()).collect()
}

fn single_bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// A snapshot's state is the library's version, the time, positions and velocities, and what the solver keeps.
fn positions_and_velocities(snapshot: &Snapshot, count: usize) -> &[f64] {
    &snapshot.state[2..2 + count]
}

#[test]
fn seeded_episodes_equal_gymnasiums_to_the_last_bit() {
    if !same_library() {
        return;
    }
    let every: usize = metadata("every").parse().unwrap();
    for name in names() {
        let mut environment = registry::make(name).unwrap();
        let mut observation = vec![0.0; environment.observation_space().size()];
        let episodes = episodes(name);
        assert_eq!(episodes.len(), 6, "{name}");
        for episode in episodes {
            environment.reset(episode.seed, &mut observation).unwrap();
            let mut kept = 0;
            let mut compare = |environment: &dyn Environment, observation: &[f32], t: usize| {
                let last = t == episode.actions.len();
                if !t.is_multiple_of(every) && !last {
                    return;
                }
                let place = format!("{} step {t}", episode.place);
                let expected = &episode.states[kept];
                let snapshot = environment.snapshot();
                let state = positions_and_velocities(&snapshot, expected.len());
                assert_eq!(bits(state), bits(expected), "{place}");
                let expected = &episode.observations[kept];
                assert_eq!(single_bits(observation), single_bits(expected), "{place}");
                kept += 1;
            };
            compare(&*environment, &observation, 0);
            for (t, action) in episode.actions.iter().enumerate() {
                let outcome = environment.step(action, &mut observation).unwrap();
                let place = format!("{} step {t}", episode.place);
                let (found, expected) = (outcome.reward, episode.rewards[t]);
                assert_eq!(found.to_bits(), expected.to_bits(), "{place}: {found:e}");
                assert_eq!(outcome.terminated, episode.terminated[t], "{place}");
                assert_eq!(outcome.truncated, episode.truncated[t], "{place}");
                compare(&*environment, &observation, t + 1);
            }
            assert_eq!(kept, episode.states.len());
        }
    }
}

#[test]
fn recordings_meet_both_ends_and_both_kinds_of_reset() {
    for name in names() {
        let episodes = episodes(name);
        let ends = |ended: fn(&Episode) -> &Vec<bool>| {
            let mut flags = episodes.iter().flat_map(|episode| ended(episode).iter());
            flags.any(|flag| *flag)
        };
        let falls = name != "HalfCheetah-v5";
        assert_eq!(ends(|episode| &episode.terminated), falls, "{name}");
        assert_eq!(ends(|episode| &episode.truncated), !falls, "{name}");
        assert!(episodes.iter().any(|episode| episode.seed.is_none()));
        let beyond = |episode: &Episode| episode.actions.iter().flatten().any(|it| it.abs() > 1.0);
        assert!(episodes.iter().any(beyond), "{name}");
    }
}

#[test]
fn restored_twin_goes_on_to_the_bit_through_later_episodes() {
    if library().is_none() {
        return;
    }
    for name in names() {
        let mut one = registry::make(name).unwrap();
        let mut twin = registry::make(name).unwrap();
        let mut seen = vec![0.0; one.observation_space().size()];
        let mut twin_seen = seen.clone();
        let width = one.action_space().size();
        one.reset(Some(3), &mut seen).unwrap();
        let mut ended = 0;
        for t in 0..400_u32 {
            if t % 5 == 2 {
                let text = serde_json::to_string(&one.snapshot()).unwrap();
                // Whatever the twin did in between is forgotten.
                twin.reset(Some(u64::from(t)), &mut twin_seen).unwrap();
                twin.step(&vec![1.0; width], &mut twin_seen).unwrap();
                twin.restore(&serde_json::from_str(&text).unwrap()).unwrap();
            }
            let action: Vec<f32> = (0..width as u32)
                .map(|motor| ((t * 7 + motor * 3) % 11) as f32 / 5.0 - 1.0)
                .collect();
            let outcome = one.step(&action, &mut seen).unwrap();
            if t >= 2 {
                assert_eq!(twin.step(&action, &mut twin_seen).unwrap(), outcome);
                assert_eq!(single_bits(&twin_seen), single_bits(&seen), "{name} {t}");
            }
            if outcome.ended() {
                ended += 1;
                one.reset(None, &mut seen).unwrap();
                if t >= 2 {
                    twin.reset(None, &mut twin_seen).unwrap();
                }
            }
            if t >= 2 {
                assert_eq!(one.snapshot(), twin.snapshot(), "{name} {t}");
            }
        }
        assert!(ended > 3 || name == "HalfCheetah-v5", "{name}: {ended}");
    }
}

#[test]
fn refused_calls_and_snapshots_leave_a_walker_as_it_was() {
    let Some(version) = library() else {
        return;
    };
    let mut hopper = registry::make("Hopper-v5").unwrap();
    let mut seen = [0.0; 11];
    assert!(matches!(
        hopper.step(&[0.0; 3], &mut seen),
        Err(EnvironmentError::NotReset { .. })
    ));
    assert!(matches!(
        hopper.reset(None, &mut seen),
        Err(EnvironmentError::Unseeded { .. })
    ));
    hopper.reset(Some(0), &mut seen).unwrap();
    hopper.step(&[0.5, -0.5, 0.1], &mut seen).unwrap();
    let before = (hopper.snapshot(), seen);
    assert!(hopper.step(&[0.0, f32::NAN, 0.0], &mut seen).is_err());
    assert!(hopper.step(&[0.0; 2], &mut seen).is_err());
    assert!(hopper.step(&[0.0; 3], &mut [0.0; 10]).is_err());
    assert!(hopper.reset(Some(1), &mut [0.0; 12]).is_err());
    let mut refused = |change: &dyn Fn(&mut Snapshot)| {
        let mut snapshot = before.0.clone();
        change(&mut snapshot);
        hopper.restore(&snapshot).unwrap_err().to_string()
    };
    let other = refused(&|snapshot| snapshot.environment = "Walker2d-v5".to_owned());
    assert!(other.contains("taken from `Walker2d-v5`"), "{other}");
    let longer = refused(&|snapshot| snapshot.state.push(0.0));
    assert!(longer.contains("24 numbers and not 23"), "{longer}");
    let damaged = refused(&|snapshot| snapshot.state[5] = f64::NAN);
    assert!(damaged.contains("NaN"), "{damaged}");
    let older = refused(&|snapshot| snapshot.state[0] = 3_001_004.0);
    assert!(
        older.contains("with MuJoCo 3.1.4") && older.contains(&format!("this is {version}")),
        "{older}"
    );
    assert_eq!((hopper.snapshot(), seen), before);
}

#[test]
fn a_fall_ends_the_episode_until_the_next_reset() {
    if library().is_none() {
        return;
    }
    let mut hopper = registry::make("Hopper-v5").unwrap();
    let mut seen = [0.0; 11];
    hopper.reset(Some(0), &mut seen).unwrap();
    while !hopper.step(&[1.0; 3], &mut seen).unwrap().terminated {}
    assert!(matches!(
        hopper.step(&[1.0; 3], &mut seen),
        Err(EnvironmentError::EpisodeOver { .. })
    ));
    hopper.reset(None, &mut seen).unwrap();
    hopper.step(&[1.0; 3], &mut seen).unwrap();
}

#[test]
fn walkers_move_the_same_in_any_thread() {
    if library().is_none() {
        return;
    }
    let play = |seed: u64| {
        let mut walker = registry::make("Walker2d-v5").unwrap();
        let mut seen = [0.0; 17];
        walker.reset(Some(seed), &mut seen).unwrap();
        for t in 0..500_u32 {
            let action = [(t % 5) as f32 / 2.0 - 1.0; 6];
            if walker.step(&action, &mut seen).unwrap().ended() {
                walker.reset(None, &mut seen).unwrap();
            }
        }
        walker.snapshot()
    };
    let alone: Vec<Snapshot> = (0..4).map(play).collect();
    let together: Vec<Snapshot> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|seed| scope.spawn(move || play(seed))).collect();
        threads.into_iter().map(|it| it.join().unwrap()).collect()
    });
    assert_eq!(alone, together);
}
