//! Files that were converted and converted back, with what they hold next to the transitions, and the bounds that files give.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use yarak::data::check::{Check, Kind};
use yarak::data::convert::{ConvertError, Converted, Origin, Target, convert};
use yarak::data::hdf5::File;
use yarak::data::{DatasetFile, EpisodeEnd, Parts, Reading};

use crate::converting::{converted, fixture, open, read};

/// What a file gives, as D4RL says it: what is unfinished times out.
fn as_d4rl_ends(path: &Path) -> Parts {
    let mut parts = read(path).into_parts();
    for episode in &mut parts.episodes {
        if episode.end == EpisodeEnd::Unfinished {
            episode.end = EpisodeEnd::Truncated;
        }
    }
    parts
}

fn left(converted: &Converted) -> Vec<&str> {
    let left = converted.left_behind.iter();
    left.map(|left| left.what.as_str()).collect()
}

#[test]
fn d4rl_by_way_of_minari_and_back_is_the_same_with_its_infos_and_metadata() {
    let folder = tempfile::tempdir().unwrap();
    let source = fixture("d4rl/contiguous.hdf5");
    let minari = folder.path().join("by-way-v0");
    let back = folder.path().join("back.hdf5");
    let there = converted(&source, &minari, Target::Minari);
    assert_eq!(there.carried, ["`infos/qpos`", "`metadata/algorithm`"]);
    // The values that are after each episode's last step have no row in D4RL.
    let home = converted(&minari, &back, Target::D4rl);
    let carried = ["`infos/qpos`", "`algorithm_name`", "`env_spec`"];
    assert_eq!(home.carried, carried);
    assert_eq!(open(&back).environment(), open(&source).environment());
    assert_eq!(left(&home), ["`infos/qpos` after an episode's last step"]);
    assert!(read(&back).into_parts() == as_d4rl_ends(&source));
    let [before, after] = [&source, &back].map(|path| File::open(path).unwrap());
    let positions = |file: &File| file.read::<f64>("infos/qpos", ..).unwrap();
    assert_eq!(positions(&after), positions(&before));
    assert_eq!(
        after.dataset("infos/qpos").unwrap().dtype.to_string(),
        "float64"
    );
    assert_eq!(after.read_texts("metadata/algorithm").unwrap(), ["SAC"]);
}

#[test]
fn d4rl_by_way_of_robomimic_and_back_is_the_same_but_for_what_was_told() {
    let folder = tempfile::tempdir().unwrap();
    let source = fixture("d4rl/contiguous.hdf5");
    let robomimic = folder.path().join("by-way.hdf5");
    let back = folder.path().join("back.hdf5");
    let there = converted(&source, &robomimic, Target::Robomimic);
    let told = [
        "`infos/qpos`",
        "`infos@of`",
        "`metadata/algorithm`",
        "`rewards@scale`",
        "`rewards@unit`",
    ];
    assert_eq!(left(&there), told);
    let home = converted(&robomimic, &back, Target::D4rl);
    // Its arguments of the environment are more than the name, which is what D4RL has a place for.
    assert_eq!(left(&home), ["`data@env_args`"]);
    assert!(read(&back).into_parts() == as_d4rl_ends(&source));
    let environment = |path: &Path| open(path).environment().map(str::to_owned);
    assert_eq!(environment(&back), environment(&source));
}

#[test]
fn d4rl_again_keeps_everything_but_attributes_whose_types_cannot_be_seen() {
    let folder = tempfile::tempdir().unwrap();
    let source = fixture("d4rl/contiguous.hdf5");
    let copy = folder.path().join("copy.hdf5");
    let again = converted(&source, &copy, Target::D4rl);
    assert_eq!(
        left(&again),
        ["`infos@of`", "`rewards@scale`", "`rewards@unit`"]
    );
    let names = |path: &Path| {
        let file = File::open(path).unwrap();
        let datasets = file.datasets().iter();
        datasets
            .map(|info| format!("{} {:?} {}", info.path, info.shape, info.dtype))
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&copy), names(&source));
    // Rows that are no transitions are in no column.
    let cut = fixture("d4rl/without_next.hdf5");
    let copy = folder.path().join("cut.hdf5");
    converted(&cut, &copy, Target::D4rl);
    assert_eq!(read(&copy).len(), read(&cut).len());
}

