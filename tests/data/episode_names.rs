//! Names of episodes: each is read, in the order of its number, or named in an error.

use yarak::data::{DatasetFile, Reading};

use crate::made::{Made, demonstration, episode};

/// The first action of each episode.
fn order(made: Made) -> Vec<f32> {
    let transitions = made.finish().read();
    let first = |rows: &std::ops::Range<usize>| transitions.action().row(rows.start)[0];
    transitions
        .episodes()
        .iter()
        .map(|episode| first(&episode.rows))
        .collect()
}

#[test]
fn demonstrations_come_by_their_number_padded_or_not_and_none_is_lost() {
    let mut made = Made::new();
    let names = [
        ("demo_11", 12.0),
        ("demo_2", 2.0),
        ("demo_0010", 10.0),
        ("demo_9", 9.0),
        ("demo_0", 0.0),
        ("demo_10", 11.0),
        ("demo_0_aug", 1.0),
        ("demo_0003", 3.0),
    ];
    for (name, action) in names {
        demonstration(&mut made, name, 3, action);
    }
    assert_eq!(order(made), [0.0, 1.0, 2.0, 3.0, 9.0, 10.0, 11.0, 12.0]);
}

#[test]
fn demonstrations_that_are_all_padded_are_read() {
    let mut made = Made::new();
    for number in (0..12).rev() {
        demonstration(
            &mut made,
            &format!("demo_{number:04}"),
            3,
            f64::from(number),
        );
    }
    let right: Vec<f32> = (0..12).map(|number| number as f32).collect();
    assert_eq!(order(made), right);
}

#[test]
fn a_demonstration_under_another_name_is_named_in_the_refusal() {
    for name in ["demo_last", "demo_-1", "trial_3", "Demo_1"] {
        let mut made = Made::new();
        demonstration(&mut made, "demo_0", 3, 0.0);
        demonstration(&mut made, name, 3, 1.0);
        let refusal = made.finish().refusal();
        for word in [&format!("`data/{name}`"), "rename it"] {
            assert!(refusal.contains(word), "{refusal}");
        }
    }
}

#[test]
fn groups_next_to_demonstrations_that_hold_no_actions_are_left_alone() {
    let mut made = Made::new();
    demonstration(&mut made, "demo_0", 3, 5.0);
    made.column("data/camera/matrix", &[1.0_f64, 2.0]);
    assert_eq!(order(made), [5.0]);
}

#[test]
fn an_unknown_layout_is_refused_with_the_names_inside_its_groups() {
    let mut made = Made::new();
    demonstration(&mut made, "trial_0", 3, 0.0);
    let refusal = made.finish().refusal();
    assert!(refusal.contains("`data/` has `trial_0/`"), "{refusal}");
}

#[test]
fn filter_keys_name_padded_demonstrations_as_the_file_does() {
    let mut made = Made::new();
    for (name, action) in [("demo_000", 0.0), ("demo_001", 1.0), ("demo_1_aug", 2.0)] {
        demonstration(&mut made, name, 3, action);
    }
    made.names("mask/train", &["demo_001", "demo_1_aug"])
        .names("mask/unpadded", &["demo_1"])
        .names("mask/nothing", &[])
        .names("mask/more/train", &["demo_000"]);
    let made = made.finish();
    let filtered = |filter: &str| {
        let reading = Reading {
            filter: Some(filter.to_owned()),
            ..Reading::default()
        };
        DatasetFile::open(&made.path, &reading)
    };
    assert_eq!(filtered("train").unwrap().recorded_episodes(), 2);
    let refusal = |filter: &str| filtered(filter).err().unwrap().to_string();
    assert!(refusal("unpadded").contains("no demonstration `demo_1`"));
    assert!(refusal("more").contains("no filter key `more`; the file has `nothing`, `train`"));
    assert!(refusal("").contains("no filter key ``"));
    assert!(refusal("nothing").contains("`nothing` lists no demonstration"));
}

#[test]
fn episodes_of_minari_are_read_padded_or_not_and_twins_and_copies_are_refused() {
    let mut made = Made::new();
    for (name, action) in [
        ("episode_0", 0.0),
        ("episode_003", 3.0),
        ("episode_1", 1.0),
        ("episode_002", 2.0),
    ] {
        episode(&mut made, name, 3, action);
    }
    assert_eq!(order(made), [0.0, 1.0, 2.0, 3.0]);
    for (name, words) in [
        ("episode_01", ["`episode_01`", "`episode_1`"]),
        ("episode_1_aug", ["`episode_1_aug`", "rename it"]),
        ("part_2", ["`part_2`", "rename it"]),
    ] {
        let mut made = Made::new();
        for name in ["episode_0", "episode_1", name] {
            episode(&mut made, name, 3, 0.0);
        }
        let refusal = made.finish().refusal();
        for word in words {
            assert!(refusal.contains(word), "{name}: {refusal}");
        }
    }
}

#[test]
fn an_episode_of_d3rlpy_with_a_padded_number_is_named_in_the_refusal() {
    let mut made = Made::new();
    for number in ["0", "0001"] {
        made.put(&format!("observations_{number}"), &[3, 1], &[0.0_f32; 3])
            .put(&format!("actions_{number}"), &[3, 1], &[0.0_f32; 3])
            .put(&format!("rewards_{number}"), &[3, 1], &[0.0_f32; 3])
            .column(&format!("terminated_{number}"), &[0_u8]);
    }
    made.column("num_episodes", &[1_i64]);
    let refusal = made.finish().refusal();
    assert!(refusal.contains("`actions_0001`"), "{refusal}");
}
