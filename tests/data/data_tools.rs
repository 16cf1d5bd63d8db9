//! `yarak data check`, `convert` and `plot`, as people and scripts use them. What `convert` writes is read by the tools that
//! people have (tests/python/read_converted.py), where `YARAK_PYTHON` names a Python with h5py and minari.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use yarak::data::check::{ActionBounds, Check, Kind, Severity};
use yarak::data::convert::{Target, write};
use yarak::data::{Column, Episode, EpisodeEnd, ObservationColumn, Parts, Transitions, load};

fn yarak(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_yarak"))
        .args(arguments)
        .output()
        .unwrap()
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/d4rl")
        .join(name)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Three episodes of 1, 4 and 3 rows, one of each end, whose rows follow each other.
/// Changes the numbers of a column.
fn change(column: &mut ObservationColumn, change: impl FnOnce(&mut Vec<f32>)) {
    let mut numbers = column.clone().into_column();
    change(&mut numbers.values);
    *column = numbers.into();
}

fn parts() -> Parts {
    let rows = 8;
    let number = |row: usize| row as f32 * 0.1;
    let mut next: Vec<f32> = (0..rows).flat_map(|row| [number(row + 1), -1.0]).collect();
    // Where an episode ends, what was observed next is nobody's observation.
    for row in [0, 4, 7] {
        next[2 * row] = 100.0 + number(row);
    }
    Parts {
        observation: Column {
            values: (0..rows).flat_map(|row| [number(row), -1.0]).collect(),
            width: 2,
        }
        .into(),
        action: Column {
            values: (0..rows).map(|row| (row as f32).sin()).collect(),
            width: 1,
        },
        reward: (0..rows).map(|row| row as f32 - 2.5).collect(),
        next_observation: Column {
            values: next,
            width: 2,
        }
        .into(),
        terminated: (0..rows).map(|row| row == 4).collect(),
        episodes: vec![
            Episode {
                rows: 0..1,
                end: EpisodeEnd::Truncated,
            },
            Episode {
                rows: 1..5,
                end: EpisodeEnd::Terminated,
            },
            Episode {
                rows: 5..8,
                end: EpisodeEnd::Unfinished,
            },
        ],
    }
}

fn transitions() -> Transitions {
    Transitions::new(parts()).unwrap()
}

/// As `bits` in read_converted.py.
fn bits(values: &[f32]) -> String {
    let sum = values.iter().zip(1u64..).fold(0u64, |sum, (value, place)| {
        sum.wrapping_add(u64::from(value.to_bits()).wrapping_mul(place))
    });
    sum.to_string()
}

const TARGETS: [(Target, &str, &str); 3] = [
    (Target::D4rl, "d4rl", "out.hdf5"),
    (Target::Robomimic, "robomimic", "out.hdf5"),
    (Target::Minari, "minari", "made-up-v0"),
];

#[test]
fn the_tools_that_people_have_read_what_was_converted_to_the_last_bit() {
    let Some(python) = std::env::var_os("YARAK_PYTHON") else {
        eprintln!("skipped: set YARAK_PYTHON to a Python that has h5py and minari");
        return;
    };
    let has = |module: &str| {
        let import = format!("import {module}");
        let mut command = Command::new(&python);
        command
            .args(["-c", &import])
            .output()
            .unwrap()
            .status
            .success()
    };
    let folder = tempfile::tempdir().unwrap();
    for (target, name, file) in TARGETS {
        let module = if target == Target::Minari {
            "minari"
        } else {
            "h5py"
        };
        if !has(module) {
            eprintln!("skipped {name}: {python:?} (YARAK_PYTHON) does not import `{module}`");
            continue;
        }
        let out = folder.path().join(file);
        for (data, force) in [(transitions(), false), (load(asset()).unwrap(), true)] {
            write(&data, &out, target, None, force).unwrap();
            let script =
                Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/read_converted.py");
            let read = Command::new(&python)
                .args([script.as_os_str(), name.as_ref(), out.as_os_str()])
                .output()
                .unwrap();
            assert!(
                read.status.success(),
                "{name}: {}",
                String::from_utf8_lossy(&read.stderr)
            );
            let read: Value = serde_json::from_slice(&read.stdout).unwrap();
            let lengths: Vec<usize> = data.episodes().iter().map(|e| e.rows.len()).collect();
            assert_eq!(read["lengths"], serde_json::json!(lengths), "{name}");
            let columns = [
                bits(&data.observation().numbers()),
                bits(&data.action().values),
                bits(data.reward()),
                bits(&data.next_observation().numbers()),
            ];
            assert_eq!(read["bits"], serde_json::json!(columns), "{name}");
            let terminals: Vec<usize> = (0..data.len())
                .filter(|row| data.terminated()[*row])
                .collect();
            assert_eq!(read["terminals"], serde_json::json!(terminals), "{name}");
        }
        fs::remove_dir_all(&out)
            .or_else(|_| fs::remove_file(&out))
            .unwrap();
    }
}

fn asset() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/pendulum-medium-expert.hdf5")
}

