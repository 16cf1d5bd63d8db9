//! Data that stay in their file: the same batches to the last bit as in memory, an exact resume, an end without waiting, and
//! errors instead of numbers that nobody recorded.

use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rust_hdf5::H5File;
use yarak::data::convert::{self, Target};
use yarak::data::{
    Column, Data, DatasetFile, Episode, LearnsFrom, LoadError, Minibatches, ObservationColumn,
    Parts, Reading, Spaces, Split, Transitions,
};
use yarak::learner::Sampling;
use yarak::prelude::*;
use yarak::report::console::Console;
use yarak::schedule::{FacilitatorPlugin, SchedulePlugin, take_failure};

const ROWS: usize = 6_000;

/// How the file is written.
#[derive(Clone, Copy, Debug)]
struct Architecture {
    has_next: bool,
    /// Rows of a chunk that is compressed; none: one row after the other.
    chunk: Option<usize>,
    double: bool,
}

/// Numbers that look random and are the same everywhere.
fn numbers(count: usize, mut seed: u64) -> Vec<f32> {
    (0..count)
        .map(|_| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 40) as f32 / (1u64 << 24) as f32 - 0.3
        })
        .collect()
}

fn write(path: &Path, architecture: Architecture) {
    let file = H5File::create(path).unwrap();
    let table = |name: &str, values: &[f32], width: usize| {
        let shape = match width {
            1 => vec![values.len()],
            width => vec![values.len() / width, width],
        };
        let chunk = architecture.chunk.map(|rows| {
            let mut chunk = shape.clone();
            chunk[0] = rows;
            chunk
        });
        if architecture.double {
            let values: Vec<f64> = values.iter().map(|value| f64::from(*value)).collect();
            let mut builder = file.new_dataset::<f64>().shape(&shape);
            if let Some(chunk) = &chunk {
                builder = builder.chunk(chunk).deflate(1);
            }
            builder.create(name).unwrap().write_raw(&values).unwrap();
        } else {
            let mut builder = file.new_dataset::<f32>().shape(&shape);
            if let Some(chunk) = &chunk {
                builder = builder.chunk(chunk).deflate(1);
            }
            builder.create(name).unwrap().write_raw(values).unwrap();
        }
    };
    table("observations", &numbers(ROWS * 7, 1), 7);
    table("actions", &numbers(ROWS * 2, 2), 2);
    table("rewards", &numbers(ROWS, 3), 1);
    if architecture.has_next {
        table("next_observations", &numbers(ROWS * 7, 4), 7);
    }
    // Episodes of many lengths, of a single row too, with all ends.
    let flags = |of: fn(usize) -> bool| (0..ROWS).map(|row| u8::from(of(row))).collect::<Vec<_>>();
    for (name, values) in [
        ("terminals", flags(|row| row % 97 == 40 || row % 97 == 41)),
        ("timeouts", flags(|row| row % 61 == 60 || row % 97 == 41)),
    ] {
        let dataset = file.new_dataset::<u8>().shape([ROWS]).create(name).unwrap();
        dataset.write_raw(&values).unwrap();
    }
    file.close().unwrap();
}

fn forms() -> Vec<Architecture> {
    let architecture = |has_next, chunk, double| Architecture {
        has_next,
        chunk,
        double,
    };
    vec![
        architecture(true, None, false),
        architecture(false, None, true),
        architecture(true, Some(100), false),
        architecture(false, Some(77), false),
    ]
}

/// An app whose data are loaded, in GB of memory.
fn app(file: &Path, memory: Option<f32>, n_step: usize) -> App {
    app_with(file, memory, n_step, None, 1, 64)
}

fn app_with(
    file: &Path,
    memory: Option<f32>,
    n_step: usize,
    mode: Option<GoalMode>,
    frames: usize,
    batch_size: usize,
) -> App {
    app_shown(
        file,
        memory,
        n_step,
        mode,
        frames,
        batch_size,
        Console::plain(std::io::sink()),
    )
}

