//! Holding out whole episodes to measure on what was not trained on.
//!
//! Rows of one episode resemble each other, so a split by rows would measure memory: only whole episodes are held out.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use thiserror::Error;

use super::{Episode, Transitions};

/// The rows to train on and the rows held out, each in ascending order; together all rows, each once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// Rows to train on; never empty.
    pub training: Vec<u32>,
    /// Rows held out.
    pub held_out: Vec<u32>,
}

/// Draws `share` of the episodes, rounded to whole episodes, to be held out.
///
/// The same seed and the same episodes give the same split on every machine. With a share above 0 at least one episode is
/// held out, and at least one always stays to train on.
///
/// # Errors
///
/// A share outside `0..1`, or a share above 0 of a single episode.
///
/// ```
/// use yarak::data::{Column, EpisodeEnd, Episode, Parts, Transitions, split_episodes};
///
/// let column = Column { values: vec![0.0; 4], width: 1 };
/// let transitions = Transitions::new(Parts {
///     observation: column.clone().into(),
///     action: column.clone(),
///     reward: vec![0.0; 4],
///     next_observation: column.into(),
///     terminated: vec![false; 4],
///     episodes: vec![Episode { rows: 0..2, end: EpisodeEnd::Truncated }, Episode { rows: 2..4, end: EpisodeEnd::Truncated }],
/// })?;
/// let split = split_episodes(&transitions, 0.5, 0)?;
/// assert_eq!((split.training.len(), split.held_out.len()), (2, 2));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn split_episodes(
    transitions: &Transitions,
    share: f64,
    seed: u64,
) -> Result<Split, SplitError> {
    split(transitions.episodes(), share, seed)
}

/// [`split_episodes`], of episodes alone.
pub(super) fn split(episodes: &[Episode], share: f64, seed: u64) -> Result<Split, SplitError> {
    if !(0.0..1.0).contains(&share) {
        return Err(SplitError::Share { share });
    }
    if share > 0.0 && episodes.len() == 1 {
        return Err(SplitError::OneEpisode);
    }
    let count = if share == 0.0 {
        0
    } else {
        ((share * episodes.len() as f64).round() as usize).clamp(1, episodes.len() - 1)
    };
    let mut order: Vec<usize> = (0..episodes.len()).collect();
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    // A Fisher-Yates shuffle of our own, as far as it is needed: `rand` may change the draws of its shuffle in any release,
    // and a resumed run must find its split again.
    for i in 0..count {
        let left = (order.len() - i) as u64;
        let drawn = (u128::from(random.next_u64()) * u128::from(left)) >> 64;
        order.swap(i, i + drawn as usize);
    }
    let mut is_held_out = vec![false; episodes.len()];
    for &episode in &order[..count] {
        is_held_out[episode] = true;
    }
    held_out_by(episodes, &is_held_out)
}

/// Holds out the episodes of which `held_out` is true, one for each episode, as a file's filter keys say.
///
/// # Errors
///
/// Nothing to train on.
///
/// ```
/// # use yarak::data::{Column, EpisodeEnd, Episode, Parts, Transitions};
/// # let column = Column { values: vec![0.0; 4], width: 1 };
/// # let transitions = Transitions::new(Parts {
/// #     observation: column.clone().into(),
/// #     action: column.clone(),
/// #     reward: vec![0.0; 4],
/// #     next_observation: column.into(),
/// #     terminated: vec![false; 4],
/// #     episodes: vec![Episode { rows: 0..1, end: EpisodeEnd::Truncated }, Episode { rows: 1..4, end: EpisodeEnd::Truncated }],
/// # })?;
/// let split = yarak::data::split_by(&transitions, &[true, false])?;
/// assert_eq!((split.training, split.held_out), (vec![1, 2, 3], vec![0]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn split_by(transitions: &Transitions, held_out: &[bool]) -> Result<Split, SplitError> {
    held_out_by(transitions.episodes(), held_out)
}

/// [`split_by`], of episodes alone.
pub(super) fn held_out_by(episodes: &[Episode], held_out: &[bool]) -> Result<Split, SplitError> {
    let mut split = Split {
        training: Vec::new(),
        held_out: Vec::new(),
    };
    for (episode, is_held_out) in episodes.iter().zip(held_out) {
        let rows = if *is_held_out {
            &mut split.held_out
        } else {
            &mut split.training
        };
        // `Transitions` holds at most `u32::MAX` rows.
        rows.extend(episode.rows.start as u32..episode.rows.end as u32);
    }
    if split.training.is_empty() {
        return Err(SplitError::Nothing { what: "trained on" });
    }
    Ok(split)
}