#[test]
fn d4rl_written_and_read_is_the_same_but_for_unfinished_ends() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.hdf5");
    let written = write(&transitions(), &out, Target::D4rl, None, false).unwrap();
    assert!(written.notes[0].contains("1 of them now end with a timeout"));
    let mut expected = parts();
    expected.episodes[2].end = EpisodeEnd::Truncated;
    assert_eq!(load(&out).unwrap().into_parts(), expected);
}

#[test]
fn what_stands_is_never_replaced_unless_asked_for_and_nothing_else_is_left_behind() {
    let folder = tempfile::tempdir().unwrap();
    for (target, name, file) in TARGETS {
        let out = folder.path().join(file);
        fs::write(&out, "precious").unwrap();
        let input = fixture("contiguous.hdf5");
        let arguments = ["data", "convert", text(&input), text(&out), "--to", name];
        let refused = yarak(&arguments);
        assert_eq!(refused.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&refused.stderr).contains("--force"));
        assert_eq!(fs::read_to_string(&out).unwrap(), "precious");
        if target == Target::Minari {
            let mut parts = parts();
            change(&mut parts.next_observation, |values| values[2 * 2] = 7.0);
            let astray = Transitions::new(parts).unwrap();
            let refused = write(&astray, &out, target, None, true).unwrap_err();
            assert!(
                refused.to_string().starts_with("episode 1, row 2: "),
                "{refused}"
            );
            assert_eq!(fs::read_to_string(&out).unwrap(), "precious");
        }
        write(&transitions(), &out, target, None, true).unwrap();
        assert!(out.is_dir() || load(&out).is_ok() || target != Target::D4rl);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "{name}");
        fs::remove_dir_all(&out)
            .or_else(|_| fs::remove_file(&out))
            .unwrap();
    }
}

#[test]
fn a_folder_is_replaced_only_where_it_is_a_dataset() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("mine-v0");
    let stranger = [out.join("thesis.txt"), out.join("data/notes.txt")];
    for stranger in stranger {
        for (target, _, _) in TARGETS {
            fs::create_dir_all(stranger.parent().unwrap()).unwrap();
            fs::write(&stranger, "years of work").unwrap();
            let refused = write(&transitions(), &out, target, None, true).unwrap_err();
            let said = refused.to_string();
            assert!(said.contains(text(&stranger)), "{said}");
            assert_eq!(fs::read_to_string(&stranger).unwrap(), "years of work");
        }
        fs::remove_file(&stranger).unwrap();
    }
    // An empty folder, then a dataset, then the dataset by a file.
    for target in [Target::Minari, Target::Minari, Target::D4rl] {
        write(&transitions(), &out, target, None, true).unwrap();
    }
    assert!(out.is_file());
}

#[test]
fn zeros_of_both_signs_follow_each_other_in_minaris_layout() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("zeros-v0");
    let mut parts = parts();
    // Rows 1 and 2 are of one episode.
    change(&mut parts.observation, |values| values[2 * 2] = 0.0);
    change(&mut parts.next_observation, |values| values[2] = -0.0);
    let data = Transitions::new(parts).unwrap();
    write(&data, &out, Target::Minari, None, false).unwrap();
    assert!(load(&out).unwrap().next_observation() == data.next_observation());
}

#[test]
fn a_place_that_cannot_be_written_and_an_environment_of_other_actions_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = folder.path().join("no/such/folder.hdf5");
    let error = write(&transitions(), &nowhere, Target::D4rl, None, false).unwrap_err();
    assert!(
        error.to_string().contains("check that its folder exists"),
        "{error}"
    );
    let out = folder.path().join("out.hdf5");
    let refused = yarak(&[
        "data",
        "convert",
        text(&fixture("contiguous.hdf5")),
        text(&out),
        "--to",
        "robomimic",
        "--env",
        "Pendulum-v1",
    ]);
    assert_eq!(refused.status.code(), Some(2));
    let told = String::from_utf8_lossy(&refused.stderr);
    assert!(
        told.contains("Pendulum-v1 has actions of 1 elements, and those of the data have 2"),
        "{told}"
    );
    assert!(!out.exists());
}

