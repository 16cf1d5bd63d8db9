//! Action chunks: a policy that says the next k actions at once.
//!
//! One setting, [`ActionChunk`], drives all of it: how many actions a row of a minibatch has, how many a network predicts, and how many
//! of them an environment is given before the policy looks again.

use bevy_ecs::prelude::*;
use bevy_reflect::Reflect;
use bevy_reflect::prelude::ReflectDefault;
use serde::{Deserialize, Serialize};

use crate::checkpoint::{CheckpointError, Persist, Snapshot};
use crate::scene::{Bounds, FieldProblems};

/// How many actions a policy predicts at once, and how they are executed: the `action_chunk` of every algorithm that can.
///
/// As a resource it is there where the run's policy predicts more than one action.
///
/// ```
/// use yarak::data::{ActionChunk, ChunkExecution};
///
/// assert_eq!(ActionChunk::default(), ActionChunk::of(1));
/// let half = ActionChunk { execution: ChunkExecution::First(8), ..ActionChunk::of(16) };
/// assert_eq!(half.prediction_horizon, 16);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Resource, Reflect, Serialize, Deserialize)]
#[reflect(Default)]
pub struct ActionChunk {
    /// k: the actions that are predicted at once, that of the observation first.
    #[reflect(@Bounds::within(1.0, 1_000.0))]
    pub prediction_horizon: usize,
    /// What is done with them.
    pub execution: ChunkExecution,
}

/// How a chunk of actions is executed.
#[derive(Clone, Copy, Debug, PartialEq, Reflect, Serialize, Deserialize)]
pub enum ChunkExecution {
    /// All of them, then the policy looks again.
    Whole,
    /// The first so many of them, then the policy looks again.
    First(#[reflect(@Bounds::within(1.0, 1_000.0))] usize),
    /// The policy looks at every step, and the action is the mean of what all chunks say of it, the one of i steps after the oldest
    /// weighted by exp(−m i): the temporal ensembling of ACT (Zhao et al. 2023, <https://arxiv.org/abs/2304.13705>), whose m is 0.01.
    Averaged(#[reflect(@Bounds::at_least(0.0))] f32),
}

impl Default for ActionChunk {
    /// One action.
    fn default() -> Self {
        ActionChunk::of(1)
    }
}

impl ActionChunk {
    /// So many actions, all of which are executed.
    pub fn of(prediction_horizon: usize) -> Self {
        ActionChunk {
            prediction_horizon,
            execution: ChunkExecution::Whole,
        }
    }

    /// Whether it is one action, as most policies say.
    pub fn is_single(&self) -> bool {
        self.prediction_horizon <= 1
    }

    /// Refuses what contradicts itself, for [`Settings::check`](crate::scene::Settings::check); `field` is where these settings are,
    /// such as `action_chunk`.
    pub fn check(&self, field: &str, problems: &mut FieldProblems) {
        if let ChunkExecution::First(first) = self.execution
            && first > self.prediction_horizon
        {
            problems.refuse(
                format!("{field}.execution"),
                format!(
                    "executes {first} of the {} actions that are predicted: give at most `prediction_horizon`",
                    self.prediction_horizon
                ),
            );
        }
    }

    /// After how many of its steps a chunk is replaced by a new one.
    fn executed(&self) -> usize {
        match self.execution {
            ChunkExecution::Whole => self.prediction_horizon,
            ChunkExecution::First(first) => first.min(self.prediction_horizon),
            ChunkExecution::Averaged(_) => 1,
        }
    }
}

/// The chunks that policies are executing, for each of the environments side by side. Evaluation, collecting and a
/// [`Policy`](crate::policy::Policy) that travels all act by it.
#[derive(Resource, Clone, Debug, Default, PartialEq)]
pub struct ActionChunks {
    chunk: ActionChunk,
    /// Of each environment, oldest first.
    rows: Vec<Vec<Predicted>>,
}

/// A chunk that was predicted some steps ago.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Predicted {
    /// `[prediction_horizon * action]`
    actions: Vec<f32>,
    /// Steps of the environment since it was predicted.
    age: usize,
}

impl Predicted {
    /// What it says of the present step.
    fn now(&self, width: usize) -> &[f32] {
        &self.actions[self.age * width..(self.age + 1) * width]
    }
}

impl ActionChunks {
    /// For so many environments, in each of which an episode begins.
    pub fn new(chunk: ActionChunk, rows: usize) -> Self {
        ActionChunks {
            chunk,
            rows: vec![Vec::new(); rows],
        }
    }

