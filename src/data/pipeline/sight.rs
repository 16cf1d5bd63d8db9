//! What a policy sees of an episode while it plays: the frames, and the goal behind them.

use std::ops::Range;

use bevy_reflect::Reflect;

use super::FrameStack;
use crate::env::Space;

/// Where the goal of an episode that is played comes from, for a policy whose networks are given goals.
#[derive(Clone, Debug, PartialEq, Reflect)]
pub enum EpisodeGoal {
    /// A raw observation, the same in every episode.
    Fixed(Vec<f32>),
    /// The part of this name in the environment's dictionary of observations, such as `desired_goal` in Gymnasium's goal
    /// environments. The policy observes the other parts.
    Part(String),
}

/// A goal that an environment cannot give.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum GoalError {
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
    #[error("{environment}: its observations have no part `{part}`; {there}")]
    NoPart {
        /// The environment.
        environment: String,
        /// What was asked for.
        part: String,
        /// What there is.
        there: String,
    },
}

/// A goal's place, once the environment's observations are known.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum GoalPlace {
    /// Networks are given none.
    #[default]
    None,
    Fixed(Vec<f32>),
    /// Elements of what the environment shows.
    Part(Range<usize>),
}

impl GoalPlace {
    /// Where the goal of an environment with such observations is; `asked` says whether networks are given goals.
    pub fn of(
        goal: Option<&EpisodeGoal>,
        asked: bool,
        environment: &str,
        space: &Space,
    ) -> Result<Self, GoalError> {
        let environment = || environment.to_owned();
        let (place, expected, found) = match (goal, asked) {
            (None, false) => return Ok(GoalPlace::None),
            (None, true) => {
                return Err(GoalError::Missing {
                    environment: environment(),
                });
            }
            (Some(_), false) => {
                return Err(GoalError::Unasked {
                    environment: environment(),
                });
            }
            (Some(EpisodeGoal::Fixed(goal)), true) => {
                (GoalPlace::Fixed(goal.clone()), space.size(), goal.len())
            }
            (Some(EpisodeGoal::Part(name)), true) => {
                let Some(part) = space.place_of(name) else {
                    return Err(GoalError::NoPart {
                        environment: environment(),
                        part: name.clone(),
                        there: there(space),
                    });
                };
                let size = part.len();
                (GoalPlace::Part(part), space.size() - size, size)
            }
        };
        match expected == found {
            true => Ok(place),
            false => Err(GoalError::Width {
                environment: environment(),
                expected,
                found,
            }),
        }
    }

    /// Takes what an environment shows apart: into what is observed, and the goal where it is a part of it.
    pub fn split<'a>(&'a self, shown: &'a [f32]) -> ([&'a [f32]; 2], &'a [f32]) {
        match self {
            GoalPlace::None => ([shown, &[]], &[]),
            GoalPlace::Fixed(goal) => ([shown, &[]], goal),
            GoalPlace::Part(part) => (
                [&shown[..part.start], &shown[part.end..]],
                &shown[part.clone()],
            ),
        }
    }

    /// How many of so many numbers are observed.
    pub fn observed(&self, shown: usize) -> usize {
        match self {
            GoalPlace::Part(part) => shown - part.len(),
            _ => shown,
        }
    }
}

/// The parts of a space, for messages.
fn there(space: &Space) -> String {
    match space {
        Space::Dict { entries } => {
            let names: Vec<String> = entries
                .iter()
                .map(|(name, _)| format!("`{name}`"))
                .collect();
            format!("they have {}", names.join(", "))
        }
        _ => "they are one vector without parts, so give `goal: Fixed([..])`".to_owned(),
    }
}

/// What a policy sees of one episode that is played.
#[derive(Clone, Debug)]
pub(crate) struct Sight {
    frames: FrameStack,
    place: GoalPlace,
    observation: Vec<f32>,
    goal: Vec<f32>,
}

impl Sight {
    pub fn new(frames: usize, place: GoalPlace) -> Self {
        Sight {
            frames: FrameStack::new(frames),
            place,
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
        let (observed, goal) = self.place.split(shown);
        self.observation.clear();
        observed
            .iter()
            .for_each(|part| self.observation.extend_from_slice(part));
        self.goal.clear();
        self.goal.extend_from_slice(goal);
    }

    /// Goes on from what [`values`](Self::values) gave.
    pub fn restore(&mut self, values: &[f32]) {
        let goal = match &self.place {
            GoalPlace::None => 0,
            GoalPlace::Fixed(goal) => goal.len(),
            GoalPlace::Part(part) => part.len(),
        };
        let (frames, goal) = values.split_at(values.len().saturating_sub(goal));
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

    #[test]
    fn a_desired_goal_stands_behind_the_frames_of_what_else_is_shown() {
        let part = EpisodeGoal::Part("desired_goal".into());
        let place = GoalPlace::of(Some(&part), true, "Maze", &goal_environment()).unwrap();
        assert_eq!(place.observed(4), 2);
        let mut sight = Sight::new(2, place);
        sight.begin(&[1.0, 2.0, 8.0, 9.0]);
        assert!(sight.values().eq([1.0, 2.0, 1.0, 2.0, 8.0, 9.0]));
        sight.push(&[3.0, 4.0, 8.0, 9.0]);
        assert!(sight.values().eq([1.0, 2.0, 3.0, 4.0, 8.0, 9.0]));
    }

    #[test]
    fn a_fixed_goal_is_as_wide_as_an_observation() {
        let space = Space::from_bounds(&[(0.0, 1.0); 2]);
        let place = |goal: &[f32]| {
            let goal = EpisodeGoal::Fixed(goal.to_vec());
            GoalPlace::of(Some(&goal), true, "Maze", &space)
        };
        let mut sight = Sight::new(1, place(&[7.0, 6.0]).unwrap());
        sight.begin(&[1.0, 2.0]);
        assert!(sight.values().eq([1.0, 2.0, 7.0, 6.0]));
        let error = place(&[1.0]).unwrap_err().to_string();
        assert!(
            error.contains("the goal has 1 numbers, and an observation 2"),
            "{error}"
        );
    }

    #[test]
    fn goals_that_nobody_gives_or_takes_are_refused() {
        let space = goal_environment();
        let of =
            |goal: Option<EpisodeGoal>, asked| GoalPlace::of(goal.as_ref(), asked, "Maze", &space);
        assert_eq!(of(None, false), Ok(GoalPlace::None));
        assert!(matches!(of(None, true), Err(GoalError::Missing { .. })));
        let part = |name: &str| Some(EpisodeGoal::Part(name.to_owned()));
        assert!(matches!(
            of(part("desired_goal"), false),
            Err(GoalError::Unasked { .. })
        ));
        let error = of(part("desired"), true).unwrap_err().to_string();
        assert!(error.contains("`achieved_goal`, `desired_goal`"), "{error}");
    }
}
