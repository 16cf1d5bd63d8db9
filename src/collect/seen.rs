//! When it is looked at what networks see of the environments.

use bevy_ecs::prelude::*;

use super::Observations;
use crate::data::pipeline::View;
use crate::data::{
    EpisodeGoal, FrameStack, Goals, HeldOutGoals, Preprocessing, ResetsAtHorizon, Seen, Spaces,
    StepResults,
};
use crate::env::Space;
use crate::observation::ObservationParts;
use crate::schedule::InputError;

/// What the scene says of what networks see of the environments.
#[derive(Resource, Clone, Debug)]
pub(super) struct Asked {
    pub parts: Vec<String>,
    pub goal: Option<EpisodeGoal>,
}

impl Asked {
    /// What is observed of that which environments show: the parts that were asked for, or all but the goal.
    pub fn parts(&self, space: &Space) -> Result<ObservationParts, String> {
        let shown = ObservationParts::of_space(space);
        match (&self.parts[..], &self.goal) {
            ([], Some(EpisodeGoal::Part(goal))) => Ok(shown.without(goal)),
            ([], _) => Ok(shown),
            (parts, _) => shown.chosen(parts),
        }
    }
}

/// Once it is known what networks are shown: frames by the preprocessing, goals by the algorithm.
pub(super) fn look_on(
    spaces: Res<Spaces>,
    observations: Res<Observations>,
    asked: Res<Asked>,
    (goals, held_out): (Option<Res<Goals>>, Option<Res<HeldOutGoals>>),
    resets: Option<Res<ResetsAtHorizon>>,
    mut preprocessing: ResMut<Preprocessing>,
    mut commands: Commands,
) -> Result<(), BevyError> {
    let (environment, space) = (&spaces.environment, &spaces.observation);
    let refused = |what: String| InputError::new(format!("`Environments.observations`: {what}"));
    let chosen = asked
        .parts(space)
        .map_err(|what| refused(format!("{environment}: {what}")))?;
    // Those of the data or of the checkpoint, where there are such.
    let parts = &preprocessing.parts;
    let names = |parts: &ObservationParts| -> Vec<String> {
        parts.iter().map(|part| part.name.clone()).collect()
    };
    if !asked.parts.is_empty() && names(&chosen) != names(parts) {
        let what = format!(
            "{environment} is asked for {chosen}, and `Dataset.observations` are {parts}: choose the same ones in both, or leave this out"
        );
        return Err(refused(what).into());
    }
    let view = View::of(
        parts,
        asked.goal.as_ref(),
        held_out.as_deref(),
        goals.is_some(),
        environment,
        space,
    );
    let view = view.map_err(InputError::new)?;
    let frames = preprocessing.frames;
    if view.is_whole() && frames == 1 {
        return Ok(());
    }
    // Without data nobody knew of the goal.
    let inputs = frames * view.observed() + view.goal_width();
    preprocessing.observation = preprocessing.observation.resized(inputs);
    let frames = FrameStack::new(frames).resetting(resets.is_some());
    let seen = Seen::new(observations.rows(), frames, view);
    commands.insert_resource(seen);
    Ok(())
}

/// Before the first step, unless a run goes on.
pub(super) fn see_first(observations: Res<Observations>, seen: Option<ResMut<Seen>>) {
    if let Some(mut seen) = seen
        && !seen.has_begun
    {
        seen.begin(&observations);
    }
}