fn app_shown(
    file: &Path,
    memory: Option<f32>,
    n_step: usize,
    mode: Option<GoalMode>,
    frames: usize,
    batch_size: usize,
    console: Console,
) -> App {
    let mut app = App::new();
    app.insert_resource(console);
    app.add_plugins((SchedulePlugin, FacilitatorPlugin))
        .insert_resource(Seed(7))
        .insert_resource(LearnsFrom::Actions)
        .insert_resource(ComputeDevice::cpu())
        .add_plugins((
            GoalPlugin { mode },
            Dataset {
                path: file.to_owned(),
                frame_stack: frames,
                normalize: true,
                validation: 0.2,
                memory,
                ..default()
            },
            MinibatchPlugin {
                batch_size,
                discount: 0.9,
                n_step,
                // As memories ask for them.
                past_actions: frames > 1,
                ..default()
            },
        ));
    app.finish();
    app.cleanup();
    app.world_mut().run_schedule(PreStartup);
    app.world_mut().run_schedule(Startup);
    assert_eq!(take_failure(), None);
    let data = app.world().resource::<Data>();
    assert_eq!(data.transitions().is_none(), memory.is_some());
    app
}

/// Less than the 6,000 rows take.
const LITTLE: Option<f32> = Some(0.000_25);

fn bits(batch: &Batch) -> Vec<u32> {
    let tensors = [
        batch.observation.to_data(),
        batch.action.to_data(),
        batch.next_observation.to_data(),
        batch.reward.to_data(),
        batch.bootstrap.to_data(),
        batch.terminated.to_data(),
        batch.next_action.to_data(),
        batch.has_next_action.to_data(),
    ];
    let past = batch.past_action.iter().map(|it| it.to_data());
    let tensors = tensors.into_iter().chain(past);
    let values = tensors.flat_map(|data| data.to_vec::<f32>().unwrap());
    let row_ids = batch.row_ids.iter().map(|row| *row as u32);
    row_ids.chain(values.map(f32::to_bits)).collect()
}

fn draw(app: &App, random: &mut Random<Sampling>) -> Result<Vec<u32>, LoadError> {
    let minibatches = app.world().resource::<Minibatches>();
    let batch = minibatches.draw(random, &ComputeDevice::cpu().plain())?;
    Ok(bits(&batch))
}

#[test]
fn a_number_that_learning_cannot_compute_with_is_warned_of_wherever_the_data_are() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("large.hdf5");
    let architecture = forms()[0];
    write(&file, architecture);
    // Element 3 of row 5,432, known by the row's numbers.
    let at = 5_432 * 7 + 3;
    let row: Vec<u8> = numbers(ROWS * 7, 1)[at..at + 4]
        .iter()
        .flat_map(|it| it.to_le_bytes())
        .collect();
    let mut bytes = fs::read(&file).unwrap();
    let place = bytes.windows(16).position(|it| it == row).unwrap();
    bytes[place..place + 4].copy_from_slice(&(-1e30_f32).to_le_bytes());
    fs::write(&file, bytes).unwrap();
    let said = |memory| {
        let said = folder.path().join("said");
        let console = Console::plain(fs::File::create(&said).unwrap());
        drop(app_shown(&file, memory, 1, None, 1, 64, console));
        fs::read_to_string(said).unwrap()
    };
    let stored = said(LITTLE);
    assert!(
        stored.contains("the observation of row 5432 has -1e30 in element 3"),
        "{stored}"
    );
    assert_eq!(stored, said(None));
}

#[test]
fn batches_have_the_bits_that_they_have_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    for (index, architecture) in forms().into_iter().enumerate() {
        let file = folder.path().join(format!("{index}.hdf5"));
        write(&file, architecture);
        let (small, whole) = (app(&file, LITTLE, 3), app(&file, None, 3));
        assert_eq!(
            small.world().resource::<Preprocessing>(),
            whole.world().resource::<Preprocessing>(),
            "{architecture:?}"
        );
        let (mut a, mut b) = (Random::new(Seed(1)), Random::new(Seed(1)));
        for step in 0..150 {
            assert_eq!(
                draw(&small, &mut a).unwrap(),
                draw(&whole, &mut b).unwrap(),
                "{architecture:?}, step {step}"
            );
        }
        // Rows of your own choice, and those that are held out.
        let device = ComputeDevice::cpu().plain();
        let gather = |app: &App| {
            let minibatches = app.world().resource::<Minibatches>();
            bits(&minibatches.gather(&[5, 5, 3_000, 0], &device).unwrap())
        };
        assert_eq!(gather(&small), gather(&whole), "{architecture:?}");
        let held_out = |mut app: App| {
            app.world_mut().run_schedule(Validate);
            assert_eq!(take_failure(), None);
            bits(app.world().resource::<Batch>())
        };
        assert_eq!(held_out(small), held_out(whole), "{architecture:?}");
    }
}

