//! Data for trials: small, made up, and with a known answer.

use super::trial::Source;
use super::{Mistake, Trial};
use crate::data::{ActionScale, Column, Data, Episode, EpisodeEnd, Parts, Preprocessing};
use crate::data::{ScaleError, Split, Transitions};
use crate::env::Space;
use crate::evaluate::Acting;
use crate::learner::{ComputeDevice, Noise, Random, Seed};
use bevy_app::App;
use bevy_ecs::prelude::Resource;
use burn::tensor::{Tensor, TensorData};

const ROWS: usize = 512;
/// Steps in an episode.
const LENGTH: usize = 8;

/// The right number for an observation.
pub(super) fn right(observation: &[f32]) -> f32 {
    0.8 * (2.0 * observation[0]).sin()
}

/// What the toy's actions look like. The task is the same: a choice stands for a number.
#[derive(Resource, Clone, Copy)]
pub(super) enum Actions {
    /// A number in [-1, 1].
    Continuous,
    /// One of so many discrete actions, at least 2, which stand for numbers evenly spread from -1 to 1.
    Discrete(usize),
}

impl Actions {
    /// The number that an action stands for.
    pub fn number(self, action: f32) -> f32 {
        match self {
            Actions::Continuous => action,
            Actions::Discrete(n) => 2.0 * action / (n - 1) as f32 - 1.0,
        }
    }

    /// The action that comes nearest to a number in [-1, 1].
    pub fn nearest(self, number: f32) -> f32 {
        match self {
            Actions::Continuous => number,
            Actions::Discrete(n) => ((number + 1.0) / 2.0 * (n - 1) as f32).round(),
        }
    }

    /// The number of the right action for an observation.
    fn right(self, observation: &[f32]) -> f32 {
        self.number(self.nearest(right(observation)))
    }

    /// The action space.
    pub fn space(self) -> Space {
        match self {
            Actions::Continuous => Space::from_bounds(&[(-1.0, 1.0)]),
            Actions::Discrete(n) => Space::Discrete { n },
        }
    }

    /// How an environment's actions become a policy's.
    pub fn scale(self) -> Result<ActionScale, ScaleError> {
        match self {
            Actions::Continuous => ActionScale::from_bounds(vec![-1.0], vec![1.0]),
            Actions::Discrete(_) => Ok(ActionScale::identity(1)),
        }
    }

    /// Whether a policy may act so.
    fn contains(self, action: f32) -> bool {
        match self {
            Actions::Continuous => (-1.0..=1.0).contains(&action),
            Actions::Discrete(n) => action.fract() == 0.0 && (0.0..n as f32).contains(&action),
        }
    }
}

fn observations() -> Vec<f32> {
    Random::<Noise>::new(Seed(11)).uniforms(2 * (ROWS + 1), -1.0, 1.0)
}

fn data(actions: Vec<f32>, rewards: Vec<f32>, length: usize) -> Option<Data> {
    let seen = observations();
    let column = |values: &[f32], width| Column {
        values: values.to_vec(),
        width,
    };
    let episodes = ROWS / length;
    let transitions = Transitions::new(Parts {
        observation: column(&seen[..2 * ROWS], 2).into(),
        action: column(&actions, 1),
        reward: rewards,
        next_observation: column(&seen[2..], 2).into(),
        terminated: (1..=ROWS).map(|row| row % length == 0).collect(),
        episodes: (0..episodes)
            .map(|episode| Episode {
                rows: episode * length..(episode + 1) * length,
                end: EpisodeEnd::Terminated,
            })
            .collect(),
    })
    .ok()?;
    let held_out = (ROWS - 2 * length) as u32;
    let split = Split {
        training: (0..held_out).collect(),
        held_out: (held_out..ROWS as u32).collect(),
    };
    Some(Data::in_memory(transitions, split, "made up"))
}

const WHOLE: &str = "the toy data are whole";

/// An expert's steps: every action is the right one, or the choice that comes nearest to it, and each earns 1.
pub(super) fn imitation(actions: Actions) -> Data {
    let seen = observations();
    let right = seen.chunks(2).take(ROWS).map(right);
    let taken = right.map(|number| actions.nearest(number)).collect();
    data(taken, vec![1.0; ROWS], LENGTH).expect(WHOLE)
}

