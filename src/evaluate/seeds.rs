//! Which seeds evaluation plays: never one that an environment of the run's training begins from.

use bevy_ecs::prelude::*;

/// The seeds that the run's environments begin from.
#[derive(Resource, Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrainingSeeds {
    /// The first environment's; the others count on from it.
    pub first: u64,
    /// How many environments.
    pub num_envs: u64,
}

impl TrainingSeeds {
    /// The first of `episodes` seeds from `wanted` on; where they would meet training's, from the first one behind those.
    ///
    /// ```
    /// use yarak::evaluate::TrainingSeeds;
    ///
    /// let training = TrainingSeeds { first: 0, num_envs: 104 };
    /// assert_eq!(training.apart_from(100, 10), 104);
    /// assert_eq!(training.apart_from(200, 10), 200);
    /// ```
    pub fn apart_from(self, wanted: u64, episodes: u64) -> u64 {
        // Seeds are counted on around the end of the numbers, so that differences are what can be compared.
        let meets = wanted.wrapping_sub(self.first) < self.num_envs
            || self.first.wrapping_sub(wanted) < episodes;
        match meets {
            true => self.first.wrapping_add(self.num_envs),
            false => wanted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_of_evaluation_and_of_training_never_meet() {
        for first in [0, 1, 95, 100, 109, 110, u64::MAX - 3, u64::MAX] {
            for num_envs in [1, 2, 50, 104, 1_000_000] {
                for episodes in [1, 10, 10_000] {
                    for wanted in [100, 0, u64::MAX - 5, first] {
                        let training = TrainingSeeds { first, num_envs };
                        let found = training.apart_from(wanted, episodes);
                        let apart = found.wrapping_sub(first) >= num_envs
                            && first.wrapping_sub(found) >= episodes;
                        assert!(apart, "{training:?} {wanted} {episodes}: {found}");
                    }
                }
            }
        }
    }

    #[test]
    fn seeds_that_do_not_meet_stay_as_they_were_wanted() {
        let training = TrainingSeeds {
            first: 3,
            num_envs: 97,
        };
        assert_eq!(training.apart_from(100, 10), 100);
        assert_eq!(training.apart_from(99, 10), 100);
        let above = TrainingSeeds {
            first: 110,
            num_envs: 1,
        };
        assert_eq!(above.apart_from(100, 10), 100);
        assert_eq!(above.apart_from(100, 11), 111);
    }
}
