//! Drawing rows of a replay buffer in proportion to weights.

use bevy_ecs::prelude::*;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::ReplayBuffer;
use crate::checkpoint::{Blob, CheckpointError, Persist, Snapshot};

/// A weight for each row of a [`ReplayBuffer`]: rows are drawn in proportion to it. Drawing a row and changing a weight take time
/// that grows with the logarithm of the buffer's capacity (the sum tree of Schaul et al. 2016, appendix B.2.1,
/// <https://arxiv.org/abs/1511.05952>).
///
/// Add it with `app.init_resource::<RowWeights>().persist::<RowWeights>()`, so that a resumed run draws the same rows.
///
/// ```
/// use yarak::prelude::*;
/// use yarak::data::{ReplayBuffer, RowWeights};
/// use yarak::learner::Sampling;
///
/// let mut buffer = ReplayBuffer::new(4, 1, 1, 1);
/// let mut steps = StepResults::new(1, 1, 1);
/// steps.valid = vec![true];
/// (0..3).try_for_each(|_| buffer.push(&steps))?;
/// let mut weights = RowWeights::default();
/// weights.follow(&buffer);
/// weights.set(0, 0.0)?;
/// weights.set(2, 3.0)?;
/// assert_eq!((weights.get(1), weights.probability(2)), (1.0, 0.75));
/// let drawn = weights.draw(100, Random::<Sampling>::new(Seed(0)).generator()).unwrap();
/// assert!(drawn.iter().all(|row| *row == 1 || *row == 2));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Resource, Clone, Debug, Default, PartialEq)]
pub struct RowWeights {
    /// Rows that have a weight at once, 0 before the first [`follow`](Self::follow): a row's place is its number modulo this.
    places: usize,
    /// Sums of two nodes below each; the weights are the last half, as many as the next power of two.
    nodes: Vec<f64>,
    /// The first row that has none yet.
    next: usize,
    /// The greatest weight that was ever set, 0 before any.
    greatest: f64,
}

/// A number that is no weight.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error(
    "{weight} cannot be the weight of row {row}: rows are drawn in proportion to it, so give a finite number that is not negative"
)]
pub struct WeightError {
    /// What was given.
    pub weight: f64,
    /// The row.
    pub row: usize,
}

impl RowWeights {
    /// No weights of so many places.
    fn of(places: usize) -> Self {
        RowWeights {
            places,
            nodes: vec![0.0; 2 * places.next_power_of_two()],
            ..Self::default()
        }
    }

    /// Gives rows that were recorded since the last call the greatest weight that was ever set (1 before any), so that each is soon
    /// drawn, and forgets those that are not there any more. Call it before drawing.
    pub fn follow(&mut self, buffer: &ReplayBuffer) {
        if self.places != buffer.capacity() {
            *self = Self::of(buffer.capacity());
        }
        let new = if self.greatest > 0.0 {
            self.greatest
        } else {
            1.0
        };
        let range = buffer.range();
        for row in self.next.max(range.start)..range.end {
            let weight = if buffer.contains(row) { new } else { 0.0 };
            self.put(row, weight);
        }
        self.next = range.end;
    }

    /// Sets a row's weight. One of a row that is not there any more, or not yet, changes nothing.
    ///
    /// # Errors
    /// A weight that is negative or not finite.
    pub fn set(&mut self, row: usize, weight: f64) -> Result<(), WeightError> {
        if !(weight.is_finite() && weight >= 0.0) {
            return Err(WeightError { weight, row });
        }
        if self.is_there(row) {
            self.greatest = self.greatest.max(weight);
            self.put(row, weight);
        }
        Ok(())
    }

    /// A row's weight; 0 where it is not there.
    pub fn get(&self, row: usize) -> f64 {
        match self.is_there(row) {
            true => self.nodes[self.leaf(row)],
            false => 0.0,
        }
    }

    /// How probable it is that a draw is this row; 0 where it is not there.
    pub fn probability(&self, row: usize) -> f64 {
        match self.total() > 0.0 {
            true => self.get(row) / self.total(),
            false => 0.0,
        }
    }

