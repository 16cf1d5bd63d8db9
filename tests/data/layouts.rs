//! Files of every layout, read to the last bit as the tools that wrote them read them (make.py and archives.py in tests/fixtures/layouts), and
//! hostile ones, which give an error and never a panic.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use yarak::data::hdf5::{File, FileError};
use yarak::data::{
    DatasetFile, Dones, GoalMode, Goals, LoadError, Reading, Rule, Transitions, Windows,
};

use crate::fuzzing::{hold, mutant};
use crate::hostile::assert_bounded_memory;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/layouts")
}

fn expected(section: &str) -> Vec<(String, Value)> {
    let of_file = |file: &str| {
        let text = fs::read_to_string(folder().join(file)).unwrap();
        let all: Value = serde_json::from_str(&text).unwrap();
        all[section].as_object().unwrap().clone()
    };
    let mut files = vec!["expected.json", "archives.json"];
    if cfg!(feature = "parquet") {
        files.push("tables.json");
    }
    let found = files.into_iter().flat_map(of_file);
    // A folder that is refused by the name of the feature where it is not there.
    found
        .filter(|(name, _)| {
            !cfg!(feature = "parquet") || !["minari_arrow", "minari_parquet"].contains(&&**name)
        })
        .collect()
}

fn reading(asked: &Value) -> Reading {
    let text = |name: &str| asked[name].as_str().map(str::to_owned);
    Reading {
        observations: asked["observations"]
            .as_array()
            .map(|names| {
                names
                    .iter()
                    .map(|name| name.as_str().unwrap().to_owned())
                    .collect()
            })
            .unwrap_or_default(),
        rule: match asked["rule"].as_str() {
            Some("D4rl") => Rule::D4rl,
            _ => Rule::Exact,
        },
        max_episode_steps: asked["max_episode_steps"].as_u64().map(|n| n as usize),
        dones: match asked["dones"].as_str() {
            Some("Both") => Dones::Both,
            Some("EndOfDemonstration") => Dones::EndOfDemonstration,
            _ => Dones::Terminated,
        },
        filter: text("filter"),
        validation_filter: text("validation_filter"),
        unfollowed: false,
    }
}

/// As `bits` in make.py.
fn bits(patterns: impl Iterator<Item = u64>) -> String {
    let sum = patterns.zip(1u64..).fold(0u64, |sum, (pattern, place)| {
        sum.wrapping_add(pattern.wrapping_mul(place))
    });
    sum.to_string()
}

fn bits_of(values: &[f32]) -> String {
    bits(values.iter().map(|value| u64::from(value.to_bits())))
}

fn episodes(transitions: &Transitions) -> Value {
    transitions
        .episodes()
        .iter()
        .map(|episode| json!([episode.rows.start, episode.rows.end, episode.end]))
        .collect()
}

