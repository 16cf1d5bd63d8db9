//! `manifest.ron`: what a run was made with, for whoever wants to repeat it.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use ron::ser::PrettyConfig;
use serde::{Deserialize, Serialize};

use super::CheckpointError;
use super::digest::{sum_of_file, sum_of_text};
use super::origin;
use super::plain_file::open_plain;
use super::step_folder::{CHECKSUMS, CHECKSUMS_LIMIT};
use super::whole_file::replace_whole;

/// The versions of what a run is computed by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versions {
    /// Of yarak.
    pub yarak: String,
    /// Of Burn, which computes.
    pub burn: String,
    /// Of Bevy, which schedules.
    pub bevy: String,
    /// Of libraries that compute the run's environments, such as `MuJoCo 4.0.0`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub libraries: Vec<String>,
}

/// A dataset by its contents: paths change their meaning, sums do not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetRecord {
    /// Where it was read, as an absolute path.
    pub path: PathBuf,
    /// The file's SHA-256 in lower-case hexadecimal.
    pub sha256: String,
}

impl DatasetRecord {
    /// Reads the whole file once, in pieces. Seeds that share a dataset can share its record.
    ///
    /// # Errors
    /// [`ManifestError::Io`] where the file cannot be read or is not a regular one.
    pub fn of(path: &Path) -> Result<Self, ManifestError> {
        Self::of_files(path, &[path.to_path_buf()])
    }

    /// The same of a dataset that was opened at `path` and consists of these files. The sum of several is that of their sums, in order.
    ///
    /// # Errors
    /// As [`of`](Self::of).
    pub fn of_files(path: &Path, files: &[PathBuf]) -> Result<Self, ManifestError> {
        let mut sums = Vec::new();
        for file in files {
            let sum =
                sum_of_file(file, u64::MAX).map_err(ManifestError::io("read the dataset", file))?;
            sums.push(sum.sha256);
        }
        Ok(Self {
            // Whoever repeats the run may be somewhere else.
            path: std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf()),
            sha256: match sums.as_slice() {
                [one] => one.clone(),
                several => sum_of_text(&several.concat()),
            },
        })
    }
}

/// The checkpoint that a run was forked from, and what was changed: see `yarak train --fork`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForkRecord {
    /// The parent's step folder, as an absolute path.
    pub checkpoint: PathBuf,
    /// Its step.
    pub step: u64,
    /// The SHA-256 of its `checksums.ron`, which has the sums of all of its files.
    pub sha256: String,
    /// The settings that are not the parent's, a line each: `Td3Bc.alpha: 2.5 -> 1.0`.
    pub changed: Vec<String>,
}

impl ForkRecord {
    /// The sum by which a checkpoint is known, wherever it lies.
    ///
    /// # Errors
    /// [`CheckpointError::Io`] where it cannot be read.
    pub(crate) fn sum_of(checkpoint: &Path) -> Result<String, CheckpointError> {
        let path = checkpoint.join(CHECKSUMS);
        let sum = sum_of_file(&path, CHECKSUMS_LIMIT);
        let sum = sum.map_err(CheckpointError::io("read the file", &path))?;
        Ok(sum.sha256)
    }

    /// What was changed, as the end of a sentence.
    pub(crate) fn in_words(&self) -> String {
        match self.changed.as_slice() {
            [] => String::new(),
            changed => format!(", with {}", changed.join(", ")),
        }
    }
}

/// What a run was made with, kept in its folder as `manifest.ron`.
///
/// ```
/// use yarak::checkpoint::{Manifest, Versions};
///
/// let versions = Versions { yarak: "0.1.0".into(), burn: "0.22".into(), bevy: "0.20".into(), libraries: Vec::new() };
/// let manifest = Manifest::of_this_process(versions, "cpu", vec![0], None);
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("manifest.ron");
/// manifest.write(&path)?;
/// assert_eq!(Manifest::read(&path)?, manifest);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// What computed it.
    pub versions: Versions,
    /// The device's name, such as `cpu` or `vulkan:0`.
    pub device: String,
    /// The host's processor and how many of its threads the process may use.
    pub cpu: String,
    /// What the processor has of the instructions that networks are computed with, such as `avx2`.
    #[serde(default)]
    pub features: Vec<String>,
    /// The dataset, if there is one.
    pub dataset: Option<DatasetRecord>,
    /// The Git commit around the working directory, if there is one.
    pub git: Option<String>,
    /// One for each learner.
    pub seeds: Vec<u64>,
    /// When the process began with it, in UTC as in RFC 3339.
    pub started: String,
    /// The command line, the program's own name first.
    pub command: Vec<String>,
    /// The checkpoint of another run with which this one began, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forked_from: Option<ForkRecord>,
}

impl Manifest {
    /// Records this process: its command line, working directory, processor and the time now.
    pub fn of_this_process(
        versions: Versions,
        device: &str,
        seeds: Vec<u64>,
        dataset: Option<DatasetRecord>,
    ) -> Self {
        Self {
            versions,
            device: device.to_owned(),
            cpu: origin::cpu(),
            features: origin::features(),
            dataset,
            git: std::env::current_dir()
                .ok()
                .and_then(|folder| origin::git_revision(&folder)),
            seeds,
            started: origin::now(),
            // An argument that is not Unicode is still worth a record.
            command: std::env::args_os()
                .map(|argument| argument.to_string_lossy().into_owned())
                .collect(),
            forked_from: None,
        }
    }

