//! `Acrobot-v1`: swing the tip of a two-link arm above its bar by a motor in the middle joint.

use std::f64::consts::PI;

use super::drawing::{BODY, GOAL, JOINT, LIMB, Shape};
use super::numpy_power::square;
use super::{Drawing, Dynamics, NumpyRandom, Space};

const TIME_STEP: f64 = 0.2;
const GRAVITY: f64 = 9.8;
const LENGTH_1: f64 = 1.0;
const MASS_1: f64 = 1.0;
const MASS_2: f64 = 1.0;
const CENTER_1: f64 = 0.5;
const CENTER_2: f64 = 0.5;
const INERTIA: f64 = 1.0;
const MAX_SPEED_1: f64 = 4.0 * PI;
const MAX_SPEED_2: f64 = 9.0 * PI;

/// Gymnasium's `Acrobot-v1` (Sutton 1996), with the book's equations and fourth-order Runge-Kutta over 0.2 s.
///
/// - State: angle of the first link from hanging and of the second link relative to the first, in rad within `[-π, π]`;
///   their velocities in rad/s, within 4π and 9π.
/// - Observation `[6]`: cosine and sine of the first angle, then of the second, then the velocities.
/// - Action: torque of -1, 0 or 1 N m, as 0, 1 or 2.
/// - Reward: -1 a step, 0 for the step that reaches the height.
/// - It starts within `[-0.1, 0.1]` of hanging and terminates when the tip is one link above the bar.
///
/// The first observation of an episode comes from NumPy's single-precision sine and cosine, whose last bit depends on the
/// machine's vector units. Here it is correctly rounded, which differs by one unit in the last place about once in 500
/// resets; the state never does.
#[derive(Clone, Copy, Debug, Default)]
pub struct Acrobot;

impl Dynamics for Acrobot {
    type State = [f64; 4];

    fn name(&self) -> &str {
        "Acrobot-v1"
    }

    fn observation_space(&self) -> Space {
        let (speed_1, speed_2) = (MAX_SPEED_1 as f32, MAX_SPEED_2 as f32);
        let unit = (-1.0, 1.0);
        Space::from_bounds(&[
            unit,
            unit,
            unit,
            unit,
            (-speed_1, speed_1),
            (-speed_2, speed_2),
        ])
    }

    fn action_space(&self) -> Space {
        Space::Discrete { n: 3 }
    }

    fn begin(&self, generator: &mut NumpyRandom) -> Self::State {
        // Gymnasium stores the first state in single precision.
        std::array::from_fn(|_| f64::from(generator.uniform(-0.1, 0.1) as f32))
    }

    fn advance(&self, state: &mut Self::State, action: &[f32], _steps: u64) -> (f64, bool) {
        let torque = f64::from(action[0]) - 1.0;
        let [angle_1, angle_2, speed_1, speed_2] = runge_kutta(state, torque);
        *state = [
            wrap(angle_1),
            wrap(angle_2),
            speed_1.clamp(-MAX_SPEED_1, MAX_SPEED_1),
            speed_2.clamp(-MAX_SPEED_2, MAX_SPEED_2),
        ];
        let terminated = -state[0].cos() - (state[1] + state[0]).cos() > 1.0;
        (if terminated { 0.0 } else { -1.0 }, terminated)
    }

    fn observe(&self, state: &Self::State, observation: &mut [f32]) {
        let &[angle_1, angle_2, speed_1, speed_2] = state;
        let seen = [
            angle_1.cos(),
            angle_1.sin(),
            angle_2.cos(),
            angle_2.sin(),
            speed_1,
            speed_2,
        ];
        observation.copy_from_slice(&seen.map(|value| value as f32));
    }

    fn drawing(&self, state: &Self::State) -> Option<Drawing> {
        let [first, second, ..] = *state;
        let elbow = [LENGTH_1 * first.sin(), -LENGTH_1 * first.cos()];
        let both = first + second;
        let tip = [elbow[0] + both.sin(), elbow[1] - both.cos()];
        Some(Drawing {
            low: [-2.2; 2],
            high: [2.2; 2],
            // It is far too fast to look at as it is: as slow as Gymnasium shows it.
            seconds: 1.0 / 15.0,
            shapes: vec![
                Shape::line([-2.2, 1.0], [2.2, 1.0], 0.03, GOAL),
                Shape::line([0.0; 2], elbow, 0.2, BODY),
                Shape::line(elbow, tip, 0.2, LIMB),
                Shape::disc([0.0; 2], 0.07, JOINT),
                Shape::disc(elbow, 0.07, JOINT),
            ],
        })
    }
}

