//! The dataset recorder keeps every step for a dataset: the raw observations, actions and rewards of the environments, whole episodes in a row.

use bevy_app::{App, Plugin};
use bevy_ecs::prelude::*;

use super::StepResults;
use super::entity::{Action, EnvironmentRow, Reward};
use super::plugin::FirstAction;
use crate::data::{
    Column, Episode, EpisodeEnd, Parts, Spaces, Transitions, TransitionsError, WholeActions,
};
use crate::env::Space;
use crate::schedule::{Collect, CollectSystems};

/// Keeps every step of every environment in [`DatasetRecorder`], from the beginning of the run.
pub struct DatasetRecorderPlugin;

impl Plugin for DatasetRecorderPlugin {
    fn build(&self, app: &mut App) {
        app.init_resource::<DatasetRecorder>()
            .add_systems(Collect, record.in_set(CollectSystems::Record));
    }
}

/// The steps that were taken. Episodes are in the order of their ends, those that still run last.
#[derive(Resource, Clone, Debug, Default)]
pub struct DatasetRecorder {
    ended: Vec<(Rows, EpisodeEnd)>,
    running: Vec<Rows>,
    widths: [usize; 2],
    /// Number of discrete actions, where they are discrete.
    discrete_actions: Option<usize>,
    /// What the world calls the first of them.
    first_action: i64,
    /// Whether the world's actions are whole numbers.
    has_whole_actions: bool,
    steps: usize,
}

/// The rows of one episode.
#[derive(Clone, Debug, Default)]
struct Rows {
    observation: Vec<f32>,
    action: Vec<f32>,
    reward: Vec<f32>,
    next_observation: Vec<f32>,
}

impl DatasetRecorder {
    /// How many steps were kept.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// All of them, as data to learn from.
    ///
    /// # Errors
    /// Where no step was taken, or a number is not finite.
    pub fn transitions(&self) -> Result<Transitions, TransitionsError> {
        let [observation, action] = self.widths;
        let column = |width| Column {
            values: Vec::new(),
            width,
        };
        let (mut seen, mut next) = (column(observation), column(observation));
        let mut done = column(action);
        let (mut reward, mut terminated) = (Vec::new(), Vec::new());
        let mut episodes = Vec::new();
        let running = self
            .running
            .iter()
            .map(|rows| (rows, EpisodeEnd::Unfinished));
        let ended = self.ended.iter().map(|(rows, end)| (rows, *end));
        for (rows, end) in ended.chain(running.filter(|(rows, _)| !rows.reward.is_empty())) {
            let start = reward.len();
            seen.values.extend(&rows.observation);
            done.values.extend(&rows.action);
            reward.extend(&rows.reward);
            next.values.extend(&rows.next_observation);
            terminated.resize(reward.len() - 1, false);
            terminated.push(end == EpisodeEnd::Terminated);
            episodes.push(Episode {
                rows: start..reward.len(),
                end,
            });
        }
        let parts = Parts {
            observation: seen.into(),
            action: done,
            reward,
            next_observation: next.into(),
            terminated,
            episodes,
        };
        Transitions::new(parts)
            .map(|transitions| transitions.with_discrete_actions(self.discrete_actions))
            .map(|transitions| transitions.with_first_action(self.first_action))
            .map(|transitions| transitions.with_whole_actions(self.has_whole_actions))
    }
}

fn record(
    steps: Res<StepResults>,
    spaces: Res<Spaces>,
    first_action: Res<FirstAction>,
    whole: Res<WholeActions>,
    mut recorder: ResMut<DatasetRecorder>,
    agents: Query<(&EnvironmentRow, &Action, &Reward)>,
) {
    let recorder = &mut *recorder;
    recorder.running.resize_with(steps.rows(), Default::default);
    recorder.widths[0] = steps.observation.width;
    recorder.first_action = first_action.0;
    recorder.has_whole_actions = whole.0;
    recorder.discrete_actions = match spaces.action {
        Space::Discrete { n } => Some(n),
        _ => None,
    };
    let mut over = Vec::new();
    for (agent, action, reward) in &agents {
        let row = agent.row;
        if !steps.valid[row] {
            continue;
        }
        recorder.widths[1] = action.0.len();
        recorder.steps += 1;
        let rows = &mut recorder.running[row];
        rows.observation.extend(steps.observation.row(row));
        rows.action.extend(&action.0[..]);
        rows.reward.push(reward.0 as f32);
        rows.next_observation
            .extend(steps.next_observation.row(row));
        if steps.ended(row) {
            over.push(row);
        }
    }
    // What was no step breaks an episode off: nothing that comes later belongs to it.
    let broken = (0..steps.rows()).filter(|row| !steps.valid[*row]);
    over.extend(broken.filter(|row| !recorder.running[*row].reward.is_empty()));
    over.sort_unstable();
    for row in over {
        let end = match steps.terminated[row] {
            true => EpisodeEnd::Terminated,
            false => EpisodeEnd::Truncated,
        };
        let rows = std::mem::take(&mut recorder.running[row]);
        recorder.ended.push((rows, end));
    }
}
