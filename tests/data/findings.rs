//! What `yarak data check` finds in files that load and hold what nobody meant.

use std::fs;

use yarak::data::check::{Check, Kind, Severity};
use yarak::data::{Layout, Summary};

use crate::made::{Finished, Made, demonstration, episode, noise};

/// A D4RL file whose episodes have 20 rows; the third element of its observations is given.
fn d4rl(rows: usize, third: impl Fn(usize) -> f64) -> Made {
    let mut made = Made::new();
    let free = noise(1, 2 * rows);
    let observations: Vec<f64> = (0..rows)
        .flat_map(|row| [free[2 * row], free[2 * row + 1], third(row)])
        .collect();
    let timeouts: Vec<u8> = (0..rows).map(|row| u8::from(row % 20 == 19)).collect();
    made.put("observations", &[rows, 3], &observations)
        .put("actions", &[rows, 1], &noise(2, rows))
        .column("rewards", &noise(3, rows))
        .column("terminals", &vec![0_u8; rows])
        .column("timeouts", &timeouts);
    made
}

/// What is said, in one text.
fn said(made: &Finished) -> String {
    Check::of(&made.path, None).to_string()
}

#[test]
fn differences_that_float32_cannot_hold_are_a_warning_with_the_remedy() {
    for third in [
        |row: usize| 1.7e9 + 0.05 * row as f64,
        |row: usize| 4.5e6 + 0.02 * row as f64,
    ] {
        let made = d4rl(60, third).finish();
        let finding = made.finding(Kind::Precision).unwrap();
        assert_eq!(finding.severity, Severity::Warning);
        assert_eq!(finding.places[0].element, Some(2));
        assert!(
            finding.message.contains("shift them"),
            "{}",
            finding.message
        );
        // The file's own values change.
        assert!(made.finding(Kind::Constant).is_none(), "{}", said(&made));
        let summary = Summary::read(&made.path).unwrap();
        assert_eq!(summary.rounded, [("observation", 2)]);
        assert!(summary.to_string().contains("observation 2 is rounded"));
    }
}

#[test]
fn a_counter_of_64_bits_is_found_as_a_reward_and_in_every_layout() {
    let counter: Vec<i64> = (0..60).map(|row| (1 << 40) + row).collect();
    let mut made = d4rl(60, |row| row as f64);
    made.column("next", &[0_u8]);
    let made = made.finish();
    assert!(made.finding(Kind::Precision).is_none(), "{}", said(&made));

    let mut made = Made::new();
    demonstration(&mut made, "demo_0", 60, 0.5);
    made.column("data/demo_0/obs/stamp", &counter)
        .column("data/demo_0/next_obs/stamp", &counter);
    let made = made.finish();
    let finding = made.finding(Kind::Precision).unwrap();
    assert_eq!(finding.places[0].dataset.as_deref(), Some("obs/stamp"));
    assert_eq!(finding.places[0].element, Some(2));
}

#[test]
fn an_element_that_never_changes_is_still_said_to() {
    let made = d4rl(60, |_| 1.7e9).finish();
    assert!(made.finding(Kind::Precision).is_none());
    let constant = made.finding(Kind::Constant).unwrap();
    assert!(
        constant.message.starts_with("always the same in"),
        "{}",
        constant.message
    );
    let made = d4rl(60, |row| 1.0 + 1e-15 * (row % 2) as f64).finish();
    let constant = made.finding(Kind::Constant).unwrap();
    assert!(
        constant.message.contains("once it is rounded"),
        "{}",
        constant.message
    );
}

#[test]
fn rows_that_were_never_written_are_a_warning() {
    let rows = 100;
    let mut made = Made::new();
    let zeros_from = |values: Vec<f64>, from: usize| -> Vec<f64> {
        let cut = |(at, value)| if at < from { value } else { 0.0 };
        values.into_iter().enumerate().map(cut).collect()
    };
    let timeouts: Vec<u8> = (0..rows)
        .map(|row| u8::from(row % 20 == 19 && row < 60))
        .collect();
    made.put("observations", &[rows, 3], &zeros_from(noise(1, 300), 180))
        .put("actions", &[rows, 1], &zeros_from(noise(2, 100), 60))
        .column("rewards", &zeros_from(noise(3, 100), 60))
        .column("terminals", &vec![0_u8; rows])
        .column("timeouts", &timeouts);
    let made = made.finish();
    let finding = made.finding(Kind::Repeated).unwrap();
    assert_eq!(finding.severity, Severity::Warning);
    assert!(
        finding.message.contains("never written"),
        "{}",
        finding.message
    );
}