/// Random actions that earn the less the further they are from the right one; each ends its episode.
fn bandit(actions: Actions) -> Data {
    let drawn = Random::<Noise>::new(Seed(12)).uniforms(ROWS, -1.0, 1.0);
    let taken: Vec<f32> = drawn.into_iter().map(|it| actions.nearest(it)).collect();
    let seen = observations();
    let earned = taken.iter().zip(seen.chunks(2));
    let rewards = earned.map(|(action, seen)| -(actions.number(*action) - right(seen)).powi(2));
    let rewards = rewards.collect();
    data(taken, rewards, 1).expect(WHOLE)
}

/// The mean of (π(s) − a*)² over all rows, a* being the right action.
pub(super) fn error(app: &App) -> Result<f64, Mistake> {
    let actions = *app.world().resource::<Actions>();
    let acted = act(app)?;
    let errors = acted
        .iter()
        .zip(observations().chunks(2))
        .map(|(action, seen)| f64::from(actions.number(*action) - actions.right(seen)).powi(2))
        .collect::<Vec<_>>();
    Ok(errors.iter().sum::<f64>() / errors.len() as f64)
}

/// The same of always choosing 0, or the choice that comes nearest to it.
pub(super) fn error_of_zero(actions: Actions) -> f64 {
    let zero = actions.number(actions.nearest(0.0));
    let seen = observations();
    let right = seen.chunks(2).take(ROWS).map(|seen| actions.right(seen));
    right.map(|it| f64::from(zero - it).powi(2)).sum::<f64>() / ROWS as f64
}

/// The policy's actions on all rows of the data.
pub(super) fn act(app: &App) -> Result<Vec<f32>, Mistake> {
    let world = app.world();
    let acting = world.get_resource::<Acting>().ok_or(Mistake::NothingActs)?;
    let device = world.resource::<ComputeDevice>().plain();
    let preprocessing = world.resource::<Preprocessing>();
    let (frames, [_, width]) = (preprocessing.frames, preprocessing.widths());
    let all = observations();
    let rows =
        (0..ROWS).flat_map(|row| (0..frames).rev().map(move |back| row.saturating_sub(back)));
    let seen: Vec<f32> = rows
        .flat_map(|row| all[2 * row..2 * row + 2].to_vec())
        .collect();
    let seen = TensorData::new(seen, [ROWS, 2 * frames]);
    let actions = acting
        .act(world, Tensor::from_data(seen, &device))
        .ok_or(Mistake::NothingActs)?;
    if actions.dims() != [ROWS, width] {
        return Err(Mistake::BadActions(format!(
            "{:?} for {ROWS} observations and actions of width {width}",
            actions.dims()
        )));
    }
    let actions = actions.into_data().into_vec::<f32>();
    let actions = actions.map_err(|error| Mistake::BadActions(format!("{error:?}")))?;
    let allowed = *world.resource::<Actions>();
    match actions.iter().find(|action| !allowed.contains(**action)) {
        Some(action) => Err(Mistake::BadActions(action.to_string())),
        None => Ok(actions),
    }
}

impl Trial {
    /// On an expert's steps the policy comes to act as the expert does: after `steps` steps its mean squared error is below a
    /// tenth of what it was before the first.
    ///
    /// # Errors
    /// When it does not.
    pub fn learns_to_imitate(&self, steps: u64) -> Result<(), Mistake> {
        self.learns(imitation(self.actions), steps, |before| 0.1 * before)
    }

    /// On random actions, each of which ends its episode with a reward that says how near to the right one it was, the policy
    /// comes to act better than the data: after `steps` steps its mean squared distance from the right action is below a
    /// quarter of that of always choosing 0, the data's mean action.
    ///
    /// # Errors
    /// When it does not, as imitation must not.
    pub fn learns_from_rewards(&self, steps: u64) -> Result<(), Mistake> {
        let enough = 0.25 * error_of_zero(self.actions);
        self.learns(bandit(self.actions), steps, move |_| enough)
    }

    fn learns(
        &self,
        data: Data,
        steps: u64,
        threshold: impl Fn(f64) -> f64,
    ) -> Result<(), Mistake> {
        let mut app = self.start_in(|| Source::Data(data.clone()), |_| ())?;
        let before = error(&app)?;
        super::trial::steps(&mut app, steps)?;
        let (after, enough) = (error(&app)?, threshold(before));
        if after < enough {
            return Ok(());
        }
        let measured = format!(
            "the policy's mean squared distance from the right action is {after:.4}; it was {before:.4}, and {enough:.4} would do"
        );
        Err(Mistake::NotLearned { steps, measured })
    }
}
