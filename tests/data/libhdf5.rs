//! Files that only the HDF5 C library reads: by hand, `cargo test --release --features libhdf5 --test data libhdf5`.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use hdf5_metno::file::FileBuilder;
use yarak::data::hdf5::File;
use yarak::data::load;

/// D4RL's columns, 40 rows, as `write` stores numbers.
fn columns(path: &Path, write: impl Fn(hdf5_metno::DatasetBuilder) -> hdf5_metno::DatasetBuilder) {
    let file = FileBuilder::new().create(path).unwrap();
    let numbers = |width: usize| {
        (0..40 * width)
            .map(|n| (n as f32).sin())
            .collect::<Vec<_>>()
    };
    for (name, width) in [
        ("observations", 3),
        ("next_observations", 3),
        ("actions", 1),
    ] {
        let builder = write(file.new_dataset_builder());
        let data = builder
            .empty::<f32>()
            .shape((40, width))
            .create(name)
            .unwrap();
        data.write_raw(&numbers(width)).unwrap();
    }
    let rewards = write(file.new_dataset_builder()).empty::<f32>().shape(40);
    rewards
        .create("rewards")
        .unwrap()
        .write_raw(&numbers(1))
        .unwrap();
    let ends: Vec<bool> = (1..=40).map(|row| row % 20 == 0).collect();
    for name in ["terminals", "timeouts"] {
        let flags = if name == "terminals" {
            vec![false; 40]
        } else {
            ends.clone()
        };
        let column = write(file.new_dataset_builder()).empty::<bool>().shape(40);
        column.create(name).unwrap().write_raw(&flags).unwrap();
    }
}

/// One test at a time, so that the copies that are there are its own.
static ALONE: Mutex<()> = Mutex::new(());

#[test]
fn files_with_blosc_are_read_like_those_without() {
    let _alone = ALONE.lock();
    let folder = tempfile::tempdir().unwrap();
    let (plain, packed) = (
        folder.path().join("plain.hdf5"),
        folder.path().join("blosc.hdf5"),
    );
    columns(&plain, |builder| builder);
    columns(&packed, |builder| {
        builder.chunk_min_kb(1).blosc_zstd(9, true)
    });
    let (plain, packed) = (load(&plain).unwrap(), load(&packed).unwrap());
    assert_eq!(plain.observation(), packed.observation());
    assert_eq!(plain.action(), packed.action());
    assert_eq!(plain.reward(), packed.reward());
    assert_eq!(plain.episodes(), packed.episodes());
}

#[test]
fn copies_are_gone_when_their_file_is() {
    let _alone = ALONE.lock();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("blosc.hdf5");
    columns(&path, |builder| builder.chunk_min_kb(1).blosc_zstd(9, true));
    let copies = || {
        let entries = fs::read_dir(std::env::temp_dir()).unwrap();
        let names = entries.map(|it| it.unwrap().file_name().into_string().unwrap_or_default());
        let mine = names.filter(|name| name.starts_with("yarak_") && name.ends_with(".hdf5"));
        mine.count()
    };
    let file = File::open_copy(&path).unwrap();
    assert_eq!(file.path(), path);
    let with = copies();
    // Another handle reads the same copy.
    let again = file.reopen().unwrap();
    drop(file);
    assert_eq!(again.read::<f32>("rewards", 0..2).unwrap().len(), 2);
    drop(again);
    assert!(copies() < with);
}

fn fixtures(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            fixtures(&path, found);
        } else if path
            .extension()
            .is_some_and(|it| it == "hdf5" || it == "h5")
        {
            found.push(path);
        }
    }
}

/// Every fixture that both read has the same datasets, with the same numbers.
#[test]
fn fixtures_read_alike_through_both() {
    let _alone = ALONE.lock();
    let mut paths = Vec::new();
    fixtures(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures"),
        &mut paths,
    );
    let mut compared = 0;
    for path in paths {
        let (Ok(ours), Ok(theirs)) = (File::open(&path), File::open_copy(&path)) else {
            continue;
        };
        for info in ours
            .datasets()
            .iter()
            .filter(|info| info.dtype.is_numeric())
        {
            // By their bits: some are NaN.
            let read = |file: &File| -> Result<Vec<u64>, String> {
                let values = file.read::<f64>(&info.path, ..);
                let values = values.map_err(|error| error.to_string())?;
                Ok(values.into_iter().map(f64::to_bits).collect())
            };
            let Ok(here) = read(&ours) else { continue };
            assert_eq!(read(&theirs), Ok(here), "{}: {}", path.display(), info.path);
            compared += 1;
        }
    }
    assert!(compared > 100, "{compared} datasets");
}