#[test]
fn discrete_actions_are_whole_numbers_in_d4rl_and_minari_and_refused_for_robomimic() {
    let folder = tempfile::tempdir().unwrap();
    for (name, count, first) in [
        ("layouts/d3rlpy/discrete.h5", 4, 0),
        ("layouts/minari/discrete", 3, 1),
    ] {
        let source = fixture(name);
        let [d4rl, back] =
            ["there.hdf5", "back.hdf5"].map(|file| folder.path().join(format!("{count}-{file}")));
        let minari = folder.path().join(format!("choices-{count}-v0"));
        converted(&source, &d4rl, Target::D4rl);
        let file = File::open(&d4rl).unwrap();
        let actions = file.dataset("actions").unwrap();
        assert_eq!(
            (actions.shape.len(), actions.dtype.to_string().as_str()),
            (1, "int64")
        );
        converted(&d4rl, &minari, Target::Minari);
        converted(&minari, &back, Target::D4rl);
        let expected = read(&source);
        for path in [&d4rl, &minari, &back] {
            let found = open(path);
            let discrete_actions = found.discrete_actions().unwrap();
            assert_eq!(
                (discrete_actions.count, discrete_actions.first),
                (Some(count), first),
                "{path:?}"
            );
            let found = found.read().unwrap();
            assert_eq!(found.discrete_actions(), Some(count));
            assert_eq!(found.action(), expected.action());
            assert_eq!(found.observation(), expected.observation());
        }
        let robomimic = folder.path().join("refused.hdf5");
        let refused = convert(&open(&source), &robomimic, Target::Robomimic, None, false);
        assert!(
            matches!(refused, Err(ConvertError::DiscreteActions { discrete_actions }) if discrete_actions == count)
        );
        assert!(!robomimic.exists());
    }
}

#[test]
fn an_environment_says_how_many_discrete_actions_there_are_and_must_have_as_many_as_were_taken() {
    let folder = tempfile::tempdir().unwrap();
    let dataset_file = open(&fixture("layouts/d3rlpy/discrete.h5"));
    let origin = |discrete_actions| Origin {
        environment: "a task".to_owned(),
        observation_low: Vec::new(),
        observation_high: Vec::new(),
        action_low: vec![f32::NEG_INFINITY],
        action_high: vec![f32::INFINITY],
        discrete_actions,
    };
    let out = folder.path().join("out.hdf5");
    for wrong in [None, Some(3)] {
        let error = convert(
            &dataset_file,
            &out,
            Target::D4rl,
            Some(&origin(wrong)),
            false,
        )
        .unwrap_err();
        assert!(matches!(error, ConvertError::OtherKind { .. }), "{error}");
    }
    convert(
        &dataset_file,
        &out,
        Target::D4rl,
        Some(&origin(Some(6))),
        false,
    )
    .unwrap();
    assert_eq!(read(&out).discrete_actions(), Some(6));
    assert_eq!(open(&out).environment(), Some("a task"));
}

#[test]
fn robomimic_keeps_its_keys_filters_and_states_and_gives_states_to_d4rl_and_back() {
    let folder = tempfile::tempdir().unwrap();
    let source = fixture("layouts/robomimic/plain.hdf5");
    let [again, d4rl, back] =
        ["again.hdf5", "d4rl.hdf5", "back.hdf5"].map(|file| folder.path().join(file));
    let kept = converted(&source, &again, Target::Robomimic);
    assert_eq!(
        kept.carried,
        ["`states`", "`mask/both`", "`mask/train`", "`mask/valid`"]
    );
    assert_eq!(left(&kept), ["`mask/strangers`"]);
    let keys = |path: &Path| {
        let keys = open(path).observation().to_vec();
        keys.into_iter()
            .map(|key| (key.name, key.shape))
            .collect::<Vec<_>>()
    };
    assert_eq!(keys(&again), keys(&source));
    let trained = |path: &Path, filter: &str| {
        let reading = Reading {
            filter: Some(filter.to_owned()),
            ..Reading::default()
        };
        let dataset_file = DatasetFile::open(path, &reading).unwrap();
        dataset_file.read().unwrap().into_parts()
    };
    for filter in ["train", "valid", "both"] {
        assert_eq!(
            trained(&again, filter),
            trained(&source, filter),
            "{filter}"
        );
    }
    assert_eq!(open(&again).environment(), open(&source).environment());
    let away = converted(&source, &d4rl, Target::D4rl);
    assert!(left(&away).contains(&"`mask/train`"), "{away}");
    converted(&d4rl, &back, Target::Robomimic);
    for path in [&again, &back] {
        let states = |path: &Path| open(path).read_column("states").unwrap();
        assert_eq!(states(path), states(&source));
    }
    let file = File::open(&back).unwrap();
    assert_eq!(
        file.dataset("data/demo_0/states")
            .unwrap()
            .dtype
            .to_string(),
        "float64"
    );
}

