//! TensorBoard's event files, written without TensorFlow.
//!
//! A file is a sequence of records, each framed as in a TFRecord file (length, checksum of the length, bytes, checksum
//! of the bytes), each an `Event` message. Scalars are written as `simple_value`: single precision, and the one form
//! that every version of TensorBoard and every reader of its files takes for a scalar.
//! Format: <https://github.com/tensorflow/tensorboard/blob/master/tensorboard/compat/proto/event.proto>.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use prost::Message;

use super::in_place::is_in_place;
use crate::checkpoint::{is_plain_file, open_plain, replace_whole};

/// What the name of every event file begins with.
const PREFIX: &str = "events.out.tfevents.";

/// What can go wrong with an event file.
#[derive(Debug, thiserror::Error)]
#[error(
    "{}: cannot {action} TensorBoard's event file; check that the run's folder exists, may be written and has room",
    path.display()
)]
pub struct EventFileError {
    /// The file, or its folder where the file has no name yet.
    pub path: PathBuf,
    /// What was being done: "create", "write to", ...
    pub action: &'static str,
    /// Why it failed.
    pub source: io::Error,
}

/// One event file, open for appending. A run that is resumed goes on in a new file in the same folder.
///
/// ```
/// use yarak::report::tensorboard::EventFile;
/// # let folder = tempfile::tempdir()?;
/// # let folder = folder.path();
/// let mut events = EventFile::create(folder, 1_700_000_000.0)?;
/// events.append(1000, 1_700_000_010.5, &[("critic/loss", 0.5), ("evaluate/return", -512.25)])?;
/// events.append(2000, 1_700_000_020.5, &[("critic/loss", 0.25)])?;
///
/// // Resumed an hour later from the checkpoint of step 1000: TensorBoard forgets step 2000 of the file above.
/// let mut events = EventFile::resume(folder, 1_700_003_600.0, 1000)?;
/// events.append(2000, 1_700_003_610.0, &[("critic/loss", 0.125)])?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct EventFile {
    path: PathBuf,
    file: File,
    /// Bytes of whole records, to which a failed write is undone.
    length: u64,
}

impl EventFile {
    /// Creates the event file of a new run in a folder that exists. `unix_seconds` is the time now, in seconds since
    /// 1970. Points of earlier files in the folder, if there are any, are dropped by TensorBoard.
    ///
    /// # Errors
    /// The folder cannot be read, or the file cannot be created or written.
    pub fn create(directory: impl AsRef<Path>, unix_seconds: f64) -> Result<Self, EventFileError> {
        Self::start(directory.as_ref(), unix_seconds, 0)
    }

    /// Creates the next event file of a run that goes on from the checkpoint of step `step`: TensorBoard drops the
    /// points of earlier files with a greater step and keeps the one at `step`.
    ///
    /// # Errors
    /// As [`EventFile::create`].
    pub fn resume(
        directory: impl AsRef<Path>,
        unix_seconds: f64,
        step: u64,
    ) -> Result<Self, EventFileError> {
        Self::start(directory.as_ref(), unix_seconds, step.saturating_add(1))
    }

    /// Starts a file and, in it, a session: from `first_step` on, earlier points are dropped. The first file needs its
    /// session, too: TensorBoard's pages take the first start that they see for no restart.
    fn start(directory: &Path, unix_seconds: f64, first_step: u64) -> Result<Self, EventFileError> {
        let (path, file) =
            create_last(directory, unix_seconds).map_err(|source| EventFileError {
                path: directory.into(),
                action: "create",
                source,
            })?;
        let mut events = Self {
            path,
            file,
            length: 0,
        };
        events.write(proto::Event {
            wall_time: unix_seconds,
            step: 0,
            what: Some(proto::What::FileVersion("brain.Event:2".into())),
        })?;
        events.write(proto::Event {
            wall_time: unix_seconds,
            step: signed(first_step),
            what: Some(proto::What::SessionLog(proto::SessionLog {
                status: proto::SESSION_START,
            })),
        })?;
        Ok(events)
    }

