//! What a policy sees of an episode while it plays: the frames, and the goal behind them.

use std::ops::Range;
use std::sync::Arc;

use bevy_reflect::Reflect;
use smallvec::SmallVec;

use super::{FrameStack, HeldOutGoals};
use crate::data::{Column, Normalizer};
use crate::env::Space;
use crate::observation::ObservationParts;

/// Where the goal of an episode that is played comes from, for a policy whose networks are given goals.
#[derive(Clone, Debug, PartialEq, Reflect)]
pub enum EpisodeGoal {
    /// A raw observation, the same in every episode.
    Fixed(Vec<f32>),
    /// What the held-out episodes of the run's data came to (`Dataset(validation: ..)` or `validation_filter`), one after the other: the
    /// n-th episode is given the goal of the n-th of them.
    HeldOut,
    /// The part of this name in the environment's dictionary of observations, such as `desired_goal` in Gymnasium's goal
    /// environments. The policy observes the other parts.
    Part(String),
}

/// A policy that cannot be shown what it is to see.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ViewError {
    /// Other parts than the policy observes.
    #[error(
        "{environment}: {what}; play it in the environment of its data, or train it on the parts that are there"
    )]
    Parts {
        /// The environment.
        environment: String,
        /// What differs.
        what: String,
    },
    /// The networks are given goals, and nobody says which.
    #[error(
        "the policy is given goals (`goal_mode`), and nobody says which to reach in {environment}: give `goal: Fixed([..])`, a raw \
         observation, or `goal: Part(\"desired_goal\")` where the environment's observations have such a part; or take it out of the \
         scene and judge the policy by `Validation`"
    )]
    Missing {
        /// The environment.
        environment: String,
    },
    /// The networks are given none.
    #[error(
        "{environment}: a goal is given, and the policy is given none: set the algorithm's `goal_mode`, or leave `goal` out"
    )]
    Unasked {
        /// The environment.
        environment: String,
    },
    /// No goals in the data.
    #[error(
        "{environment}: `goal: HeldOut` takes the goals of held-out episodes, and there are none: hold some out with `Dataset(validation: 0.1)` or `validation_filter`, or give `goal: Fixed([..])`"
    )]
    NothingHeldOut {
        /// The environment.
        environment: String,
    },
    /// A goal of another width than an observation.
    #[error(
        "{environment}: the goal has {found} numbers, and an observation {expected}; a goal is an observation to come to: give as many, or leave the \
         goal's own part out of what is observed, with `observations: [..]`"
    )]
    Width {
        /// The environment.
        environment: String,
        /// Numbers in an observation.
        expected: usize,
        /// Numbers in the goal.
        found: usize,
    },
    /// No such part.
    #[error(
        "{environment}: its observations have no part `{part}` to come to: it shows {shown}; name another, or give `goal: Fixed([..])`"
    )]
    NoPart {
        /// The environment.
        environment: String,
        /// What was asked for.
        part: String,
        /// What there is.
        shown: ObservationParts,
    },
}

/// What of that which an environment shows a network sees: the parts that it observes, and the goal.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct View {
    /// How many elements the environment shows.
    shown: usize,
    /// The elements that are observed, in the network's order.
    observed: SmallVec<[Range<usize>; 1]>,
    goal: GoalPlace,
}

/// Where the goal is.
#[derive(Clone, Debug, PartialEq)]
enum GoalPlace {
    /// Networks are given none.
    None,
    Fixed(Vec<f32>),
    /// One for each episode in turn.
    InTurn(Arc<Vec<Vec<f32>>>),
    /// Elements of what the environment shows.
    Part(Range<usize>),
}