    /// What of versions, processor and device is different in `other`, a line each. Bits depend on nothing else but the scene and the
    /// data.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        // The number of threads is of no matter.
        let model = |cpu: &str| {
            cpu.rsplit_once(", ")
                .map_or(cpu, |(model, _)| model)
                .to_owned()
        };
        let of = |it: &Self| {
            [
                ("yarak", it.versions.yarak.clone()),
                ("Burn", it.versions.burn.clone()),
                ("Bevy", it.versions.bevy.clone()),
                ("libraries", it.versions.libraries.join(", ")),
                ("device", it.device.clone()),
                ("processor", model(&it.cpu)),
                ("instructions", it.features.join(" ")),
                ("Git commit", it.git.clone().unwrap_or_default()),
            ]
        };
        let named = |text: &str| {
            if text.is_empty() {
                "none".to_owned()
            } else {
                text.to_owned()
            }
        };
        let pairs = of(self).into_iter().zip(of(other));
        let different = pairs.filter(|((_, here), (_, there))| here != there);
        different
            .map(|((what, before), (_, now))| {
                format!(
                    "{what}: the run had {}, and this is {}",
                    named(&before),
                    named(&now)
                )
            })
            .collect()
    }

    /// What is to be said where a run goes on on a processor with other instructions than before.
    pub(crate) fn other_processor(&self, now: &Self) -> Option<String> {
        let is_known = !self.features.is_empty();
        (is_known && self.features != now.features).then(|| {
            format!(
                "warning: the run was on a processor with {} and goes on on one with {}: from here on its bits may be others than they would have been there",
                self.features.join(" "),
                now.features.join(" ")
            )
        })
    }

    /// Puts it in place of the file at `path`, whole or not at all.
    ///
    /// # Errors
    /// [`ManifestError::Io`], and [`ManifestError::NotRon`] if it cannot be expressed.
    pub fn write(&self, path: &Path) -> Result<(), ManifestError> {
        let text = ron::ser::to_string_pretty(self, PrettyConfig::new()).map_err(|error| {
            ManifestError::NotRon {
                path: path.to_path_buf(),
                what: error.to_string(),
            }
        })?;
        replace_whole(path, text.as_bytes()).map_err(ManifestError::io("write the manifest", path))
    }

    /// Reads what [`write`](Self::write) wrote. Fields that a later version added are passed over.
    ///
    /// # Errors
    /// [`ManifestError::Io`] and [`ManifestError::NotRon`] with line and column.
    pub fn read(path: &Path) -> Result<Self, ManifestError> {
        const LIMIT: u64 = 1 << 20;
        let mut bytes = Vec::new();
        open_plain(path)
            .and_then(|file| file.take(LIMIT).read_to_end(&mut bytes))
            .map_err(ManifestError::io("read the manifest", path))?;
        ron::de::from_bytes(&bytes).map_err(|error| ManifestError::NotRon {
            path: path.to_path_buf(),
            what: error.to_string(),
        })
    }
}

/// Why a manifest could not be made, written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// The operating system refused.
    #[error("{}: could not {action}; check that the path is right and that this user may read and write there", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file it was tried on.
        path: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },
    /// The text is not a manifest.
    #[error("{}: not a manifest: {what}; it is a record only, so it can be removed", path.display())]
    NotRon {
        /// The file.
        path: PathBuf,
        /// What is wrong, with line and column.
        what: String,
    },
}

impl ManifestError {
    fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            action,
            path: path.to_path_buf(),
            source,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn manifest(dataset: Option<DatasetRecord>) -> Manifest {
        let versions = Versions {
            yarak: "1".into(),
            burn: "2".into(),
            bevy: "3".into(),
            libraries: vec!["MuJoCo 4.0.0".into()],
        };
        Manifest::of_this_process(versions, "cuda:0", vec![0, u64::MAX], dataset)
    }

    #[test]
    fn a_manifest_comes_back_equal_with_its_dataset() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("abc.hdf5");
        fs::write(&data, "abc").unwrap();
        let record = DatasetRecord::of(&data).unwrap();
        assert!(record.sha256.starts_with("ba7816bf"));
        // `printf` of both sums and `sha256sum` print the same.
        let both = DatasetRecord::of_files(&data, &[data.clone(), data.clone()]).unwrap();
        assert!(both.sha256.starts_with("ef0b92fb"), "{}", both.sha256);
        let manifest = manifest(Some(record));
        assert!(!manifest.command.is_empty() && manifest.started.ends_with('Z'));
        let path = folder.path().join("manifest.ron");
        manifest.write(&path).unwrap();
        assert_eq!(Manifest::read(&path).unwrap(), manifest);
    }

    #[test]
    fn fields_of_a_later_version_are_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("manifest.ron");
        manifest(None).write(&path).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replacen('(', "(later: [1, 2],", 1)).unwrap();
        assert_eq!(Manifest::read(&path).unwrap().device, "cuda:0");
    }

    #[test]
    fn what_is_not_a_manifest_is_a_typed_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("manifest.ron");
        assert!(matches!(
            Manifest::read(&path),
            Err(ManifestError::Io { .. })
        ));
        for bytes in [&b""[..], b"()", b"(versions: 3)", &[0xff, 0xfe]] {
            fs::write(&path, bytes).unwrap();
            assert!(matches!(
                Manifest::read(&path),
                Err(ManifestError::NotRon { .. })
            ));
        }
        assert!(matches!(
            DatasetRecord::of(folder.path()),
            Err(ManifestError::Io { .. })
        ));
        assert!(manifest(None).write(Path::new("/")).is_err());
    }
}
