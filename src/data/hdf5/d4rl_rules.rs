//! Which rows of a D4RL file are transitions, and how they form episodes.

use std::ops::Range;

use crate::data::{Episode, EpisodeEnd};

/// The episodes of the file's rows.
pub(super) fn episodes(terminals: &[bool], timeouts: &[bool]) -> Vec<Episode> {
    let mut episodes = Vec::new();
    let mut start = 0;
    for (row, (&terminal, &timeout)) in terminals.iter().zip(timeouts).enumerate() {
        let end = match (terminal, timeout) {
            (true, _) => EpisodeEnd::Terminated,
            (false, true) => EpisodeEnd::Truncated,
            (false, false) if row + 1 == terminals.len() => EpisodeEnd::Unfinished,
            (false, false) => continue,
        };
        episodes.push(Episode {
            rows: start..row + 1,
            end,
        });
        start = row + 1;
    }
    episodes
}

/// Drops the last row of every episode that something else than a terminal ended: nothing that followed it was recorded.
pub(super) fn without_last(mut recorded: Vec<Episode>) -> Vec<Episode> {
    for episode in &mut recorded {
        if episode.end != EpisodeEnd::Terminated {
            episode.rows.end -= 1;
        }
    }
    recorded.retain(|episode| !episode.rows.is_empty());
    recorded
}

/// The rows that D4RL's `qlearning_dataset` gives
/// (<https://github.com/Farama-Foundation/D4RL/blob/master/d4rl/__init__.py>), cut into episodes.
pub(super) fn qlearning_rows(
    terminals: &[bool],
    timeouts: Option<&[bool]>,
    step_limit: Option<usize>,
) -> Vec<Episode> {
    let mut episodes: Vec<Episode> = Vec::new();
    let mut start = 0;
    // As D4RL counts: from 0 after a row that timed out and from 1 after a terminal one.
    let mut step = 0;
    let last = terminals.len().saturating_sub(1);
    let mut close = |rows: Range<usize>, end| {
        if !rows.is_empty() {
            episodes.push(Episode { rows, end });
        }
    };
    for row in 0..last {
        let timed_out = match timeouts {
            Some(timeouts) => timeouts[row],
            None => step_limit == Some(step + 1),
        };
        if timed_out {
            close(start..row, EpisodeEnd::Truncated);
            start = row + 1;
            step = 0;
            continue;
        }
        if terminals[row] {
            close(start..row + 1, EpisodeEnd::Terminated);
            start = row + 1;
            step = 0;
        }
        step += 1;
    }
    close(start..last, EpisodeEnd::Unfinished);
    episodes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(text: &str) -> Vec<bool> {
        text.chars().map(|c| c == 'x').collect()
    }

    fn listed(episodes: Vec<Episode>) -> Vec<(Range<usize>, EpisodeEnd)> {
        episodes.into_iter().map(|e| (e.rows, e.end)).collect()
    }

    #[test]
    fn terminals_win_over_timeouts_and_the_last_row_ends_unfinished() {
        assert_eq!(
            listed(episodes(&flags("..x...x."), &flags("..x.x..."))),
            [
                (0..3, EpisodeEnd::Terminated),
                (3..5, EpisodeEnd::Truncated),
                (5..7, EpisodeEnd::Terminated),
                (7..8, EpisodeEnd::Unfinished)
            ]
        );
    }

    #[test]
    fn the_last_row_of_a_cut_off_episode_is_dropped_and_with_it_an_episode_of_one_row() {
        let recorded = episodes(&flags(".x...."), &flags("....x."));
        assert_eq!(
            listed(without_last(recorded)),
            [
                (0..2, EpisodeEnd::Terminated),
                (2..4, EpisodeEnd::Truncated)
            ]
        );
    }

    #[test]
    fn d4rls_rule_leaves_out_timeouts_even_where_terminal_and_the_last_row() {
        let found = qlearning_rows(&flags("..x...x."), Some(&flags("..x.x...")), None);
        assert_eq!(
            listed(found),
            [
                (0..2, EpisodeEnd::Truncated),
                (3..4, EpisodeEnd::Truncated),
                (5..7, EpisodeEnd::Terminated)
            ]
        );
    }

    #[test]
    fn without_timeouts_d4rls_rule_counts_steps_from_one_after_a_terminal() {
        let found = qlearning_rows(&flags(".........x.x......"), None, Some(4));
        assert_eq!(
            listed(found),
            [
                (0..3, EpisodeEnd::Truncated),
                (4..7, EpisodeEnd::Truncated),
                (8..10, EpisodeEnd::Terminated),
                (10..12, EpisodeEnd::Terminated),
                (12..14, EpisodeEnd::Truncated),
                (15..17, EpisodeEnd::Unfinished),
            ]
        );
    }
}
