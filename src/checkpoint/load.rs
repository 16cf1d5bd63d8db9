//! Reading checkpoints that may be damaged, half removed or hostile.
//!
//! Nothing is believed before its sum was found right, nothing is allocated that the file on disk does not have, and
//! whatever is wrong is a [`CheckpointError`] that names it.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::Path;

use super::digest::sum_of;
use super::plain_file::{LINK, is_link, open_plain};
use super::snapshot::check_file_name;
use super::step_folder::{
    BLOB, CHECKSUMS, CHECKSUMS_LIMIT, Checksums, FORMAT, STATE, STATE_LIMIT, StateFile, TENSORS,
    TENSORS_LIMIT,
};
use super::{Blob, CheckpointError, Snapshot, tensor_file};

/// Reads the checkpoint in `folder`, such as `runs/a/checkpoints/step_000020000`, and checks every sum.
///
/// # Errors
/// [`CheckpointError::NotACheckpoint`] where there is none, [`CheckpointError::Damaged`] with the file and what is wrong
/// with it (a tensor with a value that is not finite is as good as damaged), [`CheckpointError::NewerFormat`], and [`CheckpointError::Io`].
pub fn load(folder: impl AsRef<Path>) -> Result<Snapshot, CheckpointError> {
    let folder = folder.as_ref();
    let snapshot = load_some(folder, |_| true)?;
    match snapshot.not_finite() {
        None => Ok(snapshot),
        Some(it) => Err(CheckpointError::damaged(
            folder,
            &format!("{}{TENSORS}", it.file),
            format!(
                "tensor `{}` holds {}, so the run had diverged",
                it.tensor, it.value
            ),
        )),
    }
}

/// The same of the state, and of those tensors and blobs whose name is `wanted`: the others may be missing.
pub(crate) fn load_some(
    folder: &Path,
    wanted: impl Fn(&str) -> bool,
) -> Result<Snapshot, CheckpointError> {
    let mut sums = read_checksums(folder)?;
    sums.files.retain(|file, _| {
        let stem = file
            .strip_suffix(TENSORS)
            .or_else(|| file.strip_suffix(BLOB));
        stem.is_none_or(&wanted)
    });
    for (file, listed) in &sums.files {
        let stem = file
            .strip_suffix(TENSORS)
            .or_else(|| file.strip_suffix(BLOB));
        if file != STATE && stem.is_none_or(|stem| check_file_name(stem).is_err()) {
            let what = format!("it lists {file:?}, which no checkpoint has");
            return Err(CheckpointError::damaged(folder, CHECKSUMS, what));
        }
        let limit = if stem.is_some() {
            TENSORS_LIMIT
        } else {
            STATE_LIMIT
        };
        if listed.bytes > limit {
            let what = format!(
                "it has {} bytes, and at most {limit} are read",
                listed.bytes
            );
            return Err(CheckpointError::damaged(folder, file, what));
        }
        let path = folder.join(file);
        // One byte more than listed shows that a file has grown, however long it is.
        let found = match open_plain(&path).and_then(|opened| sum_of(opened, listed.bytes + 1)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(CheckpointError::damaged(folder, file, "it is missing"));
            }
            Err(error) if is_link(&error) => {
                return Err(CheckpointError::damaged(folder, file, LINK));
            }
            found => found.map_err(CheckpointError::io("read the file", &path))?,
        };
        if found != *listed {
            return Err(CheckpointError::damaged(
                folder,
                file,
                "it is not what `checksums.ron` says",
            ));
        }
    }
    if !sums.files.contains_key(STATE) {
        return Err(CheckpointError::damaged(
            folder,
            CHECKSUMS,
            "it does not list `state.ron`",
        ));
    }

    let text = read_text(folder, STATE, STATE_LIMIT)?;
    let state: StateFile =
        ron::from_str(&text).map_err(|error| CheckpointError::damaged(folder, STATE, error))?;
    let mut snapshot = Snapshot::read_from(folder.display().to_string(), state.step);
    snapshot.state = state
        .state
        .into_iter()
        .map(|(key, raw)| (key, raw.trim().get_ron().to_owned()))
        .collect();
    let mut files = BTreeMap::new();
    for (file, sum) in &sums.files {
        if let Some(stem) = file.strip_suffix(BLOB) {
            // Its sum was found right; its bytes are read by whoever needs them.
            let blob = Blob::in_file(folder.join(file), sum.clone());
            snapshot.blobs.insert(stem.to_owned(), blob);
        }
        if let Some(stem) = file.strip_suffix(TENSORS) {
            files.insert(stem.to_owned(), tensor_file::read(folder, file)?);
        }
    }
    snapshot.files = files;
    Ok(snapshot)
}

