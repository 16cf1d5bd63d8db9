//! What a conversion reports: everything in the file that is not in the new one, or is there in another way.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use yarak::data::convert::{ConvertError, Converted, Origin, Target, convert, write};
use yarak::data::hdf5::FileError;
use yarak::data::{
    Column, DatasetFile, Episode, EpisodeEnd, LoadError, Parts, Reading, Transitions,
};

use crate::converting::{converted, fixture, open, read};
use crate::made::Made;

fn left(converted: &Converted) -> Vec<&str> {
    let left = converted.left_behind.iter();
    left.map(|left| left.what.as_str()).collect()
}

fn notes(converted: &Converted, words: &str) -> bool {
    converted.notes.iter().any(|note| note.contains(words))
}

/// A copy of a dataset of Minari's whose metadata are another text.
fn minari_with(folder: &Path, source: &Path, change: impl Fn(String) -> String) -> PathBuf {
    let copy = folder.join("changed");
    std::fs::create_dir_all(&copy).unwrap();
    std::fs::copy(source.join("main_data.hdf5"), copy.join("main_data.hdf5")).unwrap();
    let text = std::fs::read_to_string(source.join("metadata.json")).unwrap();
    let changed = change(text.clone());
    assert_ne!(changed, text);
    std::fs::write(copy.join("metadata.json"), changed).unwrap();
    copy
}

