//! What a policy sees of an episode while it plays: the frames, and the goal behind them.

use std::ops::Range;

use bevy_reflect::Reflect;
use smallvec::SmallVec;

use super::FrameStack;
use crate::data::Column;
use crate::env::Space;
use crate::observation::ObservationParts;

/// Where the goal of an episode that is played comes from, for a policy whose networks are given goals.
#[derive(Clone, Debug, PartialEq, Reflect)]
pub enum EpisodeGoal {
    /// A raw observation, the same in every episode.
    Fixed(Vec<f32>),
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
    /// A goal of another width than an observation.
    #[error(
        "{environment}: the goal has {found} numbers, and an observation {expected}; a goal is an observation to come to"
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
    /// Elements of what the environment shows.
    Part(Range<usize>),
}

impl View {
    /// What is seen of an environment that shows `space` by a network that observes `parts`; `asked` says whether networks are
    /// given goals.
    pub fn of(
        parts: &ObservationParts,
        goal: Option<&EpisodeGoal>,
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
            GoalPlace::Part(part) => part.len(),
        }
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
}

impl Sight {
    pub fn new(frames: usize, view: View) -> Self {
        Sight {
            frames: FrameStack::new(frames),
            view,
            observation: Vec::new(),
            goal: Vec::new(),
        }
    }

    /// An episode begins, and this is shown.
    pub fn begin(&mut self, shown: &[f32]) {
        self.take(shown);
        self.frames.begin(&self.observation);
    }

    /// This is shown after one more step of it.
    pub fn push(&mut self, shown: &[f32]) {
        self.take(shown);
        self.frames.push(&self.observation);
    }

    fn take(&mut self, shown: &[f32]) {
        self.observation.clear();
        for part in &self.view.observed {
            self.observation.extend_from_slice(&shown[part.clone()]);
        }
        self.goal.clear();
        match &self.view.goal {
            GoalPlace::None => {}
            GoalPlace::Fixed(goal) => self.goal.extend_from_slice(goal),
            GoalPlace::Part(part) => self.goal.extend_from_slice(&shown[part.clone()]),
        }
    }

    /// Goes on from what [`values`](Self::values) gave.
    pub fn restore(&mut self, values: &[f32]) {
        let frames = values.len().saturating_sub(self.view.goal_width());
        let (frames, goal) = values.split_at(frames);
        self.frames.restore(frames);
        self.goal = goal.to_vec();
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
    fn a_desired_goal_stands_behind_the_frames_of_what_else_is_shown() {
        let part = EpisodeGoal::Part("desired_goal".into());
        let view = View::of(&achieved(), Some(&part), true, "Maze", &goal_environment()).unwrap();
        assert_eq!(
            (view.observed(), view.goal_width(), view.is_whole()),
            (2, 2, false)
        );
        let shown = Column {
            values: vec![1.0, 2.0, 8.0, 9.0],
            width: 4,
        };
        assert_eq!(view.observe(&shown).values, [1.0, 2.0]);
        let mut sight = Sight::new(2, view);
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
                true,
                "Maze",
                &space,
            )
        };
        let mut sight = Sight::new(1, view(&[7.0, 6.0]).unwrap());
        sight.begin(&[1.0, 2.0]);
        assert!(sight.values().eq([1.0, 2.0, 7.0, 6.0]));
        let error = view(&[1.0]).unwrap_err().to_string();
        assert!(
            error.contains("the goal has 1 numbers, and an observation 2"),
            "{error}"
        );
    }

    #[test]
    fn what_nobody_gives_or_takes_is_refused() {
        let space = goal_environment();
        let of = |goal: Option<EpisodeGoal>, asked| {
            View::of(&achieved(), goal.as_ref(), asked, "Maze", &space)
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
        let error =
            View::of(&ObservationParts::vector(3), None, false, "Maze", &space).unwrap_err();
        assert!(error.to_string().starts_with("Maze: "), "{error}");
    }
}
