//! The planar walkers' limbs, and where positions put them, by the models in `assets/mujoco`.
//!
//! The tables repeat the models' offsets, joints and capsules, because MuJoCo gives none of them through a function. They are held
//! against what MuJoCo itself computes of the models (`tests/fixtures/mujoco_poses`).

use std::f64::consts::FRAC_PI_2;

use crate::env::Color;
use crate::env::drawing::{BODY, LIMB};

/// A body. Places are `[forwards, up]` in meters, in the frame of the body that they belong to.
pub(super) struct Limb {
    /// The body that it hangs on, which comes before it. The first hangs on nothing, and its `offset` is from where its slides are.
    on: usize,
    /// Where its frame is in the other's.
    offset: [f64; 2],
    /// Where its hinge is in its own.
    pub hinge: [f64; 2],
    /// Its hinge turns forwards, from up to ahead, by so many radians for each of its position.
    forwards: f64,
    pub capsules: &'static [Capsule],
    pub color: Color,
}

/// A line of some thickness with round ends.
pub(super) struct Capsule {
    center: [f64; 2],
    /// How far it leans forwards from upright, in radians.
    lean: f64,
    /// Half of the line's length.
    half: f64,
    pub radius: f64,
}

/// A leg beyond another one.
pub(super) const BEYOND: Color = [233, 181, 150];

const fn capsule(center: [f64; 2], lean: f64, half: f64, radius: f64) -> Capsule {
    Capsule {
        center,
        lean,
        half,
        radius,
    }
}

/// What turns, as the torsos do, around its frame's middle.
const fn limb(on: usize, offset: [f64; 2], capsules: &'static [Capsule], color: Color) -> Limb {
    Limb {
        on,
        offset,
        hinge: [0.0; 2],
        forwards: 1.0,
        capsules,
        color,
    }
}

/// What turns backwards around a hinge elsewhere, as legs of Hopper and Walker2d do.
const fn backwards(hinge: [f64; 2], limb: Limb) -> Limb {
    Limb {
        hinge,
        forwards: -1.0,
        ..limb
    }
}

/// Torso, thigh and leg of both.
const UPRIGHT: [&[Capsule]; 3] = [
    &[capsule([0.0; 2], 0.0, 0.2, 0.05)],
    &[capsule([0.0, -0.225], 0.0, 0.225, 0.05)],
    &[capsule([0.0; 2], 0.0, 0.25, 0.04)],
];
const HOPPER_FOOT: &[Capsule] = &[capsule([-0.065, 0.1], -FRAC_PI_2, 0.195, 0.06)];
const WALKER_FOOT: &[Capsule] = &[capsule([-0.1, 0.1], -FRAC_PI_2, 0.1, 0.06)];

const fn thigh(color: Color) -> Limb {
    backwards([0.0; 2], limb(0, [0.0, -0.2], UPRIGHT[1], color))
}

const fn leg(on: usize, color: Color) -> Limb {
    backwards([0.0, 0.25], limb(on, [0.0, -0.7], UPRIGHT[2], color))
}

const fn walker_foot(on: usize, color: Color) -> Limb {
    backwards([-0.2, 0.1], limb(on, [0.2, -0.35], WALKER_FOOT, color))
}

pub(super) static HOPPER: [Limb; 4] = [
    limb(0, [0.0; 2], UPRIGHT[0], BODY),
    thigh(LIMB),
    leg(1, LIMB),
    backwards([-0.13, 0.1], limb(2, [0.13, -0.35], HOPPER_FOOT, LIMB)),
];

pub(super) static WALKER: [Limb; 7] = [
    limb(0, [0.0; 2], UPRIGHT[0], BODY),
    thigh(LIMB),
    leg(1, LIMB),
    walker_foot(2, LIMB),
    thigh(BEYOND),
    leg(4, BEYOND),
    walker_foot(5, BEYOND),
];