fn read_checksums(folder: &Path) -> Result<Checksums, CheckpointError> {
    // What a later format holds is not known, so its number is looked at before the rest.
    #[derive(serde::Deserialize)]
    struct Format {
        format: u32,
    }
    let text = read_text(folder, CHECKSUMS, CHECKSUMS_LIMIT)?;
    let wrong = |error| CheckpointError::damaged(folder, CHECKSUMS, error);
    let Format { format } = ron::from_str(&text).map_err(wrong)?;
    if format > FORMAT {
        return Err(CheckpointError::NewerFormat {
            folder: folder.to_path_buf(),
            found: format,
            known: FORMAT,
        });
    }
    ron::from_str(&text).map_err(wrong)
}

fn read_text(folder: &Path, file: &str, limit: u64) -> Result<String, CheckpointError> {
    let path = folder.join(file);
    let mut text = String::new();
    match open_plain(&path).and_then(|opened| opened.take(limit + 1).read_to_string(&mut text)) {
        Ok(length) if length as u64 <= limit => Ok(text),
        Ok(_) => Err(CheckpointError::damaged(
            folder,
            file,
            format!("it is longer than {limit} bytes"),
        )),
        Err(error) if is_link(&error) => Err(CheckpointError::damaged(folder, file, LINK)),
        Err(error) => Err(match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                CheckpointError::NotACheckpoint {
                    folder: folder.to_path_buf(),
                }
            }
            io::ErrorKind::InvalidData => CheckpointError::damaged(folder, file, "it is not text"),
            _ => CheckpointError::io("read the file", &path)(error),
        }),
    }
}

#[cfg(test)]
#[path = "fuzz_tests.rs"]
mod fuzz_tests;

#[cfg(test)]
mod tests {
    use super::super::digest::{Sum, sum_of_file};
    use super::super::disk::RealDisk;
    use super::super::step_folder::{step_folder_name, write_checkpoint};
    use super::*;
    use std::fs;

    fn snapshot(step: u64) -> Snapshot {
        let mut snapshot = Snapshot::new(step);
        snapshot
            .put_tensor(
                "actor",
                "weight",
                &[2, 2],
                vec![1.0, -0.0, f32::from_bits(0x0000_0001), 4.0],
            )
            .unwrap();
        snapshot
            .put_tensor("critic.target", "bias", &[1], vec![step as f32])
            .unwrap();
        snapshot
            .put_state("rng/sample", &(u64::MAX, u128::MAX, f64::NAN))
            .unwrap();
        snapshot.put_state("scene", "a\nb // c").unwrap();
        snapshot
    }

    fn saved(steps: &[u64]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for &step in steps {
            let may = &|| Ok(());
            write_checkpoint(&mut RealDisk, folder.path(), &snapshot(step), false, may).unwrap();
        }
        folder
    }

    /// Lets `checksums.ron` vouch for whatever now is in `folder`.
    fn sum_again(folder: &Path) {
        let files = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let sum = |file: &String| sum_of_file(&folder.join(file), u64::MAX).unwrap();
        let files = files
            .filter(|file| file != CHECKSUMS)
            .map(|file| (file.clone(), sum(&file)))
            .collect();
        let text = ron::to_string(&Checksums {
            format: FORMAT,
            files,
        })
        .unwrap();
        fs::write(folder.join(CHECKSUMS), text).unwrap();
    }

    #[test]
    fn a_checkpoint_comes_back_bit_for_bit() {
        let folder = saved(&[7]);
        let loaded = load(folder.path().join(step_folder_name(7))).unwrap();
        assert_eq!(loaded, snapshot(7));
        let (tick, position, nan): (u64, u128, f64) = loaded.state("rng/sample").unwrap();
        assert_eq!(
            (tick, position, nan.to_bits()),
            (u64::MAX, u128::MAX, f64::NAN.to_bits())
        );
        assert_eq!(loaded.state::<String>("scene").unwrap(), "a\nb // c");
        let message = loaded
            .tensor("actor", "weight", &[3])
            .unwrap_err()
            .to_string();
        assert!(message.contains("step_000000007"), "{message}");
    }