    /// Draws `n` rows, with replacement, one from each of `n` equal parts of the sum of all weights; `None` where that is 0.
    pub fn draw(&self, n: usize, generator: &mut ChaCha8Rng) -> Option<Vec<usize>> {
        let part = self.total() / n as f64;
        let drawn = (0..n).map(|index| {
            let within: f64 = generator.random();
            self.at((index as f64 + within) * part)
        });
        (self.total() > 0.0).then(|| drawn.collect())
    }

    /// The sum of all weights.
    pub fn total(&self) -> f64 {
        self.nodes.get(1).copied().unwrap_or(0.0)
    }

    /// The row on which a number from 0 to the sum of all weights falls.
    fn at(&self, mut rest: f64) -> usize {
        let mut node = 1;
        while node < self.nodes.len() / 2 {
            let [left, right] = [self.nodes[2 * node], self.nodes[2 * node + 1]];
            // Rounding may leave a little beyond the last weight.
            if rest < left || right == 0.0 {
                node *= 2;
            } else {
                rest -= left;
                node = 2 * node + 1;
            }
        }
        let place = node - self.nodes.len() / 2;
        // The one row of this place among the newest.
        let newest = self.next - 1;
        newest - (newest + self.places - place) % self.places
    }

    fn is_there(&self, row: usize) -> bool {
        row < self.next && row + self.places >= self.next
    }

    fn leaf(&self, row: usize) -> usize {
        self.nodes.len() / 2 + row % self.places
    }

    fn put(&mut self, row: usize, weight: f64) {
        let mut node = self.leaf(row);
        self.nodes[node] = weight;
        while node > 1 {
            node /= 2;
            self.nodes[node] = self.nodes[2 * node] + self.nodes[2 * node + 1];
        }
    }
}

/// What is saved next to the weights.
#[derive(Serialize, Deserialize)]
struct WeightState {
    places: usize,
    next: usize,
    greatest: f64,
}

const KEY: &str = "replay_weights";

impl Persist for RowWeights {
    fn save(&self, snapshot: &mut Snapshot) -> Result<(), CheckpointError> {
        snapshot.put_state(
            KEY,
            &WeightState {
                places: self.places,
                next: self.next,
                greatest: self.greatest,
            },
        )?;
        let leaves = self.nodes[self.nodes.len() / 2..].iter().take(self.places);
        let bytes: Vec<u8> = leaves.flat_map(|it| it.to_le_bytes()).collect();
        snapshot.put_blob(KEY, Blob::new(move |out| out.write_all(&bytes)))
    }