    /// The file's path: `events.out.tfevents.<seconds>.<host>.<process>`.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the values of one report. `wall_time` is in seconds since 1970.
    ///
    /// Values are rounded to single precision; NaN and the infinities are kept, and TensorBoard marks them.
    /// The record is handed to the operating system before this returns.
    ///
    /// # Errors
    /// The file cannot be written, and has the records that it had before; or it is no longer where it was, and its records are lost.
    pub fn append<N: AsRef<str>>(
        &mut self,
        step: u64,
        wall_time: f64,
        values: &[(N, f64)],
    ) -> Result<(), EventFileError> {
        let value = values
            .iter()
            .map(|(name, value)| proto::Value {
                tag: name.as_ref().into(),
                simple_value: Some(*value as f32),
            })
            .collect();
        let summary = proto::What::Summary(proto::Summary { value });
        self.write(proto::Event {
            wall_time,
            step: signed(step),
            what: Some(summary),
        })
    }

    fn write(&mut self, event: proto::Event) -> Result<(), EventFileError> {
        let record = record(&event.encode_to_vec());
        if let Err(source) = self.file.write_all(&record) {
            // Readers stop at a record that is half written, so that a full disk would hide all later ones as well.
            let _ = self.file.set_len(self.length);
            return Err(EventFileError {
                path: self.path.clone(),
                action: "write to",
                source,
            });
        }
        self.length += record.len() as u64;
        if is_in_place(&self.file, &self.path) {
            return Ok(());
        }
        Err(EventFileError {
            path: self.path.clone(),
            action: "find",
            source: io::Error::other("it was deleted or replaced while the run went on"),
        })
    }
}

/// Drops from the event files in `directory` every point with a greater step than `step`, and a last record that is half written, as a
/// run that goes on from there takes these steps again. [`EventFile::resume`] says the same to TensorBoard, which may have read the
/// points already; other readers of the files know nothing of that.
///
/// A file with anything in it that is not written here is somebody else's and stays as it is. Each file is changed whole or not at all.
///
/// ```
/// use yarak::report::tensorboard::{EventFile, cut_back};
/// # let folder = tempfile::tempdir()?;
/// # let folder = folder.path();
/// let mut events = EventFile::create(folder, 0.0)?;
/// events.append(1000, 1.0, &[("critic/loss", 0.5)])?;
/// let length = std::fs::metadata(events.path())?.len();
/// events.append(2000, 2.0, &[("critic/loss", 0.25)])?;
/// cut_back(folder, 1000)?;
/// assert_eq!(std::fs::metadata(events.path())?.len(), length);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// The folder or a file cannot be read, or a file cannot be replaced.
pub fn cut_back(directory: impl AsRef<Path>, step: u64) -> Result<(), EventFileError> {
    let directory = directory.as_ref();
    let failed = |path: &Path, action| {
        let path = path.to_path_buf();
        move |source| EventFileError {
            path,
            action,
            source,
        }
    };
    for entry in fs::read_dir(directory).map_err(failed(directory, "list"))? {
        let entry = entry.map_err(failed(directory, "list"))?;
        let path = entry.path();
        let named = entry.file_name().to_string_lossy().starts_with(PREFIX);
        if !named || !is_plain_file(&path) {
            continue;
        }
        let mut bytes = Vec::new();
        open_plain(&path)
            .and_then(|mut file| file.read_to_end(&mut bytes))
            .map_err(failed(&path, "read"))?;
        if let Some(kept) = up_to(&bytes, step).filter(|kept| *kept != bytes) {
            replace_whole(&path, &kept).map_err(failed(&path, "cut back"))?;
        }
    }
    Ok(())
}