#[test]
fn observations_alone_that_were_never_written_are_a_warning_too() {
    let rows = 60;
    let mut made = Made::new();
    let mut observations = noise(1, 3 * rows);
    observations[3 * 40..].fill(0.0);
    made.put("observations", &[rows, 3], &observations)
        .put("actions", &[rows, 1], &noise(2, rows))
        .column("rewards", &noise(3, rows))
        .column("terminals", &vec![0_u8; rows])
        .column("timeouts", &vec![0_u8; rows]);
    let finding = made.finish().finding(Kind::Repeated).unwrap();
    assert!(
        finding.message.contains("zeros alone"),
        "{}",
        finding.message
    );
}

#[test]
fn long_runs_of_equal_rows_are_a_warning_and_a_stuck_agent_on_a_grid_is_none() {
    let mut made = Made::new();
    made.put("observations", &[60, 2], &[0.3_f64; 120])
        .put("actions", &[60, 1], &[0.1_f64; 60])
        .column("rewards", &[1.0_f64; 60])
        .column("terminals", &[0_u8; 60]);
    assert!(made.finish().finding(Kind::Repeated).is_some());
    let mut made = Made::new();
    made.column("observations", &[3_i64; 60])
        .column("actions", &[1_i64; 60])
        .column("rewards", &[1.0_f64; 60])
        .column("terminals", &[0_u8; 60]);
    assert!(made.finish().finding(Kind::Repeated).is_none());
}

#[test]
fn numbers_of_steps_that_contradict_the_columns_are_a_warning() {
    let mut made = Made::new();
    for (name, said) in [("demo_0", 10), ("demo_1", 4), ("demo_2", 300)] {
        demonstration(&mut made, name, 10, 0.5);
        made.number(&format!("data/{name}"), "num_samples", said);
    }
    made.number("data", "total", 30);
    let finding = made.finish().finding(Kind::Declared).unwrap();
    assert_eq!(finding.count, 2);
    assert!(
        finding
            .message
            .contains("`num_samples` says 4, and the columns have 10 rows"),
        "{}",
        finding.message
    );

    let mut made = Made::new();
    demonstration(&mut made, "demo_0", 300, 0.5);
    made.number("data/demo_0", "num_samples", 300)
        .number("data", "total", 200);
    let finding = made.finish().finding(Kind::Declared).unwrap();
    assert!(finding.message.contains("`total`"), "{}", finding.message);

    let mut made = Made::new();
    episode(&mut made, "episode_0", 5, 0.0);
    made.number("episode_0", "total_steps", 6);
    let finding = made.finish().finding(Kind::Declared).unwrap();
    assert!(
        finding.message.contains("`total_steps` says 6"),
        "{}",
        finding.message
    );

    // Minari 0.4 counted in the file's own attributes: an episode at its end is missing.
    let mut made = Made::new();
    episode(&mut made, "episode_0", 5, 0.0);
    episode(&mut made, "episode_1", 5, 0.0);
    made.number("", "total_episodes", 3)
        .number("", "total_steps", 10);
    let finding = made.finish().finding(Kind::Declared).unwrap();
    let expected = "`total_episodes` says 3, and the file has 2 episodes";
    assert!(finding.message.contains(expected), "{}", finding.message);
}

#[test]
fn a_space_of_another_shape_than_the_columns_is_a_warning() {
    let of = |elements: &str| {
        let mut made = Made::new();
        episode(&mut made, "episode_0", 5, 0.0);
        let space = format!(
            r#"{{"type": "Box", "shape": [2], "dtype": "float32", "low": [{elements}], "high": [{elements}]}}"#
        );
        made.text("", "observation_space", &space);
        made.finish().finding(Kind::Declared)
    };
    assert_eq!(of("0, 0"), None);
    let message = of("0, 0, 0").unwrap().message;
    let expected = "the space of `observations` has 3 elements, and the columns have 2";
    assert!(message.contains(expected), "{message}");
}

#[test]
fn numbers_of_steps_that_agree_are_not_spoken_of() {
    for steps in [1_usize, 127, 128, 200, 255, 256, 300, 512, 1_000] {
        let mut made = Made::new();
        demonstration(&mut made, "demo_0", steps, 0.5);
        made.number("data/demo_0", "num_samples", steps as i64)
            .number("data", "total", steps as i64);
        assert!(made.finish().finding(Kind::Declared).is_none(), "{steps}");
    }
}

#[test]
fn a_file_that_its_writer_did_not_close_is_a_warning() {
    let made = d4rl(40, |row| row as f64 * 0.1).finish();
    assert!(made.finding(Kind::NotClosed).is_none());
    let mut bytes = fs::read(&made.path).unwrap();
    // The mark of files of newer versions, whose first block has a checksum.
    if let Some(marked) = marked_as_open(&mut bytes) {
        fs::write(&made.path, marked).unwrap();
        let finding = made.finding(Kind::NotClosed).unwrap();
        assert_eq!(finding.severity, Severity::Warning);
        assert!(finding.message.contains("h5clear"), "{}", finding.message);
    }
}

