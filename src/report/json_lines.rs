//! Metrics as JSON, one object a line: the record of a run that everything else is drawn from.
//!
//! ```json
//! {"step": 2000, "critic/loss": 0.41, "evaluate/return": -512.25}
//! ```
//!
//! Lines are appended whole, so that a run can be read while it trains. What a crash half wrote is skipped by [`read`]
//! and removed by [`cut_back`], which a resumed run calls before it opens the file again.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};

use super::in_place::{Gone, look_after};
use crate::checkpoint::{open_plain, open_plain_with, replace_whole};

/// The file's own key, which no metric may take.
const STEP: &str = "step";

/// What can go wrong with a file of metrics.
#[derive(Debug, thiserror::Error)]
pub enum JsonLinesError {
    /// The operating system refused.
    #[error(
        "{}: cannot {action} the file of metrics; check that the run's folder exists, may be written and has room",
        path.display()
    )]
    Io {
        /// The file.
        path: PathBuf,
        /// What was being done: "open", "write to", ...
        action: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// A line is not an object of numbers with a step.
    #[error(
        "{}:{line}: not a line of metrics; each line is an object like {{\"step\": 2000, \"critic/loss\": 0.41}}: \
         mend or delete this line",
        path.display()
    )]
    Line {
        /// The file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The file ends in the middle of a line, so that the next line would be glued to it.
    #[error(
        "{}: the last line is half written; cut the file back to the step to go on from before appending to it",
        path.display()
    )]
    HalfWritten {
        /// The file.
        path: PathBuf,
    },
    /// Somebody has deleted the file, or put another in its place, while it was being written.
    #[error(transparent)]
    Gone(#[from] Gone),
    /// A metric has the name that the file uses for itself.
    #[error("{}: a metric cannot be named `step`, each line has one already; rename the metric", path.display())]
    ReservedName {
        /// The file.
        path: PathBuf,
    },
}

/// One line of the file: the metrics of one report.
///
/// ```
/// use yarak::report::json_lines::Row;
///
/// let row = Row { step: 2000, values: vec![("critic/loss".into(), 0.41)] };
/// assert_eq!(row.get("critic/loss"), Some(0.41));
/// assert_eq!(row.get("actor/loss"), None);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Gradient steps offline, environment steps online.
    pub step: u64,
    /// Name and value, in the line's order. A `null` in the file, which stands for NaN and the infinities, is NaN here.
    pub values: Vec<(String, f64)>,
}

impl Row {
    /// The value of a metric, where this line has it.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.values
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| *value)
    }
}

impl<'de> Deserialize<'de> for Row {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(RowVisitor)
    }
}

struct RowVisitor;

impl<'de> Visitor<'de> for RowVisitor {
    type Value = Row;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("an object of metrics with its step")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Row, A::Error> {
        let mut step = None;
        let mut values = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            crate::terminal::heed(&name);
            if name == STEP {
                step = Some(map.next_value()?);
            } else {
                let value: Option<f64> = map.next_value()?;
                values.push((name, value.unwrap_or(f64::NAN)));
            }
        }
        let step = step.ok_or_else(|| A::Error::missing_field(STEP))?;
        Ok(Row { step, values })
    }
}

/// A file of metrics, open for appending.
///
/// ```
/// use yarak::report::json_lines::{JsonLines, cut_back, read};
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("metrics.jsonl");
/// let mut metrics = JsonLines::open(&path)?;
/// metrics.append(1000, &[("critic/loss", 0.5)])?;
/// metrics.append(2000, &[("critic/loss", 0.25), ("evaluate/return", -512.25)])?;
/// assert_eq!(
///     std::fs::read_to_string(&path)?,
///     "{\"step\": 1000, \"critic/loss\": 0.5}\n\
///      {\"step\": 2000, \"critic/loss\": 0.25, \"evaluate/return\": -512.25}\n"
/// );
///
/// // Resuming from the checkpoint of step 1000:
/// drop(metrics);
/// cut_back(&path, 1000)?;
/// assert_eq!(read(&path)?.len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct JsonLines {
    path: PathBuf,
    file: File,
    /// Bytes of whole lines, to which a failed write is undone.
    length: u64,
}

