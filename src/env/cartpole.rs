//! `CartPole-v1`: keep a pole upright on a cart that is pushed left or right.

use std::f64::consts::PI;

use super::drawing::{BODY, GROUND, JOINT, LIMB, Shape};
use super::sine::{LANES, sines_and_cosines};
use super::{Drawing, Dynamics, NumpyRandom, Space};
use crate::nn::cpu::{Wide, widest};

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
        let (sin, cos) = (state[2].sin(), state[2].cos());
        *state = moved(*state, force(action[0]), sin, cos);
        (1.0, fell(state))
    }

    fn advance_each(
        &self,
        states: &mut [Self::State],
        actions: &[f32],
        steps: &[u64],
        rewards: &mut [f64],
        terminated: &mut [bool],
    ) {
        let _ = steps;
        rewards.fill(1.0);
        let chunks = states.chunks_mut(LANES).zip(actions.chunks(LANES));
        for ((states, actions), terminated) in chunks.zip(terminated.chunks_mut(LANES)) {
            if states.len() < FEW {
                for (i, state) in states.iter_mut().enumerate() {
                    (_, terminated[i]) = self.advance(state, &actions[i..=i], 0);
                }
                continue;
            }
            widest(Push {
                states,
                actions,
                terminated,
            });
        }
    }

    fn observe(&self, state: &Self::State, observation: &mut [f32]) {
        observation.copy_from_slice(&state.map(|value| value as f32));
    }

    fn drawing(&self, state: &Self::State) -> Option<Drawing> {
        let [position, _, angle, _] = *state;
        let ends = [[-MAX_POSITION, 0.0], [MAX_POSITION, 0.0]];
        let axle = [position, 0.18];
        let tip = [
            axle[0] + 2.0 * LENGTH * angle.sin(),
            axle[1] + 2.0 * LENGTH * angle.cos(),
        ];
        Some(Drawing {
            low: [-2.6, -0.25],
            high: [2.6, 1.55],
            seconds: TIME_STEP,
            shapes: vec![
                Shape::line(ends[0], ends[1], 0.025, GROUND),
                Shape::turned_box([position, 0.08], [0.5, 0.25], 0.0, BODY),
                Shape::line(axle, tip, 0.09, LIMB),
                Shape::disc(axle, 0.045, JOINT),
            ],
        })
    }
}

/// A step of up to [`LANES`] poles.
struct Push<'a> {
    states: &'a mut [[f64; 4]],
    actions: &'a [f32],
    terminated: &'a mut [bool],
}

impl Wide for Push<'_> {
    #[inline(always)]
    fn run(self) {
        // One array for each quantity, so that the same operation on several poles is one instruction.
        let (mut position, mut velocity) = ([0.0; LANES], [0.0; LANES]);
        let (mut angle, mut spin) = ([0.0; LANES], [0.0; LANES]);
        let mut push = [0.0; LANES];
        for (i, (state, action)) in self.states.iter().zip(self.actions).enumerate() {
            [position[i], velocity[i], angle[i], spin[i]] = *state;
            push[i] = force(*action);
        }
        let (sin, cos) = sines_and_cosines(&angle);
        for i in 0..LANES {
            let state = [position[i], velocity[i], angle[i], spin[i]];
            [position[i], velocity[i], angle[i], spin[i]] = moved(state, push[i], sin[i], cos[i]);
        }
        let after = self.states.iter_mut().zip(self.terminated);
        for (i, (state, terminated)) in after.enumerate() {
            *state = [position[i], velocity[i], angle[i], spin[i]];
            *terminated = fell(state);
        }
    }
}

/// Poles for which it is not worth while to compute a whole row of lanes.
const FEW: usize = 16;

#[inline(always)]
fn force(action: f32) -> f64 {
    if action == 1.0 { FORCE } else { -FORCE }
}

#[inline(always)]
fn fell(&[position, _, angle, _]: &[f64; 4]) -> bool {
    (position.abs() > MAX_POSITION) | (angle.abs() > MAX_ANGLE)
}

/// One Euler step under a force, given the sine and the cosine of the angle.
#[inline(always)]
fn moved([position, velocity, angle, spin]: [f64; 4], force: f64, sin: f64, cos: f64) -> [f64; 4] {
    // R. Florian, "Correct equations for the dynamics of the cart-pole system", without friction:
    // <https://coneural.org/florian/papers/05_cart_pole.pdf>. The order of operations is Gymnasium's, for equal bits.
    let pull = (force + POLE_MASS_LENGTH * (spin * spin) * sin) / TOTAL_MASS;
    let spin_rate = (GRAVITY * sin - cos * pull)
        / (LENGTH * (4.0 / 3.0 - POLE_MASS * (cos * cos) / TOTAL_MASS));
    let acceleration = pull - POLE_MASS_LENGTH * spin_rate * cos / TOTAL_MASS;
    [
        position + TIME_STEP * velocity,
        velocity + TIME_STEP * acceleration,
        angle + TIME_STEP * spin,
        spin + TIME_STEP * spin_rate,
    ]
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
    fn poles_that_are_moved_together_move_as_one_by_one_to_the_bit() {
        let mut random = NumpyRandom::new(0);
        for n in [1, FEW - 1, FEW, LANES, LANES + 1, LANES + FEW] {
            let mut together: Vec<[f64; 4]> = (0..n)
                .map(|_| std::array::from_fn(|_| random.uniform(-0.3, 0.3)))
                .collect();
            let mut alone = together.clone();
            let actions: Vec<f32> = (0..n).map(|i| (i / 2 % 2) as f32).collect();
            let (mut rewards, mut terminated) = (vec![0.0; n], vec![false; n]);
            for _ in 0..50 {
                CartPole.advance_each(
                    &mut together,
                    &actions,
                    &vec![0; n],
                    &mut rewards,
                    &mut terminated,
                );
                for i in 0..n {
                    let outcome = CartPole.advance(&mut alone[i], &actions[i..=i], 0);
                    assert_eq!((rewards[i], terminated[i]), outcome);
                    assert_eq!(together[i].map(f64::to_bits), alone[i].map(f64::to_bits));
                }
            }
        }
    }

    #[test]
    fn position_moves_with_the_velocity_from_before_the_push() {
        let mut state = [0.0, 1.0, 0.0, 0.0];
        CartPole.advance(&mut state, &[1.0], 0);
        assert_eq!(state[0], 0.02);
    }
}
