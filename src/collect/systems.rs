//! The steps of one run of [`Collect`](crate::schedule::Collect) that are the same for every environment.
//!
//! 1. `ScatterActions`: [`scatter_actions`] hands each entity its row of the policy's actions.
//! 2. `Step`: the environment's own system moves its world.
//! 3. `TimeLimit`: [`limit_time`] cuts long episodes; [`keep_steps`] then copies what the step brought, before a reset
//!    overwrites it.
//! 4. `Autoreset`: the environment's own system begins new episodes.
//! 5. `Gather`: [`gather_observations`] shows the policy what there is to see now.

use bevy_ecs::prelude::*;

use super::entity::{
    Action, Agent, Ended, EpisodeStatistics, Observation, Restart, Reward, StepCount,
};
use super::{
    Actions, Autoreset, CollectError, EpisodeTimeLimit, FinishedEpisode, FinishedEpisodes,
    Observations, Steps,
};
use crate::data::Spaces;
use crate::env::Space;

/// Checks the policy's actions and hands each entity its row; clears what the last step brought.
pub fn scatter_actions(
    actions: Res<Actions>,
    spaces: Res<Spaces>,
    autoreset: Res<Autoreset>,
    mut agents: Query<(&Agent, &mut Action, &mut Reward, &mut Ended, &mut Restart)>,
) -> Result<(), BevyError> {
    check(&actions, &spaces)?;
    let next_step = *autoreset == Autoreset::NextStep;
    for (agent, mut action, mut reward, mut ended, mut restart) in &mut agents {
        let action = &mut action.bypass_change_detection().0;
        // Whoever spawns an agent need not know how many elements it acts with.
        action.resize(actions.width, 0.0);
        copy_row(actions.row(agent.row), action);
        reward.bypass_change_detection().0 = 0.0;
        let ended = ended.bypass_change_detection();
        if next_step && ended.in_either_way() {
            restart.bypass_change_detection().0 = true;
        }
        *ended = Ended::default();
    }
    Ok(())
}

/// One pass over all actions; the slow search for the culprit only where there is one.
fn check(actions: &Actions, spaces: &Spaces) -> Result<(), CollectError> {
    let width = spaces.action.size();
    if actions.width != width {
        return Err(CollectError::ActionWidth {
            environment: spaces.environment.clone(),
            expected: width,
            found: actions.width,
        });
    }
    let fine = match spaces.action {
        Space::Discrete { n } => {
            let n = n as i32;
            let index = |value: f32| (value as i32 as f32 == value) & ((value as i32) < n);
            let each = |fine, value: &f32| fine & (*value >= 0.0) & index(*value);
            actions.values.iter().fold(true, each)
        }
        _ => {
            let each = |fine, value: &f32| fine & value.is_finite();
            actions.values.iter().fold(true, each)
        }
    };
    if fine {
        return Ok(());
    }
    for row in 0..actions.rows() {
        let name = format!("{}, environment {row}", spaces.environment);
        spaces.action.check_action(&name, actions.row(row))?;
    }
    Ok(())
}

/// Counts the step, and cuts the episodes that have taken as many as they may.
pub fn limit_time(
    limit: Res<EpisodeTimeLimit>,
    mut agents: Query<(&Restart, &mut StepCount, &mut Ended)>,
) {
    let limit = limit.0.map_or(u64::MAX, std::num::NonZeroU64::get);
    for (restart, mut count, mut ended) in &mut agents {
        let count = count.bypass_change_detection();
        count.0 += u64::from(!restart.0);
        ended.bypass_change_detection().truncated |= count.0 >= limit && !restart.0;
    }
}

/// Copies what the step brought into [`Steps`], the true last observation of an ended episode included, and counts returns.
#[expect(clippy::type_complexity, reason = "all components of an environment")]
pub fn keep_steps(
    observations: Res<Observations>,
    actions: Res<Actions>,
    autoreset: Res<Autoreset>,
    mut steps: ResMut<Steps>,
    mut finished: ResMut<FinishedEpisodes>,
    mut agents: Query<(
        &Agent,
        &Observation,
        &Reward,
        &Ended,
        &StepCount,
        &mut EpisodeStatistics,
        &mut Restart,
    )>,
) -> Result<(), BevyError> {
    let same_step = *autoreset == Autoreset::SameStep;
    let steps = &mut *steps;
    finished.0.clear();
    steps
        .observation
        .values
        .copy_from_slice(&observations.values);
    steps.action.values.copy_from_slice(&actions.values);
    let width = steps.next_observation.width;
    for (agent, observation, reward, ended, count, mut statistics, mut restart) in &mut agents {
        let row = agent.row;
        if observation.0.len() != width {
            return Err(CollectError::ObservationWidth {
                row,
                expected: width,
                found: observation.0.len(),
            }
            .into());
        }
        copy_row(&observation.0, steps.next_observation.row_mut(row));
        let restart = restart.bypass_change_detection();
        // In this step the environment only begins its next episode: what it was asked to do was not done.
        steps.valid[row] = !restart.0;
        if restart.0 {
            steps.reward[row] = 0.0;
            steps.terminated[row] = false;
            steps.truncated[row] = false;
            continue;
        }
        steps.reward[row] = reward.0 as f32;
        steps.terminated[row] = ended.terminated;
        steps.truncated[row] = ended.truncated;
        let statistics = statistics.bypass_change_detection();
        statistics.total_reward += reward.0;
        if ended.in_either_way() {
            restart.0 = same_step;
            statistics.episodes += 1;
            statistics.last_return = statistics.total_reward;
            statistics.last_length = count.0;
            finished.0.push(FinishedEpisode {
                row,
                total_reward: statistics.total_reward,
                length: count.0,
            });
        }
    }
    Ok(())
}

/// Shows the policy what the environments show, and lets those that began an episode count from 0.
pub fn gather_observations(
    mut observations: ResMut<Observations>,
    mut agents: Query<(
        &Agent,
        &Observation,
        &mut Restart,
        &mut StepCount,
        &mut EpisodeStatistics,
    )>,
) -> Result<(), BevyError> {
    let observations = &mut *observations;
    let width = observations.width;
    for (agent, observation, mut restart, mut count, mut statistics) in &mut agents {
        if observation.0.len() != width {
            return Err(CollectError::ObservationWidth {
                row: agent.row,
                expected: width,
                found: observation.0.len(),
            }
            .into());
        }
        copy_row(&observation.0, observations.row_mut(agent.row));
        let restart = restart.bypass_change_detection();
        if restart.0 {
            restart.0 = false;
            count.0 = 0;
            statistics.total_reward = 0.0;
        }
    }
    Ok(())
}

/// Copies a row of a few numbers; a call of `memcpy` for each costs more than the copy.
#[inline(always)]
fn copy_row(from: &[f32], to: &mut [f32]) {
    match (from, to) {
        ([a], [x]) => *x = *a,
        ([a, b], [x, y]) => (*x, *y) = (*a, *b),
        ([a, b, c], [x, y, z]) => (*x, *y, *z) = (*a, *b, *c),
        ([a, b, c, d], [w, x, y, z]) => [*w, *x, *y, *z] = [*a, *b, *c, *d],
        (from, to) => to.copy_from_slice(from),
    }
}
