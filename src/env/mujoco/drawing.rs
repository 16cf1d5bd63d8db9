//! What the planar walkers look like: the limbs, the ground, and a view that goes along.

use super::limbs::{BEYOND, Limb, frames};
use crate::env::drawing::{GROUND, JOINT, Shape};
use crate::env::{Color, Drawing};

/// Every other piece of the ground.
const PALE: Color = [178, 182, 189];

/// A walker on its ground, the torso in the middle.
pub(super) fn drawing(limbs: &[Limb], positions: &[f64], seconds: f64) -> Drawing {
    const ASIDE: f64 = 1.6;
    const DEPTH: f64 = 0.06;
    let middle = positions[0];
    let frames = frames(limbs, positions);
    // Pieces of half a meter, that one sees how fast it is.
    let first = (2.0 * (middle - ASIDE)).floor();
    let mut shapes: Vec<Shape> = (0..8)
        .map(|piece| {
            let piece = first + f64::from(piece);
            let color = if piece.rem_euclid(2.0) < 1.0 {
                GROUND
            } else {
                PALE
            };
            Shape::turned_box([piece / 2.0 + 0.25, -DEPTH / 2.0], [0.5, DEPTH], 0.0, color)
        })
        .collect();
    let beyond = |limb: &Limb| limb.color == BEYOND;
    for back in [true, false] {
        let drawn = limbs.iter().zip(&frames).enumerate();
        for (index, (limb, frame)) in drawn.filter(|(_, (limb, _))| beyond(limb) == back) {
            for capsule in limb.capsules {
                let [from, to] = capsule.ends(frame);
                shapes.push(Shape::line(from, to, 2.0 * capsule.radius, limb.color));
            }
            if index > 0 {
                shapes.push(Shape::disc(frame.place(limb.hinge), 0.02, JOINT));
            }
        }
    }
    Drawing {
        low: [middle - ASIDE, -0.2],
        high: [middle + ASIDE, 2.0],
        seconds,
        shapes,
    }
}

#[cfg(test)]
mod tests {
    use super::super::limbs::{HOPPER, WALKER};
    use super::*;
    use crate::env::drawing::{BODY, LIMB};

    #[test]
    fn the_picture_goes_along_and_the_ground_stays() {
        let at = |ahead: f64| drawing(&HOPPER, &[ahead, 1.25, 0.0, 0.0, 0.0, 0.0], 0.008);
        let (here, there) = (at(0.0), at(10.3));
        assert!((there.low[0] - here.low[0] - 10.3).abs() < 1e-12);
        assert_eq!(there.low[1], here.low[1]);
        let pieces = |drawing: &Drawing, color: Color| -> Vec<f64> {
            let shapes = drawing.shapes.iter();
            let pieces = shapes.filter_map(|shape| match shape {
                Shape::Polygon {
                    corners,
                    color: its,
                } if *its == color => Some(corners[0][0]),
                _ => None,
            });
            pieces.collect()
        };
        for drawing in [&here, &there] {
            let (dark, pale) = (pieces(drawing, GROUND), pieces(drawing, PALE));
            assert!(dark.iter().all(|it| it.rem_euclid(1.0) == 0.0), "{dark:?}");
            assert!(pale.iter().all(|it| it.rem_euclid(1.0) == 0.5), "{pale:?}");
            let lowest = dark
                .iter()
                .chain(&pale)
                .copied()
                .fold(f64::INFINITY, f64::min);
            let count = (dark.len() + pale.len()) as f64;
            assert!(lowest <= drawing.low[0] && lowest + count / 2.0 >= drawing.high[0]);
        }
    }

    #[test]
    fn the_nearer_leg_is_drawn_over_the_other() {
        let positions = [0.0, 1.25, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        let shapes = drawing(&WALKER, &positions, 0.008).shapes;
        let of = |wanted: Color| {
            shapes
                .iter()
                .rposition(|shape| matches!(shape, Shape::Line { color, .. } if *color == wanted))
        };
        assert!(of(BEYOND) < of(BODY) && of(BODY) < of(LIMB));
    }
}