#[test]
fn every_readable_file_equals_its_own_tools_reading_to_the_last_bit() {
    for (name, expected) in expected("reads") {
        let path = folder().join(expected["file"].as_str().unwrap());
        let dataset_file = DatasetFile::open(&path, &reading(&expected))
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let transitions = dataset_file
            .read()
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(dataset_file.len(), transitions.len(), "{name}");
        assert_eq!(dataset_file.episodes(), transitions.episodes(), "{name}");
        assert_eq!(transitions.len() as u64, expected["transitions"], "{name}");
        let widths = [
            transitions.observation().width(),
            transitions.action().width,
        ];
        assert_eq!(json!(widths), expected["width"], "{name}");
        let (observation, next) = (transitions.observation(), transitions.next_observation());
        for (column, values) in [
            ("observation", &*observation.numbers()),
            ("action", &transitions.action().values),
            ("reward", transitions.reward()),
            ("next_observation", &*next.numbers()),
        ] {
            assert_eq!(
                bits_of(values),
                expected["bits"][column],
                "{name}: {column}"
            );
            let sum: f64 = values.iter().map(|&v| f64::from(v)).sum();
            let error = sum - expected["sum"][column].as_f64().unwrap();
            assert!(
                error.abs() < 1e-6,
                "{name}: the sum of {column} is off by {error}"
            );
        }
        let terminals = transitions.terminated().iter().map(|&t| u64::from(t));
        assert_eq!(bits(terminals), expected["bits"]["terminal"], "{name}");
        if expected["episodes"].is_array() {
            assert_eq!(episodes(&transitions), expected["episodes"], "{name}");
        }
        assert_eq!(
            transitions.discrete_actions().map(|n| n as u64),
            expected["discrete_actions"].as_u64(),
            "{name}"
        );
        if let Some(environment) = expected["environment"].as_str() {
            assert_eq!(dataset_file.environment(), Some(environment), "{name}");
        }
        if let Some(keys) = expected["keys"].as_array() {
            let found: Vec<&str> = dataset_file
                .observation()
                .iter()
                .map(|key| key.name.as_str())
                .collect();
            assert_eq!(json!(found), json!(keys), "{name}");
        }
        if let Some(rows) = expected["held_out"].as_array() {
            let held_out = dataset_file.held_out().unwrap();
            let found: Vec<usize> = transitions
                .episodes()
                .iter()
                .zip(held_out)
                .filter(|(_, held_out)| **held_out)
                .flat_map(|(episode, _)| episode.rows.clone())
                .collect();
            assert_eq!(json!(found), json!(rows), "{name}");
        }
        if let [Value::String(column), Value::String(sum)] =
            &expected["column"].as_array().cloned().unwrap_or_default()[..]
        {
            let read = dataset_file.read_column(column).unwrap();
            assert_eq!(&bits_of(&read.values), sum, "{name}: {column}");
        }
    }
}

#[test]
fn ranges_of_transitions_are_the_rows_of_the_whole() {
    for (name, expected) in expected("reads") {
        let path = folder().join(expected["file"].as_str().unwrap());
        let dataset_file = DatasetFile::open(&path, &reading(&expected)).unwrap();
        let whole = dataset_file.read().unwrap();
        let rows = whole.len();
        for (start, end) in [
            (0, 1),
            (0, rows),
            (1, rows - 1),
            (rows / 2, rows),
            (2, 5),
            (rows - 1, rows),
        ]
        .into_iter()
        .filter(|(_, end)| *end <= rows)
        {
            let part = dataset_file.read_rows(start..end).unwrap();
            assert_eq!(part.len(), end - start, "{name}");
            for row in start..end {
                let there = row - start;
                assert_eq!(
                    part.observation().row(there),
                    whole.observation().row(row),
                    "{name} {start}..{end}"
                );
                assert_eq!(part.action().row(there), whole.action().row(row), "{name}");
                assert_eq!(
                    part.next_observation().row(there),
                    whole.next_observation().row(row),
                    "{name} {start}..{end}: {row}"
                );
                assert_eq!(part.reward()[there], whole.reward()[row], "{name}");
                assert_eq!(part.terminated()[there], whole.terminated()[row], "{name}");
            }
        }
        for beyond in [rows..rows + 1, 0..rows + 1, rows..rows] {
            assert!(dataset_file.read_rows(beyond).is_err(), "{name}");
        }
    }
}

#[test]
fn pictures_are_bytes_of_their_shape() {
    for (file, part) in [
        ("robomimic/pictures.hdf5", "`camera` u8 [4, 4, 3]"),
        ("d3rlpy/pictures.h5", "u8 [1, 4, 4]"),
        ("archives/pictures.npz", "`observations` u8 [20, 20, 3]"),
    ] {
        let dataset_file = DatasetFile::open(folder().join(file), &Reading::default()).unwrap();
        let parts = dataset_file.parts();
        assert!(parts.to_string().contains(part), "{parts}");
        let transitions = dataset_file.read().unwrap();
        assert_eq!(transitions.observation().width(), parts.width());
    }
}

#[test]
fn every_unfit_file_is_refused_with_the_place_and_what_was_expected() {
    for (name, case) in expected("fails") {
        let path = folder().join(case[0].as_str().unwrap());
        let error = DatasetFile::open(&path, &reading(&case[1]))
            .and_then(|dataset_file| dataset_file.read())
            .expect_err(&name)
            .to_string();
        for word in case[2].as_array().unwrap() {
            assert!(
                error.contains(word.as_str().unwrap()),
                "{name}: no {word} in: {error}"
            );
        }
    }
}

