//! Datasets in tables: refused without the feature `parquet` with what to do; with it read to the last bit as Minari's and LeRobot's own
//! loaders read them (tables.py in tests/fixtures/layouts), and hostile ones, which give an error and never a panic. By hand:
//! `cargo test --release --features parquet --test data`.

use std::path::{Path, PathBuf};

use yarak::data::{DatasetFile, Reading};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/layouts")
}

#[cfg(not(feature = "parquet"))]
#[test]
fn without_the_feature_tables_are_refused_by_its_name() {
    for (path, word) in [
        ("tables/minari/box_arrow", "arrow"),
        ("tables/minari/box_parquet/data", "parquet"),
        ("tables/minari/box_parquet/data/metadata.json", "parquet"),
        ("tables/minari/box_arrow/data/0/part-0.arrow", "Arrow"),
        ("tables/lerobot/pusht", "parquet"),
        ("tables/lerobot/pusht/meta/info.json", "parquet"),
        (
            "tables/lerobot/pusht/data/chunk-000/file-000.parquet",
            "Parquet",
        ),
    ] {
        let error = DatasetFile::open(folder().join(path), &Reading::default())
            .err()
            .unwrap_or_else(|| panic!("{path} is read"))
            .to_string();
        for word in [path, word, "cargo build --release --features parquet"] {
            assert!(error.contains(word), "no {word} in: {error}");
        }
    }
}

#[cfg(feature = "parquet")]
mod with_the_feature {
    use std::fs;
    use std::time::Instant;

    use serde_json::Value;
    use tempfile::TempDir;
    use yarak::data::check::Check;
    use yarak::data::hdf5::{Dtype, files_of};
    use yarak::data::{Dones, Summary};

    use super::*;
    use crate::fuzzing::{hold, mutant};
    use crate::hostile::assert_bounded_memory;

    fn json(section: &str) -> serde_json::Map<String, Value> {
        let text = fs::read_to_string(folder().join("tables.json")).unwrap();
        let all: Value = serde_json::from_str(&text).unwrap();
        all[section].as_object().unwrap().clone()
    }