/// The whole records of these bytes without the points beyond `step`; `None` where something in them is not ours.
fn up_to(bytes: &[u8], step: u64) -> Option<Vec<u8>> {
    let mut kept = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(message) = first_record(rest) {
        let event = proto::Event::decode(message).ok()?;
        let is_point = match event.what? {
            proto::What::Summary(summary) => {
                let all_scalars = summary.value.iter().all(|it| it.simple_value.is_some());
                all_scalars.then_some(true)?
            }
            proto::What::FileVersion(_) | proto::What::SessionLog(_) => false,
        };
        let (record, after) = rest.split_at(message.len() + FRAME);
        if !is_point || event.step <= signed(step) {
            kept.extend_from_slice(record);
        }
        rest = after;
    }
    Some(kept)
}

/// Bytes of a record around its message.
const FRAME: usize = 16;

/// The message of the first record; `None` where no whole one is left.
fn first_record(bytes: &[u8]) -> Option<&[u8]> {
    let (length, _) = bytes.split_first_chunk::<8>()?;
    let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    let message = bytes.get(12..length.checked_add(12)?)?;
    (bytes.get(..message.len() + FRAME)? == record(message)).then_some(message)
}

/// TensorBoard's steps are signed.
fn signed(step: u64) -> i64 {
    i64::try_from(step).unwrap_or(i64::MAX)
}

/// Frames a message as a record of a TFRecord file.
fn record(message: &[u8]) -> Vec<u8> {
    let length = (message.len() as u64).to_le_bytes();
    let mut record = Vec::with_capacity(message.len() + 16);
    record.extend_from_slice(&length);
    record.extend_from_slice(&masked_checksum(&length).to_le_bytes());
    record.extend_from_slice(message);
    record.extend_from_slice(&masked_checksum(message).to_le_bytes());
    record
}

/// The format masks its checksums because it may itself be stored in files with checksums of the same kind.
fn masked_checksum(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
        .rotate_right(15)
        .wrapping_add(0xa282_ead8)
}

/// Creates a file whose name sorts behind those of all event files in the folder: TensorBoard reads them in the order
/// of their names and never goes back, so that two starts within a second, or a clock set back, would hide a file.
fn create_last(directory: &Path, unix_seconds: f64) -> io::Result<(PathBuf, File)> {
    let mut seconds = unix_seconds as u64;
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        let taken = name
            .to_string_lossy()
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split('.').next()?.parse().ok());
        if let Some(taken) = taken {
            seconds = seconds.max(u64::saturating_add(taken, 1));
        }
    }
    let name = format!("{PREFIX}{seconds:010}.{}.{}", host(), std::process::id());
    let path = directory.join(name);
    // `create_new`: another process may have taken the same name since the folder was read.
    let file = OpenOptions::new()
        .append(true)
        .create_new(true)
        .open(&path)?;
    Ok((path, file))
}

/// The machine's name, which distinguishes event files in a folder that several machines share.
fn host() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .or_else(|| std::env::var("HOSTNAME").ok())
        .or_else(|| std::env::var("COMPUTERNAME").ok())
        .unwrap_or_default();
    let name: String = name
        .trim()
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || *c == '-')
        .collect();
    if name.is_empty() {
        "localhost".into()
    } else {
        name
    }
}

/// The messages of `event.proto` and `summary.proto`, as far as scalars need them.
mod proto {
    /// `SessionLog.SessionStatus.START`.
    pub const SESSION_START: i32 = 1;

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Event {
        #[prost(double, tag = "1")]
        pub wall_time: f64,
        #[prost(int64, tag = "2")]
        pub step: i64,
        #[prost(oneof = "What", tags = "3, 5, 7")]
        pub what: Option<What>,
    }

