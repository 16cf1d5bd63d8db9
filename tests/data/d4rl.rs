//! Files in the D4RL layout, read to the last bit as h5py and NumPy read them (tests/fixtures/d4rl/make.py), and hostile
//! files, which give an error and never a panic.

use std::borrow::Cow;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use yarak::data::hdf5::{File, FileError};
use yarak::data::{Summary, Transitions, load};

use crate::hostile::{assert_bounded_memory, splitmix};
use crate::made::{Finished, Made};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/d4rl")
}

fn expected(section: &str) -> Vec<(String, Value)> {
    let text = fs::read_to_string(fixtures().join("expected.json")).unwrap();
    let mut all: Value = serde_json::from_str(&text).unwrap();
    all[section]
        .as_object_mut()
        .unwrap()
        .iter()
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

fn path(name: &str) -> PathBuf {
    let file = format!("{name}.hdf5");
    if name.starts_with("assets/") {
        Path::new(env!("CARGO_MANIFEST_DIR")).join(file)
    } else {
        fixtures().join(file)
    }
}

/// As `bits` in make.py.
fn bits(patterns: impl Iterator<Item = u64>) -> String {
    let sum = patterns.zip(1u64..).fold(0u64, |sum, (pattern, place)| {
        sum.wrapping_add(pattern.wrapping_mul(place))
    });
    sum.to_string()
}

fn columns(transitions: &Transitions) -> [(&'static str, Cow<'_, [f32]>); 4] {
    [
        ("observation", transitions.observation().numbers()),
        ("action", Cow::from(&transitions.action().values)),
        ("reward", Cow::from(transitions.reward())),
        ("next_observation", transitions.next_observation().numbers()),
    ]
}

#[test]
fn every_readable_file_equals_h5pys_reading_to_the_last_bit() {
    for (name, expected) in expected("reads") {
        let transitions = load(path(&name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(transitions.len() as u64, expected["transitions"], "{name}");
        let widths = [
            transitions.observation().width(),
            transitions.action().width,
        ];
        assert_eq!(serde_json::json!(widths), expected["width"], "{name}");
        for (column, values) in columns(&transitions) {
            assert_eq!(
                bits(values.iter().map(|v| u64::from(v.to_bits()))),
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
        assert_eq!(
            bits(transitions.terminated().iter().map(|&t| u64::from(t))),
            expected["bits"]["terminal"],
            "{name}"
        );
        let episodes: Vec<Value> = transitions
            .episodes()
            .iter()
            .map(|episode| serde_json::json!([episode.rows.start, episode.rows.end, episode.end]))
            .collect();
        let expected = expected["episodes"].as_array().unwrap();
        if let [first, Value::Number(count), last] = &expected[..] {
            assert_eq!(
                serde_json::json!(episodes.len()),
                Value::Number(count.clone()),
                "{name}"
            );
            assert_eq!(
                (episodes.first(), episodes.last()),
                (Some(first), Some(last)),
                "{name}"
            );
        } else {
            assert_eq!(&episodes, expected, "{name}");
        }
    }
}

#[test]
fn every_unfit_file_is_refused_with_the_place_and_what_was_expected() {
    for (name, words) in expected("fails") {
        let error = load(path(&name)).expect_err(&name).to_string();
        assert!(error.contains(&format!("{name}.hdf5: ")), "{error}");
        for word in words.as_array().unwrap() {
            assert!(
                error.contains(word.as_str().unwrap()),
                "{name}: no {word} in: {error}"
            );
        }
        assert!(Summary::read(path(&name)).is_err(), "{name}");
    }
}

#[test]
fn what_is_no_hdf5_file_is_refused_by_its_cause() {
    assert!(matches!(
        File::open("no/such/file.hdf5"),
        Err(FileError::Missing { .. })
    ));
    assert!(matches!(
        File::open(fixtures()),
        Err(FileError::NotAFile { .. })
    ));
    assert!(matches!(
        File::open(fixtures().join("make.py")),
        Err(FileError::NotHdf5 { .. })
    ));
}

#[test]
fn ranges_of_rows_are_the_rows_of_the_whole() {
    for name in ["contiguous", "gzip_shuffle", "float64", "growing"] {
        let file = File::open(path(name)).unwrap();
        let whole: Vec<f32> = file.read("observations", ..).unwrap();
        for rows in [0..1, 5..29, 59..60, 60..60, 0..60] {
            let part: Vec<f32> = file.read("observations", rows.clone()).unwrap();
            assert_eq!(part, whole[rows.start * 3..rows.end * 3], "{name} {rows:?}");
        }
        assert!(matches!(
            file.read::<f32>("observations", 10..61),
            Err(FileError::Rows { rows: 60, .. })
        ));
        assert!(matches!(
            file.read::<i64>("rewards", ..),
            Err(FileError::Conversion { .. })
        ));
        let flags: Vec<i64> = file.read("terminals", 14..16).unwrap();
        assert_eq!(flags, [1, 0]);
    }
}

#[test]
fn a_text_attribute_is_there_or_not() {
    let file = File::open(path("contiguous")).unwrap();
    assert_eq!(file.text_attribute("", "no such attribute").unwrap(), None);
    assert_eq!(
        file.text_attribute("rewards", "unit").unwrap().as_deref(),
        Some("per step")
    );
    assert_eq!(
        file.text_attribute("infos", "of").unwrap().as_deref(),
        Some("MuJoCo")
    );
    assert_eq!(
        file.text_attribute("/", "env").unwrap().as_deref(),
        Some("Pendulum-v1")
    );
    assert!(
        file.text_attribute("rewards", "scale")
            .unwrap_err()
            .to_string()
            .contains("float64, not text")
    );
}

#[test]
fn a_summary_lists_what_training_does_not_read() {
    let summary = Summary::read(path("contiguous")).unwrap();
    let others: Vec<_> = summary
        .others
        .iter()
        .map(|column| column.name.as_str())
        .collect();
    assert_eq!(others, ["infos/qpos", "metadata/algorithm"]);
    assert_eq!(
        (summary.episodes, summary.transitions, summary.columns.len()),
        (4, 60, 6)
    );
    assert_eq!(
        (
            summary.ends.terminated,
            summary.ends.truncated,
            summary.ends.unfinished
        ),
        (2, 1, 1)
    );
}

#[test]
fn two_threads_read_what_one_reads() {
    // Above the size from which the reader takes two threads.
    let path = path("assets/pendulum-medium-expert");
    let transitions = load(&path).unwrap();
    let file = File::open(&path).unwrap();
    assert!(file.bytes() > 1 << 20);
    assert_eq!(
        file.read::<f32>("observations", ..).unwrap(),
        *transitions.observation().numbers()
    );
    assert_eq!(
        file.read::<f32>("actions", ..).unwrap(),
        transitions.action().values
    );
}

/// Opens, lists and reads everything; whether it works does not matter.
fn exercise(path: &Path) {
    let _ = load(path);
    if let Ok(file) = File::open(path) {
        let _ = file.text_attribute("", "env");
        for dataset in file.datasets() {
            let _ = file.read::<f32>(&dataset.path, ..);
            let _ = file.read::<bool>(&dataset.path, 0..1.min(dataset.rows()));
        }
    }
}

const SEEDS: [&str; 7] = [
    "gzip_shuffle",
    "contiguous",
    "new_format",
    "growing",
    "growing_new",
    "growing_rows_new",
    "virtual",
];

#[test]
fn a_file_cut_short_anywhere_is_called_truncated() {
    let folder = tempfile::tempdir().unwrap();
    let cut = folder.path().join("cut.hdf5");
    for name in SEEDS {
        let bytes = fs::read(path(name)).unwrap();
        for length in (0..bytes.len())
            .step_by(97)
            .chain([8, 9, 95, 96, bytes.len() - 1])
        {
            fs::write(&cut, &bytes[..length]).unwrap();
            match File::open(&cut)
                .err()
                .unwrap_or_else(|| panic!("{name} cut at {length} opens"))
            {
                FileError::Truncated { .. } | FileError::NotHdf5 { .. } => {}
                error => panic!("{name} cut at {length}: {error}"),
            }
        }
    }
}

#[test]
fn flipped_bytes_give_an_error_or_a_result_in_bounded_memory() {
    let folder = tempfile::tempdir().unwrap();
    let mutant = folder.path().join("mutant.hdf5");
    let mut random = 1;
    for name in SEEDS {
        let original = fs::read(path(name)).unwrap();
        // Most of what can go wrong is in the first 4 KiB, so half of the flips go there.
        for round in 0..FLIPS {
            let mut bytes = original.clone();
            for _ in 0..1 + splitmix(&mut random) % 4 {
                let reach = if round % 2 == 0 {
                    bytes.len()
                } else {
                    bytes.len().min(4096)
                };
                let at = splitmix(&mut random) as usize % reach;
                bytes[at] = match splitmix(&mut random) % 4 {
                    0 => 0,
                    1 => 0xff,
                    2 => bytes[at] ^ (1 << (splitmix(&mut random) % 8)),
                    _ => splitmix(&mut random) as u8,
                };
            }
            fs::write(&mutant, &bytes).unwrap();
            exercise(&mutant);
        }
    }
    assert_bounded_memory("flipped bytes");
}

const FLIPS: u32 = 150;

#[test]
fn gigantic_declared_shapes_are_refused_before_anything_is_allocated() {
    let folder = tempfile::tempdir().unwrap();
    let huge = folder.path().join("huge.hdf5");
    for name in ["contiguous", "gzip_shuffle", "growing", "lzf"] {
        let original = fs::read(path(name)).unwrap();
        for rows in [u64::from(u32::MAX), 1 << 40, u64::MAX / 8, u64::MAX - 1] {
            // Every number that says how many rows a dataset has.
            let mut bytes = original.clone();
            for at in 0..bytes.len() - 8 {
                if bytes[at..at + 8] == 60u64.to_le_bytes() {
                    bytes[at..at + 8].copy_from_slice(&rows.to_le_bytes());
                }
            }
            assert_ne!(bytes, original);
            fs::write(&huge, &bytes).unwrap();
            let error = load(&huge).expect_err(name).to_string();
            assert!(
                error.contains("` declares ") || error.contains("cannot be read"),
                "{name}: {error}"
            );
            exercise(&huge);
        }
    }
    assert_bounded_memory("gigantic shapes");
}

/// Four rows of one element, of which the second ends an episode for good and the third one cuts it off.
fn with_ends(names: &[(&str, [u8; 4])]) -> Finished {
    let mut made = Made::new();
    made.put("observations", &[4, 1], &[0.5_f32, 1.5, 2.5, 3.5])
        .put("actions", &[4, 1], &[0.25_f32; 4])
        .put("next_observations", &[4, 1], &[1.5_f32, 2.5, 3.5, 4.5])
        .column("rewards", &[1.0_f32; 4]);
    for (name, ends) in names {
        made.column(name, ends);
    }
    made.finish()
}

#[test]
fn ends_go_by_gymnasiums_names_too_and_dones_alone_are_refused() {
    let (terminal, cut) = ([0, 1, 0, 0], [0, 0, 1, 0]);
    let expected = with_ends(&[("terminals", terminal), ("timeouts", cut)]).read();
    assert_eq!(expected.episodes().len(), 3);
    for names in [
        [("terminations", terminal), ("truncations", cut)],
        [("terminated", terminal), ("truncated", cut)],
        [("terminals", terminal), ("episode_terminals", cut)],
        [("terminals", terminal), ("dones", [0, 1, 1, 0])],
        // D4RL's own names come first.
        [("timeouts", cut), ("terminals", terminal)],
    ] {
        let read = with_ends(&names).read();
        assert_eq!(read.episodes(), expected.episodes(), "{names:?}");
        assert_eq!(read.terminated(), expected.terminated(), "{names:?}");
    }
    let refusal = with_ends(&[("dones", [0, 1, 1, 0])]).refusal();
    assert!(refusal.contains("call it `terminals`"), "{refusal}");
}