    /// The same for other environments, so many of them.
    pub(crate) fn anew(&self, rows: usize) -> Self {
        ActionChunks::new(self.chunk, rows)
    }

    /// How they are predicted and executed.
    pub(crate) fn chunk(&self) -> ActionChunk {
        self.chunk
    }

    /// How many environments there are.
    pub(crate) fn rows(&self) -> usize {
        self.rows.len()
    }

    /// An episode begins in the environment `row`: what was predicted in the last one is forgotten.
    ///
    /// # Panics
    /// Like indexing a slice, where there is no such environment.
    pub fn begin(&mut self, row: usize) {
        self.rows[row].clear();
    }

    /// The actions of the next step, `[rows, action]`. Where a policy has to look, `predict` gives the chunks of all environments,
    /// `[rows, prediction_horizon * action]`; those that still execute one keep it.
    ///
    /// # Errors
    /// What `predict` fails with; then nothing has changed.
    pub fn act<E>(&mut self, predict: impl FnOnce() -> Result<Vec<f32>, E>) -> Result<Vec<f32>, E> {
        let executed = self.chunk.executed();
        let is_due = |row: &Vec<Predicted>| row.last().is_none_or(|last| last.age >= executed);
        if self.rows.iter().any(is_due) {
            let predicted = predict()?;
            let each = predicted.len() / self.rows.len();
            for (row, actions) in self.rows.iter_mut().zip(predicted.chunks(each.max(1))) {
                if is_due(row) {
                    row.push(Predicted {
                        actions: actions.to_vec(),
                        age: 0,
                    });
                }
            }
        }
        let mut actions = Vec::new();
        for row in &mut self.rows {
            self.chunk.keep_needed(row);
            self.chunk.add_action(row, &mut actions);
            row.iter_mut().for_each(|predicted| predicted.age += 1);
        }
        Ok(actions)
    }
}

impl ActionChunk {
    /// Drops the chunks that say nothing of the present step, or are replaced.
    fn keep_needed(&self, row: &mut Vec<Predicted>) {
        match self.execution {
            ChunkExecution::Averaged(_) => row.retain(|it| it.age < self.prediction_horizon),
            ChunkExecution::Whole | ChunkExecution::First(_) => drop(row.drain(..row.len() - 1)),
        }
    }

    /// Adds the action of the present step, of chunks that all say something of it.
    fn add_action(&self, row: &[Predicted], actions: &mut Vec<f32>) {
        let Some(newest) = row.last() else { return };
        let width = newest.actions.len() / self.prediction_horizon.max(1);
        let ChunkExecution::Averaged(decay) = self.execution else {
            actions.extend_from_slice(newest.now(width));
            return;
        };
        let weight = |place: usize| (-decay * place as f32).exp();
        let total: f32 = (0..row.len()).map(weight).sum();
        for element in 0..width {
            let terms = row.iter().enumerate();
            let terms = terms.map(|(place, it)| weight(place) * it.now(width)[element]);
            actions.push(terms.sum::<f32>() / total);
        }
    }
}

impl Persist for ActionChunks {
    fn save(&self, snapshot: &mut Snapshot) -> Result<(), CheckpointError> {
        snapshot.put_state(KEY, &self.rows)
    }

    fn load(&mut self, snapshot: &Snapshot, _: &World) -> Result<(), CheckpointError> {
        let rows: Vec<Vec<Predicted>> = snapshot.state(KEY)?;
        let horizon = self.chunk.prediction_horizon;
        let fits = |it: &Predicted| it.age <= horizon && it.actions.len().is_multiple_of(horizon);
        if !rows.iter().flatten().all(fits) {
            let what = format!("not of {horizon} actions each, as `prediction_horizon` has it");
            return Err(CheckpointError::unusable("the action chunks", what));
        }
        self.rows = rows;
        Ok(())
    }
}

const KEY: &str = "action_chunks";

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    /// Chunks that say the step at which they were predicted, and the step of which they speak, in two environments of which the
    /// second counts from 100.
    struct Clock {
        chunks: ActionChunks,
        step: usize,
        looks: usize,
    }

