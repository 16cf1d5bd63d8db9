//! What the held-out episodes came to, as goals of episodes that are played.

use bevy_ecs::prelude::*;
use serde::{Deserialize, Serialize};

use crate::checkpoint::{CheckpointError, Persist, Snapshot};
use crate::data::{Data, Minibatches, Preprocessing};
use crate::schedule::InputError;

/// The last observations of the held-out episodes, raw, in the data's order, as
/// [`EpisodeGoal::HeldOut`](super::EpisodeGoal::HeldOut) asks for. They are saved with the run, whose data need not be there when its
/// policy is played.
#[derive(Resource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HeldOutGoals(pub(super) Vec<Vec<f32>>);

impl HeldOutGoals {
    /// The name in checkpoints.
    pub const KEY: &str = "held_out_goals";

    /// These goals, one for each episode.
    pub fn new(goals: Vec<Vec<f32>>) -> Self {
        HeldOutGoals(goals)
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Persist for HeldOutGoals {
    fn save(&self, snapshot: &mut Snapshot) -> Result<(), CheckpointError> {
        snapshot.put_state(Self::KEY, self)
    }

    fn load(&mut self, snapshot: &Snapshot, _: &World) -> Result<(), CheckpointError> {
        *self = snapshot.state(Self::KEY)?;
        Ok(())
    }
}

/// Takes the goals from the data, once they are scaled and cut. A run without data has them in its checkpoint.
pub(crate) fn find_held_out_goals(
    data: Option<Res<Data>>,
    minibatches: Option<Res<Minibatches>>,
    preprocessing: Option<Res<Preprocessing>>,
    mut goals: ResMut<HeldOutGoals>,
) -> Result<(), BevyError> {
    let (Some(data), Some(minibatches), Some(preprocessing)) = (data, minibatches, preprocessing)
    else {
        return Ok(());
    };
    let first_rows = first_rows(&data);
    let seen = minibatches.rows(&first_rows).map_err(InputError::new)?;
    let width = preprocessing.parts.width();
    // The goal is what networks see last.
    let place = seen.observation.width - width..seen.observation.width;
    let normalizer = &preprocessing.observation;
    let found = (0..first_rows.len()).map(|row| {
        let mut goal = seen.observation.row(row)[place.clone()].to_vec();
        normalizer.undo(place.start, &mut goal);
        goal
    });
    *goals = HeldOutGoals::new(found.collect());
    Ok(())
}

/// The first row of each held-out episode. Whole episodes are held out, so it stands for all.
fn first_rows(data: &Data) -> Vec<usize> {
    let held_out = &data.split.held_out;
    let rows = data.episodes().iter().map(|episode| episode.rows.start);
    let rows = rows.filter(|row| held_out.binary_search(&(*row as u32)).is_ok());
    rows.take(MOST).collect()
}

/// As many as an evaluation has episodes at most.
const MOST: usize = 10_000;
