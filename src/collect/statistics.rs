//! Running statistics of what is collected: observations and rewards, normalized to a common scale while learning.
//!
//! Both move only in [`Collect`](crate::schedule::Collect), so evaluation finds them frozen, and both are saved with the run.

use bevy_app::{App, Plugin, Startup};
use bevy_ecs::prelude::*;
use bevy_reflect::Reflect;
use serde::{Deserialize, Serialize};

use super::own_evaluation::is_training;
use super::plugin::EnvironmentSystems;
use super::seen::see_on;
use super::systems::{gather_observations, keep_steps};
use super::{Observations, RowsThere, StepResults};
use crate::checkpoint::{AppPersistExt, CheckpointError, Persist, Snapshot};
use crate::data::{Column, Data, GivenPreprocessing, Normalizer, Preprocessing, Seen};
use crate::scene::{Bounds, Settings};
use crate::schedule::{Collect, InputError};

/// A mean and a variance that are updated batch by batch (Chan, Golub & LeVeque 1979), as Gymnasium's `RunningMeanStd`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunningMoments {
    mean: Vec<f64>,
    variance: Vec<f64>,
    count: f64,
}

impl RunningMoments {
    /// Mean 0 and variance 1 of `width` elements, with hardly any weight.
    pub fn new(width: usize) -> Self {
        RunningMoments {
            mean: vec![0.0; width],
            variance: vec![1.0; width],
            count: 1e-4,
        }
    }

    /// The mean of each element.
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// The population variance of each element.
    pub fn variance(&self) -> &[f64] {
        &self.variance
    }

    /// Takes a batch of rows in.
    pub fn update(&mut self, rows: &[f64]) {
        let width = self.mean.len().max(1);
        let n = (rows.len() / width) as f64;
        if n == 0.0 {
            return;
        }
        let total = self.count + n;
        for element in 0..width {
            let of = || rows[element..].iter().step_by(width);
            let mean = of().sum::<f64>() / n;
            let variance = of().map(|value| (value - mean).powi(2)).sum::<f64>() / n;
            let delta = mean - self.mean[element];
            let squares = self.variance[element] * self.count
                + variance * n
                + delta * delta * self.count * n / total;
            self.mean[element] += delta * n / total;
            self.variance[element] = squares / total;
        }
        self.count = total;
    }
}

/// Normalizes observations by the mean and the deviation of all that were seen so far (`NormalizeObservation` of Gymnasium).
///
/// Parts that are bytes, such as pictures, stay as they are. It keeps [`Preprocessing`]'s normalizer up to date; [`Observations`] and buffers stay raw, so that what was collected early
/// is seen on the same scale as what was collected late.
#[derive(Clone, Debug, Default, Resource, Reflect)]
pub struct NormalizeObservations {}

impl Settings for NormalizeObservations {}

impl Plugin for NormalizeObservations {
    fn build(&self, app: &mut App) {
        let measure = measure_observations
            .in_set(EnvironmentSystems::Gather)
            .after(gather_observations)
            .before(see_on)
            .run_if(is_training.and_then(not(resource_exists::<StandingStill>)));
        app.insert_resource(ObservationMoments(RunningMoments::new(0)))
            .persist::<ObservationMoments>()
            .add_systems(Startup, keep_what_is_given)
            .add_systems(Collect, measure);
    }
}

/// Networks that learned before see observations as they did then, and those that learn from data as these are normalized.
fn keep_what_is_given(
    given: Option<Res<GivenPreprocessing>>,
    data: Option<Res<Data>>,
) -> Result<(), BevyError> {
    let told = match (given, data) {
        (None, None) => return Ok(()),
        (Some(_), _) => {
            "`NormalizeObservations` moves how observations are scaled, and the networks of `Pretrained` know them as they were: take one of the two out of the plugins"
        }
        (None, Some(_)) => {
            "`NormalizeObservations` moves how observations are scaled while the run acts, and what it learns from data is scaled once: take it out, and normalize by `Dataset(normalize: true)`"
        }
    };
    Err(InputError::new(told).into())
}

/// The statistics stay as training left them: a trained policy acts, and nothing is learned.
#[derive(Resource)]
pub(crate) struct StandingStill;

/// The running statistics of observations.
#[derive(Resource, Clone, Debug, PartialEq)]
pub struct ObservationMoments(pub RunningMoments);

impl Persist for ObservationMoments {
    fn save(&self, snapshot: &mut Snapshot) -> Result<(), CheckpointError> {
        snapshot.put_state("moments/observation", &self.0)
    }