impl View {
    /// What is seen of an environment that shows `space` by a network that observes `parts`; `asked` says whether networks are
    /// given goals, and `held_out` are those of the data.
    pub fn of(
        parts: &ObservationParts,
        goal: Option<&EpisodeGoal>,
        held_out: Option<&HeldOutGoals>,
        asked: bool,
        environment: &str,
        space: &Space,
    ) -> Result<Self, ViewError> {
        let environment = || environment.to_owned();
        let observed = parts.places_in(space).map_err(|what| ViewError::Parts {
            environment: environment(),
            what,
        })?;
        let (goal, width) = match (goal, asked) {
            (None, false) => (GoalPlace::None, parts.width()),
            (None, true) => {
                return Err(ViewError::Missing {
                    environment: environment(),
                });
            }
            (Some(_), false) => {
                return Err(ViewError::Unasked {
                    environment: environment(),
                });
            }
            (Some(EpisodeGoal::Fixed(goal)), true) => (GoalPlace::Fixed(goal.clone()), goal.len()),
            (Some(EpisodeGoal::HeldOut), true) => {
                let goals = held_out.filter(|goals| !goals.is_empty());
                let Some(HeldOutGoals(goals)) = goals else {
                    return Err(ViewError::NothingHeldOut {
                        environment: environment(),
                    });
                };
                (GoalPlace::InTurn(Arc::new(goals.clone())), goals[0].len())
            }
            (Some(EpisodeGoal::Part(name)), true) => match space.place_of(name) {
                Some(part) => (GoalPlace::Part(part.clone()), part.len()),
                None => {
                    return Err(ViewError::NoPart {
                        environment: environment(),
                        part: name.clone(),
                        shown: ObservationParts::of_space(space),
                    });
                }
            },
        };
        if width != parts.width() {
            return Err(ViewError::Width {
                environment: environment(),
                expected: parts.width(),
                found: width,
            });
        }
        let mut joined: SmallVec<[Range<usize>; 1]> = SmallVec::new();
        for place in observed {
            match joined.last_mut() {
                Some(last) if last.end == place.start => last.end = place.end,
                _ => joined.push(place),
            }
        }
        Ok(View {
            shown: space.size(),
            observed: joined,
            goal,
        })
    }

    /// Whether all that is shown is observed, in its order, and nothing else is seen.
    pub fn is_whole(&self) -> bool {
        let all = 0..self.shown;
        self.goal == GoalPlace::None && self.observed.as_slice() == std::slice::from_ref(&all)
    }

    /// The elements of one observation.
    pub fn observed(&self) -> usize {
        self.observed.iter().map(ExactSizeIterator::len).sum()
    }

    /// The elements of the goal.
    pub fn goal_width(&self) -> usize {
        match &self.goal {
            GoalPlace::None => 0,
            GoalPlace::Fixed(goal) => goal.len(),
            GoalPlace::InTurn(goals) => goals.first().map_or(0, Vec::len),
            GoalPlace::Part(part) => part.len(),
        }
    }

    /// What networks see is standardized by, of statistics of all that is shown: `parts` are those that are observed, and of those that
    /// are bytes nothing is standardized.
    pub fn standardizing(
        &self,
        shown: &Normalizer,
        parts: &ObservationParts,
        frames: usize,
    ) -> Normalizer {
        let observed = shown.of_elements(&self.observed).leaving_bytes(parts);
        let mut all = observed.repeated(frames);
        match &self.goal {
            GoalPlace::None => {}
            GoalPlace::Fixed(_) | GoalPlace::InTurn(_) => all.extend(&observed),
            GoalPlace::Part(part) => all.extend(&shown.of_elements(std::slice::from_ref(part))),
        }
        all
    }

    /// What is observed of rows that are shown.
    pub fn observe(&self, shown: &Column) -> Column {
        let rows = shown.values.chunks_exact(shown.width.max(1));
        let parts = rows.flat_map(|row| self.observed.iter().map(|part| &row[part.clone()]));
        Column {
            values: parts.flatten().copied().collect(),
            width: self.observed(),
        }
    }
}

/// What a policy sees of one episode that is played.
#[derive(Clone, Debug)]
pub(crate) struct Sight {
    frames: FrameStack,
    view: View,
    observation: Vec<f32>,
    goal: Vec<f32>,
    /// The number of the next episode, and by how much the one after it is larger.
    next_episode: usize,
    side_by_side: usize,
    /// Whether the episode has begun and has no step yet.
    is_new: bool,
}

impl Sight {
    /// What is seen of the `row`-th of `rows` environments side by side, which play the episodes of this number and every `rows`-th
    /// after it. `frames` waits for an episode.
    pub fn new(frames: FrameStack, view: View, row: usize, rows: usize) -> Self {
        Sight {
            next_episode: row,
            side_by_side: rows,
            is_new: false,
            frames,
            view,
            observation: Vec::new(),
            goal: Vec::new(),
        }
    }

