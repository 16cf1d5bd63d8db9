//! `CartPole-v1`: keep a pole upright on a cart that is pushed left or right.

use std::f64::consts::PI;

use super::{Dynamics, NumpyRandom, Space};

const GRAVITY: f64 = 9.8;
const CART_MASS: f64 = 1.0;
const POLE_MASS: f64 = 0.1;
const TOTAL_MASS: f64 = POLE_MASS + CART_MASS;
/// Half of the pole's length.
const LENGTH: f64 = 0.5;
const POLE_MASS_LENGTH: f64 = POLE_MASS * LENGTH;
const FORCE: f64 = 10.0;
const TIME_STEP: f64 = 0.02;
const MAX_ANGLE: f64 = 12.0 * 2.0 * PI / 360.0;
const MAX_POSITION: f64 = 2.4;

/// Gymnasium's `CartPole-v1` (Barto, Sutton & Anderson 1983), with its Euler integrator.
///
/// - State and observation `[4]`: position in m, velocity in m/s, angle from upright in rad, angular velocity in rad/s.
/// - Action: 0 pushes left, 1 pushes right, with 10 N.
/// - Reward: 1 a step, the last one included.
/// - It starts within `[-0.05, 0.05]` of rest and terminates beyond 2.4 m or 12°.
#[derive(Clone, Copy, Debug, Default)]
pub struct CartPole;

impl Dynamics for CartPole {
    type State = [f64; 4];

    fn name(&self) -> &str {
        "CartPole-v1"
    }

    fn observation_space(&self) -> Space {
        // Twice the limits, so that the observation that ends an episode is still inside.
        let position = (MAX_POSITION * 2.0) as f32;
        let angle = (MAX_ANGLE * 2.0) as f32;
        let unbounded = (-f32::INFINITY, f32::INFINITY);
        Space::from_bounds(&[(-position, position), unbounded, (-angle, angle), unbounded])
    }

    fn action_space(&self) -> Space {
        Space::Discrete { n: 2 }
    }

    fn begin(&self, generator: &mut NumpyRandom) -> Self::State {
        std::array::from_fn(|_| generator.uniform(-0.05, 0.05))
    }

    fn advance(&self, state: &mut Self::State, action: &[f32], _steps: u64) -> (f64, bool) {
        let [position, velocity, angle, spin] = *state;
        let force = if action[0] == 1.0 { FORCE } else { -FORCE };
        let (sin, cos) = (angle.sin(), angle.cos());

        // R. Florian, "Correct equations for the dynamics of the cart-pole system", without friction:
        // <https://coneural.org/florian/papers/05_cart_pole.pdf>. The order of operations is Gymnasium's, for equal bits.
        let pull = (force + POLE_MASS_LENGTH * (spin * spin) * sin) / TOTAL_MASS;
        let spin_rate = (GRAVITY * sin - cos * pull)
            / (LENGTH * (4.0 / 3.0 - POLE_MASS * (cos * cos) / TOTAL_MASS));
        let acceleration = pull - POLE_MASS_LENGTH * spin_rate * cos / TOTAL_MASS;

        let position = position + TIME_STEP * velocity;
        let angle = angle + TIME_STEP * spin;
        *state = [
            position,
            velocity + TIME_STEP * acceleration,
            angle,
            spin + TIME_STEP * spin_rate,
        ];
        let terminated = position.abs() > MAX_POSITION || angle.abs() > MAX_ANGLE;
        (1.0, terminated)
    }

    fn observe(&self, state: &Self::State, observation: &mut [f32]) {
        observation.copy_from_slice(&state.map(|value| value as f32));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pushes_are_mirror_images() {
        let (mut left, mut right) = ([0.0; 4], [0.0; 4]);
        CartPole.advance(&mut left, &[0.0], 0);
        CartPole.advance(&mut right, &[1.0], 0);
        assert!(right[1] > 0.0 && right[3] < 0.0);
        assert_eq!(left.map(|value| -value), right);
    }

    #[test]
    fn leaving_the_track_or_the_angle_terminates_with_the_last_reward() {
        for state in [
            [2.41, 0.0, 0.0, 0.0],
            [-2.41, 0.0, 0.0, 0.0],
            [0.0, 0.0, 0.21, 0.0],
            [0.0, 0.0, -0.21, 0.0],
        ] {
            assert_eq!(CartPole.advance(&mut state.clone(), &[0.0], 0), (1.0, true));
        }
        assert_eq!(
            CartPole.advance(&mut [2.39, 0.0, 0.2, 0.0], &[0.0], 0),
            (1.0, false)
        );
    }

    #[test]
    fn position_moves_with_the_velocity_from_before_the_push() {
        let mut state = [0.0, 1.0, 0.0, 0.0];
        CartPole.advance(&mut state, &[1.0], 0);
        assert_eq!(state[0], 0.02);
    }
}
