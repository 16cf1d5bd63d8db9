//! What is taken of which rows.

use smallvec::SmallVec;

use super::chunks::chunk_of;
use super::frames::frames_of;
use super::n_step::{FoldedRow, Folding};
use super::{Gathered, Goals, Order};
use crate::data::{Column, EpisodeEnd};

/// Where the numbers of rows are.
pub(in crate::data) trait Numbers {
    /// Reads a little of everything that a row is made of, where that lies far apart. Rows that are drawn at random are in no cache:
    /// the processor waits for many of them at once where nothing else is between their reads, and for each alone where it gathers.
    fn touch(&self, _row: usize) {}

    /// Adds those of a row's observation, `[observation]`.
    fn add_observation(&self, row: usize, to: &mut Vec<f32>);

    /// `[action]`
    fn action(&self, row: usize) -> &[f32];

    /// Adds those of the observation after the row's step, `[observation]`.
    fn add_next_observation(&self, row: usize, to: &mut Vec<f32>);
}

/// What networks are shown of a row, wherever it lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::data) struct Pipeline {
    /// How rewards are folded.
    pub folding: Folding,
    /// The observations side by side, at least 1.
    pub frames: usize,
    /// Whether they are those from the row on, and not those up to it. What is done and earned is then of the last of them.
    pub from_row: bool,
    /// The goals behind them.
    pub goals: Option<Goals>,
    /// Whether what was done at each of the observations is known as well.
    pub past_actions: bool,
    /// The actions of a row, its own and those after it: at least 1.
    pub chunk: usize,
}

/// The rows that a drawn row is made of.
pub(super) struct Sources {
    /// Whose observations are seen, oldest first.
    pub seen: SmallVec<[usize; 4]>,
    /// Whose actions are the row's chunk, its own first.
    pub acted: SmallVec<[usize; 4]>,
    pub folded: FoldedRow,
    /// Whose observations are seen after the folded steps, in front of the last one's next observation.
    pub seen_after: SmallVec<[usize; 4]>,
    /// Whose next observation is the goal.
    pub goal: Option<usize>,
    /// Whose action is the next one.
    pub next: Option<usize>,
}

/// Rows of which numbers are needed. The same row may be there several times.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::data) struct Needed {
    pub observation: Vec<u32>,
    pub action: Vec<u32>,
    pub next_observation: Vec<u32>,
}

impl Pipeline {
    /// How many observations' widths a network's input has.
    pub fn side_by_side(&self) -> usize {
        self.frames + usize::from(self.goals.is_some())
    }

    /// The most rows of each kind that a drawn row needs: observations, actions, next observations.
    pub fn most_needed(&self) -> [usize; 3] {
        [
            2 * self.frames - 1,
            1 + self.chunk + if self.past_actions { self.frames } else { 0 },
            1 + usize::from(self.goals.is_some()),
        ]
    }

    pub(super) fn sources(&self, order: &impl Order, row: usize) -> Sources {
        let seen = match self.from_row {
            true => chunk_of(order, row, self.frames),
            false => frames_of(order, row, self.frames),
        };
        // What is acted on is what was seen last.
        let row = seen.last().copied().unwrap_or(row);
        let folded = order.fold(row, &self.folding);
        Sources {
            seen,
            acted: chunk_of(order, row, self.chunk),
            seen_after: frames_of(order, folded.last, self.frames - 1),
            goal: self.goals.map(|goals| goals.row(order, row)),
            next: order.after(folded.last),
            folded,
        }
    }

    /// Adds the rows that have to be there for a drawn one.
    pub fn needs(&self, order: &impl Order, row: usize, needed: &mut Needed) {
        let sources = self.sources(order, row);
        // Rows are at most `u32::MAX`, or nothing would have been drawn from them.
        let seen = sources.seen.iter().chain(&sources.seen_after);
        needed.observation.extend(seen.map(|row| *row as u32));
        let acted = sources.acted.into_iter().chain(sources.next);
        needed.action.extend(acted.map(|row| row as u32));
        if self.past_actions {
            needed
                .action
                .extend(sources.seen.iter().map(|row| *row as u32));
        }
        let after = std::iter::once(sources.folded.last).chain(sources.goal);
        needed.next_observation.extend(after.map(|row| row as u32));
    }

