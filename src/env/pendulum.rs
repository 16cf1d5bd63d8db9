//! `Pendulum-v1`: swing a pendulum up and hold it there.

use std::f64::consts::PI;

use super::drawing::{JOINT, LIMB, Shape};
use super::numpy_power::{square, square_single};
use super::{Drawing, Dynamics, NumpyRandom, Space};

const MAX_SPEED: f64 = 8.0;
const MAX_TORQUE: f32 = 2.0;
const TIME_STEP: f64 = 0.05;
const GRAVITY: f64 = 10.0;
const MASS: f64 = 1.0;
const LENGTH: f64 = 1.0;

/// Gymnasium's `Pendulum-v1`.
///
/// - State: angle from upright in rad (not wrapped), angular velocity in rad/s.
/// - Observation `[3]`: cosine and sine of the angle, angular velocity in `[-8, 8]`.
/// - Action `[1]`: torque in N m, clipped to `[-2, 2]`.
/// - Reward: `-(angle² + 0.1 velocity² + 0.001 torque²)`, the angle wrapped to `[-π, π)`; in `[-16.28, 0]`.
/// - It starts anywhere, with a velocity in `[-1, 1]`, and never terminates.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pendulum;

impl Dynamics for Pendulum {
    type State = [f64; 2];

    fn name(&self) -> &str {
        "Pendulum-v1"
    }

    fn observation_space(&self) -> Space {
        let speed = MAX_SPEED as f32;
        Space::from_bounds(&[(-1.0, 1.0), (-1.0, 1.0), (-speed, speed)])
    }

    fn action_space(&self) -> Space {
        Space::from_bounds(&[(-MAX_TORQUE, MAX_TORQUE)])
    }

    fn begin(&self, generator: &mut NumpyRandom) -> Self::State {
        [generator.uniform(-PI, PI), generator.uniform(-1.0, 1.0)]
    }

    fn advance(&self, state: &mut Self::State, action: &[f32], _steps: u64) -> (f64, bool) {
        let [angle, velocity] = *state;
        // A Python number times a `numpy.float32` stays single (NEP 50), so both torque terms are rounded to `f32`.
        let torque = action[0].clamp(-MAX_TORQUE, MAX_TORQUE);
        let torque_cost = f64::from(0.001_f32 * square_single(torque));
        let torque_term = f64::from((3.0 / (MASS * LENGTH * LENGTH)) as f32 * torque);

        let wrapped = (angle + PI).rem_euclid(2.0 * PI) - PI;
        let cost = square(wrapped) + 0.1 * square(velocity) + torque_cost;

        let acceleration = 3.0 * GRAVITY / (2.0 * LENGTH) * angle.sin() + torque_term;
        let velocity = (velocity + acceleration * TIME_STEP).clamp(-MAX_SPEED, MAX_SPEED);
        *state = [angle + velocity * TIME_STEP, velocity];
        (-cost, false)
    }

    fn observe(&self, &[angle, velocity]: &Self::State, observation: &mut [f32]) {
        observation.copy_from_slice(&[angle.cos() as f32, angle.sin() as f32, velocity as f32]);
    }

    fn drawing(&self, &[angle, _]: &Self::State) -> Option<Drawing> {
        // Angles grow counterclockwise.
        let tip = [-LENGTH * angle.sin(), LENGTH * angle.cos()];
        Some(Drawing {
            low: [-1.25; 2],
            high: [1.25; 2],
            seconds: TIME_STEP,
            shapes: vec![
                Shape::line([0.0; 2], tip, 0.2, LIMB),
                Shape::disc([0.0; 2], 0.06, JOINT),
            ],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upright_and_still_costs_nothing_and_stays() {
        let mut state = [0.0, 0.0];
        let (reward, terminated) = Pendulum.advance(&mut state, &[0.0], 0);
        assert_eq!((reward, terminated), (0.0, false));
        assert_eq!(state, [0.0, 0.0]);
    }

    #[test]
    fn hanging_at_full_speed_and_torque_is_the_lowest_reward() {
        let (reward, _) = Pendulum.advance(&mut [PI, 8.0], &[2.0], 0);
        assert!((reward + 16.273_604_4).abs() < 1e-6, "{reward}");
    }

    #[test]
    fn torque_beyond_the_limit_is_clipped_in_motion_and_cost() {
        let (mut far, mut near) = ([1.0, 0.5], [1.0, 0.5]);
        assert_eq!(
            Pendulum.advance(&mut far, &[1e30], 0),
            Pendulum.advance(&mut near, &[2.0], 0)
        );
        assert_eq!(far, near);
    }

    #[test]
    fn full_turns_cost_the_same_as_none() {
        let (zero, _) = Pendulum.advance(&mut [0.5, 0.0], &[0.0], 0);
        for turns in [-3.0, -1.0, 1.0, 4.0] {
            let (reward, _) = Pendulum.advance(&mut [0.5 + turns * 2.0 * PI, 0.0], &[0.0], 0);
            assert!((reward - zero).abs() < 1e-12);
        }
    }
}