/// After each step.
pub(super) fn see_on(
    steps: Res<StepResults>,
    observations: Res<Observations>,
    mut seen: ResMut<Seen>,
) {
    seen.follow(&steps, &observations);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::{Persist, Snapshot};

    fn view(goal: EpisodeGoal) -> View {
        let number = || Space::from_bounds(&[(0.0, 1.0)]);
        let space = Space::dict([("at", number()), ("goal", number())]);
        let asked = Asked {
            parts: vec!["at".into()],
            goal: None,
        };
        let parts = asked.parts(&space).unwrap();
        View::of(&parts, Some(&goal), None, true, "Walk", &space).unwrap()
    }

    /// One environment that shows a number and a desired goal; where it ends, the next episode begins with 10 and the goal 9.
    fn step(now: f32, next: f32, ended: bool, valid: bool) -> (StepResults, Observations) {
        let mut steps = StepResults::new(1, 2, 1);
        steps.observation.values = vec![now, 7.0];
        steps.next_observation.values = vec![next, 7.0];
        (steps.truncated[0], steps.valid[0]) = (ended, valid);
        let mut observations = Observations::new(1, 2);
        observations.values = if ended {
            vec![10.0, 9.0]
        } else {
            vec![next, 7.0]
        };
        (steps, observations)
    }

    #[test]
    fn frames_and_goals_are_those_of_the_episode_before_and_after_a_step() {
        let mut seen = Seen::new(
            1,
            FrameStack::new(2),
            view(EpisodeGoal::Part("goal".into())),
        );
        let (_, first) = step(0.0, 1.0, false, true);
        seen.begin(&first);
        assert_eq!(seen.now.values, [1.0, 1.0, 7.0]);
        let (steps, observations) = step(1.0, 2.0, false, true);
        seen.follow(&steps, &observations);
        assert_eq!(seen.before.values, [1.0, 1.0, 7.0]);
        assert_eq!(seen.after.values, [1.0, 2.0, 7.0]);
        assert_eq!(seen.now.values, [1.0, 2.0, 7.0]);
        let (steps, observations) = step(2.0, 3.0, true, true);
        seen.follow(&steps, &observations);
        assert_eq!(seen.before.values, [1.0, 2.0, 7.0]);
        assert_eq!(seen.after.values, [2.0, 3.0, 7.0]);
        assert_eq!(seen.now.values, [10.0, 10.0, 9.0]);
        let kept = seen.observed(&steps);
        assert_eq!(kept.observation.values, [2.0]);
        assert_eq!(
            (kept.next_observation.values, kept.next_observation.width),
            (vec![3.0], 1)
        );
    }

    #[test]
    fn what_was_no_step_begins_an_episode() {
        let mut seen = Seen::new(
            1,
            FrameStack::new(2),
            view(EpisodeGoal::Part("goal".into())),
        );
        let (_, first) = step(0.0, 1.0, false, true);
        seen.begin(&first);
        let (steps, observations) = step(1.0, 5.0, false, false);
        seen.follow(&steps, &observations);
        assert_eq!(seen.now.values, [5.0, 5.0, 7.0]);
    }

    #[test]
    fn a_memory_that_resets_is_shown_what_came_since_and_goes_on_with_it() {
        let seen = || {
            let frames = FrameStack::new(2).resetting(true);
            Seen::new(1, frames, view(EpisodeGoal::Part("goal".into())))
        };
        let now = |seen: &Seen| seen.now_by_width().remove(0).1.values;
        let (mut whole, (_, first)) = (seen(), step(0.0, 1.0, false, true));
        whole.begin(&first);
        assert_eq!(now(&whole), [1.0, 7.0]);
        assert_eq!(whole.now.values, [1.0, 7.0, 0.0]);
        let expected: [&[f32]; 4] = [
            &[1.0, 2.0, 7.0],
            &[3.0, 7.0],
            &[3.0, 4.0, 7.0],
            // An episode has begun.
            &[10.0, 9.0],
        ];
        for (at, expected) in (1_u8..).zip(expected) {
            let (steps, observations) = step(at.into(), f32::from(at) + 1.0, at == 4, true);
            let mut snapshot = Snapshot::new(1);
            whole.save(&mut snapshot).unwrap();
            let mut restored = seen();
            restored.load(&snapshot, &World::new()).unwrap();
            for seen in [&mut whole, &mut restored] {
                seen.follow(&steps, &observations);
                assert_eq!(now(seen), expected);
            }
        }
        let mut snapshot = Snapshot::new(1);
        whole.save(&mut snapshot).unwrap();
        for wrong in ["[]", "[1]", "[4]", "[2, 2]"] {
            let key = "environments/seen_widths".to_owned();
            snapshot.state.insert(key, wrong.to_owned());
            assert!(seen().load(&snapshot, &World::new()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_was_saved_is_seen_again() {
        let mut seen = Seen::new(1, FrameStack::new(2), view(EpisodeGoal::Fixed(vec![7.0])));
        let (steps, observations) = step(1.0, 2.0, false, true);
        seen.begin(&observations);
        seen.follow(&steps, &observations);
        let mut snapshot = Snapshot::new(1);
        seen.save(&mut snapshot).unwrap();
        let mut restored = Seen::new(1, FrameStack::new(2), view(EpisodeGoal::Fixed(vec![7.0])));
        restored.load(&snapshot, &World::new()).unwrap();
        for seen in [&mut seen, &mut restored] {
            let (steps, observations) = step(2.0, 3.0, false, true);
            seen.follow(&steps, &observations);
        }
        assert_eq!(seen.now, restored.now);
    }
}