/// The time derivative of the state under a torque; Sutton & Barto, *Reinforcement Learning*, section 11.3 of the first edition.
fn derivative([angle_1, angle_2, speed_1, speed_2]: [f64; 4], torque: f64) -> [f64; 4] {
    // The order of operations is Gymnasium's, for equal bits.
    let (sin_2, cos_2) = (angle_2.sin(), angle_2.cos());
    let d1 = MASS_1 * (CENTER_1 * CENTER_1)
        + MASS_2 * (LENGTH_1 * LENGTH_1 + CENTER_2 * CENTER_2 + 2.0 * LENGTH_1 * CENTER_2 * cos_2)
        + INERTIA
        + INERTIA;
    let d2 = MASS_2 * (CENTER_2 * CENTER_2 + LENGTH_1 * CENTER_2 * cos_2) + INERTIA;
    let phi2 = MASS_2 * CENTER_2 * GRAVITY * (angle_1 + angle_2 - PI / 2.0).cos();
    let phi1 = -MASS_2 * LENGTH_1 * CENTER_2 * square(speed_2) * sin_2
        - 2.0 * MASS_2 * LENGTH_1 * CENTER_2 * speed_2 * speed_1 * sin_2
        + (MASS_1 * CENTER_1 + MASS_2 * LENGTH_1) * GRAVITY * (angle_1 - PI / 2.0).cos()
        + phi2;
    let acceleration_2 =
        (torque + d2 / d1 * phi1 - MASS_2 * LENGTH_1 * CENTER_2 * square(speed_1) * sin_2 - phi2)
            / (MASS_2 * (CENTER_2 * CENTER_2) + INERTIA - square(d2) / d1);
    let acceleration_1 = -(d2 * acceleration_2 + phi1) / d1;
    [speed_1, speed_2, acceleration_1, acceleration_2]
}

/// One step of the fourth-order Runge-Kutta method, the torque held.
fn runge_kutta(state: &[f64; 4], torque: f64) -> [f64; 4] {
    let half = TIME_STEP / 2.0;
    let ahead = |slope: &[f64; 4], time: f64| -> [f64; 4] {
        std::array::from_fn(|i| state[i] + time * slope[i])
    };
    let k1 = derivative(*state, torque);
    let k2 = derivative(ahead(&k1, half), torque);
    let k3 = derivative(ahead(&k2, half), torque);
    let k4 = derivative(ahead(&k3, TIME_STEP), torque);
    std::array::from_fn(|i| {
        state[i] + TIME_STEP / 6.0 * (k1[i] + 2.0 * k2[i] + 2.0 * k3[i] + k4[i])
    })
}

/// The same angle within `[-π, π]`.
fn wrap(mut angle: f64) -> f64 {
    // Gymnasium subtracts turn by turn, which the bits depend on. An episode needs a turn or two; only a damaged snapshot
    // could bring an angle for which the loops would hardly end.
    if angle.abs() > 1e3 {
        return (angle + PI).rem_euclid(2.0 * PI) - PI;
    }
    while angle > PI {
        angle -= 2.0 * PI;
    }
    while angle < -PI {
        angle += 2.0 * PI;
    }
    angle
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hanging_still_without_torque_hardly_moves() {
        let mut state = [0.0; 4];
        assert_eq!(Acrobot.advance(&mut state, &[1.0], 0), (-1.0, false));
        assert!(state.iter().all(|value| value.abs() < 1e-12), "{state:?}");
    }

    #[test]
    fn opposite_torques_move_oppositely() {
        let (mut one, mut other) = ([0.0; 4], [0.0; 4]);
        Acrobot.advance(&mut one, &[0.0], 0);
        Acrobot.advance(&mut other, &[2.0], 0);
        for (a, b) in one.iter().zip(other) {
            assert!((a + b).abs() < 1e-12 && a.abs() > 1e-4);
        }
    }

    #[test]
    fn tip_above_the_bar_terminates_without_a_cost() {
        assert_eq!(
            Acrobot.advance(&mut [PI, 0.0, 0.0, 0.0], &[1.0], 0),
            (0.0, true)
        );
    }

    #[test]
    fn angles_wrap_and_speeds_are_bounded() {
        let mut state = [3.1, -3.1, 100.0, -100.0];
        Acrobot.advance(&mut state, &[1.0], 0);
        assert!(state[0].abs() <= PI && state[1].abs() <= PI);
        assert!(state[2].abs() <= MAX_SPEED_1 && state[3].abs() <= MAX_SPEED_2);
    }

    #[test]
    fn wrapping_an_absurd_angle_returns() {
        for angle in [1e300, -1e300, 1e17] {
            assert!(wrap(angle).abs() <= PI);
        }
        assert!((wrap(PI + 1.0) - (1.0 - PI)).abs() < 1e-12);
        assert!(wrap(f64::NAN).is_nan());
    }
}