    impl Clock {
        fn new(horizon: usize, execution: ChunkExecution) -> Self {
            let chunk = ActionChunk {
                prediction_horizon: horizon,
                execution,
            };
            Clock {
                chunks: ActionChunks::new(chunk, 2),
                step: 0,
                looks: 0,
            }
        }

        fn act(&mut self) -> Vec<f32> {
            let (step, horizon) = (self.step, self.chunks.chunk.prediction_horizon);
            let predict = || {
                self.looks += 1;
                let row = |base: usize| {
                    let steps = step..step + horizon;
                    steps.flat_map(move |of| [(base + step) as f32, (base + of) as f32])
                };
                Ok::<_, Infallible>(row(0).chain(row(100)).collect())
            };
            let Ok(actions) = self.chunks.act(predict);
            self.step += 1;
            actions
        }
    }

    #[test]
    fn a_chunk_is_executed_before_the_policy_looks_again() {
        let mut whole = Clock::new(3, ChunkExecution::Whole);
        let told: Vec<Vec<f32>> = (0..4).map(|_| whole.act()).collect();
        assert_eq!(told[0], [0.0, 0.0, 100.0, 100.0]);
        assert_eq!(told[2], [0.0, 2.0, 100.0, 102.0]);
        assert_eq!(told[3], [3.0, 3.0, 103.0, 103.0]);
        assert_eq!(whole.looks, 2);
        let mut first = Clock::new(3, ChunkExecution::First(2));
        let told: Vec<Vec<f32>> = (0..4).map(|_| first.act()).collect();
        assert_eq!(told[1][..2], [0.0, 1.0]);
        assert_eq!(told[2][..2], [2.0, 2.0]);
        assert_eq!(first.looks, 2);
        let mut single = Clock::new(1, ChunkExecution::Whole);
        (0..4).for_each(|step| assert_eq!(single.act()[1], step as f32));
        assert_eq!(single.looks, 4);
    }

    #[test]
    fn a_new_episode_forgets_its_own_chunk_alone() {
        let mut clock = Clock::new(4, ChunkExecution::Whole);
        clock.act();
        clock.chunks.begin(1);
        assert_eq!(clock.act(), [0.0, 1.0, 101.0, 101.0]);
        assert_eq!(clock.act(), [0.0, 2.0, 101.0, 102.0]);
    }

    #[test]
    fn averaged_chunks_are_weighted_by_their_age_the_oldest_most() {
        let mut clock = Clock::new(3, ChunkExecution::Averaged(0.5));
        assert_eq!(clock.act()[0], 0.0);
        let [one, two] = [-0.5_f64, -1.0].map(f64::exp);
        let expected = one / (1.0 + one);
        assert!((f64::from(clock.act()[0]) - expected).abs() < 1e-6);
        let expected = (one + 2.0 * two) / (1.0 + one + two);
        assert!((f64::from(clock.act()[0]) - expected).abs() < 1e-6);
        // The first has nothing to say of the fourth step.
        let told = clock.act();
        let expected = (1.0 + 2.0 * one + 3.0 * two) / (1.0 + one + two);
        assert!((f64::from(told[0]) - expected).abs() < 1e-6);
        assert!((told[1] - 3.0).abs() < 1e-6, "all speak of the same step");
        assert_eq!(clock.looks, 4);
    }

    #[test]
    fn what_was_saved_in_the_middle_of_a_chunk_goes_on() {
        for execution in [ChunkExecution::First(3), ChunkExecution::Averaged(0.01)] {
            let mut clock = Clock::new(4, execution);
            clock.act();
            clock.act();
            let mut snapshot = Snapshot::new(1);
            clock.chunks.save(&mut snapshot).unwrap();
            let mut restored = Clock::new(4, execution);
            restored.chunks.load(&snapshot, &World::new()).unwrap();
            restored.step = clock.step;
            assert_eq!(restored.act(), clock.act());
            let mut other = Clock::new(3, execution);
            assert!(other.chunks.load(&snapshot, &World::new()).is_err());
        }
    }
}
