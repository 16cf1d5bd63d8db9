//! Multi-step returns: the next `n` rewards of each row folded into one, and where and how strongly to bootstrap after them.
//!
//! With `m = min(n, rows left in the episode)` the target of row `t` is
//! `reward[t] + bootstrap[t] * V(next_observation[last[t]])` (Sutton & Barto 2018, chapter 7;
//! <http://incompleteideas.net/book/the-book-2nd.html>). With `n = 1` this is the ordinary one-step target.

use thiserror::Error;

use super::Order;
use crate::data::{Episode, EpisodeEnd, Transitions};

/// Folded rewards of every row, `[N]` each.
#[derive(Clone, Debug, PartialEq)]
pub struct Folded {
    /// `sum over k < m of discount^k * reward[t + k]`, added up in `f64`.
    pub reward: Vec<f32>,
    /// The factor of the value of the state after row `last`: `discount^m`, and 0 where that row is terminal.
    pub bootstrap: Vec<f32>,
    /// Row `t + m - 1`, whose next observation is bootstrapped from.
    pub last: Vec<u32>,
}

/// Folds the next `n` rewards of every row, never past the end of its episode.
///
/// At a terminal the sum stops and nothing is bootstrapped. At a truncation, or where the recording stops, the sum stops too,
/// and what follows is bootstrapped from the true next observation of that last row.
///
/// `infinite_horizon` multiplies a *terminal* step's own reward by `1 / (1 - discount)`, as if it were earned forever after;
/// a truncated step's reward is never scaled. With `n = 1` this is robomimic's setting of the same name
/// (<https://github.com/ARISE-Initiative/robomimic/blob/master/robomimic/algo/td3_bc.py>); with a larger `n` robomimic scales
/// the whole sum, by `1 / (1 - discount^n)`.
///
/// # Errors
///
/// A discount outside `0..=1`, `n = 0`, or `infinite_horizon` with a discount of 1, whose sum is infinite.
///
/// ```
/// use yarak::data::{Column, EpisodeEnd, Episode, Parts, Transitions, fold};
///
/// let transitions = Transitions::new(Parts {
///     observation: Column { values: vec![0.0, 1.0, 2.0], width: 1 }.into(),
///     action: Column { values: vec![0.0; 3], width: 1 },
///     reward: vec![1.0; 3],
///     next_observation: Column { values: vec![1.0, 2.0, 3.0], width: 1 }.into(),
///     terminated: vec![false; 3],
///     episodes: vec![Episode { rows: 0..3, end: EpisodeEnd::Truncated }],
/// })?;
/// let folded = fold(&transitions, 0.99, 3, false)?;
/// assert_eq!(folded.reward[0], 2.9701);
/// assert_eq!(folded.bootstrap[0], 0.970299);
/// assert_eq!(folded.last, [2, 2, 2]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn fold(
    transitions: &Transitions,
    discount: f64,
    n: usize,
    infinite_horizon: bool,
) -> Result<Folded, FoldError> {
    let folding = Folding {
        discount,
        n_step: n,
        infinite_horizon,
    };
    folding.check()?;
    let rows = transitions.len();
    let mut folded = Folded {
        reward: Vec::with_capacity(rows),
        bootstrap: Vec::with_capacity(rows),
        last: Vec::with_capacity(rows),
    };
    for episode in transitions.episodes() {
        let order = OneEpisode {
            episode,
            reward: transitions.reward(),
        };
        for row in episode.rows.clone() {
            let one = folding.row(&order, row);
            folded.reward.push(one.reward);
            folded.bootstrap.push(one.bootstrap);
            // `Transitions` holds at most `u32::MAX` rows.
            folded.last.push(one.last as u32);
        }
    }
    Ok(folded)
}

/// How rewards are folded into a target; as in [`fold`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Folding {
    /// γ, from 0 to 1.
    pub discount: f64,
    /// Rewards that are folded into one, at least 1.
    pub n_step: usize,
    /// Whether a terminal step's reward counts as earned forever after.
    pub infinite_horizon: bool,
}

