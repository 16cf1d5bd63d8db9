//! Recorded actions beyond the bounds of the environment that a scene names: whoever looks at the scene or trains on it is told.

use rust_hdf5::H5File;

use crate::room::{ROOT, Room};

const SCENE: &str = r#"Scene(
    name: "beyond",
    steps: 20,
    plugins: [
        Dataset(path: "beyond.hdf5"SETTINGS),
        Td3Bc(
            minibatch: (batch_size: 16, steps_per_epoch: 20),
            critic: (encoder: Mlp(hidden_sizes: [8])),
            actor: (encoder: Mlp(hidden_sizes: [8])),
        ),
        Evaluation(env: "Pendulum-v1", every: 20, episodes: 1),
    ],
)
"#;

/// 4,000 rows for Pendulum-v1, whose torque is from -2 to 2: 200 of them have more, and row 199 most.
fn with_data() -> Room {
    let room = Room::new();
    let file = H5File::create(room.path("beyond.hdf5")).unwrap();
    let column = |name: &str, shape: &[usize], value: &dyn Fn(usize) -> f32| {
        let values: Vec<f32> = (0..shape.iter().product()).map(value).collect();
        let dataset = file.new_dataset::<f32>().shape(shape).create(name).unwrap();
        dataset.write_raw(&values).unwrap();
    };
    column("observations", &[4000, 3], &|at| (at as f32).sin());
    column("next_observations", &[4000, 3], &|at| {
        (at as f32 + 3.0).sin()
    });
    column("actions", &[4000, 1], &|row| match row {
        199 => -3.95,
        row if row % 20 == 0 && row > 0 => 2.5,
        row => 2.0 * (row as f32).cos(),
    });
    column("rewards", &[4000], &|row| (row as f32).cos());
    column("terminals", &[4000], &|_| 0.0);
    column("timeouts", &[4000], &|row| f32::from(row % 50 == 49));
    file.close().unwrap();
    room
}

fn scene(settings: &str) -> String {
    SCENE.replace("SETTINGS", settings)
}

#[test]
fn a_look_at_a_scene_and_its_training_warn_of_actions_that_no_policy_gives() {
    let room = with_data();
    let warning = "warning: beyond.hdf5: 200 of 4000 rows (5.0%) have actions beyond the bounds of Pendulum-v1, up to -3.95 in element 0, \
                   which is from -2 to 2. ";
    let remedy = "`Dataset(action_bounds: (-3.95, 2.5))`";
    room.write("scene.ron", &scene(""));
    let checked = room.yarak("scene check scene.ron");
    assert_eq!(checked.result(), "scene.ron: good\n");
    // In memory, and left in the file.
    room.write("in_file.ron", &scene(", memory: 1e-4"));
    let trained = room.yarak("train scene.ron --run run");
    let from_file = room.yarak("train in_file.ron --run from_file");
    for told in [checked, trained, from_file] {
        let said = told.ends_with(0);
        assert_eq!(said.matches(warning).count(), 1, "{said}");
        assert!(said.contains(remedy), "{said}");
    }
    let log = std::fs::read_to_string(room.path("run/log.txt")).unwrap();
    assert!(log.contains(warning), "{log}");
}

#[test]
fn a_range_that_holds_them_all_is_no_matter_and_one_that_does_not_is_named() {
    let room = with_data();
    for (bounds, warning) in [
        ("(-4.0, 4.0)", None),
        (
            "(-2.0, 3.0)",
            Some(
                "1 of 4000 rows (0.0%) have actions beyond the bounds of `Dataset.action_bounds`, up to -3.95",
            ),
        ),
    ] {
        room.write("scene.ron", &scene(&format!(", action_bounds: {bounds}")));
        let checked = room.yarak("scene check scene.ron");
        let trained = room.yarak("train scene.ron --debug");
        for told in [checked, trained] {
            let said = told.ends_with(0);
            match warning {
                None => assert!(!said.contains("beyond the bounds"), "{said}"),
                Some(warning) => assert!(said.contains(warning), "{said}"),
            }
        }
    }
}

#[test]
fn demonstrations_of_mujocos_walkers_reach_beyond_their_motors() {
    let room = Room::new();
    for (env, file) in [
        ("Hopper-v5", "hopper-expert-one-episode"),
        ("HalfCheetah-v5", "halfcheetah-expert-one-episode"),
    ] {
        let text = format!(
            "Scene(steps: 10, plugins: [Dataset(path: \"{ROOT}/assets/{file}.hdf5\"), Bc(), Evaluation(env: \"{env}\")])"
        );
        room.write("scene.ron", &text);
        let checked = room.yarak("scene check scene.ron");
        checked.result();
        let expected = format!("have actions beyond the bounds of {env}, up to ");
        assert!(checked.stderr.contains(&expected), "{}", checked.stderr);
    }
}
