//! Actions that are one choice a step: how a file numbers them, and their numbers from 0.

use super::{File, LoadError};

/// Actions that are one choice a step: `first..first + count` in the file, and `0..count` when read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiscreteActions {
    /// The first choice's number in the file.
    pub first: i64,
    /// How many there are; `None` where the file does not say, and then one more than the greatest that was taken.
    pub count: Option<usize>,
}

/// Whole numbers of this size and beyond are not all distinct as `float32`.
const BEYOND_FLOAT32: f32 = 16_777_216.0;

impl DiscreteActions {
    /// Choices as a file declares them; a first one that is not to be had as `float32` is refused.
    pub(super) fn declared(
        file: &File,
        dataset: &str,
        first: i64,
        count: Option<usize>,
    ) -> Result<Self, LoadError> {
        if first.unsigned_abs() >= BEYOND_FLOAT32 as u64 {
            return Err(LoadError::DiscreteActions {
                file: file.path().to_owned(),
                dataset: dataset.to_owned(),
                found: format!("discrete actions from {first}"),
                expected: format!(
                    "discrete actions whose numbers are nearer to 0 than {BEYOND_FLOAT32}"
                ),
            });
        }
        Ok(Self { first, count })
    }

    /// Numbers discrete actions from 0, and says how many there are.
    pub(super) fn number(
        self,
        file: &File,
        dataset: &str,
        actions: &mut [f32],
    ) -> Result<usize, LoadError> {
        let first = self.first as f32;
        let count = self.count.map_or(BEYOND_FLOAT32, |count| count as f32);
        let limit = count.min(BEYOND_FLOAT32).min(BEYOND_FLOAT32 - first);
        let mut greatest = 0.0;
        for action in actions.iter_mut() {
            let is_exact = action.abs() < BEYOND_FLOAT32;
            *action -= first;
            if !is_exact || action.fract() != 0.0 || !(0.0..limit).contains(action) {
                return Err(LoadError::DiscreteActions {
                    file: file.path().to_owned(),
                    dataset: dataset.to_owned(),
                    found: format!("the choice {}", *action + first),
                    expected: format!("whole numbers from {first} to {}", first + limit - 1.0),
                });
            }
            greatest = action.max(greatest);
        }
        Ok(self.count.unwrap_or(greatest as usize + 1))
    }
}
