//! Where that lies which networks are shown of drawn rows, for rows whose numbers are somewhere else.

use super::{Order, Pipeline};
use crate::data::EpisodeEnd;

/// The rows that drawn ones are made of, one drawn row after the other, and what is computed of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::data) struct Places {
    /// Whose observations are seen, `[rows * frames]`, oldest first.
    pub seen: Vec<usize>,
    /// Whose observations are seen after the folded steps, `[rows * (frames - 1)]`.
    pub seen_after: Vec<usize>,
    /// Whose next observation comes behind them, `[rows]`.
    pub last: Vec<usize>,
    /// Whose next observation is the goal, `[rows]`; none where there are no goals.
    pub goal: Vec<usize>,
    /// Whose actions are the row's own and those after it, `[rows * chunk]`.
    pub acted: Vec<usize>,
    /// Whose action is the next one, `[rows]`; `None` where it is not known.
    pub next: Vec<Option<usize>>,
    /// Σ γᵏ r over the folded steps, `[rows]`.
    pub reward: Vec<f32>,
    /// γⁿ, or 0 where the episode terminated, `[rows]`.
    pub bootstrap: Vec<f32>,
    /// Whether the episode terminated within those steps, `[rows]`.
    pub terminated: Vec<bool>,
}

impl Pipeline {
    /// Where that lies which [`gather`](Self::gather) takes. The actions at the frames are those of `seen`.
    pub fn places(&self, order: &impl Order, rows: &[usize]) -> Places {
        let mut places = Places::default();
        for row in rows {
            let sources = self.sources(order, *row);
            places.seen.extend(sources.seen);
            places.seen_after.extend(sources.seen_after);
            places.goal.extend(sources.goal);
            places.acted.extend(sources.acted);
            places.next.push(sources.next);
            let folded = sources.folded;
            places.last.push(folded.last);
            places.reward.push(folded.reward);
            places.bootstrap.push(folded.bootstrap);
            let end = order.end(folded.last);
            places.terminated.push(end == Some(EpisodeEnd::Terminated));
        }
        places
    }
}