fn check(change: impl FnOnce(&mut Parts), bounds: Option<&ActionBounds>) -> Check {
    let mut parts = parts();
    change(&mut parts);
    // The last episode's end is truncated in the file, as D4RL has it.
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.hdf5");
    write(
        &Transitions::new(parts).unwrap(),
        &out,
        Target::D4rl,
        None,
        false,
    )
    .unwrap();
    Check::of(&out, bounds)
}

fn kinds(check: &Check) -> Vec<(Severity, Kind, usize)> {
    let findings = check.findings.iter();
    findings.map(|f| (f.severity, f.kind, f.count)).collect()
}

#[test]
fn a_constant_element_is_all_there_is_to_say_of_sound_data() {
    let check = check(|_| (), None);
    assert_eq!(kinds(&check), [(Severity::Note, Kind::Constant, 1)]);
    assert_eq!(check.findings[0].places[0].element, Some(1));
    assert_eq!((check.episodes, check.transitions), (Some(3), Some(8)));
}

#[test]
fn actions_beyond_the_bounds_are_errors_with_their_rows_and_elements() {
    let bounds = ActionBounds {
        of: "a task".into(),
        low: vec![-0.9],
        high: vec![0.9],
    };
    let check = check(|_| (), Some(&bounds));
    // sin 2 is 0.909 and sin 5 is -0.959.
    let beyond = &check.findings[0];
    assert_eq!(
        (beyond.severity, beyond.kind, beyond.count),
        (Severity::Error, Kind::OutOfBounds, 2)
    );
    let rows: Vec<_> = beyond
        .places
        .iter()
        .map(|place| (place.row, place.element))
        .collect();
    assert_eq!(rows, [(Some(2), Some(0)), (Some(5), Some(0))]);
    assert_eq!(check.errors(), 1);
    // What lies beyond is not at the bound as well.
    let far = self::check(|parts| parts.action.values[..4].fill(1.0), Some(&bounds));
    assert_eq!(far.findings[0].kind, Kind::OutOfBounds);
    assert!(far.findings.iter().all(|f| f.kind != Kind::Saturated));
}

#[test]
fn actions_at_a_bound_in_many_rows_are_noted() {
    let check = check(|parts| parts.action.values[..4].fill(1.0), None);
    let saturated: Vec<_> = check
        .findings
        .iter()
        .filter(|f| f.kind == Kind::Saturated)
        .collect();
    // Four at 1 and one at the least.
    assert_eq!(saturated[0].count, 5);
    assert!(
        saturated[0].message.contains("62.5% of the rows"),
        "{}",
        saturated[0].message
    );
}

#[test]
fn rows_that_do_not_follow_are_a_warning_and_most_of_them_an_error() {
    let once = check(
        |parts| change(&mut parts.next_observation, |values| values[2 * 2] = 7.0),
        None,
    );
    let finding = once
        .findings
        .iter()
        .find(|f| f.kind == Kind::DoesNotFollow)
        .unwrap();
    assert_eq!((finding.severity, finding.count), (Severity::Warning, 1));
    let place = &finding.places[0];
    assert_eq!(
        (place.episode, place.row, place.element),
        (Some(1), Some(2), Some(0))
    );
    let all = check(
        |parts| change(&mut parts.next_observation, |values| values.fill(7.0)),
        None,
    );
    let finding = all
        .findings
        .iter()
        .find(|f| f.kind == Kind::DoesNotFollow)
        .unwrap();
    assert_eq!((finding.severity, finding.count), (Severity::Error, 5));
}