impl JsonLines {
    /// Opens the file for appending, and creates it where there is none. Its folder must exist.
    ///
    /// # Errors
    /// The file cannot be opened, or ends in the middle of a line ([`cut_back`] mends that).
    pub fn open(path: impl AsRef<Path>) -> Result<Self, JsonLinesError> {
        let path = path.as_ref().to_path_buf();
        let open = || {
            let mut options = OpenOptions::new();
            options.read(true).append(true).create(true);
            let mut file = open_plain_with(&mut options, &path)?;
            let length = file.seek(SeekFrom::End(0))?;
            let mut last = [b'\n'];
            if length > 0 {
                file.seek(SeekFrom::End(-1))?;
                file.read_exact(&mut last)?;
            }
            Ok((file, length, last == [b'\n']))
        };
        match open() {
            Ok((file, length, true)) => Ok(Self { path, file, length }),
            Ok((_, _, false)) => Err(JsonLinesError::HalfWritten { path }),
            Err(source) => Err(JsonLinesError::Io {
                path,
                action: "open",
                source,
            }),
        }
    }

    /// Writes one line: the step first, then the values in the given order. Steps need not grow.
    ///
    /// Values are written in the shortest form that reads back to the same bits; NaN and the infinities, which JSON
    /// lacks, as `null`. The line is handed to the operating system before this returns.
    ///
    /// # Errors
    /// A metric is named `step`, or the file cannot be written; the file then has the lines that it had before. [`JsonLinesError::Gone`]
    /// where the file is no longer where it was: all its lines, this one included, are then written anew.
    pub fn append<N: AsRef<str>>(
        &mut self,
        step: u64,
        values: &[(N, f64)],
    ) -> Result<(), JsonLinesError> {
        if values.iter().any(|(name, _)| name.as_ref() == STEP) {
            return Err(JsonLinesError::ReservedName {
                path: self.path.clone(),
            });
        }
        let mut line = format!("{{\"{STEP}\": {step}");
        for (name, value) in values {
            let name = serde_json::Value::from(name.as_ref());
            // From a float that JSON lacks, `Value` makes null.
            let value = serde_json::Value::from(*value);
            line.push_str(&format!(", {name}: {value}"));
        }
        line.push_str("}\n");
        if let Err(source) = self.file.write_all(line.as_bytes()) {
            // A full disk may have taken a part of the line. Should undoing that fail as well, then the next opening
            // reports the half line; the first error is the one to tell.
            let _ = self.file.set_len(self.length);
            return Err(JsonLinesError::Io {
                path: self.path.clone(),
                action: "write to",
                source,
            });
        }
        self.length += line.len() as u64;
        Ok(look_after(&mut self.file, &self.path)?)
    }
}

/// Reads all lines. A last line that is half written (the run is training just now, or was killed) is left out.
///
/// # Errors
/// The file cannot be read, or a line is not an object of numbers with a step.
pub fn read(path: impl AsRef<Path>) -> Result<Vec<Row>, JsonLinesError> {
    let path = path.as_ref();
    let bytes = bytes_of(path)?;
    let lines = parse(path, &bytes)?;
    Ok(lines.into_iter().map(|(_, row)| row).collect())
}

/// Drops every line with a greater step than `step`, and a last line that is half written. The other lines stay as they
/// are, to the byte. Where there is no file, there is nothing to do.
///
/// The change is atomic: at any instant, a crash leaves either the old file or the new one. Drop the [`JsonLines`] that
/// has the file open first: it would go on writing to the old one.
///
/// # Errors
/// The file cannot be read or replaced, or a line is not an object of numbers with a step.
pub fn cut_back(path: impl AsRef<Path>, step: u64) -> Result<(), JsonLinesError> {
    let path = path.as_ref();
    let bytes = match bytes_of(path) {
        Err(JsonLinesError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            return Ok(());
        }
        other => other?,
    };
    let mut kept = Vec::with_capacity(bytes.len());
    for (line, row) in parse(path, &bytes)? {
        if row.step <= step {
            kept.extend_from_slice(line);
            kept.push(b'\n');
        }
    }
    if kept == bytes {
        return Ok(());
    }
    replace_whole(path, &kept).map_err(|source| JsonLinesError::Io {
        path: path.into(),
        action: "cut back",
        source,
    })
}

