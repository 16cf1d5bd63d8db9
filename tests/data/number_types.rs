//! Types of numbers: every integer and float type is read in every layout, rounded to the nearest float32, and what a column of whole
//! numbers means is the same in all of them.

use rust_hdf5::types::H5Type;
use yarak::data::{Layout, Transitions};

use crate::made::{Finished, Made};

const LAYOUTS: [Layout; 4] = [
    Layout::D4rl,
    Layout::Minari,
    Layout::Robomimic,
    Layout::D3rlpy,
];

const STEPS: usize = 6;

/// One episode of six steps that ends terminal, with columns of these types.
fn file<O: H5Type, A: H5Type, R: H5Type>(
    layout: Layout,
    (observation, observation_shape): (&[O], &[usize]),
    (action, action_shape): (&[A], &[usize]),
    reward: &[R],
) -> Finished {
    let mut made = Made::new();
    let [observations, actions, rewards, ends] = match layout {
        Layout::D4rl => ["observations", "actions", "rewards", "terminals"],
        Layout::Minari => [
            "episode_0/observations",
            "episode_0/actions",
            "episode_0/rewards",
            "episode_0/terminations",
        ],
        Layout::Robomimic => [
            "data/demo_0/obs/x",
            "data/demo_0/actions",
            "data/demo_0/rewards",
            "data/demo_0/dones",
        ],
        _ => ["observations_0", "actions_0", "rewards_0", "terminated_0"],
    };
    let with = |rows: usize, shape: &[usize]| [&[rows], shape].concat();
    let width: usize = observation_shape.iter().product();
    let rows = STEPS + usize::from(layout == Layout::Minari);
    made.put(
        observations,
        &with(rows, observation_shape),
        &observation[..rows * width],
    )
    .put(actions, &with(STEPS, action_shape), action)
    .column(rewards, reward);
    match layout {
        Layout::D3rlpy => {
            made.column(ends, &[1_u8]).column("num_episodes", &[1_i64]);
        }
        _ => {
            made.column(ends, &[0_u8, 0, 0, 0, 0, 1]);
        }
    }
    if layout == Layout::Minari {
        made.column("episode_0/truncations", &[0_u8; STEPS]);
    }
    made.finish()
}

fn observations(transitions: &Transitions) -> Vec<f32> {
    transitions.observation().numbers().into_owned()
}

/// Each type in turn, in every column and layout.
macro_rules! every_type_is_read {
    ($($name:ident: $type:ty),*) => {$(
        #[test]
        fn $name() {
            // 17, 1 and 0, and the greatest that there is.
            let values: Vec<$type> = (0..14).map(|n| match n % 4 {
                0 => 17 as $type,
                1 => 1 as $type,
                2 => 0 as $type,
                _ => <$type>::MAX.min(1e30_f64 as $type),
            }).collect();
            let right: Vec<f32> = values.iter().map(|value| *value as f32).collect();
            for layout in LAYOUTS {
                let made = file(
                    layout,
                    (&values, &[2]),
                    (&values[..2 * STEPS], &[2]),
                    &values[..STEPS],
                );
                let transitions = made.read();
                assert_eq!(observations(&transitions), &right[..2 * STEPS], "{layout}");
                assert_eq!(transitions.action().values, right[..2 * STEPS], "{layout}");
                assert_eq!(transitions.reward(), &right[..STEPS], "{layout}");
                assert_eq!(transitions.discrete_actions(), None, "{layout}");
            }
        }
    )*};
}

every_type_is_read!(
    int8_is_read: i8,
    uint8_is_read: u8,
    int16_is_read: i16,
    uint16_is_read: u16,
    int32_is_read: i32,
    uint32_is_read: u32,
    int64_is_read: i64,
    uint64_is_read: u64,
    float32_is_read: f32,
    float64_is_read: f64
);

