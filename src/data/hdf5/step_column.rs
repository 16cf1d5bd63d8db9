//! Columns that training does not read, such as `infos/qpos`: a value for each transition, as it is in the file.

use super::d4rl::{D4rlRows, NextRule};
use super::dataset_file::{Values, overlapping};
use super::episodic::{Episodic, Source};
use super::raw::Raw;
use super::selection::MAX_COMPRESSION;
use super::{DatasetFile, DatasetInfo, File, FileError, Layout, LoadError};
use crate::data::{Episode, EpisodeEnd};

/// A value for each transition, in the file's own type.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::data) struct StepColumn {
    /// `[transitions, ...]`.
    pub(in crate::data) rows: Raw,
    /// For each episode the bytes of the value that is one row after its last: at the last next observation.
    pub(in crate::data) after: Vec<Option<Vec<u8>>>,
}

impl DatasetFile {
    /// For each episode the name under which the file has it; of one that was split at terminals the same for all. Empty for
    /// layouts that name none.
    pub(in crate::data) fn recorded_names(&self) -> Vec<String> {
        match &self.index.values {
            Values::D4rl(_) => Vec::new(),
            Values::Episodic(values) => values
                .sources
                .iter()
                .flat_map(|source| {
                    overlapping(self.episodes(), &source.rows).map(|_| source.name.clone())
                })
                .collect(),
        }
    }

    /// Reads a dataset that has a value for each step, by its name in [`Layout::step_name`]'s sense.
    ///
    /// # Errors
    ///
    /// [`LoadError::Missing`] and [`LoadError::Form`] where an episode lacks it or has it in another form, and
    /// [`LoadError::File`] where it cannot be read.
    pub(in crate::data) fn step_column(&self, name: &str) -> Result<StepColumn, LoadError> {
        let (file, episodes) = (self.file(), self.episodes());
        match &self.index.values {
            Values::D4rl(values) => of_d4rl(values, file, episodes, name),
            Values::Episodic(values) => of_episodes(values, file, self.layout(), episodes, name),
        }
    }
}

fn of_d4rl(
    values: &D4rlRows,
    file: &File,
    episodes: &[Episode],
    name: &str,
) -> Result<StepColumn, LoadError> {
    let info = file.dataset(name)?;
    let all = file.read_raw(info)?;
    let width = all.row_bytes();
    if info.shape.is_empty() || info.rows() != values.rows || width == 0 {
        return Err(form(
            file,
            info,
            format!("a value at each of {} rows", values.rows),
        ));
    }
    let mut bytes = Vec::with_capacity(width * episodes.last().map_or(0, |last| last.rows.end));
    let mut after = Vec::with_capacity(episodes.len());
    for (kept, episode) in values.kept.iter().zip(episodes) {
        bytes.extend_from_slice(&all.bytes[kept.start * width..kept.end * width]);
        // The row that is no transition, because what followed it was not recorded, is the episode's own.
        let own =
            values.next == NextRule::FollowingButTerminal && episode.end != EpisodeEnd::Terminated;
        after.push(
            (own && kept.end < values.rows)
                .then(|| all.bytes[kept.end * width..(kept.end + 1) * width].to_vec()),
        );
    }
    Ok(StepColumn {
        rows: all.with_rows(bytes),
        after,
    })
}

fn of_episodes(
    values: &Episodic,
    file: &File,
    layout: Layout,
    episodes: &[Episode],
    name: &str,
) -> Result<StepColumn, LoadError> {
    let column = |source: &Source| {
        let path = layout.column_path(&source.name, name);
        super::episode_index::dataset(file, layout, &path, "a value for each step")
    };
    // Each dataset alone was found to be possible; but links can make a column of every episode's out of one.
    let mut declared = 0u64;
    let limit = file.bytes().saturating_mul(MAX_COMPRESSION);
    for source in &values.sources {
        declared = declared.saturating_add(column(source)?.bytes());
        if declared > limit {
            return Err(LoadError::File(FileError::Oversized {
                file: file.path().to_owned(),
                dataset: name.to_owned(),
                what: format!("data of {declared} bytes in the episodes up to this one"),
                limit,
            }));
        }
    }
    let mut first: Option<Raw> = None;
    let mut bytes = Vec::new();
    let mut after = Vec::with_capacity(episodes.len());
    for source in &values.sources {
        let info = column(source)?;
        let steps = source.rows.len();
        let expected = || format!("a value at each of {steps} steps, and one after them or none");
        if info.shape.is_empty() || !(steps..=steps + 1).contains(&info.rows()) {
            return Err(form(file, info, expected()));
        }
        let raw = file.read_raw(info)?;
        let width = raw.row_bytes();
        if width == 0 {
            return Err(form(file, info, expected()));
        }
        bytes.extend_from_slice(&raw.bytes[..steps * width]);
        let following = raw.bytes.get(steps * width..(steps + 1) * width);
        for (episode, _) in overlapping(episodes, &source.rows) {
            let is_last = episode.rows.end == source.rows.end;
            after.push(following.filter(|_| is_last).map(<[u8]>::to_vec));
        }
        match &first {
            Some(first) if !first.is_like(&raw) => {
                return Err(form(
                    file,
                    info,
                    format!("{}, as in the first episode", expected()),
                ));
            }
            Some(_) => {}
            None => first = Some(raw.with_rows(Vec::new())),
        }
    }
    match first {
        Some(like) => Ok(StepColumn {
            rows: like.with_rows(bytes),
            after,
        }),
        None => Err(LoadError::Missing {
            file: file.path().to_owned(),
            dataset: name.to_owned(),
            layout,
            expected: "a value for each step".to_owned(),
            found: file.contents(),
        }),
    }
}

fn form(file: &File, info: &DatasetInfo, expected: String) -> LoadError {
    LoadError::Form {
        file: file.path().to_owned(),
        dataset: info.path.clone(),
        found: format!("{} of shape {:?}", info.dtype, info.shape),
        expected,
    }
}