    /// An episode begins, and this is shown.
    pub fn begin(&mut self, shown: &[f32]) {
        // One that begins twice without a step is one.
        if let (GoalPlace::InTurn(goals), false) = (&self.view.goal, self.is_new) {
            let next = self.next_episode % goals.len();
            self.goal.clone_from(&goals[next]);
            self.next_episode += self.side_by_side;
            self.is_new = true;
        }
        self.take(shown);
        self.frames.begin(&self.observation);
    }

    /// This is shown after one more step of it.
    pub fn push(&mut self, shown: &[f32]) {
        self.is_new = false;
        self.take(shown);
        self.frames.push(&self.observation);
    }

    fn take(&mut self, shown: &[f32]) {
        self.observation.clear();
        for part in &self.view.observed {
            self.observation.extend_from_slice(&shown[part.clone()]);
        }
        match &self.view.goal {
            // That of the episode was given when it began.
            GoalPlace::None | GoalPlace::InTurn(_) => {}
            GoalPlace::Fixed(goal) => self.goal.clone_from(goal),
            GoalPlace::Part(part) => {
                self.goal.clear();
                self.goal.extend_from_slice(&shown[part.clone()]);
            }
        }
    }

    /// Goes on from what [`values`](Self::values) gave.
    pub fn restore(&mut self, values: &[f32]) {
        let frames = values.len().saturating_sub(self.view.goal_width());
        let (frames, goal) = values.split_at(frames);
        self.frames.restore(frames);
        self.goal = goal.to_vec();
    }

    /// How many numbers [`values`](Self::values) are.
    pub fn width(&self) -> usize {
        self.frames.values().len() + self.goal.len()
    }

    /// The frames, oldest first, and the goal behind them; raw.
    pub fn values(&self) -> impl Iterator<Item = f32> + '_ {
        self.frames.values().iter().chain(&self.goal).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn goal_environment() -> Space {
        Space::dict([
            ("achieved_goal", Space::from_bounds(&[(0.0, 1.0); 2])),
            ("desired_goal", Space::from_bounds(&[(0.0, 1.0); 2])),
        ])
    }

    /// The goal environment without its goal.
    fn achieved() -> ObservationParts {
        ObservationParts::of_space(&goal_environment())
            .chosen(&["achieved_goal"])
            .unwrap()
    }

    #[test]
    fn statistics_follow_the_parts_their_frames_and_the_goal_and_leave_bytes_alone() {
        let vector = |n: usize| Space::from_bounds(&vec![(0.0, 1.0); n]);
        let space = Space::dict([
            ("a", vector(2)),
            ("b", vector(1)),
            ("goal", vector(2)),
            ("p", Space::picture([20, 20, 1])),
        ]);
        let shown = Normalizer {
            mean: (0..405).map(|element| element as f32).collect(),
            std: (0..405).map(|element| element as f32 + 0.5).collect(),
        };
        let standardizing = |names: &[&str], goal: Option<EpisodeGoal>, frames| {
            let parts = ObservationParts::of_space(&space).chosen(names).unwrap();
            let asked = goal.is_some();
            let view = View::of(&parts, goal.as_ref(), None, asked, "Arm", &space).unwrap();
            view.standardizing(&shown, &parts, frames)
        };
        let chosen = standardizing(&["b", "a"], None, 2);
        assert_eq!(chosen.mean, [2.0, 0.0, 1.0, 2.0, 0.0, 1.0]);
        assert_eq!(chosen.std, [2.5, 0.5, 1.5, 2.5, 0.5, 1.5]);
        let part = EpisodeGoal::Part("goal".into());
        let with_goal = standardizing(&["a"], Some(part), 1);
        assert_eq!(with_goal.mean, [0.0, 1.0, 3.0, 4.0]);
        let fixed = EpisodeGoal::Fixed(vec![0.1, 0.2]);
        assert_eq!(
            standardizing(&["a"], Some(fixed), 1).mean,
            [0.0, 1.0, 0.0, 1.0]
        );
        let picture = standardizing(&["p", "b"], None, 1);
        assert_eq!(picture.mean[..400], [0.0; 400]);
        assert_eq!(picture.std[..400], [1.0 - Normalizer::EPSILON; 400]);
        assert_eq!((picture.mean[400], picture.std[400]), (2.0, 2.5));
    }

