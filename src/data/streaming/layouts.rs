//! Where the transitions of a file lie, layout by layout, without reading more of it than rewards and ends.

use super::stored::{Found, Reading, Segment, Source, Table};
use crate::data::hdf5::{File, d4rl};
use crate::data::{End, Layout, LoadError};

/// Finds the transitions of a file.
pub(super) fn find(file: &File, layout: Layout, reading: Reading) -> Result<Found, LoadError> {
    match layout {
        Layout::D4rl => find_d4rl(file, reading),
    }
}

/// See [`d4rl`]: with `next_observations` every row is a transition; without, each next observation is the following
/// row's, a terminal row has its own in that place, and the last row of any other episode is dropped.
fn find_d4rl(file: &File, reading: Reading) -> Result<Found, LoadError> {
    let d4rl::Scalars {
        widths,
        has_next,
        reward,
        episodes: recorded,
    } = d4rl::read_scalars(file)?;
    let mut tables = vec![
        Table::of(file, "observations", reading)?,
        Table::of(file, "actions", reading)?,
    ];
    let source = |table, row| Source { table, row };
    let segment = |first, row, next| Segment {
        first,
        observation: source(0, row),
        action: source(1, row),
        next_observation: next,
    };
    if has_next {
        tables.push(Table::of(file, "next_observations", reading)?);
        return Ok(Found {
            tables,
            segments: vec![segment(0, 0, source(2, 0))],
            reward,
            episodes: recorded,
            widths,
        });
    }
    let mut found = Found {
        tables,
        segments: Vec::new(),
        reward: Vec::with_capacity(reward.len()),
        episodes: Vec::new(),
        widths,
    };
    for mut episode in recorded {
        let (start, last) = (episode.rows.start, episode.rows.end - 1);
        let first = found.reward.len();
        if start < last {
            found
                .segments
                .push(segment(first, start, source(0, start + 1)));
            found.reward.extend_from_slice(&reward[start..last]);
        }
        if episode.end == End::Terminal {
            found
                .segments
                .push(segment(found.reward.len(), last, source(0, last)));
            found.reward.push(reward[last]);
        }
        if first < found.reward.len() {
            episode.rows = first..found.reward.len();
            found.episodes.push(episode);
        }
    }
    if found.reward.is_empty() {
        return Err(LoadError::Transitions {
            file: file.path().to_owned(),
            source: crate::data::TransitionsError::Empty,
        });
    }
    Ok(found)
}