    fn load(&mut self, snapshot: &Snapshot, _: &World) -> Result<(), CheckpointError> {
        let state: WeightState = snapshot.state(KEY)?;
        let bytes = snapshot.blob(KEY)?.read()?;
        if bytes.len() != 8 * state.places {
            let (places, bytes) = (state.places, bytes.len());
            let what = format!("{bytes} bytes are not {places} weights");
            return Err(CheckpointError::unusable("the weights of rows", what));
        }
        *self = Self::of(state.places);
        (self.next, self.greatest) = (state.next, state.greatest);
        let first = self.nodes.len() / 2;
        for (node, bytes) in self.nodes[first..].iter_mut().zip(bytes.as_chunks().0) {
            *node = f64::from_le_bytes(*bytes);
        }
        for node in (1..first).rev() {
            self.nodes[node] = self.nodes[2 * node] + self.nodes[2 * node + 1];
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::collect::StepResults;

    /// A buffer for `capacity` rows of two environments; environment 1 takes no step wherever `t % 5 == 4`.
    fn buffer(capacity: usize, taken: usize) -> ReplayBuffer {
        let mut buffer = ReplayBuffer::new(capacity, 2, 1, 1);
        for step in 0..taken {
            let mut steps = StepResults::new(2, 1, 1);
            steps.valid = vec![true, step % 5 != 4];
            buffer.push(&steps).unwrap();
        }
        buffer
    }

    #[test]
    fn rows_are_drawn_in_proportion_and_those_that_are_no_steps_never() {
        let buffer = buffer(10, 23);
        let mut weights = RowWeights::default();
        weights.follow(&buffer);
        for row in buffer.rows() {
            weights.set(row, (row % 4) as f64).unwrap();
        }
        let total: f64 = buffer.rows().map(|row| (row % 4) as f64).sum();
        let mut generator = ChaCha8Rng::seed_from_u64(0);
        let mut counts = std::collections::BTreeMap::new();
        for _ in 0..400 {
            for row in weights.draw(50, &mut generator).unwrap() {
                *counts.entry(row).or_insert(0) += 1;
            }
        }
        for row in buffer.range() {
            let expected = match buffer.contains(row) {
                true => (row % 4) as f64 / total,
                false => 0.0,
            };
            assert!((weights.probability(row) - expected).abs() < 1e-12);
            let share = f64::from(counts.get(&row).copied().unwrap_or(0)) / 20_000.0;
            assert!((share - expected).abs() < 0.01, "{row}: {share} {expected}");
        }
        assert_eq!(
            counts.keys().filter(|row| !buffer.contains(**row)).count(),
            0
        );
    }

    #[test]
    fn a_new_row_has_the_greatest_weight_and_an_old_one_takes_its_own_along() {
        let mut now = buffer(10, 5);
        let mut weights = RowWeights::default();
        weights.follow(&now);
        assert_eq!(weights.get(0), 1.0);
        weights.set(3, 7.0).unwrap();
        let mut steps = StepResults::new(2, 1, 1);
        steps.valid = vec![true, true];
        now.push(&steps).unwrap();
        weights.follow(&now);
        assert_eq!(
            [weights.get(10), weights.get(3), weights.get(2)],
            [7.0, 7.0, 1.0]
        );
        assert_eq!((weights.get(0), weights.get(1)), (0.0, 0.0));
        // A late change of a row that went changes nothing.
        weights.set(0, 9.0).unwrap();
        assert_eq!((weights.get(10), weights.greatest), (7.0, 7.0));
        let sum: f64 = now.rows().map(|row| weights.get(row)).sum();
        assert_eq!(weights.nodes[1], sum);
    }

    #[test]
    fn what_is_no_weight_is_refused_and_nothing_is_drawn_from_nothing() {
        let buffer = buffer(10, 2);
        let mut weights = RowWeights::default();
        let mut generator = ChaCha8Rng::seed_from_u64(0);
        assert_eq!(weights.draw(3, &mut generator), None);
        weights.follow(&buffer);
        for weight in [-1.0, f64::NAN, f64::INFINITY] {
            let error = weights.set(1, weight).unwrap_err();
            assert!(error.to_string().contains("row 1"), "{error}");
        }
        buffer.rows().for_each(|row| weights.set(row, 0.0).unwrap());
        assert_eq!(weights.draw(3, &mut generator), None);
        assert_eq!(weights.probability(0), 0.0);
    }

    #[test]
    fn weights_that_were_saved_draw_on_as_they_would_have() {
        let buffer = buffer(12, 40);
        let mut weights = RowWeights::default();
        weights.follow(&buffer);
        for row in buffer.rows() {
            weights.set(row, 0.1 * row as f64).unwrap();
        }
        let mut snapshot = Snapshot::new(1);
        weights.save(&mut snapshot).unwrap();
        let mut restored = RowWeights::default();
        restored.load(&snapshot, &World::new()).unwrap();
        assert_eq!(restored, weights);
        let mut damaged = Snapshot::new(1);
        damaged
            .put_blob(KEY, Blob::new(|out| out.write_all(&[0; 9])))
            .unwrap();
        let state = WeightState {
            places: 12,
            next: 80,
            greatest: 1.0,
        };
        damaged.put_state(KEY, &state).unwrap();
        let error = restored.load(&damaged, &World::new()).unwrap_err();
        assert!(error.to_string().contains("weights of rows"), "{error}");
        // Before the first step there are none.
        let mut snapshot = Snapshot::new(0);
        RowWeights::default().save(&mut snapshot).unwrap();
        restored.load(&snapshot, &World::new()).unwrap();
        assert_eq!(restored.get(3), 0.0);
    }
}