    #[test]
    fn a_desired_goal_stands_behind_the_frames_of_what_else_is_shown() {
        let part = EpisodeGoal::Part("desired_goal".into());
        let view = View::of(
            &achieved(),
            Some(&part),
            None,
            true,
            "Maze",
            &goal_environment(),
        )
        .unwrap();
        assert_eq!(
            (view.observed(), view.goal_width(), view.is_whole()),
            (2, 2, false)
        );
        let shown = Column {
            values: vec![1.0, 2.0, 8.0, 9.0],
            width: 4,
        };
        assert_eq!(view.observe(&shown).values, [1.0, 2.0]);
        let mut sight = Sight::new(FrameStack::new(2), view, 0, 1);
        sight.begin(&shown.values);
        assert!(sight.values().eq([1.0, 2.0, 1.0, 2.0, 8.0, 9.0]));
        sight.push(&[3.0, 4.0, 8.0, 9.0]);
        assert!(sight.values().eq([1.0, 2.0, 3.0, 4.0, 8.0, 9.0]));
    }

    #[test]
    fn a_fixed_goal_is_as_wide_as_an_observation() {
        let space = Space::from_bounds(&[(0.0, 1.0); 2]);
        let view = |goal: &[f32]| {
            let goal = EpisodeGoal::Fixed(goal.to_vec());
            View::of(
                &ObservationParts::vector(2),
                Some(&goal),
                None,
                true,
                "Maze",
                &space,
            )
        };
        let mut sight = Sight::new(FrameStack::new(1), view(&[7.0, 6.0]).unwrap(), 0, 1);
        sight.begin(&[1.0, 2.0]);
        assert!(sight.values().eq([1.0, 2.0, 7.0, 6.0]));
        let error = view(&[1.0]).unwrap_err().to_string();
        assert!(
            error.contains("the goal has 1 numbers, and an observation 2"),
            "{error}"
        );
    }

    #[test]
    fn goals_of_held_out_episodes_come_in_turn_and_stay_for_an_episode() {
        let space = Space::from_bounds(&[(0.0, 9.0)]);
        let goals = HeldOutGoals::new(vec![vec![7.0], vec![8.0], vec![9.0]]);
        let of = |goals: Option<&HeldOutGoals>| {
            let parts = ObservationParts::vector(1);
            View::of(
                &parts,
                Some(&EpisodeGoal::HeldOut),
                goals,
                true,
                "Maze",
                &space,
            )
        };
        // The second of two environments: episodes 1, 3, 5, ...
        let mut sight = Sight::new(FrameStack::new(1), of(Some(&goals)).unwrap(), 1, 2);
        for goal in [8.0, 7.0, 9.0, 8.0] {
            sight.begin(&[5.0]);
            // It was set out once more, before its first step.
            sight.begin(&[1.0]);
            assert!(sight.values().eq([1.0, goal]));
            sight.push(&[2.0]);
            assert!(sight.values().eq([2.0, goal]));
        }
        for nothing in [None, Some(&HeldOutGoals::default())] {
            let refused = of(nothing).unwrap_err();
            assert!(matches!(refused, ViewError::NothingHeldOut { .. }));
        }
    }

    #[test]
    fn what_nobody_gives_or_takes_is_refused() {
        let space = goal_environment();
        let of = |goal: Option<EpisodeGoal>, asked| {
            View::of(&achieved(), goal.as_ref(), None, asked, "Maze", &space)
        };
        assert!(of(None, false).is_ok());
        assert!(matches!(of(None, true), Err(ViewError::Missing { .. })));
        let part = |name: &str| Some(EpisodeGoal::Part(name.to_owned()));
        assert!(matches!(
            of(part("desired_goal"), false),
            Err(ViewError::Unasked { .. })
        ));
        let error = of(part("desired"), true).unwrap_err().to_string();
        assert!(
            error.contains("`achieved_goal` [2] and `desired_goal` [2]"),
            "{error}"
        );
        let error = View::of(
            &ObservationParts::vector(3),
            None,
            None,
            false,
            "Maze",
            &space,
        )
        .unwrap_err();
        assert!(error.to_string().starts_with("Maze: "), "{error}");
    }
}