/// A split that cannot be made.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum SplitError {
    /// A share outside `0..1`.
    #[error("a share of {share} cannot be held out; give at least 0 and less than 1, such as 0.1")]
    Share {
        /// What was given.
        share: f64,
    },
    /// A filter key whose episodes have no transition, or that leaves none.
    #[error("no transition is {what}: name a filter key that lists other episodes, or none")]
    Nothing {
        /// What nothing would be done to.
        what: &'static str,
    },
    /// Nothing would be left to train on.
    #[error(
        "the data is a single episode, and only whole episodes are held out; give a share of 0 or more episodes"
    )]
    OneEpisode,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Column, EpisodeEnd, Parts};

    fn episodes(lengths: &[usize]) -> Transitions {
        let rows = lengths.iter().sum();
        let column = Column {
            values: vec![0.0; rows],
            width: 1,
        };
        let mut start = 0;
        let episodes = lengths
            .iter()
            .map(|length| {
                start += length;
                Episode {
                    rows: start - length..start,
                    end: EpisodeEnd::Truncated,
                }
            })
            .collect();
        Transitions::new(Parts {
            observation: column.clone().into(),
            action: column.clone(),
            reward: vec![0.0; rows],
            next_observation: column.into(),
            terminated: vec![false; rows],
            episodes,
        })
        .unwrap()
    }

    #[test]
    fn every_row_is_on_exactly_one_side_and_episodes_stay_whole() {
        let transitions = episodes(&[3, 1, 4, 1, 5, 9, 2, 6, 5, 3]);
        for seed in 0..50 {
            let split = split_episodes(&transitions, 0.3, seed).unwrap();
            let mut all = [split.training.clone(), split.held_out.clone()].concat();
            all.sort_unstable();
            assert_eq!(all, (0..39).collect::<Vec<_>>());
            assert!(split.training.is_sorted() && split.held_out.is_sorted());
            let held = |rows: &std::ops::Range<usize>| {
                rows.clone()
                    .filter(|&row| split.held_out.binary_search(&(row as u32)).is_ok())
                    .count()
            };
            let counts: Vec<_> = transitions
                .episodes()
                .iter()
                .map(|e| (held(&e.rows), e.rows.len()))
                .collect();
            assert!(
                counts
                    .iter()
                    .all(|&(held, length)| held == 0 || held == length)
            );
            assert_eq!(counts.iter().filter(|(held, _)| *held > 0).count(), 3);
        }
    }

    #[test]
    fn a_seed_always_draws_the_same_episodes() {
        let transitions = episodes(&[1; 12]);
        let draw = |seed| split_episodes(&transitions, 0.25, seed).unwrap().held_out;
        assert_eq!(draw(0), [0, 6, 8]);
        assert_ne!(draw(0), draw(1));
    }

    #[test]
    fn small_and_large_shares_leave_an_episode_on_each_side() {
        let transitions = episodes(&[2, 2, 2]);
        assert_eq!(
            split_episodes(&transitions, 0.01, 0)
                .unwrap()
                .held_out
                .len(),
            2
        );
        assert_eq!(
            split_episodes(&transitions, 0.99, 0)
                .unwrap()
                .training
                .len(),
            2
        );
        assert!(
            split_episodes(&transitions, 0.0, 0)
                .unwrap()
                .held_out
                .is_empty()
        );
    }

    #[test]
    fn a_split_by_names_keeps_the_order_of_rows_and_leaves_something_to_train_on() {
        let transitions = episodes(&[2, 1, 3]);
        let split = split_by(&transitions, &[false, true, false]).unwrap();
        assert_eq!(split.training, [0, 1, 3, 4, 5]);
        assert_eq!(split.held_out, [2]);
        assert!(matches!(
            split_by(&transitions, &[true; 3]),
            Err(SplitError::Nothing { .. })
        ));
    }

    #[test]
    fn impossible_splits_are_refused() {
        for share in [-0.1, 1.0, f64::NAN] {
            assert!(matches!(
                split_episodes(&episodes(&[1, 1]), share, 0),
                Err(SplitError::Share { .. })
            ));
        }
        assert_eq!(
            split_episodes(&episodes(&[5]), 0.1, 0),
            Err(SplitError::OneEpisode)
        );
        assert!(split_episodes(&episodes(&[5]), 0.0, 0).is_ok());
    }
}