#[test]
fn truth_values_are_rewards_and_observations_of_0_and_1() {
    let flags: Vec<rust_hdf5::HBool> = (0..14).map(|n| (n % 3 == 1).into()).collect();
    let right: Vec<f32> = (0..14).map(|n| f32::from(u8::from(n % 3 == 1))).collect();
    for layout in LAYOUTS {
        let made = file(
            layout,
            (&flags, &[2]),
            (&[0.5_f32; STEPS], &[1]),
            &flags[..STEPS],
        );
        let transitions = made.read();
        assert_eq!(observations(&transitions), &right[..2 * STEPS], "{layout}");
        assert_eq!(transitions.reward(), &right[..STEPS], "{layout}");
    }
}

#[test]
fn a_column_without_a_second_axis_is_one_element_a_row() {
    let numbers: Vec<f32> = (0..7).map(|n| n as f32 * 0.25).collect();
    for layout in LAYOUTS {
        let made = file(
            layout,
            (&numbers, &[]),
            (&numbers[..STEPS], &[]),
            &[1_i64; STEPS],
        );
        let transitions = made.read();
        assert_eq!(transitions.observation().width(), 1, "{layout}");
        assert_eq!(observations(&transitions), &numbers[..STEPS], "{layout}");
        assert_eq!(transitions.action().values, numbers[..STEPS], "{layout}");
        assert_eq!(transitions.discrete_actions(), None, "{layout}");
    }
}

#[test]
fn one_whole_number_or_truth_value_a_row_is_a_discrete_action() {
    let observation = [0.5_f32; 7];
    let choices = [0_i16, 2, 1, 0, 1, 2];
    let flags: Vec<rust_hdf5::HBool> = vec![false.into(); STEPS];
    for layout in LAYOUTS {
        for shape in [&[][..], &[1]] {
            let made = file(
                layout,
                (&observation, &[]),
                (&choices, shape),
                &[0.0_f64; STEPS],
            );
            let transitions = made.read();
            assert_eq!(transitions.discrete_actions(), Some(3), "{layout}");
            assert_eq!(
                transitions.action().values,
                [0.0, 2.0, 1.0, 0.0, 1.0, 2.0],
                "{layout}"
            );
            // One that was never taken is there all the same.
            let made = file(
                layout,
                (&observation, &[]),
                (&flags, shape),
                &[0.0_f64; STEPS],
            );
            assert_eq!(made.read().discrete_actions(), Some(2), "{layout}");
        }
    }
}

/// Minari's metadata next to a file.
fn describe(made: &Finished, observation: &str, action: &str) {
    let metadata = serde_json::json!({
        "total_episodes": 1,
        "data_format": "hdf5",
        "observation_space": observation,
        "action_space": action,
    });
    let place = made.folder.path().join("metadata.json");
    std::fs::write(place, metadata.to_string()).unwrap();
}

const BOX: &str = r#"{"type": "Box", "dtype": "int32", "shape": [1], "low": [0], "high": [9]}"#;

#[test]
fn whole_numbers_of_a_box_are_real_numbers_whatever_their_shape() {
    let made = file(
        Layout::Minari,
        (&[0.5_f32; 7], &[1]),
        (&[9_i32, 1, 2, 3, 4, 0], &[1]),
        &[0.0_f64; STEPS],
    );
    describe(&made, BOX, BOX);
    let transitions = made.read();
    assert_eq!(transitions.discrete_actions(), None);
    assert_eq!(transitions.action().values, [9.0, 1.0, 2.0, 3.0, 4.0, 0.0]);
}

#[test]
fn several_choices_at_once_are_refused_by_name() {
    let made = file(
        Layout::Minari,
        (&[0.5_f32; 7], &[1]),
        (&[0_i64; 2 * STEPS], &[2]),
        &[0.0_f64; STEPS],
    );
    for several in [
        r#"{"type": "MultiDiscrete", "dtype": "int64", "nvec": [2, 3]}"#,
        r#"{"type": "MultiBinary", "n": 2}"#,
    ] {
        describe(&made, BOX, several);
        assert!(made.refusal().contains("several choices"), "{several}");
    }
}

