//! Files that were converted and converted back, with what they hold beside the transitions; and what the tools that people have
//! read of them (tests/python/read_with_robomimic.py and read_with_minari.py, where `YARAK_PYTHON` names a Python with these tools).

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use yarak::data::check::{Check, Kind};
use yarak::data::convert::{ConvertError, Converted, Origin, Target, convert, write};
use yarak::data::hdf5::File;
use yarak::data::{Column, End, Episode, Parts, Reading, Recording, Transitions, Windows};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

fn open(path: &Path) -> Recording {
    Recording::open(path, &Reading::default()).unwrap()
}

fn converted(from: &Path, to: &Path, target: Target) -> Converted {
    convert(&open(from), to, target, None, false).unwrap()
}

fn read(path: &Path) -> Transitions {
    open(path).read().unwrap()
}

/// What a file gives, as D4RL says it: what is unfinished times out.
fn as_d4rl_ends(path: &Path) -> Parts {
    let mut parts = read(path).into_parts();
    for episode in &mut parts.episodes {
        if episode.end == End::Unfinished {
            episode.end = End::Truncated;
        }
    }
    parts
}

fn left(converted: &Converted) -> Vec<&str> {
    let left = converted.left_behind.iter();
    left.map(|left| left.what.as_str()).collect()
}

/// As `bits` in tests/python/read_converted.py.
fn bits(values: &[f32]) -> String {
    let sum = values.iter().zip(1u64..).fold(0u64, |sum, (value, place)| {
        sum.wrapping_add(u64::from(value.to_bits()).wrapping_mul(place))
    });
    sum.to_string()
}

#[test]
fn d4rl_by_way_of_minari_and_back_is_the_same_with_its_infos_and_metadata() {
    let folder = tempfile::tempdir().unwrap();
    let source = fixture("d4rl/contiguous.hdf5");
    let minari = folder.path().join("by-way-v0");
    let back = folder.path().join("back.hdf5");
    let there = converted(&source, &minari, Target::Minari);
    assert_eq!(there.carried, ["`infos/qpos`", "`metadata/algorithm`"]);
    // The values that stand after each episode's last step have no row in D4RL.
    let home = converted(&minari, &back, Target::D4rl);
    assert_eq!(home.carried, ["`infos/qpos`", "`algorithm_name`"]);
    assert_eq!(left(&home), ["`infos/`"]);
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
    assert_eq!(left(&home), [""; 0]);
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
fn choices_are_whole_numbers_in_d4rl_and_minari_and_refused_for_robomimic() {
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
            let choices = found.choices().unwrap();
            assert_eq!(
                (choices.count, choices.first),
                (Some(count), first),
                "{path:?}"
            );
            let found = found.read().unwrap();
            assert_eq!(found.choices(), Some(count));
            assert_eq!(found.action(), expected.action());
            assert_eq!(found.observation(), expected.observation());
        }
        let robomimic = folder.path().join("refused.hdf5");
        let refused = convert(&open(&source), &robomimic, Target::Robomimic, None, false);
        assert!(matches!(refused, Err(ConvertError::Choices { choices }) if choices == count));
        assert!(!robomimic.exists());
    }
}

#[test]
fn an_environment_says_how_many_choices_there_are_and_must_have_as_many_as_were_taken() {
    let folder = tempfile::tempdir().unwrap();
    let recording = open(&fixture("layouts/d3rlpy/discrete.h5"));
    let origin = |choices| Origin {
        environment: "a task".to_owned(),
        action_low: vec![f32::NEG_INFINITY],
        action_high: vec![f32::INFINITY],
        choices,
    };
    let out = folder.path().join("out.hdf5");
    for wrong in [None, Some(3)] {
        let error =
            convert(&recording, &out, Target::D4rl, Some(&origin(wrong)), false).unwrap_err();
        assert!(matches!(error, ConvertError::OtherKind { .. }), "{error}");
    }
    convert(
        &recording,
        &out,
        Target::D4rl,
        Some(&origin(Some(6))),
        false,
    )
    .unwrap();
    assert_eq!(read(&out).choices(), Some(6));
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
        let recording = Recording::open(path, &reading).unwrap();
        recording.read().unwrap().into_parts()
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
            .any(|note| note.contains("stands there again")),
        "{noted}"
    );
    assert_eq!(infos(&known, "speed").0, [0.0, 1.0, 2.0, 3.0]);
    let unknown = folder.path().join("unknown-v0");
    let noted = converted(&fixture("d4rl/contiguous.hdf5"), &unknown, Target::Minari);
    assert!(
        noted
            .notes
            .iter()
            .any(|note| note.contains("stands there again")),
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
    let recording = open(&source);
    let bounds = recording.action_bounds().unwrap().unwrap();
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
        let recording = Recording::open(&out, &reading).unwrap();
        let keys = recording.observation().iter().map(|key| key.name.as_str());
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
        files.push((source, filter, recording));
    }
    let arguments: Vec<&OsStr> = arguments.iter().map(OsString::as_os_str).collect();
    let Some(read) = python("read_with_robomimic.py", "robomimic", &arguments) else {
        return;
    };
    assert_eq!(read.as_array().unwrap().len(), files.len());
    for ((source, filter, recording), read) in files.iter().zip(read.as_array().unwrap()) {
        let transitions = recording.read().unwrap();
        let states = with_states(source).then(|| recording.read_column("states").unwrap());
        let steps = windows.steps(&transitions);
        assert_eq!(read.as_array().unwrap().len(), steps.len(), "{source}");
        for (item, step) in read.as_array().unwrap().iter().zip(steps) {
            let window = windows.at(&transitions, step);
            let gather = |column: &Column| {
                let rows = window.rows.iter().flat_map(|row| column.row(*row));
                bits(&rows.copied().collect::<Vec<_>>())
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
                "actions": gather(transitions.action()),
                "rewards": each(&|row| transitions.reward()[row]),
                "dones": each(&|row| f32::from(u8::from(transitions.terminal()[row]))),
                "pad_mask": bits(&mask),
            });
            if let Some(states) = &states {
                expected["states"] = gather(states).into();
            }
            assert_eq!(*item, expected, "{source}, {filter:?}, step {step}");
        }
    }
}

#[test]
fn minaris_own_loader_reads_choices_infos_and_metadata() {
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
        let recording = open(&source_of);
        let transitions = recording.read().unwrap();
        let first = recording
            .choices()
            .map_or(0.0, |choices| choices.first as f32);
        let actions: Vec<f32> = transitions
            .action()
            .values
            .iter()
            .map(|a| a + first)
            .collect();
        let space = match transitions.choices() {
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
        let how = [End::Terminal, End::Truncated][index % 2];
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
    let mut terminal = vec![false; start];
    for episode in &episodes {
        terminal[episode.rows.end - 1] = episode.end == End::Terminal;
    }
    Transitions::new(Parts {
        observation: column(0.5),
        action: column(-0.25),
        reward: column(3.0).values,
        next_observation: Column {
            values: (1..=start).map(|row| row as f32 * 0.5).collect(),
            width: 1,
        },
        terminal,
        episodes,
    })
    .unwrap()
}

/// A group's names stand in tables of 8, and 32 tables in one node of a tree: these numbers of episodes are at the edges of one
/// table, of one node, and of a node of nodes.
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