#[test]
fn every_layout_stays_in_its_file_with_goals_and_frames_too() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("data.hdf5");
    write(&source, forms()[1]);
    let transitions = yarak::data::load(&source).unwrap();
    for (target, name) in [
        (Target::Minari, "data-v0"),
        (Target::Robomimic, "robomimic.hdf5"),
    ] {
        let file = folder.path().join(name);
        convert::write(&transitions, &file, target, None, false).unwrap();
        let mode = Some(GoalMode::Last);
        let (small, whole) = (
            app_with(&file, LITTLE, 2, mode, 3, 64),
            app_with(&file, None, 2, mode, 3, 64),
        );
        let minibatches = small.world().resource::<Minibatches>();
        let batch = minibatches.gather(&[0], &ComputeDevice::cpu().plain());
        assert_eq!(batch.unwrap().observation.dims(), [1, (3 + 1) * 7]);
        let (mut a, mut b) = (Random::new(Seed(1)), Random::new(Seed(1)));
        for step in 0..60 {
            assert_eq!(
                draw(&small, &mut a).unwrap(),
                draw(&whole, &mut b).unwrap(),
                "{target}, step {step}"
            );
        }
    }
}

fn layouts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/layouts")
}

/// The 24 rows of two cameras and a state, so often.
fn cameras(times: usize) -> Transitions {
    let file = layouts().join("robomimic/images.hdf5");
    let once = yarak::data::load(file).unwrap().into_parts();
    let rows = once.reward.len();
    let again = |column: ObservationColumn| {
        let width = column.width();
        let values = column.into_column().values.repeat(times);
        Column { values, width }.into()
    };
    let episodes = (0..times).flat_map(|time| {
        let moved = |episode: &Episode| Episode {
            rows: time * rows + episode.rows.start..time * rows + episode.rows.end,
            end: episode.end,
        };
        once.episodes.iter().map(moved).collect::<Vec<_>>()
    });
    Transitions::new(Parts {
        episodes: episodes.collect(),
        observation: again(once.observation),
        action: Column {
            values: once.action.values.repeat(times),
            width: once.action.width,
        },
        reward: once.reward.repeat(times),
        next_observation: again(once.next_observation),
        terminated: once.terminated.repeat(times),
    })
    .unwrap()
}

/// A file of many such rows.
fn write_cameras(folder: &Path) -> PathBuf {
    let path = folder.join("cameras.hdf5");
    let camera = || Space::picture([36, 36, 3]);
    let spaces = Spaces {
        environment: "Lift".to_owned(),
        observation: Space::dict([
            ("agentview_image", camera()),
            ("robot0_eef_pos", Space::from_bounds(&[(-1.0, 1.0); 3])),
            ("robot0_eye_in_hand_image", camera()),
        ]),
        action: Space::from_bounds(&[(-1.0, 1.0); 7]),
    };
    convert::write_recorded(&cameras(6), &spaces, &path, false).unwrap();
    path
}

