//! What networks see of the environments where it is more than what they show now: frames side by side, and a goal behind them.

use bevy_ecs::prelude::*;

use super::pipeline::{Sight, View};
use super::{Column, FrameStack, StepResults};
use crate::checkpoint::{CheckpointError, Persist, Snapshot};

/// What networks see of the environments, raw, `[environments, frames * observation]` and the goal: not there where that is what
/// [`Observations`](crate::collect::Observations) are.
///
/// Of a policy whose memory resets it is what was seen since, and the goal behind it; the rest of a row is 0.
#[derive(Resource, Debug)]
pub struct Seen {
    sights: Vec<Sight>,
    view: View,
    frames: FrameStack,
    /// When actions were chosen.
    pub(crate) before: Column,
    /// After the step, of the same episode: where it ended, with its true last observation.
    pub(crate) after: Column,
    /// Now, where a new episode may have begun.
    pub(crate) now: Column,
    pub(crate) has_begun: bool,
}

impl Seen {
    /// `frames` waits for an episode.
    pub(crate) fn new(rows: usize, frames: FrameStack, view: View) -> Self {
        let width = frames.frames() * view.observed() + view.goal_width();
        let column = Column::zeros(rows, width);
        Seen {
            sights: (0..rows)
                .map(|row| Sight::new(frames.clone(), view.clone(), row, rows))
                .collect(),
            view,
            frames,
            before: column.clone(),
            after: column.clone(),
            now: column,
            has_begun: false,
        }
    }

    /// What networks see of the environments.
    pub(crate) fn view(&self) -> &View {
        &self.view
    }

    /// The same for other environments of that kind, so many of them, in which nothing was seen yet.
    pub(crate) fn anew(&self, rows: usize) -> Self {
        let column = Column::zeros(rows, self.now.width);
        let sight = self.sights.first().cloned();
        Seen {
            sights: sight.into_iter().cycle().take(rows).collect(),
            view: self.view.clone(),
            frames: self.frames.clone(),
            before: column.clone(),
            after: column.clone(),
            now: column,
            has_begun: false,
        }
    }

    /// A step as learners are to keep it: what is observed, without the goal.
    pub(crate) fn observed(&self, steps: &StepResults) -> StepResults {
        StepResults {
            observation: self.view.observe(&steps.observation),
            next_observation: self.view.observe(&steps.next_observation),
            ..steps.clone()
        }
    }

    /// The width of one observation, without the goal.
    pub(crate) fn observed_width(&self) -> usize {
        self.view.observed()
    }

    /// Whether it is shown to a policy whose memory resets.
    pub(crate) fn resets(&self) -> bool {
        self.frames.resets()
    }

    /// What is seen now, of those environments at once of which as much is seen: which they are, and what.
    pub(crate) fn now_by_width(&self) -> Vec<(Vec<usize>, Column)> {
        let mut groups: Vec<(Vec<usize>, Column)> = Vec::new();
        for (row, sight) in self.sights.iter().enumerate() {
            let width = sight.width();
            let values = &self.now.row(row)[..width];
            match groups.iter_mut().find(|(_, seen)| seen.width == width) {
                Some((rows, seen)) => {
                    rows.push(row);
                    seen.values.extend_from_slice(values);
                }
                None => {
                    let values = values.to_vec();
                    groups.push((vec![row], Column { values, width }));
                }
            }
        }
        groups
    }

    pub(crate) fn begin(&mut self, observations: &Column) {
        for (row, sight) in self.sights.iter_mut().enumerate() {
            sight.begin(observations.row(row));
            fill(self.now.row_mut(row), sight);
        }
        self.has_begun = true;
    }

    pub(crate) fn follow(&mut self, steps: &StepResults, observations: &Column) {
        std::mem::swap(&mut self.before, &mut self.now);
        for (row, sight) in self.sights.iter_mut().enumerate() {
            if steps.valid[row] {
                sight.push(steps.next_observation.row(row));
            }
            fill(self.after.row_mut(row), sight);
            // What is shown after an episode's end, or after what was no step, begins an episode.
            if !steps.valid[row] || steps.ended(row) {
                sight.begin(observations.row(row));
            }
            fill(self.now.row_mut(row), sight);
        }
    }
}

fn fill(row: &mut [f32], sight: &Sight) {
    row.iter_mut()
        .zip(sight.values().chain(std::iter::repeat(0.0)))
        .for_each(|(to, value)| *to = value);
}

impl Persist for Seen {
    fn save(&self, snapshot: &mut Snapshot) -> Result<(), CheckpointError> {
        if self.resets() {
            let widths: Vec<usize> = self.sights.iter().map(Sight::width).collect();
            snapshot.put_state("environments/seen_widths", &widths)?;
        }
        snapshot.put_state("environments/seen", &self.now.values)
    }

    fn load(&mut self, snapshot: &Snapshot, _: &World) -> Result<(), CheckpointError> {
        let values: Vec<f32> = snapshot.state("environments/seen")?;
        if values.len() != self.now.values.len() {
            let what = format!(
                "{} numbers instead of {}",
                values.len(),
                self.now.values.len()
            );
            return Err(CheckpointError::unusable("what networks saw", what));
        }
        let (one, goal, rows) = (
            self.view.observed(),
            self.view.goal_width(),
            self.sights.len(),
        );
        let widths = match self.resets() {
            true => snapshot.state("environments/seen_widths")?,
            false => vec![self.now.width; rows],
        };
        let fits = |width: &usize| {
            (one + goal..=self.now.width).contains(width) && (width - goal).is_multiple_of(one)
        };
        if widths.len() != rows || !widths.iter().all(fits) {
            let what = format!("{widths:?} numbers of {rows} environments");
            return Err(CheckpointError::unusable("what networks saw", what));
        }
        self.now.values = values;
        for (row, (sight, width)) in self.sights.iter_mut().zip(widths).enumerate() {
            sight.restore(&self.now.row(row)[..width]);
        }
        self.has_begun = true;
        Ok(())
    }
}