    /// The numbers of drawn rows; `widths` are those of one observation and of an action.
    pub fn gather(
        &self,
        order: &impl Order,
        numbers: &impl Numbers,
        [observation, action]: [usize; 2],
        rows: &[usize],
    ) -> Gathered {
        let widths = [self.side_by_side() * observation, action];
        let mut gathered = Gathered::with_capacity(widths, rows.len());
        let mut past = self.past_actions.then(|| Column {
            values: Vec::with_capacity(rows.len() * self.frames * action),
            width: self.frames * action,
        });
        let all = &mut gathered;
        all.action.width = self.chunk * action;
        rows.iter().for_each(|row| numbers.touch(*row));
        for row in rows {
            let sources = self.sources(order, *row);
            let FoldedRow {
                reward,
                bootstrap,
                last,
            } = sources.folded;
            let (seen, after) = (
                &mut all.observation.values,
                &mut all.next_observation.values,
            );
            for row in sources.seen {
                numbers.add_observation(row, seen);
                if let Some(past) = &mut past {
                    past.values.extend_from_slice(numbers.action(row));
                }
            }
            for row in sources.seen_after {
                numbers.add_observation(row, after);
            }
            numbers.add_next_observation(last, after);
            if let Some(row) = sources.goal {
                numbers.add_next_observation(row, seen);
                numbers.add_next_observation(row, after);
            }
            for row in sources.acted {
                all.action.values.extend_from_slice(numbers.action(row));
            }
            let next = &mut all.next_action.values;
            match sources.next {
                Some(row) => next.extend_from_slice(numbers.action(row)),
                None => next.resize(next.len() + action, 0.0),
            }
            all.has_next_action.push(sources.next.is_some());
            all.reward.push(reward);
            all.bootstrap.push(bootstrap);
            all.terminated
                .push(order.end(last) == Some(EpisodeEnd::Terminated));
        }
        gathered.row_ids.extend_from_slice(rows);
        gathered.past_action = past;
        gathered
    }

    /// What networks see at these rows, `[rows, observation]`, without goals.
    pub fn seen_at(
        &self,
        order: &impl Order,
        numbers: &impl Numbers,
        rows: impl Iterator<Item = usize>,
    ) -> Vec<f32> {
        let mut seen = Vec::new();
        for frame in rows.flat_map(|row| frames_of(order, row, self.frames)) {
            numbers.add_observation(frame, &mut seen);
        }
        seen
    }

