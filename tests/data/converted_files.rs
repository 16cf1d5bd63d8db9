//! What the tools that people have read of converted files: robomimic's own dataset (tests/python/read_with_robomimic.py), Minari's
//! loader (read_with_minari.py) and h5py, where `YARAK_PYTHON` names a Python with these tools.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use yarak::data::convert::{Target, write};
use yarak::data::{
    Column, DatasetFile, Episode, EpisodeEnd, ObservationColumn, Parts, Reading, Transitions,
    Windows,
};

use crate::converting::{converted, fixture, open, read};

/// As `bits` in tests/python/read_converted.py.
fn bits(values: &[f32]) -> String {
    let sum = values.iter().zip(1u64..).fold(0u64, |sum, (value, place)| {
        sum.wrapping_add(u64::from(value.to_bits()).wrapping_mul(place))
    });
    sum.to_string()
}

/// Runs a script of tests/python on a file; `None`, said aloud, where its tool is not there.
fn python(script: &str, tool: &str, arguments: &[&OsStr]) -> Option<Value> {
    let Some(python) = std::env::var_os("YARAK_PYTHON") else {
        eprintln!("skipped: set YARAK_PYTHON to a Python that has {tool}");
        return None;
    };
    let import = format!("import {tool}");
    let has = Command::new(&python)
        .args(["-c", &import])
        .output()
        .unwrap();
    if !has.status.success() {
        eprintln!("skipped: {python:?} (YARAK_PYTHON) does not import `{tool}`");
        return None;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/python")
        .join(script);
    let output = Command::new(&python)
        .arg(script)
        .args(arguments)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

#[test]
fn every_item_of_robomimics_own_dataset_is_our_window_to_the_last_bit() {
    let folder = tempfile::tempdir().unwrap();
    let windows = Windows {
        frames: 2,
        sequence: 3,
        ..Windows::default()
    };
    let with_states = |source: &str| source.contains("robomimic");
    let mut files = Vec::new();
    let mut arguments: Vec<OsString> = Vec::new();
    for (index, (source, filter)) in [
        ("d4rl/contiguous.hdf5", None),
        ("layouts/minari/box", None),
        ("layouts/minari/nested", None),
        ("layouts/robomimic/plain.hdf5", None),
        ("layouts/robomimic/plain.hdf5", Some("train")),
        ("layouts/robomimic/plain.hdf5", Some("valid")),
        ("layouts/robomimic/without_next.hdf5", None),
    ]
    .into_iter()
    .enumerate()
    {
        let out = folder.path().join(format!("{index}.hdf5"));
        converted(&fixture(source), &out, Target::Robomimic);
        let reading = Reading {
            filter: filter.map(str::to_owned),
            ..Reading::default()
        };
        let dataset_file = DatasetFile::open(&out, &reading).unwrap();
        let keys = dataset_file
            .observation()
            .iter()
            .map(|key| key.name.as_str());
        let keys = keys.collect::<Vec<_>>().join(",");
        let columns = if with_states(source) {
            "actions,rewards,dones,states"
        } else {
            "actions,rewards,dones"
        };
        arguments.extend([
            out.into(),
            keys.into(),
            columns.into(),
            filter.unwrap_or("").into(),
        ]);
        files.push((source, filter, dataset_file));
    }
    let arguments: Vec<&OsStr> = arguments.iter().map(OsString::as_os_str).collect();
    let Some(read) = python("read_with_robomimic.py", "robomimic", &arguments) else {
        return;
    };
    assert_eq!(read.as_array().unwrap().len(), files.len());
    for ((source, filter, dataset_file), read) in files.iter().zip(read.as_array().unwrap()) {
        let transitions = dataset_file.read().unwrap();
        let states = with_states(source).then(|| dataset_file.read_column("states").unwrap());
        let steps = windows.steps(&transitions);
        assert_eq!(read.as_array().unwrap().len(), steps.len(), "{source}");
        for (item, step) in read.as_array().unwrap().iter().zip(steps) {
            let window = windows.at(&transitions, step);
            let gather = |column: &ObservationColumn| {
                let rows = window.rows.iter();
                bits(
                    &rows
                        .flat_map(|row| column.row(*row).into_owned())
                        .collect::<Vec<_>>(),
                )
            };
            let each = |value: &dyn Fn(usize) -> f32| {
                bits(
                    &window
                        .rows
                        .iter()
                        .map(|row| value(*row))
                        .collect::<Vec<_>>(),
                )
            };
            let mask: Vec<f32> = window
                .mask
                .iter()
                .map(|own| f32::from(u8::from(*own)))
                .collect();
            let mut expected = json!({
                "obs": gather(transitions.observation()),
                "next_obs": gather(transitions.next_observation()),
                "actions": gather(&transitions.action().clone().into()),
                "rewards": each(&|row| transitions.reward()[row]),
                "dones": each(&|row| f32::from(u8::from(transitions.terminated()[row]))),
                "pad_mask": bits(&mask),
            });
            if let Some(states) = &states {
                expected["states"] = gather(&states.clone().into()).into();
            }
            assert_eq!(*item, expected, "{source}, {filter:?}, step {step}");
        }
    }
}

#[test]
fn minaris_own_loader_reads_discrete_actions_infos_and_metadata() {
    let folder = tempfile::tempdir().unwrap();
    for (index, (source, column)) in [
        ("d4rl/contiguous.hdf5", Some("qpos")),
        ("layouts/minari/discrete", Some("speed")),
        ("layouts/minari/box", Some("speed")),
        ("layouts/d3rlpy/discrete.h5", None),
    ]
    .into_iter()
    .enumerate()
    {
        let out = folder.path().join(format!("made-{index}-v0"));
        let source_of = fixture(source);
        let done = converted(&source_of, &out, Target::Minari);
        let Some(read) = python("read_with_minari.py", "minari", &[out.as_os_str()]) else {
            return;
        };
        let dataset_file = open(&source_of);
        let transitions = dataset_file.read().unwrap();
        let first = dataset_file
            .discrete_actions()
            .map_or(0.0, |discrete_actions| discrete_actions.first as f32);
        let actions: Vec<f32> = transitions
            .action()
            .values
            .iter()
            .map(|a| a + first)
            .collect();
        let space = match transitions.discrete_actions() {
            Some(count) => format!("Discrete {count} {first}"),
            None => "Box".to_owned(),
        };
        assert_eq!(read["actions"], bits(&actions), "{source}");
        assert_eq!(read["action_space"], space, "{source}");
        assert_eq!(read["steps"], transitions.len(), "{source}");
        let infos = match column {
            Some(name) => {
                let column = open(&source_of)
                    .read_column(&format!("infos/{name}"))
                    .unwrap();
                json!({ name: bits(&column.values) })
            }
            None => json!({}),
        };
        assert_eq!(read["infos"], infos, "{source}: {done}");
        assert_eq!(read["environment"], json!(dataset_file.environment()));
        let algorithm = if source.starts_with("d4rl") {
            json!("SAC")
        } else {
            Value::Null
        };
        assert_eq!(read["algorithm_name"], algorithm);
    }
}

/// As many episodes, of one row and two in turn.
fn short_episodes(count: usize) -> Transitions {
    let mut episodes = Vec::new();
    let mut start = 0;
    for index in 0..count {
        let end = start + 1 + index % 2;
        let how = [EpisodeEnd::Terminated, EpisodeEnd::Truncated][index % 2];
        episodes.push(Episode {
            rows: start..end,
            end: how,
        });
        start = end;
    }
    let column = |scale: f32| Column {
        values: (0..start).map(|row| row as f32 * scale).collect(),
        width: 1,
    };
    let mut terminated = vec![false; start];
    for episode in &episodes {
        terminated[episode.rows.end - 1] = episode.end == EpisodeEnd::Terminated;
    }
    Transitions::new(Parts {
        observation: column(0.5).into(),
        action: column(-0.25),
        reward: column(3.0).values,
        next_observation: Column {
            values: (1..=start).map(|row| row as f32 * 0.5).collect(),
            width: 1,
        }
        .into(),
        terminated,
        episodes,
    })
    .unwrap()
}

/// HDF5 keeps the names of a group in tables of 8, and 32 tables in one node of a tree: these numbers of episodes are at the edges
/// of one table, of one node, and of a node of nodes.
#[test]
fn any_number_of_episodes_is_found_again_by_us_and_by_h5py() {
    let folder = tempfile::tempdir().unwrap();
    for count in [1, 7, 8, 9, 255, 256, 257, 1030] {
        let data = short_episodes(count);
        for (target, name) in [(Target::Robomimic, "robomimic"), (Target::Minari, "minari")] {
            let out = folder.path().join(format!("{name}-{count}-v0"));
            write(&data, &out, target, None, false).unwrap();
            let back = read(&out);
            assert!(
                back.into_parts() == data.clone().into_parts(),
                "{name}, {count}"
            );
            if target == Target::Robomimic {
                let arguments = ["robomimic".as_ref(), out.as_os_str()];
                let Some(found) = python("read_converted.py", "h5py", &arguments) else {
                    continue;
                };
                let lengths: Vec<usize> = data.episodes().iter().map(|e| e.rows.len()).collect();
                assert_eq!(found["lengths"], json!(lengths));
                assert_eq!(found["bits"][1], bits(&data.action().values));
            }
        }
    }
}