/// One row of [`Folded`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::data) struct FoldedRow {
    pub reward: f32,
    pub bootstrap: f32,
    /// The row whose next observation is bootstrapped from.
    pub last: usize,
}

impl Folding {
    /// Looks at the settings.
    ///
    /// # Errors
    ///
    /// As [`fold`].
    pub(in crate::data) fn check(&self) -> Result<(), FoldError> {
        let discount = self.discount;
        if !(0.0..=1.0).contains(&discount) {
            return Err(FoldError::Discount { discount });
        }
        if self.n_step == 0 {
            return Err(FoldError::Steps);
        }
        if self.infinite_horizon && discount == 1.0 {
            return Err(FoldError::InfiniteSum);
        }
        Ok(())
    }

    /// What a terminal step's reward is multiplied by.
    fn forever(&self) -> f64 {
        match self.infinite_horizon {
            true => 1.0 / (1.0 - self.discount),
            false => 1.0,
        }
    }

    /// One row of [`Folded`]. Where the next row is not there yet, the sum stops as at a truncation.
    pub(in crate::data) fn row(&self, order: &(impl Order + ?Sized), row: usize) -> FoldedRow {
        let (mut sum, mut factor, mut last, mut steps) = (0.0, 1.0, row, 1);
        loop {
            let is_terminal = order.end(last) == Some(EpisodeEnd::Terminated);
            let own = if is_terminal { self.forever() } else { 1.0 };
            sum += factor * own * f64::from(order.reward(last));
            factor *= self.discount;
            if is_terminal {
                factor = 0.0;
            }
            match order.after(last) {
                Some(next) if steps < self.n_step => last = next,
                _ => break,
            }
            steps += 1;
        }
        FoldedRow {
            reward: sum as f32,
            bootstrap: factor as f32,
            last,
        }
    }
}

/// The rows of one episode that lie one after the other.
struct OneEpisode<'a> {
    episode: &'a Episode,
    reward: &'a [f32],
}

impl Order for OneEpisode<'_> {
    fn before(&self, row: usize) -> Option<usize> {
        (row > self.episode.rows.start).then(|| row - 1)
    }

    fn after(&self, row: usize) -> Option<usize> {
        (row < self.last(row)).then_some(row + 1)
    }

    fn end(&self, row: usize) -> Option<EpisodeEnd> {
        (row == self.last(row)).then_some(self.episode.end)
    }

    fn last(&self, _: usize) -> usize {
        self.episode.rows.end - 1
    }

    fn reward(&self, row: usize) -> f32 {
        self.reward[row]
    }
}

