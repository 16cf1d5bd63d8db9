//! `MountainCar-v0`: drive a weak car out of a valley by swinging it up.

use super::drawing::mountain_car;
use super::{Drawing, Dynamics, NumpyRandom, Space};

const MIN_POSITION: f64 = -1.2;
const MAX_POSITION: f64 = 0.6;
const MAX_SPEED: f64 = 0.07;
const GOAL: f64 = 0.5;
const FORCE: f64 = 0.001;
const GRAVITY: f64 = 0.0025;

/// Gymnasium's `MountainCar-v0` (Moore 1990, <https://www.cl.cam.ac.uk/techreports/UCAM-CL-TR-209.pdf>).
///
/// - State and observation `[2]`: position in `[-1.2, 0.6]`, velocity in `[-0.07, 0.07]`.
/// - Action: 0 accelerates to the left, 1 coasts, 2 accelerates to the right.
/// - Reward: -1 a step.
/// - It starts at rest in `[-0.6, -0.4]` and terminates at the flag, 0.5.
#[derive(Clone, Copy, Debug, Default)]
pub struct MountainCar;

impl Dynamics for MountainCar {
    type State = [f64; 2];

    fn name(&self) -> &str {
        "MountainCar-v0"
    }

    fn observation_space(&self) -> Space {
        let speed = MAX_SPEED as f32;
        Space::from_bounds(&[(MIN_POSITION as f32, MAX_POSITION as f32), (-speed, speed)])
    }

    fn action_space(&self) -> Space {
        Space::Discrete { n: 3 }
    }

    fn begin(&self, generator: &mut NumpyRandom) -> Self::State {
        [generator.uniform(-0.6, -0.4), 0.0]
    }

    fn advance(&self, state: &mut Self::State, action: &[f32], _steps: u64) -> (f64, bool) {
        let [mut position, mut velocity] = *state;
        velocity += f64::from(action[0] - 1.0) * FORCE + (3.0 * position).cos() * -GRAVITY;
        velocity = velocity.clamp(-MAX_SPEED, MAX_SPEED);
        position = (position + velocity).clamp(MIN_POSITION, MAX_POSITION);
        if position == MIN_POSITION && velocity < 0.0 {
            velocity = 0.0;
        }
        *state = [position, velocity];
        (-1.0, position >= GOAL && velocity >= 0.0)
    }

    fn observe(&self, state: &Self::State, observation: &mut [f32]) {
        observation.copy_from_slice(&state.map(|value| value as f32));
    }

    fn drawing(&self, &[position, _]: &Self::State) -> Option<Drawing> {
        Some(mountain_car(position, GOAL))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn left_wall_stops_the_car() {
        let mut state = [-1.19, -0.05];
        assert_eq!(MountainCar.advance(&mut state, &[0.0], 0), (-1.0, false));
        assert_eq!(state, [MIN_POSITION, 0.0]);
    }

    #[test]
    fn flag_terminates_and_still_costs_the_step() {
        assert_eq!(
            MountainCar.advance(&mut [0.49, 0.05], &[2.0], 0),
            (-1.0, true)
        );
    }

    #[test]
    fn car_cannot_simply_climb_out() {
        let mut state = [-0.5, 0.0];
        for step in 0..200 {
            let (_, terminated) = MountainCar.advance(&mut state, &[2.0], step);
            assert!(!terminated);
        }
    }
}