#[test]
fn duplicate_episodes_and_constant_rewards_are_warnings() {
    let check = check(
        |parts| {
            parts.reward.fill(1.0);
            // Rows 5 to 8 become rows 1 to 4, as an episode of three rows each.
            parts.episodes[1].rows = 1..5;
            change(&mut parts.observation, |values| {
                values.copy_within(2..8, 10)
            });
            let action = parts.action.values[1..4].to_vec();
            parts.action.values[5..8].copy_from_slice(&action);
            parts.terminated[4] = false;
            parts.terminated[3] = true;
            parts.episodes = [
                (0..1, EpisodeEnd::Truncated),
                (1..4, EpisodeEnd::Terminated),
                (4..5, EpisodeEnd::Truncated),
                (5..8, EpisodeEnd::Truncated),
            ]
            .map(|(rows, end)| Episode { rows, end })
            .to_vec();
        },
        None,
    );
    let found = kinds(&check);
    assert!(
        found.contains(&(Severity::Warning, Kind::Duplicate, 1)),
        "{check}"
    );
    let duplicate = check
        .findings
        .iter()
        .find(|f| f.kind == Kind::Duplicate)
        .unwrap();
    assert_eq!(duplicate.places[0].episode, Some(3));
    assert!(
        check
            .findings
            .iter()
            .any(|f| f.kind == Kind::Constant && f.message.contains("reward is 1 "))
    );
}

#[test]
fn numbers_that_are_none_and_ends_that_contradict_each_other_are_found_in_files() {
    let nan = Check::of(fixture("nan.hdf5"), None);
    let finding = &nan.findings[0];
    assert_eq!(
        (finding.severity, finding.kind, finding.count),
        (Severity::Error, Kind::NotANumber, 1)
    );
    assert!(finding.places[0].dataset.is_some() && finding.places[0].row.is_some());
    assert_eq!(
        Check::of(fixture("infinite.hdf5"), None).findings[0].kind,
        Kind::Infinite
    );

    let sound = Check::of(fixture("contiguous.hdf5"), None);
    let both = sound
        .findings
        .iter()
        .find(|f| f.kind == Kind::ContradictingEnds)
        .unwrap();
    assert_eq!(
        (both.severity, both.count, both.places[0].row),
        (Severity::Warning, 1, Some(47))
    );
    assert!(sound.findings.iter().all(|f| f.kind != Kind::EmptyEpisode));
    assert_eq!(sound.errors(), 0, "{sound}");
}

#[test]
fn a_file_without_ends_and_one_that_is_no_dataset_are_findings_too() {
    let none = Check::of(fixture("unknown_layout.hdf5"), None);
    assert_eq!(kinds(&none), [(Severity::Error, Kind::Unreadable, 1)]);
    let missing = yarak(&["data", "check", "no/such/file.hdf5", "--json"]);
    assert_eq!(missing.status.code(), Some(2));
    let json: Value = serde_json::from_slice(&missing.stdout).unwrap();
    assert_eq!(json["findings"][0]["severity"], "error");
    assert_eq!(json["findings"][0]["kind"], "unreadable");
}

#[test]
fn a_check_ends_with_2_for_what_makes_training_wrong_alone() {
    let sound = yarak(&["data", "check", text(&fixture("contiguous.hdf5"))]);
    assert_eq!(sound.status.code(), Some(0));
    let page = String::from_utf8(sound.stdout).unwrap();
    assert!(page.contains("`terminals`, row 47"), "{page}");
    // Its actions are real numbers.
    let other = yarak(&[
        "data",
        "check",
        text(&fixture("contiguous.hdf5")),
        "--env",
        "CartPole-v1",
    ]);
    assert_eq!(other.status.code(), Some(2));
    let said = String::from_utf8_lossy(&other.stderr);
    assert!(
        said.contains("CartPole-v1 takes 2 discrete actions"),
        "{said}"
    );
    let nan = yarak(&["data", "check", text(&fixture("nan.hdf5"))]);
    assert_eq!(nan.status.code(), Some(2));
    let asset = yarak(&[
        "data",
        "check",
        text(&asset()),
        "--env",
        "Pendulum-v1",
        "--json",
    ]);
    assert_eq!(
        asset.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&asset.stdout)
    );
}

#[test]
fn a_picture_shows_every_episode_and_element_and_replaces_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("picture.svg");
    let input = asset();
    let arguments = ["data", "plot", text(&input), "--out", text(&out)];
    assert!(yarak(&arguments).status.success());
    let svg = fs::read_to_string(&out).unwrap();
    let data = load(asset()).unwrap();
    assert!(svg.matches("<circle").count() >= data.episodes().len());
    for name in ["reward", "action 0", "observation 2"] {
        assert!(svg.contains(name), "{name}");
    }
    assert!(!svg.contains("NaN"));
    assert_eq!(yarak(&arguments).status.code(), Some(2));
    assert!(
        yarak(&[&arguments[..], &["--force"]].concat())
            .status
            .success()
    );
}
