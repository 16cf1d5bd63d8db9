//! `ReachPixels-v1`'s task: an arm touches a spot.

use std::f64::consts::PI;

use super::drawing::{JOINT, LIMB, Shape};
use super::{Drawing, Dynamics, NumpyRandom, Space};

/// Of each of both links.
const LENGTH: f64 = 0.5;
/// The most that a joint turns in a step, in rad.
const TURN: f64 = 0.15;
/// How near the tip has to come.
const NEAR: f64 = 0.1;
/// Least and greatest distance of the spot from the shoulder.
const SPOT: [f64; 2] = [0.3, 0.9];
const TIME_STEP: f64 = 0.05;

/// An arm of two links in a plane, whose tip is to touch a spot.
///
/// - State: the angles of shoulder and elbow in rad, counterclockwise from the right and from the upper arm; the spot's place.
/// - Observation `[4]`: the same.
/// - Action `[2]`: how fast shoulder and elbow turn, clipped to `[-1, 1]`, of 0.15 rad a step.
/// - Reward: minus the distance of the tip from the spot, in `[-1.9, 0]`.
/// - Both the joints and the spot begin anywhere, the spot 0.3 to 0.9 from the shoulder. It terminates when the tip comes within 0.1: an
///   episode that terminates is a success.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reach;

impl Reach {
    /// Where elbow and tip are, `[right, up]`.
    #[must_use]
    pub fn elbow_and_tip([shoulder, elbow, ..]: [f64; 4]) -> [[f64; 2]; 2] {
        let link = |angle: f64| [LENGTH * angle.cos(), LENGTH * angle.sin()];
        let (upper, lower) = (link(shoulder), link(shoulder + elbow));
        [upper, [upper[0] + lower[0], upper[1] + lower[1]]]
    }
}

fn distance([_, tip]: [[f64; 2]; 2], spot: [f64; 2]) -> f64 {
    (tip[0] - spot[0]).hypot(tip[1] - spot[1])
}

impl Dynamics for Reach {
    type State = [f64; 4];

    fn name(&self) -> &str {
        "Reach-v1"
    }

    fn observation_space(&self) -> Space {
        let place = SPOT[1] as f32;
        let anything = f32::INFINITY;
        Space::from_bounds(&[
            (-anything, anything),
            (-anything, anything),
            (-place, place),
            (-place, place),
        ])
    }

    fn action_space(&self) -> Space {
        Space::from_bounds(&[(-1.0, 1.0); 2])
    }

    fn begin(&self, generator: &mut NumpyRandom) -> Self::State {
        let [shoulder, elbow, around] = [(); 3].map(|()| generator.uniform(-PI, PI));
        let far = generator.uniform(SPOT[0], SPOT[1]);
        [shoulder, elbow, far * around.cos(), far * around.sin()]
    }

    fn advance(&self, state: &mut Self::State, action: &[f32], _steps: u64) -> (f64, bool) {
        for (angle, speed) in state.iter_mut().zip(action) {
            *angle += TURN * f64::from(speed.clamp(-1.0, 1.0));
        }
        let away = distance(Reach::elbow_and_tip(*state), [state[2], state[3]]);
        (-away, away < NEAR)
    }

    fn observe(&self, state: &Self::State, observation: &mut [f32]) {
        for (seen, value) in observation.iter_mut().zip(state) {
            *seen = *value as f32;
        }
    }

    fn drawing(&self, state: &Self::State) -> Option<Drawing> {
        let [elbow, tip] = Reach::elbow_and_tip(*state);
        Some(Drawing {
            low: [-1.1; 2],
            high: [1.1; 2],
            seconds: TIME_STEP,
            shapes: vec![
                Shape::disc([state[2], state[3]], NEAR, [250; 3]),
                Shape::line([0.0; 2], elbow, 0.16, LIMB),
                Shape::line(elbow, tip, 0.1, LIMB),
                Shape::disc(tip, 0.06, JOINT),
            ],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_straight_arm_touches_what_is_at_its_tip() {
        let tip = Reach::elbow_and_tip([0.0; 4])[1];
        assert_eq!(tip, [1.0, 0.0]);
        let mut state = [PI / 2.0, -PI / 2.0, 0.5, 0.5];
        let (reward, terminated) = Reach.advance(&mut state, &[0.0, 0.0], 0);
        assert!(reward.abs() < 1e-12 && terminated);
        let mut state = [0.0, 0.0, -0.9, 0.0];
        let (reward, terminated) = Reach.advance(&mut state, &[0.0, 0.0], 0);
        assert_eq!((reward, terminated), (-1.9, false));
    }

    #[test]
    fn a_step_turns_a_joint_by_at_most_so_much() {
        let mut state = [1.0, 2.0, 0.5, 0.0];
        Reach.advance(&mut state, &[9.0, -0.5], 0);
        assert_eq!(state[..2], [1.15, 1.925]);
    }
}