#[test]
fn a_picture_takes_a_byte_a_number_in_memory_and_batches_have_the_bits_of_numbers() {
    let file = layouts().join("robomimic/images.hdf5");
    let opened = DatasetFile::open(&file, &Reading::default()).unwrap();
    let actions = opened.widths()[1] as u64;
    // Two observations of two cameras of 36 x 36 x 3 bytes and a place of 3 numbers; an action, a reward and a flag.
    let row = 2 * (2 * 3_888 + 3 * 4) + 4 * (actions + 1) + 1;
    assert_eq!(opened.memory_needed().0, 24 * row);
    let read = opened.read().unwrap();
    assert_eq!(read.observation().bytes(), 24 * 7_788);
    assert_eq!(read.next_observation().bytes(), 24 * 7_788);

    let app = app_with(&file, None, 2, None, 3, 5);
    let data = app.world().resource::<Data>();
    let loaded = data.transitions().unwrap();
    // What was normalized, the place, is no reason to keep the cameras as numbers.
    assert_eq!(loaded.observation().bytes(), 24 * 7_788);
    let numbers = |column: &ObservationColumn| {
        let width = column.width();
        let values = column.numbers().into_owned();
        ObservationColumn::from(Column { values, width })
    };
    let mut parts = (**loaded).clone().into_parts();
    parts.observation = numbers(&parts.observation);
    parts.next_observation = numbers(&parts.next_observation);
    assert_eq!(parts.observation.bytes(), 24 * 4 * 7_779);
    let split = Split::clone(&data.split);
    let plain = Data::in_memory(Transitions::new(parts).unwrap(), split, "numbers");
    let mut reference = App::new();
    reference
        .add_plugins((SchedulePlugin, FacilitatorPlugin))
        .insert_resource(Seed(7))
        .insert_resource(LearnsFrom::Actions)
        .insert_resource(ComputeDevice::cpu())
        .insert_resource(app.world().resource::<Preprocessing>().clone())
        .insert_resource(plain)
        .add_plugins(MinibatchPlugin {
            batch_size: 5,
            discount: 0.9,
            n_step: 2,
            past_actions: true,
            ..default()
        });
    reference.finish();
    reference.cleanup();
    reference.world_mut().run_schedule(PreStartup);
    reference.world_mut().run_schedule(Startup);
    assert_eq!(take_failure(), None);
    let (mut a, mut b) = (Random::new(Seed(1)), Random::new(Seed(1)));
    for _ in 0..20 {
        assert_eq!(
            draw(&app, &mut a).unwrap(),
            draw(&reference, &mut b).unwrap()
        );
    }
}

#[test]
fn pictures_that_wait_as_bytes_and_archives_have_the_bits_that_they_have_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    // Two frames of two cameras and a state; and vectors out of an archive, which wait as they are.
    let mut files = vec![
        (write_cameras(folder.path()), 0.001_3),
        (layouts().join("archives/long.npz"), 0.000_1),
    ];
    if cfg!(feature = "parquet") {
        files.push((layouts().join("tables/lerobot/long"), 0.000_044));
    }
    for (file, memory) in files {
        let small = app_with(&file, Some(memory), 1, None, 2, 3);
        let whole = app_with(&file, None, 1, None, 2, 3);
        let (mut a, mut b) = (Random::new(Seed(1)), Random::new(Seed(1)));
        for step in 0..40 {
            assert_eq!(
                draw(&small, &mut a).unwrap(),
                draw(&whole, &mut b).unwrap(),
                "{file:?}, step {step}"
            );
        }
    }
}

#[test]
fn a_stream_that_jumps_is_followed_and_goes_on_exactly() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("data.hdf5");
    write(&file, forms()[0]);
    let whole = app(&file, None, 1);
    let mut random = Random::<Sampling>::new(Seed(1));
    (0..37).for_each(|_| drop(draw(&whole, &mut random).unwrap()));
    let place = random.state();
    let expected: Vec<_> = (0..60)
        .map(|_| draw(&whole, &mut random).unwrap())
        .collect();

    // As a resumed run does: from the beginning first, and then from where it was.
    let small = app(&file, LITTLE, 1);
    let mut resumed = Random::<Sampling>::new(Seed(99));
    draw(&small, &mut resumed).unwrap();
    for _ in 0..3 {
        resumed.restore(place.clone());
        for expected in &expected[..50] {
            assert_eq!(&draw(&small, &mut resumed).unwrap(), expected);
        }
    }
    for expected in &expected[50..] {
        assert_eq!(&draw(&small, &mut resumed).unwrap(), expected);
    }
}

#[test]
fn threads_end_at_once_wherever_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("data.hdf5");
    write(&file, forms()[3]);
    for draws in [0, 1, 2, 30] {
        let (ended, end) = std::sync::mpsc::channel();
        let file = file.clone();
        std::thread::spawn(move || {
            let small = app(&file, LITTLE, 1);
            let mut random = Random::new(Seed(1));
            (0..draws).for_each(|_| drop(draw(&small, &mut random).unwrap()));
            drop(small);
            ended.send(()).unwrap();
        });
        end.recv_timeout(Duration::from_secs(20))
            .unwrap_or_else(|_| panic!("still running after {draws} draws"));
    }
}