#[test]
fn choices_that_were_written_as_floats_are_choices_where_the_space_says_so() {
    let of = |actions: &[f64]| {
        let width = actions.len() / STEPS;
        let shape: &[usize] = if width == 1 { &[] } else { &[width] };
        let observations = (&[0.5_f32; 7][..], &[1][..]);
        let rewards = [0.0_f64; STEPS];
        let made = file(Layout::Minari, observations, (actions, shape), &rewards);
        let space = r#"{"type": "Discrete", "dtype": "int64", "start": 0, "n": 3}"#;
        describe(&made, BOX, space);
        made
    };
    let transitions = of(&[0.0, 1.0, 2.0, 2.0, 1.0, 0.0]).read();
    assert_eq!(transitions.discrete_actions(), Some(3));
    assert_eq!(transitions.action().values, [0.0, 1.0, 2.0, 2.0, 1.0, 0.0]);
    let between = of(&[0.0, 1.0, 0.5, 2.0, 1.0, 0.0]);
    let refusal = between.open().unwrap().read().unwrap_err().to_string();
    assert!(refusal.contains("the choice 0.5"), "{refusal}");
    // One of three as three numbers.
    let refusal = of(&[0.0; 3 * STEPS]).refusal();
    assert!(refusal.contains("one choice at each step"), "{refusal}");
}

#[test]
fn observations_of_spaces_that_start_elsewhere_count_from_0() {
    let start = r#"{"type": "Discrete", "dtype": "int64", "start": 10, "n": 4}"#;
    let made = file(
        Layout::Minari,
        (&[10_i64, 11, 12, 13, 10, 11, 13], &[]),
        (&[0.0_f32; STEPS], &[1]),
        &[0.0_f64; STEPS],
    );
    describe(&made, start, BOX);
    let transitions = made.read();
    assert_eq!(observations(&transitions), [0.0, 1.0, 2.0, 3.0, 0.0, 1.0]);
    assert_eq!(
        *transitions.next_observation().numbers(),
        [1.0, 2.0, 3.0, 0.0, 1.0, 3.0]
    );
    let to = made.folder.path().join("out.hdf5");
    let target = yarak::data::convert::Target::D4rl;
    let opened = made.open().unwrap();
    let converted = yarak::data::convert::convert(&opened, &to, target, None, false).unwrap();
    assert!(
        converted
            .notes
            .iter()
            .any(|note| note.contains("counted from 0"))
    );
    // A part of it alone is the same.
    let part = made.open().unwrap().read_rows(2..4).unwrap();
    assert_eq!(observations(&part), [2.0, 3.0]);

    let several =
        r#"{"type": "MultiDiscrete", "dtype": "int64", "nvec": [3, 5], "start": [1, -2]}"#;
    let numbers: Vec<i64> = (0..7).flat_map(|n| [1 + n % 3, n % 5 - 2]).collect();
    let made = file(
        Layout::Minari,
        (&numbers, &[2]),
        (&[0.0_f32; STEPS], &[1]),
        &[0.0_f64; STEPS],
    );
    describe(&made, several, BOX);
    let right: Vec<f32> = (0..6)
        .flat_map(|n| [(n % 3) as f32, (n % 5) as f32])
        .collect();
    assert_eq!(observations(&made.read()), right);
}

#[test]
fn a_start_that_float32_cannot_hold_is_refused() {
    let made = file(
        Layout::Minari,
        (&[1_i64 << 40; 7], &[]),
        (&[0.0_f32; STEPS], &[1]),
        &[0.0_f64; STEPS],
    );
    let start = r#"{"type": "Discrete", "dtype": "int64", "start": 1099511627776, "n": 4}"#;
    describe(&made, start, BOX);
    assert!(made.refusal().contains("1099511627776"));
}
