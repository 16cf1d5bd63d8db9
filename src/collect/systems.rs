//! The steps of one run of [`Collect`](crate::schedule::Collect) that are the same for every environment.
//!
//! 1. `ScatterActions`: [`scatter_actions`] hands each entity its row of the policy's actions.
//! 2. `Step`: the environment's own system moves its world.
//! 3. `TimeLimit`: [`limit_time`] cuts long episodes; [`keep_steps`] then copies the step's result, before a reset
//!    overwrites it.
//! 4. `Autoreset`: the environment's own system begins new episodes.
//! 5. `Gather`: [`gather_observations`] shows the policy what there is to see now.

use std::num::NonZeroU64;
use std::ops::Range;

use bevy_ecs::prelude::*;

use super::entity::{
    Action, Ended, EnvironmentRow, EpisodeStatistics, Observation, Restart, Reward, StepCount,
};
use super::{
    Actions, Autoreset, CollectError, EpisodeTimeLimit, FinishedEpisode, FinishedEpisodes,
    Observations, RowsThere, StepResults,
};
use crate::data::{Column, Spaces};
use crate::env::Space;

/// Checks the policy's actions and hands each entity its row; clears the last step's result.
pub fn scatter_actions(
    actions: Res<Actions>,
    spaces: Res<Spaces>,
    autoreset: Res<Autoreset>,
    mut agents: Query<(
        &EnvironmentRow,
        &mut Action,
        &mut Reward,
        &mut Ended,
        &mut Restart,
    )>,
) -> Result<(), BevyError> {
    check(&actions, &spaces)?;
    for (agents, mut taken, mut rewards, mut ends, mut restarts) in agents.contiguous_iter_mut()? {
        let taken = taken.bypass_change_detection();
        check_rows(agents, actions.rows())?;
        for (agent, action) in agents.iter().zip(taken) {
            match (actions.row(agent.row), &mut action.0[..]) {
                ([from], [to]) => *to = *from,
                (from, _) => action.0.set(from),
            }
        }
        let ends = ends.bypass_change_detection();
        if *autoreset == Autoreset::NextStep {
            let restarts = restarts.bypass_change_detection();
            for (restart, ended) in restarts.iter_mut().zip(&*ends) {
                restart.0 |= ended.in_either_way();
            }
        }
        rewards.bypass_change_detection().fill(Reward(0.0));
        ends.fill(Ended::default());
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
        Space::Box { .. } => {
            let each = |fine, value: &f32| fine & value.is_finite();
            actions.values.iter().fold(true, each)
        }
        Space::Dict { .. } => false,
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
) -> Result<(), BevyError> {
    let limit = limit.0.map_or(u64::MAX, NonZeroU64::get);
    for (restarts, mut counts, mut ends) in agents.contiguous_iter_mut()? {
        let counts = counts.bypass_change_detection().iter_mut();
        let ends = ends.bypass_change_detection().iter_mut();
        for ((restart, count), ended) in restarts.iter().zip(counts).zip(ends) {
            count.0 += u64::from(!restart.0);
            ended.truncated |= (count.0 >= limit) & !restart.0;
        }
    }
    Ok(())
}

/// Copies the step's result into [`StepResults`], the true last observation of an ended episode included, and counts returns. The
/// row of an entity that is not there any more is no step.
pub fn keep_steps(
    observations: Res<Observations>,
    actions: Res<Actions>,
    autoreset: Res<Autoreset>,
    mut steps: ResMut<StepResults>,
    (mut finished, mut there): (ResMut<FinishedEpisodes>, ResMut<RowsThere>),
    mut agents: Query<(
        &EnvironmentRow,
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
    let before = &observations.values;
    steps.observation.values.copy_from_slice(before);
    steps.action.values.copy_from_slice(&actions.values);
    there.0.clear();
    there.0.resize(steps.rows(), false);
    for (agents, seen, rewards, ends, counts, mut statistics, mut restarts) in
        agents.contiguous_iter_mut()?
    {
        let statistics = statistics.bypass_change_detection();
        let restarts = restarts.bypass_change_detection();
        for_each_run(agents, steps.rows(), |run, rows| {
            if let Some(twice) = there.0[rows.clone()].iter().position(|there| *there) {
                let row = rows.start + twice;
                return Err(CollectError::RowTwice { row });
            }
            there.0[rows.clone()].fill(true);
            copy_rows(
                &seen[run.clone()],
                &mut steps.next_observation,
                rows.clone(),
            )?;
            // An environment that only begins its next episode in this step did not do what it was asked to.
            let valid = &mut steps.valid[rows.clone()];
            for (valid, restart) in valid.iter_mut().zip(&restarts[run.clone()]) {
                *valid = !restart.0;
            }
            let kept = steps.reward[rows.clone()]
                .iter_mut()
                .zip(&rewards[run.clone()]);
            for ((kept, reward), valid) in kept.zip(&*valid) {
                *kept = if *valid { reward.0 as f32 } else { 0.0 };
            }
            let terminated = steps.terminated[rows.clone()].iter_mut();
            let truncated = steps.truncated[rows.clone()].iter_mut();
            let kept = terminated.zip(truncated).zip(&ends[run.clone()]);
            for (((terminated, truncated), ended), valid) in kept.zip(&*valid) {
                *terminated = ended.terminated & valid;
                *truncated = ended.truncated & valid;
            }
            let sums = statistics[run.clone()]
                .iter_mut()
                .zip(&rewards[run.clone()]);
            for ((statistics, reward), valid) in sums.zip(&*valid) {
                statistics.total_reward += if *valid { reward.0 } else { 0.0 };
            }
            let over = steps.terminated[rows.clone()].iter();
            let over = over
                .zip(&steps.truncated[rows.clone()])
                .map(|it| it.0 | it.1);
            for (offset, _) in over.enumerate().filter(|(_, over)| *over) {
                let (i, row) = (run.start + offset, rows.start + offset);
                let statistics = &mut statistics[i];
                restarts[i].0 = same_step;
                statistics.episodes += 1;
                statistics.last_return = statistics.total_reward;
                statistics.last_length = counts[i].0;
                finished.0.push(FinishedEpisode {
                    row,
                    total_reward: statistics.total_reward,
                    length: counts[i].0,
                });
            }
            Ok(())
        })?;
    }
    for row in (0..there.0.len()).filter(|row| !there.0[*row]) {
        steps.valid[row] = false;
        steps.reward[row] = 0.0;
        (steps.terminated[row], steps.truncated[row]) = (false, false);
    }
    Ok(())
}

/// Shows the policy what the environments show, and lets those that began an episode count from 0.
pub fn gather_observations(
    mut observations: ResMut<Observations>,
    mut agents: Query<(
        &EnvironmentRow,
        &Observation,
        &mut Restart,
        &mut StepCount,
        &mut EpisodeStatistics,
    )>,
) -> Result<(), BevyError> {
    for (agents, seen, mut restarts, mut counts, mut statistics) in agents.contiguous_iter_mut()? {
        let all = observations.rows();
        for_each_run(agents, all, |run, rows| {
            copy_rows(&seen[run], &mut observations, rows)
        })?;
        let counts = counts.bypass_change_detection();
        let statistics = statistics.bypass_change_detection();
        let restarts = restarts.bypass_change_detection();
        for i in due(restarts) {
            counts[i].0 = 0;
            statistics[i].total_reward = 0.0;
        }
        restarts.fill(Restart(false));
    }
    Ok(())
}

/// The places of those that begin an episode.
pub(super) fn due(restarts: &[Restart]) -> impl Iterator<Item = usize> {
    // Few do: a group of which none does is passed over at once.
    restarts
        .chunks(32)
        .enumerate()
        .filter(|(_, group)| group.iter().fold(false, |any, restart| any | restart.0))
        .flat_map(|(index, group)| {
            let flags = group.iter().enumerate().filter(|(_, restart)| restart.0);
            flags.map(move |(offset, _)| index * 32 + offset)
        })
}

/// Calls `each` for every stretch of entities whose rows follow each other, with its places and its rows: one stretch, unless
/// entities were moved. Of `all` rows; an entity beyond them is refused.
fn for_each_run(
    agents: &[EnvironmentRow],
    all: usize,
    mut each: impl FnMut(Range<usize>, Range<usize>) -> Result<(), CollectError>,
) -> Result<(), CollectError> {
    check_rows(agents, all)?;
    let mut start = 0;
    for run in agents.chunk_by(|one, next| next.row == one.row + 1) {
        each(start..start + run.len(), run[0].row..run[0].row + run.len())?;
        start += run.len();
    }
    Ok(())
}

/// Entities come and go while an app runs: one of a row that nobody acts for is found before it is stepped.
fn check_rows(agents: &[EnvironmentRow], all: usize) -> Result<(), CollectError> {
    match agents.iter().find(|agent| agent.row >= all) {
        None => Ok(()),
        Some(agent) => Err(CollectError::RowBeyond {
            row: agent.row,
            rows: all,
        }),
    }
}

/// Copies observations into rows. A call of `memcpy` for a row of a few numbers would cost more than the copy.
fn copy_rows(
    seen: &[Observation],
    to: &mut Column,
    rows: Range<usize>,
) -> Result<(), CollectError> {
    let width = to.width;
    let first = rows.start;
    let to = &mut to.values[rows.start * width..rows.end * width];
    let wrong = match width {
        1 => copy_each::<1>(seen, to),
        2 => copy_each::<2>(seen, to),
        3 => copy_each::<3>(seen, to),
        4 => copy_each::<4>(seen, to),
        6 => copy_each::<6>(seen, to),
        _ => {
            let rows = seen.iter().zip(to.chunks_exact_mut(width.max(1)));
            let mut refused = rows.map(|(from, to)| match from.0.len() == to.len() {
                true => {
                    to.copy_from_slice(&from.0);
                    false
                }
                false => true,
            });
            refused.position(|refused| refused)
        }
    };
    match wrong {
        None => Ok(()),
        Some(index) => Err(CollectError::ObservationWidth {
            row: first + index,
            expected: width,
            found: seen[index].0.len(),
        }),
    }
}

/// Copies rows of `N` numbers; the place of the first that has another width.
fn copy_each<const N: usize>(seen: &[Observation], to: &mut [f32]) -> Option<usize> {
    let (to, _) = to.as_chunks_mut::<N>();
    for (index, (from, to)) in seen.iter().zip(to).enumerate() {
        match from.0.as_array::<N>() {
            Some(from) => *to = *from,
            None => return Some(index),
        }
    }
    None
}