    #[derive(Clone, PartialEq, prost::Oneof)]
    pub enum What {
        #[prost(string, tag = "3")]
        FileVersion(String),
        #[prost(message, tag = "5")]
        Summary(Summary),
        #[prost(message, tag = "7")]
        SessionLog(SessionLog),
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct SessionLog {
        #[prost(int32, tag = "1")]
        pub status: i32,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Summary {
        #[prost(message, repeated, tag = "1")]
        pub value: Vec<Value>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Value {
        #[prost(string, tag = "1")]
        pub tag: String,
        /// `optional`, because a value of 0 must be written: in the original it is one of a `oneof`.
        #[prost(float, optional, tag = "2")]
        pub simple_value: Option<f32>,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn events(path: &Path) -> Vec<proto::Event> {
        let bytes = fs::read(path).unwrap();
        let mut rest = &bytes[..];
        let mut events = Vec::new();
        while let Some(message) = first_record(rest) {
            events.push(proto::Event::decode(message).unwrap());
            rest = &rest[FRAME + message.len()..];
        }
        assert!(rest.is_empty(), "a record is damaged");
        events
    }

    /// The steps of the points in all files of a folder.
    fn steps(folder: &Path) -> Vec<i64> {
        let mut paths: Vec<PathBuf> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        paths.sort();
        let events = paths.iter().flat_map(|path| events(path));
        let points = events.filter(|it| matches!(it.what, Some(proto::What::Summary(_))));
        points.map(|it| it.step).collect()
    }

    #[test]
    fn a_resumed_run_leaves_no_step_twice_in_its_files() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = EventFile::create(folder.path(), 1.0).unwrap();
        for step in [1000, 2000, 3000] {
            file.append(step, 1.0, &[("loss", 1.0)]).unwrap();
        }
        // A kill in the middle of a record.
        let bytes = fs::read(file.path()).unwrap();
        fs::write(file.path(), &bytes[..bytes.len() - 3]).unwrap();
        for step in [2000, 1000] {
            cut_back(folder.path(), step).unwrap();
            let mut file = EventFile::resume(folder.path(), 2.0, step).unwrap();
            for after in [step + 500, step + 1000] {
                file.append(after, 2.0, &[("loss", 2.0)]).unwrap();
            }
        }
        assert_eq!(steps(folder.path()), [1000, 1500, 2000]);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
    }

    #[test]
    fn a_file_of_somebody_elses_is_not_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.out.tfevents.5.theirs");
        let point = proto::Event {
            wall_time: 0.0,
            step: 9,
            what: Some(proto::What::Summary(proto::Summary {
                value: vec![proto::Value {
                    tag: "histogram".to_owned(),
                    simple_value: None,
                }],
            })),
        };
        let bytes = record(&point.encode_to_vec());
        fs::write(&path, &bytes).unwrap();
        cut_back(folder.path(), 1).unwrap();
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_is_deleted_under_the_run_is_missed() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = EventFile::create(folder.path(), 1.0).unwrap();
        file.append(1, 1.0, &[("loss", 1.0)]).unwrap();
        fs::remove_file(file.path()).unwrap();
        let error = file.append(2, 1.0, &[("loss", 1.0)]).unwrap_err();
        assert_eq!(error.action, "find");
    }

    /// Against the bytes of TensorBoard's own writer (`tensorboard.summary.writer`, 2.21).
    #[test]
    fn the_first_record_is_the_file_version_to_the_byte() {
        let folder = tempfile::tempdir().unwrap();
        let file = EventFile::create(folder.path(), 1_700_000_000.0).unwrap();
        let bytes = fs::read(file.path()).unwrap();
        let mut message = vec![0x09];
        message.extend_from_slice(&1_700_000_000.0_f64.to_le_bytes());
        message.extend_from_slice(b"\x1a\x0dbrain.Event:2");
        assert_eq!(bytes[..8], 24_u64.to_le_bytes());
        assert_eq!(
            bytes[8..12],
            [0xa3, 0x7f, 0x4b, 0x22],
            "masked checksum of the length 24"
        );
        assert_eq!(bytes[12..36], message[..]);
        assert_eq!(bytes[40..48], 13_u64.to_le_bytes(), "the session's record");
    }

    #[test]
    fn a_report_is_one_event_with_all_its_values() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = EventFile::create(folder.path(), 10.0).unwrap();
        file.append(
            2000,
            12.5,
            &[("critic/loss", 0.0), ("actor/loss", f64::NAN)],
        )
        .unwrap();
        let events = events(file.path());
        assert_eq!(events.len(), 3);
        assert_eq!((events[2].step, events[2].wall_time), (2000, 12.5));
        let Some(proto::What::Summary(summary)) = &events[2].what else {
            panic!("{events:?}")
        };
        assert_eq!(
            (summary.value[0].tag.as_str(), summary.value[0].simple_value),
            ("critic/loss", Some(0.0))
        );
        assert!(summary.value[1].simple_value.unwrap().is_nan());
    }