#[test]
fn a_file_that_would_list_deleted_names_is_refused_by_one_of_them() {
    for (name, word) in [
        ("last", "one was `timeouts`"),
        ("middle", "one was `timeouts`"),
        ("umlaut", "one was `timeouts`"),
        ("demos", "one was `demo_4`"),
        ("gap", "a gap in the list"),
    ] {
        let error = File::open(folder().join(format!("deleted/{name}.hdf5")))
            .err()
            .unwrap_or_else(|| panic!("{name} is read"));
        assert!(
            matches!(error, FileError::DeletedNames { .. }),
            "{name}: {error}"
        );
        let error = error.to_string();
        for word in [word, name, "h5repack"] {
            assert!(error.contains(word), "{name}: no {word} in: {error}");
        }
    }
}

#[test]
fn groups_with_many_names_are_read_where_nothing_was_deleted() {
    for (name, rows, episodes) in [
        ("last_sound", 6, 1),
        ("middle_sound", 6, 1),
        ("umlaut_sound", 6, 1),
        ("demos_sound", 10, 10),
        ("many_sound", 6, 1),
        ("left_over", 6, 1),
    ] {
        let path = folder().join(format!("deleted/{name}.hdf5"));
        let transitions =
            yarak::data::load(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
        let found = (transitions.len(), transitions.episodes().len());
        assert_eq!(found, (rows, episodes), "{name}");
    }
    let many = File::open(folder().join("deleted/many_sound.hdf5")).unwrap();
    assert_eq!(many.names_in("a_longer_name").unwrap().len(), 300);
}

#[test]
fn all_of_a_file_is_listed_and_readable_besides_what_training_reads() {
    let file = File::open(folder().join("robomimic/plain.hdf5")).unwrap();
    let texts = file.read_texts("mask/train").unwrap();
    assert_eq!(texts, ["demo_0", "demo_10", "demo_2"]);
    assert_eq!(
        file.names_in("mask").unwrap(),
        ["both", "strangers", "train", "valid"]
    );
    let states: Vec<f32> = file.read("data/demo_10/states", ..).unwrap();
    assert_eq!(states.len(), 8);
    let file = File::open(folder().join("../d4rl/contiguous.hdf5")).unwrap();
    assert_eq!(file.read_texts("metadata/algorithm").unwrap(), ["SAC"]);
    assert!(file.read_texts("rewards").is_err());
    let dataset_file = DatasetFile::open(file.path(), &Reading::default()).unwrap();
    let positions = dataset_file.read_column("infos/qpos").unwrap();
    assert_eq!((positions.rows(), positions.width), (dataset_file.len(), 2));
    assert!(matches!(
        DatasetFile::open(folder().join("robomimic/plain.hdf5"), &Reading::default())
            .unwrap()
            .read_column("no/such/column"),
        Err(LoadError::Missing { .. })
    ));
}

#[test]
fn windows_and_goals_are_robomimics_to_the_last_bit() {
    // Here every demonstration is one episode, as every demonstration is to robomimic.
    let (_, expected) = expected("reads")
        .into_iter()
        .find(|(name, _)| name == "robomimic_ends")
        .unwrap();
    let path = folder().join(expected["file"].as_str().unwrap());
    let transitions = DatasetFile::open(&path, &reading(&expected))
        .unwrap()
        .read()
        .unwrap();
    let goals = Goals {
        mode: GoalMode::Last,
    }
    .rows(&transitions);
    for (shape, expected) in expected["windows"].as_object().unwrap() {
        let (frames, sequence) = shape.split_once(' ').unwrap();
        let windows = Windows {
            frames: frames.parse().unwrap(),
            sequence: sequence.parse().unwrap(),
            ..Windows::default()
        };
        let steps = windows.steps(&transitions);
        assert_eq!(steps.len(), transitions.len());
        let (mut rows, mut mask) = (Vec::new(), Vec::new());
        for step in &steps {
            let window = windows.at(&transitions, *step);
            rows.extend(window.rows);
            mask.extend(window.mask.into_iter().map(u64::from));
        }
        let gather = |column: &yarak::data::ObservationColumn, rows: &[usize]| {
            let values: Vec<f32> = rows
                .iter()
                .flat_map(|row| column.row(*row).to_vec())
                .collect();
            bits_of(&values)
        };
        let goals: Vec<usize> = steps.iter().map(|step| goals[*step] as usize).collect();
        let rewards: Vec<f32> = rows.iter().map(|row| transitions.reward()[*row]).collect();
        for (name, found) in [
            ("observation", gather(transitions.observation(), &rows)),
            (
                "next_observation",
                gather(transitions.next_observation(), &rows),
            ),
            ("goal", gather(transitions.next_observation(), &goals)),
            (
                "action",
                gather(&transitions.action().clone().into(), &rows),
            ),
            ("reward", bits_of(&rewards)),
            ("mask", bits(mask.into_iter())),
        ] {
            assert_eq!(found, expected[name], "{shape}: {name}");
        }
    }
}

/// Reads mutants of one file by every way in; a result or an error is well, and a result must be whole.
fn fuzz(name: &str, asked: &Reading) {
    let folder = tempfile::tempdir().unwrap();
    let mutated = folder.path().join("main_data.hdf5");
    let source = self::folder().join(name);
    let original = fs::read(&source).unwrap();
    let metadata = fs::read(source.with_file_name("metadata.json")).ok();
    hold(name, 400, |numbers| {
        fs::write(&mutated, mutant(&original, 8192, numbers)).unwrap();
        if let Some(metadata) = &metadata {
            let metadata = match numbers.below(4) {
                0 => mutant(metadata, metadata.len(), numbers),
                _ => metadata.clone(),
            };
            fs::write(mutated.with_file_name("metadata.json"), metadata).unwrap();
        }
        let Ok(dataset_file) = DatasetFile::open(&mutated, asked) else {
            return;
        };
        if let Ok(transitions) = dataset_file.read() {
            assert_eq!(transitions.len(), dataset_file.len());
        }
        let _ = dataset_file.read_rows(1..3);
        let _ = dataset_file.read_column("infos/speed");
        let _ = dataset_file.read_column("rewards");
    });
    assert_bounded_memory(name);
}

#[test]
fn hostile_files_are_refused_within_seconds_and_in_bounded_memory() {
    for (name, words) in expected("hostile") {
        let started = std::time::Instant::now();
        let found = DatasetFile::open(folder().join(&name), &Reading::default())
            .and_then(|dataset_file| dataset_file.read());
        match (found, words) {
            (Ok(transitions), Value::Null) => assert!(transitions.len() < 1_000, "{name}"),
            (Ok(_), words) => panic!("{name} is read, and should fail with {words}"),
            (Err(error), words) => {
                let error = error.to_string();
                for word in words.as_array().expect(&error) {
                    let word = word.as_str().unwrap();
                    assert!(error.contains(word), "{name}: no {word} in: {error}");
                }
            }
        }
        assert!(started.elapsed().as_secs() < 20, "{name}");
    }
    assert_bounded_memory("hostile files");
}

#[test]
fn gigantic_declared_shapes_are_refused_before_anything_is_allocated() {
    let room = tempfile::tempdir().unwrap();
    let huge = room.path().join("main_data.hdf5");
    // Rows that several datasets of the file have.
    for (name, rows) in [
        ("minari/nested/main_data.hdf5", 4u64),
        ("minari/nested/main_data.hdf5", 5),
        ("robomimic/plain.hdf5", 5),
        ("robomimic/plain.hdf5", 4),
        ("d3rlpy/vectors.h5", 5),
        ("d3rlpy/version_1.h5", 25),
    ] {
        let original = fs::read(folder().join(name)).unwrap();
        for declared in [u64::from(u32::MAX), 1 << 40, u64::MAX / 8, u64::MAX - 1] {
            let mut bytes = original.clone();
            for at in 0..bytes.len() - 8 {
                if bytes[at..at + 8] == rows.to_le_bytes() {
                    bytes[at..at + 8].copy_from_slice(&declared.to_le_bytes());
                }
            }
            assert_ne!(bytes, original, "{name}");
            fs::write(&huge, &bytes).unwrap();
            let error = DatasetFile::open(&huge, &Reading::default())
                .and_then(|dataset_file| dataset_file.read())
                .expect_err(name);
            assert!(!error.to_string().is_empty());
        }
    }
    assert_bounded_memory("gigantic shapes");
}

#[test]
fn mutated_minari_files_give_an_error_or_a_result_in_bounded_memory() {
    fuzz("minari/nested/main_data.hdf5", &Reading::default());
    fuzz("minari/attributes/main_data.hdf5", &Reading::default());
}

#[test]
fn mutated_robomimic_files_give_an_error_or_a_result_in_bounded_memory() {
    let split = Reading {
        filter: Some("train".to_owned()),
        validation_filter: Some("valid".to_owned()),
        ..Reading::default()
    };
    fuzz("robomimic/plain.hdf5", &split);
    fuzz("robomimic/without_next.hdf5", &Reading::default());
}

#[test]
fn mutated_d3rlpy_files_give_an_error_or_a_result_in_bounded_memory() {
    fuzz("d3rlpy/vectors.h5", &Reading::default());
    fuzz("d3rlpy/tuple.h5", &Reading::default());
}

#[test]
fn mutated_d4rl_files_give_an_error_or_a_result_in_bounded_memory() {
    fuzz("d3rlpy/version_1.h5", &Reading::default());
    let rule = Reading {
        rule: Rule::D4rl,
        ..Reading::default()
    };
    fuzz("../d4rl/without_next.hdf5", &rule);
}

#[test]
fn mutated_files_of_pictures_give_an_error_or_a_result_in_bounded_memory() {
    fuzz("robomimic/pictures.hdf5", &Reading::default());
    fuzz("d3rlpy/pictures.h5", &Reading::default());
    fuzz("minari/pictures/main_data.hdf5", &Reading::default());
}

#[test]
fn mutated_archives_give_an_error_or_a_result_in_bounded_memory() {
    fuzz("archives/vectors.npz", &Reading::default());
    fuzz("archives/stored.npz", &Reading::default());
}

#[test]
fn an_archive_that_declares_what_it_cannot_hold_is_refused_before_anything_is_unpacked() {
    let room = tempfile::tempdir().unwrap();
    let huge = room.path().join("huge.npz");
    for (name, from, to, word) in [
        // Lengths in the list of members, and shapes in the arrays' own headers.
        ("vectors.npz", &b"PK\x01\x02"[..], 24, "bytes of `"),
        ("stored.npz", b"(14, 3)", 1, "declares the shape"),
    ] {
        let mut bytes = fs::read(folder().join("archives").join(name)).unwrap();
        let found = bytes.windows(from.len()).position(|window| window == from);
        let at = found.unwrap() + to;
        match name {
            "vectors.npz" => bytes[at..at + 4].copy_from_slice(&0xffff_fff0u32.to_le_bytes()),
            _ => bytes[at] = b'9',
        }
        fs::write(&huge, &bytes).unwrap();
        let error = File::open(&huge).err().unwrap().to_string();
        assert!(error.contains(word), "{error}");
    }
}

#[test]
fn an_archive_with_two_arrays_of_one_name_is_refused_by_the_name() {
    let mut bytes = fs::read(folder().join("archives/d4rl.npz")).unwrap();
    let (rewards, actions) = (b"rewards.npy", b"actions.npy");
    let starts = 0..=bytes.len() - rewards.len();
    for at in starts {
        if bytes[at..].starts_with(rewards) {
            bytes[at..at + actions.len()].copy_from_slice(actions);
        }
    }
    let room = tempfile::tempdir().unwrap();
    let twice = room.path().join("twice.npz");
    fs::write(&twice, &bytes).unwrap();
    let error = File::open(&twice).err().unwrap().to_string();
    assert!(error.contains("two members `actions.npy`"), "{error}");
}

#[test]
fn mutants_of_files_with_deleted_names_never_panic() {
    fuzz("deleted/middle.hdf5", &Reading::default());
    fuzz("deleted/many_sound.hdf5", &Reading::default());
}