    #[test]
    fn every_changed_shortened_or_lengthened_file_is_found_out() {
        let folder = saved(&[7]);
        let folder = folder.path().join(step_folder_name(7));
        for file in ["actor.safetensors", "critic.target.safetensors", STATE] {
            let path = folder.join(file);
            let bytes = fs::read(&path).unwrap();
            let mut flipped = bytes.clone();
            *flipped.last_mut().unwrap() ^= 1;
            for wrong in [
                flipped,
                bytes[..bytes.len() - 1].to_vec(),
                [&bytes[..], b" "].concat(),
                Vec::new(),
            ] {
                fs::write(&path, wrong).unwrap();
                let error = load(&folder).unwrap_err();
                assert!(
                    matches!(&error, CheckpointError::Damaged { file: named, .. } if named == file),
                    "{error}"
                );
            }
            fs::remove_file(&path).unwrap();
            assert!(load(&folder).unwrap_err().to_string().contains("missing"));
            fs::write(&path, bytes).unwrap();
        }
        assert_eq!(load(&folder).unwrap(), snapshot(7));
        fs::remove_file(folder.join(CHECKSUMS)).unwrap();
        assert!(matches!(
            load(&folder),
            Err(CheckpointError::NotACheckpoint { .. })
        ));
    }

    #[test]
    fn a_hostile_list_of_files_is_refused() {
        let folder = saved(&[7]);
        let folder = folder.path().join(step_folder_name(7));
        let sum = Sum {
            bytes: 1,
            sha256: "0".repeat(64),
        };
        for file in [
            "../../secret.safetensors",
            "/etc/passwd",
            "a/b.safetensors",
            ".safetensors",
            "checksums.ron",
            "",
        ] {
            let files = BTreeMap::from([(file.to_owned(), sum.clone())]);
            fs::write(
                folder.join(CHECKSUMS),
                ron::to_string(&Checksums {
                    format: FORMAT,
                    files,
                })
                .unwrap(),
            )
            .unwrap();
            let error = load(&folder).unwrap_err();
            assert!(
                matches!(&error, CheckpointError::Damaged { file, .. } if file == CHECKSUMS),
                "{error}"
            );
        }
        let huge = Sum {
            bytes: u64::MAX,
            ..sum
        };
        let files = BTreeMap::from([("actor.safetensors".to_owned(), huge)]);
        fs::write(
            folder.join(CHECKSUMS),
            ron::to_string(&Checksums {
                format: FORMAT,
                files,
            })
            .unwrap(),
        )
        .unwrap();
        assert!(matches!(
            load(&folder),
            Err(CheckpointError::Damaged { .. })
        ));
        for text in [
            "",
            "(",
            "(format: 1)",
            "(format: -1, files: {})",
            "(format: 1, files: {})",
            &"[".repeat(1 << 16),
        ] {
            fs::write(folder.join(CHECKSUMS), text).unwrap();
            assert!(
                matches!(load(&folder), Err(CheckpointError::Damaged { .. })),
                "{text:.20}"
            );
        }
        fs::write(
            folder.join(CHECKSUMS),
            "(format: 2, files: [\"another kind of list\"])",
        )
        .unwrap();
        assert!(matches!(
            load(&folder),
            Err(CheckpointError::NewerFormat { found: 2, .. })
        ));
        fs::write(
            folder.join(CHECKSUMS),
            vec![b' '; CHECKSUMS_LIMIT as usize + 1],
        )
        .unwrap();
        assert!(matches!(
            load(&folder),
            Err(CheckpointError::Damaged { .. })
        ));
        fs::write(folder.join(CHECKSUMS), [0xff]).unwrap();
        assert!(matches!(
            load(&folder),
            Err(CheckpointError::Damaged { .. })
        ));
    }

    #[test]
    fn hostile_contents_with_right_sums_are_typed_errors() {
        let folder = saved(&[7]);
        let folder = folder.path().join(step_folder_name(7));
        let state = fs::read(folder.join(STATE)).unwrap();
        for text in [
            "",
            "(step: -1, state: {})",
            "(step: 1, state: {\"a\": })",
            &"(".repeat(1 << 16),
            "(step: 1)",
        ] {
            fs::write(folder.join(STATE), text).unwrap();
            sum_again(&folder);
            let error = load(&folder).unwrap_err();
            assert!(
                matches!(&error, CheckpointError::Damaged { file, .. } if file == STATE),
                "{error}"
            );
        }
        fs::write(folder.join(STATE), state).unwrap();
        fs::write(folder.join("actor.safetensors"), u64::MAX.to_le_bytes()).unwrap();
        sum_again(&folder);
        assert!(matches!(
            load(&folder),
            Err(CheckpointError::Damaged { .. })
        ));
    }

    #[test]
    fn a_folder_in_place_of_a_file_is_a_typed_error() {
        let folder = saved(&[7]);
        let folder = folder.path().join(step_folder_name(7));
        for file in ["actor.safetensors", CHECKSUMS] {
            fs::remove_file(folder.join(file)).unwrap();
            fs::create_dir(folder.join(file)).unwrap();
            assert!(matches!(load(&folder), Err(CheckpointError::Io { .. })));
        }
        assert!(matches!(
            load(folder.join("nothing")),
            Err(CheckpointError::NotACheckpoint { .. })
        ));
    }
}