    #[test]
    fn a_resumed_run_starts_a_session_behind_the_step_that_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let file = EventFile::resume(folder.path(), 10.0, 2000).unwrap();
        let events = events(file.path());
        assert_eq!(
            events[0].what,
            Some(proto::What::FileVersion("brain.Event:2".into()))
        );
        let start = proto::What::SessionLog(proto::SessionLog {
            status: proto::SESSION_START,
        });
        assert_eq!((events[1].step, &events[1].what), (2001, &Some(start)));
    }

    #[test]
    fn a_later_file_sorts_behind_the_earlier_ones_whatever_the_clock_says() {
        let folder = tempfile::tempdir().unwrap();
        let clock = [
            1_700_000_000.0,
            1_700_000_000.9,
            5.0,
            f64::NAN,
            1_700_000_100.0,
        ];
        let names: Vec<_> = clock
            .iter()
            .map(|now| {
                EventFile::create(folder.path(), *now)
                    .unwrap()
                    .path()
                    .to_owned()
            })
            .collect();
        assert!(names.is_sorted() && names.len() == clock.len(), "{names:?}");
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let error = EventFile::create("no/such/run", 0.0).unwrap_err();
        assert!(
            error.to_string().starts_with("no/such/run: cannot create"),
            "{error}"
        );
    }

    /// Runs only where `YARAK_PYTHON` names a Python that has the package `tensorboard`.
    #[test]
    fn tensorboard_reads_the_exact_values_and_forgets_those_that_were_cut() {
        let Some(python) = std::env::var_os("YARAK_PYTHON") else {
            eprintln!("skipped: set YARAK_PYTHON to a Python that has the package `tensorboard`");
            return;
        };
        if !Command::new(&python)
            .args(["-c", "import tensorboard"])
            .output()
            .is_ok_and(|done| done.status.success())
        {
            eprintln!("skipped: {python:?} (YARAK_PYTHON) does not import `tensorboard`");
            return;
        }
        for is_cut in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let mut file = EventFile::create(folder.path(), 1e9).unwrap();
            for step in 0..=5_u64 {
                file.append(
                    step * 1000,
                    1e9 + step as f64,
                    &[("critic/loss", 1.0 / (step + 3) as f64)],
                )
                .unwrap();
            }
            // It honors the start of a session, where it may have read the points already, and files that lost them.
            if is_cut {
                cut_back(folder.path(), 3000).unwrap();
            }
            let mut file = EventFile::resume(folder.path(), 1e9, 3000).unwrap();
            file.append(
                4000,
                1e9 + 60.25,
                &[("critic/loss", -0.1), ("evaluate/return", -512.3)],
            )
            .unwrap();

            let script = concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/tests/python/read_tensorboard.py"
            );
            let done = Command::new(&python)
                .arg(script)
                .arg(folder.path())
                .output()
                .unwrap();
            assert!(
                done.status.success(),
                "{}",
                String::from_utf8_lossy(&done.stderr)
            );
            let seen: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
            let points = |tag: &str| -> Vec<(u64, f64, f32)> {
                serde_json::from_value(seen[tag].clone()).unwrap()
            };
            let mut expected: Vec<_> = (0..=3_u64)
                .map(|step| (step * 1000, 1e9 + step as f64, 1.0 / (step + 3) as f32))
                .collect();
            expected.push((4000, 1e9 + 60.25, -0.1));
            assert_eq!(points("critic/loss"), expected);
            assert_eq!(points("evaluate/return"), [(4000, 1e9 + 60.25, -512.3)]);
        }
    }
}
