//! Which rows follow each other: all that the pipeline has to know of episodes.

use std::hint::black_box;
use std::sync::Arc;

use super::gathering::Numbers;
use super::n_step::{Folded, FoldedRow, Folding};
use crate::data::huge_pages::move_to_huge_pages;
use crate::data::{Episode, EpisodeEnd, Transitions};

/// Rows and the episodes that they form. A row's number says nothing of where its neighbors are.
pub(in crate::data) trait Order {
    /// The row before in the same episode; `None` where it begins, or where the row before is not there any more.
    fn before(&self, row: usize) -> Option<usize>;

    /// The row after in the same episode; `None` where it ends, or where the row after is not there yet.
    fn after(&self, row: usize) -> Option<usize>;

    /// How the episode ends with this row; `None` where it goes on.
    fn end(&self, row: usize) -> Option<EpisodeEnd>;

    /// The last row of its episode that is there.
    fn last(&self, row: usize) -> usize;

    /// What the row's step earned.
    fn reward(&self, row: usize) -> f32;

    /// The rewards from this row on as one, never past the end of its episode.
    fn fold(&self, row: usize, folding: &Folding) -> FoldedRow {
        folding.row(self, row)
    }
}

/// How the episode ends at each row, `[rows]`, of episodes that lie one after the other: `None` where it goes on.
pub(in crate::data) fn ends(episodes: &[Episode]) -> Vec<Option<EpisodeEnd>> {
    let rows = episodes.last().map_or(0, |episode| episode.rows.end);
    let mut ends = vec![None; rows];
    for episode in episodes {
        ends[episode.rows.end - 1] = Some(episode.end);
    }
    ends
}

/// The row before, of episodes that lie one after the other.
pub(in crate::data) fn row_before(ends: &[Option<EpisodeEnd>], row: usize) -> Option<usize> {
    let before = row.checked_sub(1)?;
    ends[before].is_none().then_some(before)
}

/// The row after.
pub(in crate::data) fn row_after(ends: &[Option<EpisodeEnd>], row: usize) -> Option<usize> {
    ends[row].is_none().then_some(row + 1)
}

/// Transitions in memory.
pub(in crate::data) struct InMemory {
    pub(in crate::data) transitions: Arc<Transitions>,
    ends: Vec<Option<EpisodeEnd>>,
    /// Computed once for all rows: many are drawn often.
    folded: Option<Folded>,
}

impl InMemory {
    pub(in crate::data) fn new(transitions: Arc<Transitions>, folded: Option<Folded>) -> Self {
        InMemory {
            ends: ends(transitions.episodes()),
            transitions,
            folded,
        }
    }

    /// See [`move_to_huge_pages`]: for rows that are drawn at random, many times.
    pub(in crate::data) fn move_to_huge_pages(&self) {
        self.transitions.move_to_huge_pages();
        if let Some(folded) = &self.folded {
            move_to_huge_pages(&folded.reward);
            move_to_huge_pages(&folded.bootstrap);
            move_to_huge_pages(&folded.last);
        }
    }
}

impl Order for InMemory {
    fn before(&self, row: usize) -> Option<usize> {
        row_before(&self.ends, row)
    }

    fn after(&self, row: usize) -> Option<usize> {
        row_after(&self.ends, row)
    }

    fn end(&self, row: usize) -> Option<EpisodeEnd> {
        self.ends[row]
    }

    fn last(&self, row: usize) -> usize {
        self.transitions.episode_of(row).rows.end - 1
    }

    fn reward(&self, row: usize) -> f32 {
        self.transitions.reward()[row]
    }

    fn fold(&self, row: usize, folding: &Folding) -> FoldedRow {
        match &self.folded {
            Some(folded) => FoldedRow {
                reward: folded.reward[row],
                bootstrap: folded.bootstrap[row],
                last: folded.last[row] as usize,
            },
            None => folding.row(self, row),
        }
    }
}

impl Numbers for InMemory {
    fn touch(&self, row: usize) {
        self.transitions.touch(row);
        black_box(self.ends[row]);
        if let Some(folded) = &self.folded {
            black_box((folded.reward[row], folded.bootstrap[row], folded.last[row]));
        }
    }

    fn add_observation(&self, row: usize, to: &mut Vec<f32>) {
        self.transitions.observation().add_to(row, to);
    }

    fn action(&self, row: usize) -> &[f32] {
        self.transitions.action().row(row)
    }

    fn add_next_observation(&self, row: usize, to: &mut Vec<f32>) {
        self.transitions.next_observation().add_to(row, to);
    }
}