    /// What they see after the step of a row, `[observation]`, without a goal.
    pub fn seen_after(&self, order: &impl Order, numbers: &impl Numbers, row: usize) -> Vec<f32> {
        let mut seen = Vec::new();
        for frame in frames_of(order, row, self.frames - 1) {
            numbers.add_observation(frame, &mut seen);
        }
        numbers.add_next_observation(row, &mut seen);
        seen
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::data::pipeline::InMemory;
    use crate::data::{Column, Episode, EpisodeEnd, GoalMode, Parts, Transitions};

    /// Episodes of 3 and 1 rows; row t is observed as t, leads to t + 0.5, and does -t.
    fn order() -> InMemory {
        let column = |of: fn(f32) -> f32| Column {
            values: (0..4).map(|row| of(row as f32)).collect(),
            width: 1,
        };
        let transitions = Transitions::new(Parts {
            observation: column(|row| row).into(),
            action: column(|row| -row),
            reward: vec![1.0; 4],
            next_observation: column(|row| row + 0.5).into(),
            terminated: vec![false, false, false, true],
            episodes: [
                (0..3, EpisodeEnd::Truncated),
                (3..4, EpisodeEnd::Terminated),
            ]
            .map(|(rows, end)| Episode { rows, end })
            .to_vec(),
        });
        InMemory::new(Arc::new(transitions.unwrap()), None)
    }

    fn pipeline(frames: usize, n_step: usize) -> Pipeline {
        Pipeline {
            folding: Folding {
                discount: 0.5,
                n_step,
                infinite_horizon: false,
            },
            frames,
            from_row: false,
            goals: None,
            past_actions: false,
            chunk: 1,
        }
    }

    #[test]
    fn frames_after_a_step_end_with_its_next_observation() {
        let order = order();
        let all = |frames| pipeline(frames, 1).gather(&order, &order, [1, 1], &[0, 1, 2, 3]);
        let at = |frames| all(frames).observation.values;
        let after = |frames| all(frames).next_observation.values;
        assert_eq!(at(1), [0.0, 1.0, 2.0, 3.0]);
        assert_eq!(after(1), [0.5, 1.5, 2.5, 3.5]);
        assert_eq!(at(2), [0.0, 0.0, 0.0, 1.0, 1.0, 2.0, 3.0, 3.0]);
        assert_eq!(after(2), [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5]);
        let three = [0.0, 0.0, 0.5, 0.0, 1.0, 1.5, 1.0, 2.0, 2.5, 3.0, 3.0, 3.5];
        assert_eq!(after(3), three);
        let pipeline = pipeline(3, 1);
        assert_eq!(pipeline.seen_at(&order, &order, 0..4), at(3));
        assert_eq!(pipeline.seen_after(&order, &order, 1), three[3..6]);
    }

    #[test]
    fn the_next_action_is_the_one_after_the_folded_steps_and_none_after_an_end() {
        let order = order();
        for (n_step, action, known) in [
            (1, [-1.0, -2.0, 0.0, 0.0], [true, true, false, false]),
            (2, [-2.0, 0.0, 0.0, 0.0], [true, false, false, false]),
            (3, [0.0; 4], [false; 4]),
        ] {
            let gathered = pipeline(1, n_step).gather(&order, &order, [1, 1], &[0, 1, 2, 3]);
            assert_eq!(gathered.next_action.values, action);
            assert_eq!(gathered.has_next_action, known);
            assert_eq!(gathered.terminated, [false, false, false, true]);
            assert_eq!(gathered.row_ids, [0, 1, 2, 3]);
        }
    }

    #[test]
    fn past_actions_are_those_of_the_frames() {
        let order = order();
        let asked = Pipeline {
            past_actions: true,
            ..pipeline(3, 1)
        };
        let gathered = asked.gather(&order, &order, [1, 1], &[0, 2, 3]);
        let past = gathered.past_action.unwrap();
        assert_eq!(past.width, 3);
        // Where a frame stands for those before the episode, its action does as well.
        let expected = [0.0, 0.0, 0.0, 0.0, -1.0, -2.0, -3.0, -3.0, -3.0];
        assert_eq!(past.values, expected);
        assert_eq!(gathered.action.values, [0.0, -2.0, -3.0]);
    }

    #[test]
    fn frames_from_a_row_on_are_padded_with_the_last_one_and_know_what_was_done() {
        let order = order();
        let asked = Pipeline {
            past_actions: true,
            from_row: true,
            ..pipeline(3, 1)
        };
        let gathered = asked.gather(&order, &order, [1, 1], &[0, 1, 2, 3]);
        let seen = [0.0, 1.0, 2.0, 1.0, 2.0, 2.0, 2.0, 2.0, 2.0, 3.0, 3.0, 3.0];
        assert_eq!(gathered.observation.values, seen);
        let done = seen.map(|row: f32| -row);
        assert_eq!(gathered.past_action.unwrap().values, done);
        assert_eq!(gathered.action.values, [-2.0, -2.0, -2.0, -3.0]);
        assert_eq!(gathered.next_observation.values[..3], [1.0, 2.0, 2.5]);
        assert_eq!(gathered.row_ids, [0, 1, 2, 3]);
    }

    #[test]
    fn a_chunk_is_the_actions_from_the_row_on_and_the_last_stands_for_those_after_it() {
        let order = order();
        let pipeline = Pipeline {
            chunk: 3,
            ..pipeline(1, 1)
        };
        let gathered = pipeline.gather(&order, &order, [1, 1], &[0, 1, 2, 3]);
        let (first, second) = ([-0.0, -1.0, -2.0], [-1.0, -2.0, -2.0]);
        let expected = [first, second, [-2.0; 3], [-3.0; 3]];
        assert_eq!(gathered.action.values, expected.concat());
        assert_eq!((gathered.action.width, gathered.next_action.width), (3, 1));
        assert_eq!(gathered.next_action.values, [-1.0, -2.0, 0.0, 0.0]);
    }

    #[test]
    fn what_is_needed_is_all_that_is_taken() {
        /// Numbers of the rows that were asked for alone.
        struct Only<'a>(&'a InMemory, Needed);
        impl Numbers for Only<'_> {
            fn add_observation(&self, row: usize, to: &mut Vec<f32>) {
                assert!(self.1.observation.contains(&(row as u32)));
                self.0.add_observation(row, to);
            }
            fn action(&self, row: usize) -> &[f32] {
                assert!(self.1.action.contains(&(row as u32)));
                self.0.action(row)
            }
            fn add_next_observation(&self, row: usize, to: &mut Vec<f32>) {
                assert!(self.1.next_observation.contains(&(row as u32)));
                self.0.add_next_observation(row, to);
            }
        }
        let order = order();
        for (frames, n_step, chunk, past_actions, from_row) in [
            (1, 1, 1, false, false),
            (1, 3, 3, true, false),
            (3, 1, 2, false, false),
            (3, 1, 1, true, false),
            (3, 1, 1, true, true),
            (3, 2, 1, false, false),
        ] {
            for goals in [
                None,
                Some(Goals {
                    mode: GoalMode::Last,
                }),
            ] {
                let pipeline = Pipeline {
                    goals,
                    past_actions,
                    from_row,
                    chunk,
                    ..pipeline(frames, n_step)
                };
                for row in 0..4 {
                    let mut needed = Needed::default();
                    pipeline.needs(&order, row, &mut needed);
                    let most = pipeline.most_needed();
                    assert!(needed.observation.len() <= most[0] && needed.action.len() <= most[1]);
                    assert!(needed.next_observation.len() <= most[2]);
                    let only = Only(&order, needed);
                    let taken = pipeline.gather(&order, &only, [1, 1], &[row]);
                    assert_eq!(taken, pipeline.gather(&order, &order, [1, 1], &[row]));
                }
            }
        }
    }
}