fn metadata(dataset: &Path) -> Value {
    let text = std::fs::read_to_string(dataset.join("data/metadata.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Three steps with observations and actions of Pendulum's widths, as Minari keeps them.
fn pendulum(folder: &Path) -> PathBuf {
    let column = |values: &[f32], width| Column {
        values: values.to_vec(),
        width,
    };
    let observed = [1.0, 0.0, 0.5, 0.8, 0.6, 1.5, 0.0, 1.0, 2.5, -1.0, 0.0, 3.5];
    let transitions = Transitions::new(Parts {
        observation: column(&observed[..9], 3).into(),
        action: column(&[0.5, -1.0, 2.0], 1),
        reward: vec![-1.0, -2.0, -3.0],
        next_observation: column(&observed[3..], 3).into(),
        terminated: vec![false; 3],
        episodes: vec![Episode {
            rows: 0..3,
            end: EpisodeEnd::Truncated,
        }],
    });
    let path = folder.join("turning-v0");
    write(&transitions.unwrap(), &path, Target::Minari, None, false).unwrap();
    path.join("data")
}

/// The same, of an environment whose specification the file has.
fn turning_data(folder: &Path) -> PathBuf {
    minari_with(folder, &pendulum(folder), |text| {
        text.replacen('{', r#"{"env_spec": "{\"id\": \"Turning-v3\"}", "#, 1)
    })
}

/// What `yarak data convert --json` says.
fn told(from: &Path, to: &Path, target: &str, environment: &str) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_yarak"));
    command.args(["data", "convert", "--json"]).args([from, to]);
    command.args(["--to", target, "--env", environment]);
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn robomimics_arguments_of_the_environment_go_unchanged_to_robomimic_and_are_left_by_all_others() {
    let folder = tempfile::tempdir().unwrap();
    let source = fixture("layouts/robomimic/plain.hdf5");
    let arguments = "`data@env_args`";
    for (target, name) in [(Target::D4rl, "d4rl"), (Target::Minari, "minari-v0")] {
        // Its observations are not the following rows'.
        let source = match target {
            Target::Minari => fixture("layouts/robomimic/without_next.hdf5"),
            _ => source.clone(),
        };
        let done = converted(&source, &folder.path().join(name), target);
        assert!(left(&done).contains(&arguments), "{done}");
    }
    let done = converted(&source, &folder.path().join("robomimic"), Target::Robomimic);
    assert!(!left(&done).contains(&arguments), "{done}");
    let turning = folder.path().join("turning.hdf5");
    converted(&turning_data(folder.path()), &turning, Target::Robomimic);
    let named = folder.path().join("named.hdf5");
    let done = told(&turning, &named, "robomimic", "Pendulum-v1");
    assert_eq!(done["left_behind"][0]["what"], arguments);
    assert!(
        done.to_string()
            .contains("names its environment Turning-v3")
    );
}

#[test]
fn bounds_go_to_minari_and_are_left_by_layouts_without_spaces() {
    let folder = tempfile::tempdir().unwrap();
    let infinite = r#"\"low\": [-Infinity, -Infinity, -Infinity]"#;
    let source = minari_with(folder.path(), &fixture("layouts/minari/box"), |text| {
        text.replace(infinite, r#"\"low\": [-100.0, -200.0, -Infinity]"#)
    });
    for (target, name) in [(Target::D4rl, "d4rl"), (Target::Robomimic, "robomimic")] {
        let done = converted(&source, &folder.path().join(name), target);
        for space in ["`action_space`", "`observation_space`"] {
            assert!(left(&done).contains(&space), "{done}");
        }
    }
    let copy = folder.path().join("copy-v0");
    let done = converted(&source, &copy, Target::Minari);
    assert!(!left(&done).contains(&"`observation_space`"), "{done}");
    assert!(!notes(&done, "without bounds"), "{done}");
    let space = |name: &str| metadata(&copy)[name].as_str().unwrap().to_owned();
    assert!(space("observation_space").contains(r#""low": [-100.0, -200.0, -Infinity]"#));
    assert!(space("action_space").contains(r#""low": [-2.0, -2.0]"#));
    let nested = folder.path().join("nested-v0");
    let done = converted(&fixture("layouts/minari/nested"), &nested, Target::Minari);
    assert!(left(&done).contains(&"`observation_space`"), "{done}");
    assert!(
        notes(&done, "without bounds are observations and actions"),
        "{done}"
    );
}

#[test]
fn an_environment_gives_minari_the_bounds_of_its_observations_and_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let source = turning_data(folder.path());
    let out = folder.path().join("named-v0");
    let done = told(&source, &out, "minari", "Pendulum-v1");
    let spaces = metadata(&out);
    let observation = spaces["observation_space"].as_str().unwrap();
    assert!(
        observation.contains(r#""low": [-1.0, -1.0, -8.0]"#),
        "{observation}"
    );
    assert!(spaces["action_space"].as_str().unwrap().contains("[-2.0]"));
    assert_eq!(open(&out).environment(), Some("Pendulum-v1"));
    assert_eq!(done["left_behind"][0]["what"], "`env_spec`");
    assert_eq!(done["carried"], serde_json::json!([]));
    assert!(
        done.to_string()
            .contains("gives the environment's name, Pendulum-v1, and no more")
    );
    // By way of D4RL it is a dataset, which is left too, and not carried at once.
    let [d4rl, named] = ["by-way.hdf5", "again-v0"].map(|name| folder.path().join(name));
    converted(&source, &d4rl, Target::D4rl);
    let done = told(&d4rl, &named, "minari", "Pendulum-v1");
    assert_eq!(done["left_behind"][0]["what"], "`metadata/env_spec`");
    assert_eq!(done["carried"], serde_json::json!([]));
    // Nor does D4RL keep one environment's name and another's specification.
    let renamed = folder.path().join("renamed.hdf5");
    let done = told(&d4rl, &renamed, "d4rl", "Pendulum-v1");
    assert_eq!(done["left_behind"][0]["what"], "`metadata/env_spec`");
    assert_eq!(open(&renamed).environment(), Some("Pendulum-v1"));
    // The file's own environment has the file's own specification.
    let kept = folder.path().join("kept-v0");
    let done = converted(&d4rl, &kept, Target::Minari);
    assert_eq!(done.carried, ["`metadata/env_spec`"]);
    assert_eq!(metadata(&kept)["env_spec"], r#"{"id": "Turning-v3"}"#);
}

#[test]
fn recorded_steps_that_are_no_transitions_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    for (source, steps) in [
        ("d4rl/without_next.hdf5", 60),
        ("layouts/robomimic/without_next.hdf5", 14),
        ("layouts/d3rlpy/vectors.h5", 24),
    ] {
        let out = folder.path().join(format!("{steps}.hdf5"));
        let done = converted(&fixture(source), &out, Target::D4rl);
        let lost = steps - read(&fixture(source)).len();
        assert!(lost > 0);
        let words = format!("{lost} of the {steps} recorded steps are no transitions");
        assert!(notes(&done, &words), "{words}: {done}");
    }
    let out = folder.path().join("whole.hdf5");
    let done = converted(&fixture("d4rl/contiguous.hdf5"), &out, Target::D4rl);
    assert!(!notes(&done, "recorded steps"), "{done}");
}

#[test]
fn what_stands_after_an_episodes_last_step_is_left_and_longer_columns_are_no_columns() {
    let folder = tempfile::tempdir().unwrap();
    let source = fixture("conversion/after_the_end.hdf5");
    for (target, name) in [(Target::D4rl, "d4rl"), (Target::Robomimic, "robomimic")] {
        let done = converted(&source, &folder.path().join(name), target);
        for what in ["`longer`", "`states` after an episode's last step"] {
            assert!(left(&done).contains(&what), "{done}");
        }
        assert!(done.carried.contains(&"`states`".to_owned()), "{done}");
        assert!(notes(&done, "`rewards` (int32)"), "{done}");
    }
}

#[test]
fn a_packed_column_under_many_names_is_refused_before_it_fills_the_memory() {
    let folder = tempfile::tempdir().unwrap();
    let dataset_file = open(&fixture("conversion/wide_column.hdf5"));
    for target in [Target::D4rl, Target::Robomimic] {
        let refused = convert(
            &dataset_file,
            &folder.path().join("out"),
            target,
            None,
            false,
        );
        let error = refused.unwrap_err();
        assert!(
            matches!(error, ConvertError::Load(LoadError::File(FileError::Oversized { ref dataset, .. })) if dataset == "states"),
            "{error}"
        );
    }
}

#[test]
fn discrete_actions_from_a_number_that_float32_does_not_have_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for start in [-16_777_217, 16_777_216, i64::MAX, i64::MIN] {
        let source = minari_with(folder.path(), &fixture("layouts/minari/discrete"), |text| {
            text.replace(
                r#"\"start\": 1, \"n\": 3"#,
                &format!(r#"\"start\": {start}, \"n\": 40000000"#),
            )
        });
        let refused = DatasetFile::open(&source, &Reading::default());
        assert!(
            matches!(refused.err(), Some(LoadError::DiscreteActions { .. })),
            "{start}"
        );
    }
}

#[test]
fn discrete_actions_that_the_named_environment_has_more_of_take_the_place_of_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let dataset_file = open(&fixture("layouts/minari/discrete"));
    for (count, is_left) in [(3, false), (5, true)] {
        let origin = Origin {
            environment: "Stairs-v0".to_owned(),
            observation_low: Vec::new(),
            observation_high: Vec::new(),
            action_low: vec![f32::NEG_INFINITY],
            action_high: vec![f32::INFINITY],
            discrete_actions: Some(count),
        };
        let out = folder.path().join(format!("of-{count}-v0"));
        let done = convert(&dataset_file, &out, Target::Minari, Some(&origin), false).unwrap();
        assert_eq!(left(&done).contains(&"`action_space`"), is_left, "{done}");
        assert_eq!(read(&out).discrete_actions(), Some(count));
    }
}

#[test]
fn minaris_metadata_go_to_minari_but_for_numbers_that_json_lacks() {
    let folder = tempfile::tempdir().unwrap();
    let source = minari_with(folder.path(), &fixture("layouts/minari/box"), |text| {
        let more = r#"{"num_episodes_average_score": 100, "ref_max_score": NaN, "ref_min_score": [1.0, -Infinity], "description": null, "#;
        text.replacen('{', more, 1)
    });
    let copy = folder.path().join("copy-v0");
    let done = converted(&source, &copy, Target::Minari);
    assert_eq!(left(&done), ["`ref_max_score`", "`ref_min_score`"]);
    let carried = [
        "`infos/speed`",
        "`description`",
        "`num_episodes_average_score`",
    ];
    assert_eq!(done.carried, carried);
    let written = metadata_with_infinities(&copy);
    assert!(
        written.contains(r#""num_episodes_average_score":100"#),
        "{written}"
    );
    assert!(!written.contains("ref_m"), "{written}");
    let d4rl = converted(&source, &folder.path().join("d4rl"), Target::D4rl);
    assert!(
        left(&d4rl).contains(&"`num_episodes_average_score`"),
        "{d4rl}"
    );
}

fn metadata_with_infinities(dataset: &Path) -> String {
    std::fs::read_to_string(dataset.join("data/metadata.json")).unwrap()
}

#[test]
fn further_datasets_and_attributes_of_every_group_and_dataset_are_listed() {
    let folder = tempfile::tempdir().unwrap();
    let out = |name: &str| folder.path().join(name);
    let strangers = fixture("conversion/strangers.h5");
    let done = converted(&strangers, &out("d3rlpy"), Target::D4rl);
    assert_eq!(left(&done), ["`notes`", "`observations_N@unit`"], "{done}");
    let done = converted(
        &fixture("conversion/reference_scores.hdf5"),
        &out("minari"),
        Target::D4rl,
    );
    for what in [
        "`@ref_max_score`",
        "`@ref_min_score`",
        "`episode_N/infos@of`",
        "`episode_N/rewards@scale`",
    ] {
        assert!(left(&done).contains(&what), "{done}");
    }
    assert!(!left(&done).iter().any(|what| what.contains("total_steps")));
}

#[test]
fn parts_that_are_joined_are_told_with_their_order_and_widths() {
    let folder = tempfile::tempdir().unwrap();
    let out = |name: &str| folder.path().join(name);
    let plain = fixture("layouts/robomimic/plain.hdf5");
    let observed = "observations are side by side in one row a step: `eef_pos` (2), `gripper` (1), `object` (3)";
    let done = converted(&plain, &out("d4rl"), Target::D4rl);
    assert!(notes(&done, observed), "{done}");
    // robomimic keeps them apart.
    let done = converted(&plain, &out("again"), Target::Robomimic);
    assert!(!notes(&done, "side by side"), "{done}");
    for (target, name) in [
        (Target::D4rl, "d4"),
        (Target::Robomimic, "robo"),
        (Target::Minari, "nested-v0"),
    ] {
        let done = converted(&fixture("layouts/minari/nested"), &out(name), target);
        for words in [
            "actions are side by side in one row a step: `_index_0` (1), `_index_1` (2)",
            "`a/_index_0` (2), `a/_index_1` (1), `b` ([2, 2], row by row)",
        ] {
            assert!(notes(&done, words), "{words}: {done}");
        }
    }
}

#[test]
fn flags_are_told_as_truth_values_and_not_as_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("flags.hdf5");
    let done = converted(&fixture("d4rl/flags_float64.hdf5"), &out, Target::D4rl);
    assert!(
        notes(&done, "written as truth values: `terminals` (float64)"),
        "{done}"
    );
    assert!(!notes(&done, "float32"), "{done}");
}

#[test]
fn a_filter_key_is_left_for_the_demonstration_that_it_names_and_that_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("again.hdf5");
    let done = converted(
        &fixture("layouts/robomimic/plain.hdf5"),
        &out,
        Target::Robomimic,
    );
    assert!(done.left_behind[0].why.contains("`demo_7`"), "{done}");
}

#[test]
fn pictures_of_d3rlpy_stay_pictures_in_robomimics_layout() {
    let mut made = Made::new();
    made.put("observations_0", &[3, 1, 20, 24], &[7_u8; 3 * 480])
        .put("actions_0", &[3, 1], &[0.5_f32; 3])
        .column("rewards_0", &[1.0_f32; 3])
        .column("terminated_0", &[1_u8])
        .column("num_episodes", &[1_i64]);
    let made = made.finish();
    let out = made.folder.path().join("pictures.hdf5");
    converted(&made.path, &out, Target::Robomimic);
    let copy = open(&out);
    let [picture] = copy.observation() else {
        panic!("{:?}", copy.observation());
    };
    assert_eq!(
        (&*picture.name, &picture.shape[..]),
        ("pixels", &[1, 20, 24][..])
    );
    assert_eq!(copy.read().unwrap().observation().row(0)[..], [7.0; 480]);
    let bytes = open(&made.path);
    assert_eq!(
        copy.parts().iter().next().unwrap().kind,
        bytes.parts().iter().next().unwrap().kind
    );
}