    fn load(&mut self, snapshot: &Snapshot, _: &World) -> Result<(), CheckpointError> {
        self.0 = snapshot.state("moments/observation")?;
        Ok(())
    }
}

fn measure_observations(
    observations: Res<Observations>,
    steps: Res<StepResults>,
    (there, seen): (Res<RowsThere>, Option<Res<Seen>>),
    mut moments: ResMut<ObservationMoments>,
    mut preprocessing: ResMut<Preprocessing>,
) {
    let moments = &mut moments.0;
    // What a row shows that nobody has is nobody's observation.
    let wide = |rows: &Column| -> Vec<f64> {
        let shown = there.0.iter().enumerate().filter(|(_, there)| **there);
        let shown = shown.flat_map(|(row, _)| rows.row(row));
        shown.map(|value| f64::from(*value)).collect()
    };
    if moments.mean.is_empty() {
        // The first observations of all, which no step returned.
        *moments = RunningMoments::new(observations.width);
        moments.update(&wide(&steps.observation));
    }
    moments.update(&wide(&observations));
    let epsilon = f64::from(Normalizer::EPSILON);
    let shown = Normalizer {
        mean: moments.mean.iter().map(|mean| *mean as f32).collect(),
        // The normalizer adds a little to the deviation; Gymnasium adds less, to the variance.
        std: moments
            .variance
            .iter()
            .map(|variance| ((variance + 1e-8).sqrt() - epsilon).max(0.0) as f32)
            .collect(),
    };
    let parts = &preprocessing.parts;
    preprocessing.observation = match seen {
        Some(seen) => {
            let frames = preprocessing.frames;
            seen.view().standardizing(&shown, parts, frames)
        }
        // Networks see what is shown.
        None => shown.leaving_bytes(parts),
    };
}

/// Scales what learners get as reward by the deviation of the discounted returns so far (`NormalizeReward` of Gymnasium).
///
/// It changes [`StepResults::reward`] alone: returns that are reported stay raw. The return of a step that ends the episode counts
/// what came before it, whatever the end; Gymnasium 1.4 leaves that out where the task terminated.
#[derive(Clone, Debug, Resource, Reflect)]
pub struct NormalizeReturns {
    /// Discount γ of the returns.
    #[reflect(@Bounds::within(0.0, 1.0))]
    pub discount: f64,
}

impl Default for NormalizeReturns {
    fn default() -> Self {
        NormalizeReturns { discount: 0.99 }
    }
}

impl Settings for NormalizeReturns {}

impl Plugin for NormalizeReturns {
    fn build(&self, app: &mut App) {
        let scale = scale_rewards
            .in_set(EnvironmentSystems::TimeLimit)
            .after(keep_steps)
            .run_if(is_training.and_then(not(resource_exists::<StandingStill>)));
        app.insert_resource(self.clone())
            .insert_resource(ReturnMoments {
                moments: RunningMoments::new(1),
                running: Vec::new(),
            })
            .persist::<ReturnMoments>()
            .add_systems(Collect, scale);
    }
}

/// The running statistics of returns.
#[derive(Resource, Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReturnMoments {
    moments: RunningMoments,
    /// The discounted return of each environment's running episode.
    running: Vec<f64>,
}

impl Persist for ReturnMoments {
    fn save(&self, snapshot: &mut Snapshot) -> Result<(), CheckpointError> {
        snapshot.put_state("moments/return", self)
    }

    fn load(&mut self, snapshot: &Snapshot, _: &World) -> Result<(), CheckpointError> {
        *self = snapshot.state("moments/return")?;
        Ok(())
    }
}

fn scale_rewards(
    settings: Res<NormalizeReturns>,
    mut steps: ResMut<StepResults>,
    mut returns: ResMut<ReturnMoments>,
) {
    let (steps, returns) = (&mut *steps, &mut *returns);
    returns.running.resize(steps.rows(), 0.0);
    let mut seen = Vec::with_capacity(steps.rows());
    for row in 0..steps.rows() {
        let running = &mut returns.running[row];
        if !steps.valid[row] {
            *running = 0.0;
            continue;
        }
        *running = *running * settings.discount + f64::from(steps.reward[row]);
        seen.push(*running);
        if steps.terminated[row] || steps.truncated[row] {
            *running = 0.0;
        }
    }
    returns.moments.update(&seen);
    let deviation = (returns.moments.variance[0] + 1e-8).sqrt();
    for reward in &mut steps.reward {
        *reward = (f64::from(*reward) / deviation) as f32;
    }
}
