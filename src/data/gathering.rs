//! Putting the numbers of rows together as networks see them: frames side by side, and the goal behind them.

use burn::tensor::{Device, Tensor, TensorData};

use super::frames::frames_of;
use super::{Batch, Column, Folded, Transitions};

/// What networks are shown of a row besides its own observation.
pub(super) struct Shown {
    /// How many observations side by side, at least 1.
    pub(super) frames: usize,
    /// For each row the row whose next observation is its goal, where networks are given goals.
    pub(super) goals: Option<Vec<u32>>,
}

/// The batch of the given rows.
pub(super) fn gather(
    transitions: &Transitions,
    folded: &Folded,
    shown: &Shown,
    rows: &[usize],
    device: &Device,
) -> Batch {
    let last = |row: &usize| folded.last[*row] as usize;
    let (action, next) = (transitions.action(), transitions.next_observation());
    let goal = shown.goals.as_ref().map_or_else(Vec::new, |goals| {
        of_rows(next, rows.iter().map(|row| goals[*row] as usize))
    });
    let observed = |values| with_goals(values, &goal, rows.len(), device);
    let terminal = |row| f32::from(u8::from(transitions.terminal()[last(row)]));
    let (here, after) = (rows.iter().copied(), rows.iter().map(last));
    Batch {
        observation: observed(seen_at(transitions, here.clone(), shown.frames)),
        action: matrix(of_rows(action, here), rows.len(), device),
        reward: vector(rows.iter().map(|row| folded.reward[*row]), device),
        next_observation: observed(seen_after(transitions, after, shown.frames)),
        bootstrap: vector(rows.iter().map(|row| folded.bootstrap[*row]), device),
        terminal: vector(rows.iter().map(terminal), device),
    }
}

/// The frames at these rows, `[rows, frames * observation]`.
pub(super) fn seen_at(
    transitions: &Transitions,
    rows: impl ExactSizeIterator<Item = usize>,
    frames: usize,
) -> Vec<f32> {
    let observation = transitions.observation();
    if frames == 1 {
        return of_rows(observation, rows);
    }
    let mut values = Vec::with_capacity(rows.len() * frames * observation.width);
    for row in rows {
        let episode = transitions.episode_of(row);
        for frame in frames_of(row, &episode.rows, frames) {
            values.extend_from_slice(observation.row(frame));
        }
    }
    values
}

/// The frames after the steps of these rows, `[rows, frames * observation]`.
pub(super) fn seen_after(
    transitions: &Transitions,
    rows: impl ExactSizeIterator<Item = usize>,
    frames: usize,
) -> Vec<f32> {
    let (observation, next) = (transitions.observation(), transitions.next_observation());
    if frames == 1 {
        return of_rows(next, rows);
    }
    let mut values = Vec::with_capacity(rows.len() * frames * next.width);
    for row in rows {
        let episode = transitions.episode_of(row);
        for frame in frames_of(row, &episode.rows, frames - 1) {
            values.extend_from_slice(observation.row(frame));
        }
        values.extend_from_slice(next.row(row));
    }
    values
}

fn of_rows(column: &Column, rows: impl ExactSizeIterator<Item = usize>) -> Vec<f32> {
    let mut values = Vec::with_capacity(rows.len() * column.width);
    rows.for_each(|row| values.extend_from_slice(column.row(row)));
    values
}

/// Observations of so many rows, each with its goal behind it where there are goals.
pub(super) fn with_goals(
    values: Vec<f32>,
    goal: &[f32],
    rows: usize,
    device: &Device,
) -> Tensor<2> {
    if goal.is_empty() {
        return matrix(values, rows, device);
    }
    let width = |values: &[f32]| (values.len() / rows.max(1)).max(1);
    let pairs = values
        .chunks_exact(width(&values))
        .zip(goal.chunks_exact(width(goal)));
    let joined = pairs.flat_map(|(value, goal)| value.iter().chain(goal));
    matrix(joined.copied().collect(), rows, device)
}

/// `[rows, values / rows]`.
pub(super) fn matrix(values: Vec<f32>, rows: usize, device: &Device) -> Tensor<2> {
    let shape = [rows, values.len() / rows.max(1)];
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// `[values]`.
pub(super) fn vector(values: impl Iterator<Item = f32>, device: &Device) -> Tensor<1> {
    let values: Vec<f32> = values.collect();
    let shape = [values.len()];
    Tensor::from_data(TensorData::new(values, shape), device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{End, Episode, Parts};

    #[test]
    fn frames_after_a_step_end_with_its_next_observation() {
        // Episodes of 3 and 1 rows; the next observation of row t is t + 0.5.
        let column = |add: f32| Column {
            values: (0..4).map(|row| row as f32 + add).collect(),
            width: 1,
        };
        let transitions = Transitions::new(Parts {
            observation: column(0.0),
            action: column(0.0),
            reward: vec![0.0; 4],
            next_observation: column(0.5),
            terminal: vec![false; 4],
            episodes: [0..3, 3..4]
                .map(|rows| Episode {
                    rows,
                    end: End::Truncated,
                })
                .to_vec(),
        })
        .unwrap();
        let at = |frames| seen_at(&transitions, 0..4, frames);
        let after = |frames| seen_after(&transitions, 0..4, frames);
        assert_eq!(at(1), [0.0, 1.0, 2.0, 3.0]);
        assert_eq!(after(1), [0.5, 1.5, 2.5, 3.5]);
        assert_eq!(at(2), [0.0, 0.0, 0.0, 1.0, 1.0, 2.0, 3.0, 3.0]);
        assert_eq!(after(2), [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5]);
        assert_eq!(
            after(3),
            [0.0, 0.0, 0.5, 0.0, 1.0, 1.5, 1.0, 2.0, 2.5, 3.0, 3.0, 3.5]
        );
    }
}