#[test]
fn a_file_that_changes_under_a_run_is_an_error_and_never_other_numbers() {
    let folder = tempfile::tempdir().unwrap();
    for (index, is_cut) in [(0, true), (1, false)] {
        let file = folder.path().join(format!("{index}.hdf5"));
        write(&file, forms()[0]);
        let small = app(&file, LITTLE, 1);
        let mut random = Random::new(Seed(1));
        draw(&small, &mut random).unwrap();
        let length = fs::metadata(&file).unwrap().len();
        let mut handle = fs::OpenOptions::new().write(true).open(&file).unwrap();
        if is_cut {
            handle.set_len(length / 2).unwrap();
        } else {
            // Other numbers, of the same length.
            handle.seek(SeekFrom::Start(length / 2)).unwrap();
            handle.write_all(&[0; 1_000]).unwrap();
        }
        drop(handle);
        let error = (0..2_000).find_map(|_| draw(&small, &mut random).err());
        let error = error.expect("2,000 batches came from a file that is another");
        let is_told = matches!(error, LoadError::Changed { .. });
        assert!(
            is_told || is_cut && matches!(error, LoadError::File(_)),
            "{error}"
        );
    }
}

#[test]
fn memory_that_holds_no_two_batches_is_refused_with_what_would_do() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("data.hdf5");
    write(&file, forms()[0]);
    let scene = folder.path().join("scene.ron");
    let text = |memory: &str| {
        format!(
            "Scene(name: \"small\", seed: 0, device: \"cpu\", steps: 3, plugins: [Dataset(path: {file:?}, memory: {memory}), \
             Bc(minibatch: (batch_size: 64), actor: (encoder: Mlp(hidden_sizes: [8])))])"
        )
    };
    let train = |memory: &str, run: &str| {
        fs::write(&scene, text(memory)).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_yarak"));
        command
            .arg("train")
            .arg(&scene)
            .arg("--run")
            .arg(folder.path().join(run));
        command.output().unwrap()
    };
    let refused = train("0.00001", "a");
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(2), "{told}");
    let advice = told
        .split("`memory: ")
        .nth(1)
        .unwrap_or_else(|| panic!("{told}"));
    let (enough, _) = advice.split_once('`').unwrap();
    let done = train(enough, "b");
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
}

fn asset() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/pendulum-medium-expert.hdf5")
}

#[test]
fn a_run_from_the_file_that_was_cut_and_resumed_learns_what_one_in_memory_learns() {
    let folder = tempfile::tempdir().unwrap();
    let scene = folder.path().join("scene.ron");
    let text = format!(
        "Scene(name: \"small\", seed: 3, device: \"cpu\", steps: 40, plugins: [Dataset(path: {:?}, validation: 0.1), \
         Td3Bc(minibatch: (batch_size: 32), critic: (encoder: Mlp(hidden_sizes: [16])), actor: (encoder: Mlp(hidden_sizes: [16]))), Validation(every: 20), Checkpoints(every: 20)])",
        asset()
    );
    fs::write(&scene, text).unwrap();
    let train = |run: &str, more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_yarak"));
        command
            .arg("train")
            .arg(&scene)
            .arg("--run")
            .arg(folder.path().join(run));
        let output = command.args(more).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{told}");
        told
    };
    let told = train("whole", &[]);
    assert!(!told.contains("read from the file"), "{told}");
    let little = ["--set", "Dataset.memory=0.001"];
    let told = train("small", &[&little[..], &["--steps", "20"]].concat());
    assert!(told.contains("batches are read from the file"), "{told}");
    train("small", &[&little[..], &["--resume", "auto"]].concat());
    let weights = |run: &str| {
        let checkpoint = folder.path().join(run).join("checkpoints/step_000000040");
        let mut files: Vec<_> = fs::read_dir(checkpoint)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|it| it == "safetensors"))
            .collect();
        files.sort();
        files
            .into_iter()
            .map(|file| fs::read(file).unwrap())
            .collect::<Vec<_>>()
    };
    assert!(!weights("whole").is_empty());
    assert!(weights("whole") == weights("small"), "the weights differ");
}