pub(super) static HALF_CHEETAH: [Limb; 7] = {
    const TORSO: &[Capsule] = &[
        capsule([0.0; 2], FRAC_PI_2, 0.5, 0.046),
        capsule([0.6, 0.1], 0.87, 0.15, 0.046),
    ];
    const BACK_THIGH: &[Capsule] = &[capsule([0.1, -0.13], -3.8, 0.145, 0.046)];
    const BACK_SHIN: &[Capsule] = &[capsule([-0.14, -0.07], -2.03, 0.15, 0.046)];
    const BACK_FOOT: &[Capsule] = &[capsule([0.03, -0.097], -0.27, 0.094, 0.046)];
    const FRONT_THIGH: &[Capsule] = &[capsule([-0.07, -0.12], 0.52, 0.133, 0.046)];
    const FRONT_SHIN: &[Capsule] = &[capsule([0.065, -0.09], -0.6, 0.106, 0.046)];
    const FRONT_FOOT: &[Capsule] = &[capsule([0.045, -0.07], -0.6, 0.07, 0.046)];
    [
        limb(0, [0.0, 0.7], TORSO, BODY),
        limb(0, [-0.5, 0.0], BACK_THIGH, LIMB),
        limb(1, [0.16, -0.25], BACK_SHIN, LIMB),
        limb(2, [-0.28, -0.14], BACK_FOOT, LIMB),
        limb(0, [0.5, 0.0], FRONT_THIGH, LIMB),
        limb(4, [-0.14, -0.24], FRONT_SHIN, LIMB),
        limb(5, [0.13, -0.18], FRONT_FOOT, LIMB),
    ]
};

/// Where a body is, and how far it leans forwards.
#[derive(Clone, Copy)]
pub(super) struct Frame {
    origin: [f64; 2],
    lean: f64,
}

impl Frame {
    /// Where a place of the body is in the world.
    pub fn place(&self, [ahead, up]: [f64; 2]) -> [f64; 2] {
        let (sin, cos) = self.lean.sin_cos();
        [
            self.origin[0] + ahead * cos + up * sin,
            self.origin[1] - ahead * sin + up * cos,
        ]
    }
}

impl Capsule {
    /// The ends of its line in the world.
    pub fn ends(&self, frame: &Frame) -> [[f64; 2]; 2] {
        let (sin, cos) = self.lean.sin_cos();
        [-self.half, self.half]
            .map(|along| frame.place([self.center[0] + along * sin, self.center[1] + along * cos]))
    }
}

/// Where the limbs are. Positions are two slides, forwards and up, and the limbs' hinges in their order.
pub(super) fn frames(limbs: &[Limb], positions: &[f64]) -> Vec<Frame> {
    let mut frames: Vec<Frame> = Vec::with_capacity(limbs.len());
    for (limb, turned) in limbs.iter().zip(&positions[2..]) {
        let on = frames.get(limb.on).copied().unwrap_or(Frame {
            origin: [positions[0], positions[1]],
            lean: 0.0,
        });
        let [ahead, up] = limb.offset;
        let hinge = on.place([ahead + limb.hinge[0], up + limb.hinge[1]]);
        let lean = on.lean + limb.forwards * turned;
        // The hinge stays where it is, and the frame turns around it.
        let around = Frame {
            origin: hinge,
            lean,
        };
        let origin = around.place(limb.hinge.map(|it| -it));
        frames.push(Frame { origin, lean });
    }
    frames
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::super::task;
    use super::*;

    #[test]
    fn capsules_are_where_mujoco_puts_those_of_the_same_models() {
        let fixture = include_str!("../../../tests/fixtures/mujoco_poses/poses.json");
        let fixture: serde_json::Value = serde_json::from_str(fixture).unwrap();
        for task in [&task::HOPPER, &task::WALKER, &task::HALF_CHEETAH] {
            let model = &fixture["models"][task.name];
            let digest: Vec<String> = Sha256::digest(task.model)
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            assert_eq!(model["sha256"], digest.concat(), "run make.py again");
            let poses = model["poses"].as_array().unwrap();
            assert_eq!(poses.len(), 4);
            for pose in poses {
                let positions: Vec<f64> =
                    serde_json::from_value(pose["positions"].clone()).unwrap();
                let frames = frames(task.limbs, &positions);
                let found = task.limbs.iter().zip(&frames);
                let found: Vec<([[f64; 2]; 2], f64)> = found
                    .flat_map(|(limb, frame)| limb.capsules.iter().map(move |it| (it, frame)))
                    .map(|(capsule, frame)| (capsule.ends(frame), capsule.radius))
                    .collect();
                let expected = pose["capsules"].as_array().unwrap();
                assert_eq!(found.len(), expected.len());
                for ((ends, radius), expected) in found.iter().zip(expected) {
                    let there: [[f64; 2]; 2] =
                        serde_json::from_value(expected["ends"].clone()).unwrap();
                    let apart = |a: [[f64; 2]; 2]| {
                        let pairs = a.as_flattened().iter().zip(ends.as_flattened());
                        pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
                    };
                    // Which end is the first is the compiler's choice.
                    let error = apart(there).min(apart([there[1], there[0]]));
                    assert!(error < 1e-9, "{}: {ends:?} {there:?}", task.name);
                    assert_eq!(expected["radius"], *radius);
                }
            }
        }
    }
}
