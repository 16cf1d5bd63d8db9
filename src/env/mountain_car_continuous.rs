//! `MountainCarContinuous-v0`: drive a weak car out of a valley, with as little force as will do.

use super::drawing::mountain_car;
use super::{Drawing, Dynamics, NumpyRandom, Space};

const MIN_POSITION: f64 = -1.2;
const MAX_POSITION: f64 = 0.6;
const MAX_SPEED: f64 = 0.07;
const GOAL: f64 = 0.45;
const POWER: f64 = 0.0015;
const GRAVITY: f64 = 0.0025;

/// Gymnasium's `MountainCarContinuous-v0`.
///
/// - State and observation `[2]`: position in `[-1.2, 0.6]`, velocity in `[-0.07, 0.07]`.
/// - Action `[1]`: force, clipped to `[-1, 1]`.
/// - Reward: `-0.1 action²`, the action not clipped, and 100 for reaching the flag.
/// - It starts at rest in `[-0.6, -0.4]` and terminates at the flag, 0.45.
///
/// Gymnasium keeps the state in double precision until the first step and in single precision from then on; so does this.
#[derive(Clone, Copy, Debug, Default)]
pub struct MountainCarContinuous;

impl Dynamics for MountainCarContinuous {
    type State = [f64; 2];

    fn name(&self) -> &str {
        "MountainCarContinuous-v0"
    }

    fn observation_space(&self) -> Space {
        let speed = MAX_SPEED as f32;
        Space::from_bounds(&[(MIN_POSITION as f32, MAX_POSITION as f32), (-speed, speed)])
    }

    fn action_space(&self) -> Space {
        Space::from_bounds(&[(-1.0, 1.0)])
    }

    fn begin(&self, generator: &mut NumpyRandom) -> Self::State {
        [generator.uniform(-0.6, -0.4), 0.0]
    }

    fn advance(&self, state: &mut Self::State, action: &[f32], steps: u64) -> (f64, bool) {
        // One operation in `f32` is the same operation in `f64`, rounded: for sums and products of two numbers the double
        // is wide enough. So one text serves both precisions of the state, and Python's constants take the state's (NEP 50).
        let round = |value: f64| if steps == 0 { value } else { single(value) };
        let [mut position, mut velocity] = *state;

        let action = action[0];
        let slope = GRAVITY * round(3.0 * position).cos();
        let push = if (-1.0..=1.0).contains(&action) {
            single(single(f64::from(action) * single(POWER)) - single(slope))
        } else {
            // Python's `min` and `max` answer with the bound itself, a Python number in double precision.
            f64::from(action.clamp(-1.0, 1.0)) * POWER - slope
        };

        let max_speed = round(MAX_SPEED);
        velocity = round(velocity + round(push)).clamp(-max_speed, max_speed);
        position = round(position + velocity).clamp(round(MIN_POSITION), round(MAX_POSITION));
        if position == round(MIN_POSITION) && velocity < 0.0 {
            velocity = 0.0;
        }
        let terminated = position >= round(GOAL) && velocity >= 0.0;
        let bonus = if terminated { 100.0 } else { 0.0 };
        *state = [single(position), single(velocity)];
        (
            bonus - f64::from(action) * f64::from(action) * 0.1,
            terminated,
        )
    }

    fn observe(&self, state: &Self::State, observation: &mut [f32]) {
        observation.copy_from_slice(&state.map(|value| value as f32));
    }

    fn drawing(&self, &[position, _]: &Self::State) -> Option<Drawing> {
        Some(mountain_car(position, GOAL))
    }
}

/// Rounds to single precision.
fn single(value: f64) -> f64 {
    f64::from(value as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn force_is_clipped_and_its_cost_is_not() {
        let (mut far, mut near) = ([-0.5, 0.0], [-0.5, 0.0]);
        let (far_reward, _) = MountainCarContinuous.advance(&mut far, &[2.0], 1);
        let (near_reward, _) = MountainCarContinuous.advance(&mut near, &[1.0], 1);
        assert!((far[1] - near[1]).abs() < 1e-9);
        assert_eq!((far_reward, near_reward), (-0.4, -0.1));
    }

    #[test]
    fn flag_pays_a_hundred_and_terminates() {
        let (reward, terminated) = MountainCarContinuous.advance(&mut [0.44, 0.05], &[0.0], 1);
        assert_eq!((reward, terminated), (100.0, true));
    }

    #[test]
    fn first_step_is_taken_in_double_precision() {
        let start = [-0.523_456_789_012_345, 0.0];
        let (mut first, mut later) = (start, start.map(single));
        MountainCarContinuous.advance(&mut first, &[0.3], 0);
        MountainCarContinuous.advance(&mut later, &[0.3], 1);
        assert_eq!(first, first.map(single), "stored in single precision");
        for (a, b) in first.iter().zip(later) {
            assert!((a - b).abs() < 1e-7);
        }
    }

    #[test]
    fn left_wall_stops_the_car() {
        let mut state = [-1.19, -0.05];
        MountainCarContinuous.advance(&mut state, &[-1.0], 1);
        assert_eq!(state, [single(MIN_POSITION), 0.0]);
    }
}