fn bytes_of(path: &Path) -> Result<Vec<u8>, JsonLinesError> {
    let read = || {
        let mut bytes = Vec::new();
        open_plain(path)?.read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    read().map_err(|source| JsonLinesError::Io {
        path: path.into(),
        action: "read",
        source,
    })
}

/// The lines with their rows, blank ones left out. What follows the last line's end counts only when it is readable:
/// then no more than the end of the line is missing, which an editor may have taken.
fn parse<'a>(path: &Path, bytes: &'a [u8]) -> Result<Vec<(&'a [u8], Row)>, JsonLinesError> {
    let mut lines: Vec<_> = bytes.split(|byte| *byte == b'\n').enumerate().collect();
    let unended = lines
        .pop()
        .filter(|(_, line)| serde_json::from_slice::<Row>(line).is_ok());
    lines
        .into_iter()
        .chain(unended)
        .filter(|(_, line)| !line.trim_ascii().is_empty())
        .map(|(index, line)| match serde_json::from_slice(line) {
            Ok(row) => Ok((line, row)),
            Err(source) => Err(JsonLinesError::Line {
                path: path.into(),
                line: index + 1,
                source,
            }),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn file_with(text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        fs::write(&path, text).unwrap();
        (folder, path)
    }

    #[test]
    fn values_come_back_as_they_were_written() {
        let (_folder, path) = file_with("");
        let values = [
            0.1,
            -512.3,
            1e-300,
            f64::MAX,
            0.0,
            -0.0,
            f64::from(0.1_f32),
            3.0,
        ];
        let named: Vec<_> = values
            .iter()
            .enumerate()
            .map(|(i, value)| (format!("metric/{i}"), *value))
            .collect();
        JsonLines::open(&path)
            .unwrap()
            .append(u64::MAX, &named)
            .unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(
            text.starts_with(
                "{\"step\": 18446744073709551615, \"metric/0\": 0.1, \"metric/1\": -512.3, "
            ),
            "{text}"
        );
        let rows = read(&path).unwrap();
        assert_eq!(
            rows,
            [Row {
                step: u64::MAX,
                values: named
            }]
        );
    }

    #[test]
    fn numbers_that_json_lacks_are_null_and_read_as_nan() {
        let (_folder, path) = file_with("");
        let values = [("a", f64::NAN), ("b", f64::INFINITY), ("c", 1.5)];
        JsonLines::open(&path).unwrap().append(1, &values).unwrap();
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            "{\"step\": 1, \"a\": null, \"b\": null, \"c\": 1.5}\n"
        );
        let row = &read(&path).unwrap()[0];
        assert!(row.get("a").unwrap().is_nan() && row.get("b").unwrap().is_nan());
        assert_eq!(row.get("c"), Some(1.5));
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_is_deleted_under_the_run_is_missed_at_once_and_put_back() {
        let (folder, path) = file_with("");
        let mut metrics = JsonLines::open(&path).unwrap();
        metrics.append(1, &[("a", 1.0)]).unwrap();
        fs::remove_file(&path).unwrap();
        let error = metrics.append(2, &[("a", 2.0)]).unwrap_err();
        assert!(
            error.to_string().contains("its lines are there again"),
            "{error}"
        );
        assert_eq!(read(&path).unwrap().len(), 2);
        // Another file in its place is left alone.
        let mut metrics = JsonLines::open(&path).unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(&path, "mine").unwrap();
        let error = metrics.append(3, &[("a", 3.0)]).unwrap_err();
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
        let put_back = path.with_extension("1.jsonl");
        assert!(error.to_string().contains("metrics.1.jsonl"), "{error}");
        assert_eq!(read(&put_back).unwrap().len(), 3);
        // And so is the whole folder.
        let run = folder.path().join("run");
        fs::create_dir(&run).unwrap();
        let mut metrics = JsonLines::open(run.join("metrics.jsonl")).unwrap();
        fs::remove_dir_all(&run).unwrap();
        metrics.append(1, &[("a", 1.0)]).unwrap_err();
        assert_eq!(read(run.join("metrics.jsonl")).unwrap().len(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_neither_read_nor_written_through() {
        let (folder, path) = file_with("{\"step\": 1}\n");
        let link = folder.path().join("link.jsonl");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        for error in [
            read(&link).unwrap_err(),
            cut_back(&link, 0).unwrap_err(),
            JsonLines::open(&link).unwrap_err(),
        ] {
            assert!(
                crate::schedule::with_causes(&error).contains("it is a link"),
                "{error}"
            );
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\"step\": 1}\n");
    }

    #[test]
    fn opening_again_appends() {
        let (_folder, path) = file_with("");
        for step in [1, 2] {
            JsonLines::open(&path)
                .unwrap()
                .append::<&str>(step, &[])
                .unwrap();
        }
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            "{\"step\": 1}\n{\"step\": 2}\n"
        );
    }

    #[test]
    fn a_name_is_escaped_and_cannot_be_step() {
        let (_folder, path) = file_with("");
        let mut metrics = JsonLines::open(&path).unwrap();
        metrics.append(1, &[("quote \" and\nline", 1.0)]).unwrap();
        assert_eq!(read(&path).unwrap()[0].values[0].0, "quote \" and\nline");
        let refused = metrics.append(2, &[("step", 1.0)]).unwrap_err();
        assert!(
            refused.to_string().contains("rename the metric"),
            "{refused}"
        );
        assert_eq!(read(&path).unwrap().len(), 1);
    }

    #[test]
    fn cutting_back_drops_later_steps_and_a_half_line_and_keeps_the_rest_to_the_byte() {
        let odd = "{ \"step\":1,\"a\": 0.50 }\n";
        let (folder, path) = file_with(&format!(
            "{odd}{{\"step\": 3, \"a\": 2}}\n{{\"step\": 2, \"a\": 3}}\n{{\"step\": 2, \"a"
        ));
        cut_back(&path, 2).unwrap();
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            format!("{odd}{{\"step\": 2, \"a\": 3}}\n")
        );
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            1,
            "a temporary file was left"
        );
        JsonLines::open(&path)
            .unwrap()
            .append(3, &[("a", 4.0)])
            .unwrap();
        assert_eq!(
            read(&path)
                .unwrap()
                .iter()
                .map(|row| row.step)
                .collect::<Vec<_>>(),
            [1, 2, 3]
        );
    }

    #[test]
    fn cutting_back_mends_a_tail_of_zeros_and_ends_a_whole_last_line() {
        let (_folder, path) = file_with("{\"step\": 1}\n\0\0\0\0");
        cut_back(&path, 9).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\"step\": 1}\n");
        fs::write(&path, "{\"step\": 1}\n{\"step\": 2}").unwrap();
        cut_back(&path, 9).unwrap();
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            "{\"step\": 1}\n{\"step\": 2}\n"
        );
    }

    #[test]
    fn cutting_back_nothing_leaves_the_file_alone() {
        let (folder, path) = file_with("{\"step\": 1}\n");
        let before = fs::metadata(&path).unwrap().modified().unwrap();
        cut_back(&path, 1).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), before);
        cut_back(folder.path().join("absent.jsonl"), 1).unwrap();
        assert!(!folder.path().join("absent.jsonl").exists());
    }

    #[test]
    fn a_half_written_line_is_not_read_and_not_appended_to() {
        let (_folder, path) = file_with("{\"step\": 1}\n{\"step\": 2, \"a\": 0.");
        assert_eq!(read(&path).unwrap().len(), 1);
        let refused = JsonLines::open(&path).unwrap_err();
        assert!(
            matches!(refused, JsonLinesError::HalfWritten { .. }),
            "{refused}"
        );
    }

    #[test]
    fn an_unreadable_line_is_named_with_file_and_number() {
        for bad in [
            "{\"step\": 2",
            "[1]",
            "{\"a\": 1}",
            "{\"step\": -2}",
            "{\"step\": 2, \"a\": \"x\"}",
            "\u{fffd}",
        ] {
            let (_folder, path) =
                file_with(&format!("{{\"step\": 1}}\n\n{bad}\n{{\"step\": 3}}\n"));
            for error in [read(&path).unwrap_err(), cut_back(&path, 1).unwrap_err()] {
                assert!(error.to_string().contains("metrics.jsonl:3: "), "{error}");
            }
        }
        let error = read("no/such/metrics.jsonl").unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("no/such/metrics.jsonl: cannot read"),
            "{error}"
        );
    }
}