    fn copy(from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let path = entry.unwrap().path();
            let there = to.join(path.file_name().unwrap());
            match path.is_dir() {
                true => copy(&path, &there),
                false => drop(fs::copy(&path, &there).unwrap()),
            }
        }
    }

    /// A dataset that was changed, in a folder for itself.
    fn changed(case: &Value) -> TempDir {
        let room = tempfile::tempdir().unwrap();
        copy(
            &folder().join(case["source"].as_str().unwrap()),
            room.path(),
        );
        let over = folder().join(case["over"].as_str().unwrap());
        if over.is_dir() {
            copy(&over, room.path());
        }
        for missing in case["missing"].as_array().unwrap() {
            let file = room.path().join(missing.as_str().unwrap());
            fs::remove_file(&file).unwrap();
            // Only where nothing is left in it.
            let _ = fs::remove_dir(file.parent().unwrap());
        }
        room
    }

    #[test]
    fn datasets_that_are_not_as_they_should_be_are_refused_with_file_column_and_remedy() {
        for (name, case) in json("changed") {
            let room = changed(&case);
            let read = DatasetFile::open(room.path(), &Reading::default())
                .and_then(|dataset_file| dataset_file.read());
            let words = case["words"].as_array().unwrap();
            match read {
                Ok(transitions) => {
                    assert!(words.is_empty(), "{name} is read");
                    assert_eq!(transitions.len(), 12, "{name}");
                }
                Err(error) => {
                    let error = error.to_string();
                    assert!(!words.is_empty(), "{name}: {error}");
                    for word in words {
                        let word = word.as_str().unwrap();
                        assert!(error.contains(word), "{name}: no {word} in: {error}");
                    }
                }
            }
        }
    }

    #[test]
    fn one_table_alone_is_refused_with_the_folder_to_name() {
        let table = folder().join("tables/lerobot/pusht/data/chunk-000/file-000.parquet");
        let error = DatasetFile::open(table, &Reading::default()).err().unwrap();
        assert!(error.to_string().contains("meta/info.json"), "{error}");
    }

    #[test]
    fn parts_keep_their_names_shapes_and_types() {
        let parts = |path: &str| {
            let file = DatasetFile::open(folder().join(path), &Reading::default()).unwrap();
            let keys = file.observation().iter();
            keys.map(|key| format!("{} {:?} {}", key.name, key.shape, key.dtype))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            parts("tables/lerobot/odd"),
            [
                "observation.bytes [2] uint8",
                "observation.count [] int64",
                "observation.grid [2, 3] float32",
                "observation.gripper [] bool",
                "observation.state [2] float64",
            ]
        );
        let nested = [
            "a/_index_0 [2] float64",
            "a/_index_1 [] int64",
            "b [2, 2] float32",
        ];
        assert_eq!(parts("tables/minari/nested_arrow"), nested);
        assert_eq!(parts("tables/minari/nested_parquet"), nested);
        assert_eq!(
            parts("tables/minari/pixels"),
            [
                "camera [32, 32, 3] uint8",
                "map [4, 4, 3] uint8",
                "state [2] float32"
            ]
        );
    }

    /// Without a part of what was written: the other columns of the copy are read as they are.
    #[test]
    fn other_columns_are_read_by_their_names() {
        for (path, name, row, expected) in [
            ("tables/minari/box_arrow", "infos/place/xy", 4, [2.0, 0.0]),
            ("tables/minari/box_parquet", "infos/place/xy", 5, [2.0, 1.0]),
        ] {
            let file = DatasetFile::open(folder().join(path), &Reading::default()).unwrap();
            let column = file.read_column(name).unwrap();
            assert_eq!(column.row(row), expected, "{path}");
        }
        let path = folder().join("tables/lerobot/pusht");
        let file = DatasetFile::open(path, &Reading::default()).unwrap();
        let frames = file.read_column("frame_index").unwrap();
        assert_eq!(frames.values[..6], [0.0, 1.0, 2.0, 3.0, 0.0, 1.0]);
        assert_eq!(file.read_column("timestamp").unwrap().values[1], 0.1);
    }

    #[test]
    fn videos_and_images_are_left_and_named() {
        let summary = Summary::read(folder().join("tables/lerobot/arm")).unwrap();
        assert!(!summary.has_rewards && !summary.has_ends);
        let left: Vec<(&str, Dtype)> = summary
            .others
            .iter()
            .filter(|it| it.name.starts_with("observation"))
            .map(|it| (it.name.as_str(), it.dtype))
            .collect();
        assert_eq!(
            left,
            [
                ("observation.images.top", Dtype::Other("image")),
                ("observation.images.wrist", Dtype::Other("video"))
            ]
        );
    }

    #[test]
    fn checks_find_nothing_wrong_with_what_the_tools_wrote() {
        for name in ["minari/box_arrow", "minari/nested_parquet", "lerobot/pusht"] {
            let check = Check::of(folder().join("tables").join(name), None);
            assert_eq!(check.errors(), 0, "{check}");
        }
    }

    #[test]
    fn the_meaning_of_next_done_is_asked_for_as_robomimics() {
        let path = folder().join("tables/lerobot/arm");
        let reading = Reading {
            dones: Dones::Both,
            ..Reading::default()
        };
        // Without a mark, the last step is a transition where it is said to be terminal.
        let [with, without] = [reading, Reading::default()]
            .map(|reading| DatasetFile::open(&path, &reading).unwrap());
        assert_eq!((with.len(), without.len()), (10, 8));
        assert!(with.recorded().ends && !without.recorded().ends);
    }

    #[test]
    fn a_dataset_is_known_by_all_of_its_files() {
        let root = folder().join("tables");
        let count = |path: &str| files_of(&root.join(path)).len();
        assert_eq!(count("lerobot/pusht"), 1 + 4 + 1);
        assert_eq!(count("lerobot/pusht/meta/info.json"), 1 + 4 + 1);
        // Each episode has metadata of its own.
        assert_eq!(count("minari/nested_arrow"), 1 + 2 * 3);
        assert_eq!(count("lerobot/pusht/data/chunk-000/file-000.parquet"), 1);
    }

    /// Reads mutants of each file of a dataset, the others as they are.
    fn fuzz(name: &str, cases: u64) {
        let room = tempfile::tempdir().unwrap();
        copy(&folder().join("tables").join(name), room.path());
        let files = files_of(room.path());
        let originals: Vec<Vec<u8>> = files.iter().map(|file| fs::read(file).unwrap()).collect();
        hold(name, cases, |numbers| {
            let at = numbers.below(files.len());
            let original = &originals[at];
            let mutated = mutant(original, original.len(), numbers);
            fs::write(&files[at], mutated).unwrap();
            if let Ok(dataset_file) = DatasetFile::open(room.path(), &Reading::default()) {
                if let Ok(transitions) = dataset_file.read() {
                    assert_eq!(transitions.len(), dataset_file.len());
                }
                let _ = dataset_file.read_rows(1..3);
                let _ = dataset_file.read_column("infos/speed");
                let _ = dataset_file.read_column("next.success");
            }
            fs::write(&files[at], original).unwrap();
        });
        assert_bounded_memory(name);
    }

    #[test]
    fn mutated_tables_of_minari_give_an_error_or_a_result_in_bounded_memory() {
        for form in ["arrow", "parquet"] {
            fuzz(&format!("minari/nested_{form}"), 600);
            fuzz(&format!("minari/discrete_{form}"), 300);
        }
        fuzz("minari/jpeg", 300);
    }

    #[test]
    fn mutated_tables_of_lerobot_give_an_error_or_a_result_in_bounded_memory() {
        fuzz("lerobot/pusht", 900);
        fuzz("lerobot/odd", 600);
        fuzz("lerobot/arm", 300);
    }

    /// Numbers of rows and of bytes at each place of a file's description, as the files themselves write them.
    #[test]
    fn gigantic_declared_sizes_are_refused_before_anything_is_allocated() {
        for name in [
            "minari/discrete_parquet",
            "minari/discrete_arrow",
            "lerobot/odd",
        ] {
            let room = tempfile::tempdir().unwrap();
            copy(&folder().join("tables").join(name), room.path());
            let is_table = |path: &PathBuf| path.extension().is_some_and(|it| it != "json");
            let table = files_of(room.path()).into_iter().find(is_table).unwrap();
            let original = fs::read(&table).unwrap();
            for at in (4..original.len() - 8).step_by(7) {
                let mut bytes = original.clone();
                // The longest number of Thrift's, and the greatest of 32 bits.
                bytes[at..at + 5].copy_from_slice(&[0xfe, 0xff, 0xff, 0xff, 0x0f]);
                fs::write(&table, &bytes).unwrap();
                let began = Instant::now();
                let _ = DatasetFile::open(room.path(), &Reading::default())
                    .and_then(|dataset_file| dataset_file.read());
                assert!(began.elapsed().as_secs() < 20, "{name}: byte {at}");
            }
        }
        assert_bounded_memory("gigantic sizes");
    }
}