#[test]
fn infos_keep_what_is_known_after_an_episodes_end_and_repeat_the_last_value_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let infos = |path: &Path, name: &str| {
        let file = File::open(path.join("data/main_data.hdf5")).unwrap();
        let name = format!("episode_0/infos/{name}");
        (
            file.read::<f64>(&name, ..).unwrap(),
            file.dataset(&name).unwrap().rows(),
        )
    };
    let known = folder.path().join("known-v0");
    let noted = converted(&fixture("layouts/minari/box"), &known, Target::Minari);
    assert!(
        !noted
            .notes
            .iter()
            .any(|note| note.contains("is there again")),
        "{noted}"
    );
    assert_eq!(infos(&known, "speed").0, [0.0, 1.0, 2.0, 3.0]);
    let unknown = folder.path().join("unknown-v0");
    let noted = converted(&fixture("d4rl/contiguous.hdf5"), &unknown, Target::Minari);
    assert!(
        noted
            .notes
            .iter()
            .any(|note| note.contains("is there again")),
        "{noted}"
    );
    let (values, rows) = infos(&unknown, "qpos");
    assert_eq!(rows, open(&unknown).episodes()[0].rows.len() + 1);
    assert_eq!(values[2 * rows - 4..2 * rows - 2], values[2 * rows - 2..]);
}

#[test]
fn what_is_left_behind_is_printed_and_in_the_json() {
    let folder = tempfile::tempdir().unwrap();
    let source = fixture("d4rl/contiguous.hdf5");
    for json in [false, true] {
        let out = folder.path().join(format!("{json}.hdf5"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_yarak"));
        command
            .args(["data", "convert"])
            .args([&source, &out])
            .args(["--to", "robomimic"]);
        let output = command.args(json.then_some("--json")).output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let told = String::from_utf8(output.stdout).unwrap();
        if json {
            let told: Value = serde_json::from_str(&told).unwrap();
            assert_eq!(told["left_behind"][0]["what"], "`infos/qpos`");
            assert_eq!(told["target"], "robomimic");
            assert_eq!(told["carried"], json!([]));
        } else {
            assert!(
                told.contains("  left behind: `infos/qpos`: robomimic has no place"),
                "{told}"
            );
        }
    }
}

#[test]
fn the_bounds_of_minaris_action_space_are_what_actions_are_held_against() {
    let source = fixture("layouts/minari/box");
    let dataset_file = open(&source);
    let bounds = dataset_file.action_bounds().unwrap().unwrap();
    assert_eq!((bounds.low, bounds.high), (vec![-2.0; 2], vec![2.0; 2]));
    assert!(
        Check::of(&source, None)
            .findings
            .iter()
            .all(|f| f.kind != Kind::OutOfBounds)
    );
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy-v0");
    converted(&source, &copy, Target::Minari);
    let metadata = copy.join("data/metadata.json");
    let text = std::fs::read_to_string(&metadata).unwrap();
    assert!(text.contains("[-2.0, -2.0]"), "{text}");
    std::fs::write(&metadata, text.replace("[-2.0, -2.0]", "[-0.5, -2.0]")).unwrap();
    let check = Check::of(&copy, None);
    let actions = open(&copy).read().unwrap().action().clone();
    let beyond: Vec<usize> = (0..actions.rows())
        .filter(|row| actions.row(*row)[0] < -0.5)
        .collect();
    let finding = &check.findings[0];
    assert_eq!(
        (finding.kind, finding.count),
        (Kind::OutOfBounds, beyond.len()),
        "{check}"
    );
    assert_eq!(
        (finding.places[0].row, finding.places[0].element),
        (Some(beyond[0]), Some(0))
    );
    assert!(
        finding.message.contains("the file's action space"),
        "{check}"
    );
    assert_eq!(
        open(&fixture("d4rl/contiguous.hdf5"))
            .action_bounds()
            .unwrap(),
        None
    );
}