/// Settings that define no finite return.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum FoldError {
    /// A discount outside `0..=1`.
    #[error("discount {discount} is not within 0..=1; 0.99 is the usual value")]
    Discount {
        /// What was given.
        discount: f64,
    },
    /// No step at all.
    #[error("n = 0 folds no reward; give at least 1, the ordinary one-step return")]
    Steps,
    /// An infinite horizon without discounting.
    #[error(
        "an infinite horizon with discount 1 has no finite return; lower the discount or turn the infinite horizon off"
    )]
    InfiniteSum,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Column, Parts};

    /// Episodes of the given lengths and ends, with the given rewards.
    fn transitions(reward: &[f32], episodes: &[(usize, EpisodeEnd)]) -> Transitions {
        let rows = reward.len();
        let mut terminated = vec![false; rows];
        let mut start = 0;
        let episodes = episodes
            .iter()
            .map(|&(length, end)| {
                let rows = start..start + length;
                start = rows.end;
                terminated[start - 1] = end == EpisodeEnd::Terminated;
                Episode { rows, end }
            })
            .collect();
        let column = Column {
            values: vec![0.0; rows],
            width: 1,
        };
        Transitions::new(Parts {
            observation: column.clone().into(),
            action: column.clone(),
            reward: reward.to_vec(),
            next_observation: column.into(),
            terminated,
            episodes,
        })
        .unwrap()
    }

    #[test]
    fn three_ones_at_099_fold_to_2_9701_and_bootstrap_0_970299() {
        let folded = fold(
            &transitions(&[1.0; 5], &[(5, EpisodeEnd::Truncated)]),
            0.99,
            3,
            false,
        )
        .unwrap();
        assert_eq!(folded.reward, [2.9701, 2.9701, 2.9701, 1.99, 1.0]);
        assert_eq!(
            folded.bootstrap,
            [0.970299, 0.970299, 0.970299, 0.9801, 0.99]
        );
        assert_eq!(folded.last, [2, 3, 4, 4, 4]);
    }

    #[test]
    fn an_episode_of_exactly_n_bootstraps_only_where_it_was_cut_off() {
        for (end, bootstrap) in [
            (EpisodeEnd::Terminated, [0.0; 3]),
            (EpisodeEnd::Truncated, [0.125, 0.25, 0.5]),
            (EpisodeEnd::Unfinished, [0.125, 0.25, 0.5]),
        ] {
            let folded = fold(&transitions(&[4.0, 2.0, 8.0], &[(3, end)]), 0.5, 3, false).unwrap();
            assert_eq!(folded.reward, [7.0, 6.0, 8.0]);
            assert_eq!(folded.bootstrap, bootstrap, "{end:?}");
            assert_eq!(folded.last, [2, 2, 2]);
        }
    }

    #[test]
    fn rewards_never_cross_from_one_episode_into_the_next() {
        let episodes = [
            (1, EpisodeEnd::Terminated),
            (1, EpisodeEnd::Truncated),
            (2, EpisodeEnd::Terminated),
            (1, EpisodeEnd::Unfinished),
        ];
        let folded = fold(
            &transitions(&[1.0, 10.0, 100.0, 1000.0, 5.0], &episodes),
            0.5,
            3,
            false,
        )
        .unwrap();
        assert_eq!(folded.reward, [1.0, 10.0, 600.0, 1000.0, 5.0]);
        assert_eq!(folded.bootstrap, [0.0, 0.5, 0.0, 0.0, 0.5]);
        assert_eq!(folded.last, [0, 1, 3, 3, 4]);
    }

    #[test]
    fn one_step_is_the_reward_itself() {
        let episodes = [(2, EpisodeEnd::Terminated), (2, EpisodeEnd::Truncated)];
        let folded = fold(
            &transitions(&[1.0, 2.0, 3.0, 4.0], &episodes),
            0.9,
            1,
            false,
        )
        .unwrap();
        assert_eq!(folded.reward, [1.0, 2.0, 3.0, 4.0]);
        assert_eq!(folded.bootstrap, [0.9, 0.0, 0.9, 0.9]);
        assert_eq!(folded.last, [0, 1, 2, 3]);
    }

    #[test]
    fn an_infinite_horizon_scales_the_terminal_reward_and_never_a_truncated_one() {
        let episodes = [(2, EpisodeEnd::Terminated), (2, EpisodeEnd::Truncated)];
        let folded = fold(&transitions(&[1.0, 2.0, 3.0, 4.0], &episodes), 0.5, 2, true).unwrap();
        assert_eq!(folded.reward, [1.0 + 0.5 * 4.0, 4.0, 5.0, 4.0]);
        assert_eq!(folded.bootstrap, [0.0, 0.0, 0.25, 0.5]);
    }

    #[test]
    fn long_sums_are_added_up_in_f64() {
        let folded = fold(
            &transitions(&vec![0.1; 1_000], &[(1_000, EpisodeEnd::Truncated)]),
            1.0,
            1_000,
            false,
        )
        .unwrap();
        assert_eq!(folded.reward[0], (1_000.0 * f64::from(0.1_f32)) as f32);
    }

    #[test]
    fn settings_without_a_finite_return_are_refused() {
        let one = transitions(&[1.0], &[(1, EpisodeEnd::Terminated)]);
        for discount in [-0.1, 1.1, f64::NAN] {
            assert!(matches!(
                fold(&one, discount, 1, false),
                Err(FoldError::Discount { .. })
            ));
        }
        assert_eq!(fold(&one, 0.9, 0, false), Err(FoldError::Steps));
        assert_eq!(fold(&one, 1.0, 1, true), Err(FoldError::InfiniteSum));
        assert!(fold(&one, 1.0, usize::MAX, false).is_ok());
    }
}