/// The file with the mark that a program writes to it.
fn marked_as_open(bytes: &mut [u8]) -> Option<&[u8]> {
    use rust_hdf5::format::superblock::{FLAG_WRITE_ACCESS, SuperblockV2V3};
    match bytes[8] {
        2 | 3 => {
            let mut block = SuperblockV2V3::decode(bytes).ok()?;
            block.file_consistency_flags = FLAG_WRITE_ACCESS;
            let block = block.encode();
            bytes[..block.len()].copy_from_slice(&block);
        }
        // A word of its own in the older form.
        _ => bytes[20] = FLAG_WRITE_ACCESS,
    }
    Some(bytes)
}

#[test]
fn actions_of_a_robomimic_file_beyond_1_are_a_warning() {
    for (action, is_found) in [(1.37, true), (-1.2, true), (1.0, false), (-1.0, false)] {
        let mut made = Made::new();
        demonstration(&mut made, "demo_0", 10, 0.5);
        demonstration(&mut made, "demo_1", 10, action);
        let finding = made.finish().finding(Kind::OutOfBounds);
        assert_eq!(finding.is_some(), is_found, "{action}");
        if let Some(finding) = finding {
            assert_eq!(finding.severity, Severity::Warning);
            assert!(
                finding.message.contains(&action.to_string()),
                "{}",
                finding.message
            );
            assert_eq!(finding.count, 10);
        }
    }
}

#[test]
fn actions_are_held_against_the_environment_that_the_file_names_where_it_is_known() {
    for (name, action, words) in [
        ("Pendulum-v1", 1.7, None),
        (
            "Pendulum-v1",
            2.3,
            Some("actions beyond the bounds of Pendulum-v1"),
        ),
        // Of discrete actions, of another number of elements, and unknown.
        ("CartPole-v1", 1.7, Some("beyond [-1, 1], up to 1.7")),
        ("Hopper-v5", 1.7, Some("beyond [-1, 1], up to 1.7")),
        ("Lift", 1.7, Some("beyond [-1, 1], up to 1.7")),
    ] {
        let mut made = Made::new();
        demonstration(&mut made, "demo_0", 10, 0.5);
        demonstration(&mut made, "demo_1", 10, action);
        let arguments = format!("{{\"env_name\": \"{name}\", \"type\": 2, \"env_kwargs\": {{}}}}");
        made.text("data", "env_args", &arguments);
        let finding = made.finish().finding(Kind::OutOfBounds);
        let said = finding.as_ref().map(|finding| &finding.message[..]);
        match (said, words) {
            (None, None) => {}
            (Some(said), Some(words)) => assert!(said.contains(words), "{name}: {said}"),
            (said, _) => panic!("{name} {action}: {said:?}"),
        }
        assert!(finding.is_none_or(|finding| finding.severity == Severity::Warning));
    }
}

#[test]
fn pixels_that_stand_still_are_no_finding_and_a_picture_that_never_changes_is_one() {
    for moves in [true, false] {
        let mut made = Made::new();
        demonstration(&mut made, "demo_0", 12, 0.5);
        let pixel = |at: usize| match moves && at % 1024 == 40 {
            true => (at / 1024) as u8,
            false => 7,
        };
        let pixels: Vec<u8> = (0..12 * 1024).map(pixel).collect();
        for group in ["obs", "next_obs"] {
            let path = format!("data/demo_0/{group}/camera");
            made.put(&path, &[12, 32, 32, 1], &pixels);
        }
        let made = made.finish();
        let said = said(&made);
        assert!(!said.contains("the same in the observation"), "{said}");
        let is_still = said.contains("the picture `camera` is always the same");
        assert_eq!(is_still, !moves, "{said}");
    }
}

#[test]
fn discrete_actions_that_nobody_took_are_a_warning() {
    let taken = [0_i64, 5, 2, 0, 5, 2];
    let mut made = Made::new();
    made.put("observations", &[6, 2], &noise(1, 12))
        .column("actions", &taken)
        .column("rewards", &noise(2, 6))
        .column("terminals", &[0_u8, 0, 0, 0, 0, 1]);
    let finding = made.finish().finding(Kind::NeverTaken).unwrap();
    assert_eq!(finding.severity, Severity::Warning);
    assert!(
        finding
            .message
            .contains("of 6 discrete actions 3 never occur: 1, 3, 4"),
        "{}",
        finding.message
    );
}

#[test]
fn what_is_sound_is_complained_of_in_no_layout() {
    let sound = d4rl(100, |row| (row as f64 * 0.1).sin()).finish();
    assert!(
        said(&sound).contains("nothing to complain of"),
        "{}",
        said(&sound)
    );
    let check = Check::of(&sound.path, None);
    assert_eq!(check.layout, Some(Layout::D4rl));
}
