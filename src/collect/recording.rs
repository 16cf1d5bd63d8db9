//! Keeping every step for a dataset: the raw observations, actions and rewards of the environments, whole episodes in a row.

use bevy_app::{App, Plugin};
use bevy_ecs::prelude::*;

use super::Steps;
use super::entity::{Action, Agent, Reward};
use crate::data::{Column, End, Episode, Parts, Spaces, Transitions, TransitionsError};
use crate::env::Space;
use crate::schedule::{Collect, CollectSystems};

/// Keeps every step of every environment in [`Recorded`], from the beginning of the run.
pub struct RecordingPlugin;

impl Plugin for RecordingPlugin {
    fn build(&self, app: &mut App) {
        app.init_resource::<Recorded>()
            .add_systems(Collect, record.in_set(CollectSystems::Record));
    }
}

/// The steps that were taken. Episodes stand in the order of their ends, those that still run last.
#[derive(Resource, Clone, Debug, Default)]
pub struct Recorded {
    ended: Vec<(Rows, End)>,
    running: Vec<Rows>,
    widths: [usize; 2],
    /// How many choices an action is one of, where it is one.
    choices: Option<usize>,
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

impl Recorded {
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
        let mut parts = Parts {
            observation: column(observation),
            action: column(action),
            reward: Vec::new(),
            next_observation: column(observation),
            terminal: Vec::new(),
            episodes: Vec::new(),
        };
        let running = self.running.iter().map(|rows| (rows, End::Unfinished));
        let ended = self.ended.iter().map(|(rows, end)| (rows, *end));
        for (rows, end) in ended.chain(running.filter(|(rows, _)| !rows.reward.is_empty())) {
            let start = parts.reward.len();
            parts.observation.values.extend(&rows.observation);
            parts.action.values.extend(&rows.action);
            parts.reward.extend(&rows.reward);
            parts.next_observation.values.extend(&rows.next_observation);
            parts.terminal.resize(parts.reward.len() - 1, false);
            parts.terminal.push(end == End::Terminal);
            parts.episodes.push(Episode {
                rows: start..parts.reward.len(),
                end,
            });
        }
        Transitions::new(parts).map(|transitions| transitions.with_choices(self.choices))
    }
}

fn record(
    steps: Res<Steps>,
    spaces: Res<Spaces>,
    mut recorded: ResMut<Recorded>,
    agents: Query<(&Agent, &Action, &Reward)>,
) {
    let recorded = &mut *recorded;
    recorded.running.resize_with(steps.rows(), Default::default);
    recorded.widths[0] = steps.observation.width;
    recorded.choices = match spaces.action {
        Space::Discrete { n } => Some(n),
        _ => None,
    };
    let mut over = Vec::new();
    for (agent, action, reward) in &agents {
        let row = agent.row;
        if !steps.valid[row] {
            continue;
        }
        recorded.widths[1] = action.0.len();
        recorded.steps += 1;
        let rows = &mut recorded.running[row];
        rows.observation.extend(steps.observation.row(row));
        rows.action.extend(&action.0[..]);
        rows.reward.push(reward.0 as f32);
        rows.next_observation
            .extend(steps.next_observation.row(row));
        if steps.ended(row) {
            over.push(row);
        }
    }
    over.sort_unstable();
    for row in over {
        let end = match steps.terminated[row] {
            true => End::Terminal,
            false => End::Truncated,
        };
        let rows = std::mem::take(&mut recorded.running[row]);
        recorded.ended.push((rows, end));
    }
}
