//! `cargo bench --bench larger_than_memory [ROWS]`: minibatches of 256 rows a second, from memory and from the file.
//!
//! The file is made up: observations of 11 elements, actions of 3, in D4RL's layout with next observations, once row after
//! row and once in gzip chunks as h5py chooses them. It is freshly written, so that it lies in the page cache: what is
//! measured is reading and decoding, not the disk. Each line is the median of five stretches of two seconds, which hold
//! waiting for sweeps as well as taking from them.

use std::path::Path;
use std::time::{Duration, Instant};

use rust_hdf5::H5File;
use yarak::data::Minibatches;
use yarak::learner::Sampling;
use yarak::prelude::*;
use yarak::schedule::{FacilitatorPlugin, SchedulePlugin};

fn main() {
    let rows = std::env::args()
        .skip(1)
        .find_map(|argument| argument.parse().ok())
        .unwrap_or(1_000_000);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let bytes = rows * 4 * (2 * 11 + 3 + 1) + 2 * rows;
    println!(
        "{rows} rows, {:.0} MB in memory, batches of 256",
        bytes as f64 / 1e6
    );
    println!(
        "{:12}  {:>10}  {:>10}  {:>10}  {:>10}",
        "file", "memory", "median/s", "least/s", "most/s"
    );
    for (name, is_gzip) in [("contiguous", false), ("gzip", true)] {
        let file = folder.path().join(format!("{name}.hdf5"));
        write(&file, rows, is_gzip);
        for share in [None, Some(0.5), Some(0.25), Some(0.125)] {
            let memory = share.map(|share: f64| (share * bytes as f64 / 1e9) as f32);
            let mut measured = measure(&file, memory);
            measured.sort_by(f64::total_cmp);
            let share = share.map_or_else(|| "all".to_owned(), |share| format!("{share}"));
            println!(
                "{name:12}  {share:>10}  {:10.0}  {:10.0}  {:10.0}",
                measured[2], measured[0], measured[4]
            );
        }
    }
}

fn measure(file: &Path, memory: Option<f32>) -> Vec<f64> {
    let mut app = App::new();
    app.add_plugins((SchedulePlugin, FacilitatorPlugin))
        .insert_resource(Seed(0))
        .insert_resource(ComputeDevice::cpu())
        .add_plugins((
            Dataset {
                path: file.to_owned(),
                memory,
                ..default()
            },
            MinibatchPlugin::default(),
        ));
    app.finish();
    app.cleanup();
    app.world_mut().run_schedule(PreStartup);
    app.world_mut().run_schedule(Startup);
    let minibatches = app.world().resource::<Minibatches>();
    let (device, mut random) = (
        ComputeDevice::cpu().plain(),
        Random::<Sampling>::new(Seed(0)),
    );
    let mut draw = || minibatches.draw(&mut random, &device).expect("a batch");
    // Until sweeps are as long as they become.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(2) {
        draw();
    }
    (0..5)
        .map(|_| {
            let (begun, mut count) = (Instant::now(), 0);
            while begun.elapsed() < Duration::from_secs(2) {
                draw();
                count += 1;
            }
            f64::from(count) / begun.elapsed().as_secs_f64()
        })
        .collect()
}

fn write(path: &Path, rows: usize, is_gzip: bool) {
    let mut random = Random::<Noise>::new(Seed(0));
    let file = H5File::create(path).expect("a file");
    for (name, width) in [
        ("observations", 11),
        ("next_observations", 11),
        ("actions", 3),
        ("rewards", 1),
    ] {
        let values = random.normals(rows * width);
        let mut builder = file.new_dataset::<f32>().shape([rows, width]);
        if is_gzip {
            // About 64 kB, which is what h5py's guess comes to.
            builder = builder
                .chunk(&[(16_384 / width).min(rows), width])
                .deflate(4);
        }
        let dataset = builder.create(name).expect("a dataset");
        dataset.write_raw(&values).expect("space on the disk");
    }
    for (name, every) in [("terminals", usize::MAX), ("timeouts", 1_000)] {
        let values: Vec<u8> = (1..=rows).map(|row| u8::from(row % every == 0)).collect();
        let dataset = file.new_dataset::<u8>().shape([rows]).create(name);
        let dataset = dataset.expect("a dataset");
        dataset.write_raw(&values).expect("space on the disk");
    }
    file.close().expect("space on the disk");
}
