//! What an environment looks like: a few flat shapes, which [`video`](crate::evaluate::video) turns into pictures.

/// A color: red, green, blue.
pub type Color = [u8; 3];

/// Something flat. Coordinates are the drawing's own, `[right, up]`; lengths are in the same unit.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// A line of some width with round ends, which a limb or a pole is as well.
    Line {
        /// One end.
        from: [f64; 2],
        /// The other.
        to: [f64; 2],
        /// How wide it is.
        width: f64,
        /// Its color.
        color: Color,
    },
    /// A filled circle.
    Disc {
        /// Its middle.
        center: [f64; 2],
        /// Its radius.
        radius: f64,
        /// Its color.
        color: Color,
    },
    /// A filled polygon, of any form that does not cross itself.
    Polygon {
        /// Its corners, at least 3.
        corners: Vec<[f64; 2]>,
        /// Its color.
        color: Color,
    },
}

/// A picture of a moment.
///
/// ```
/// use yarak::env::registry;
///
/// let mut pendulum = registry::make("Pendulum-v1")?;
/// pendulum.reset(Some(0), &mut [0.0; 3])?;
/// let drawing = pendulum.drawing().unwrap();
/// assert_eq!(drawing.seconds, 0.05);
/// assert!(!drawing.shapes.is_empty());
/// # Ok::<(), yarak::env::EnvironmentError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Drawing {
    /// The lower left corner of what is shown.
    pub low: [f64; 2],
    /// The upper right corner.
    pub high: [f64; 2],
    /// How long a step of the environment takes, in seconds of its world.
    pub seconds: f64,
    /// From the back to the front.
    pub shapes: Vec<Shape>,
}

/// The ground, a rail, a hill.
pub(super) const GROUND: Color = [120, 124, 132];
/// What is pushed.
pub(super) const BODY: Color = [52, 73, 94];
/// What is to be moved.
pub(super) const LIMB: Color = [214, 109, 58];
/// Joints and wheels.
pub(super) const JOINT: Color = [38, 43, 51];
/// Where to go.
pub(super) const GOAL: Color = [56, 142, 96];

impl Shape {
    pub(super) fn line(from: [f64; 2], to: [f64; 2], width: f64, color: Color) -> Self {
        Shape::Line {
            from,
            to,
            width,
            color,
        }
    }

    pub(super) fn disc(center: [f64; 2], radius: f64, color: Color) -> Self {
        Shape::Disc {
            center,
            radius,
            color,
        }
    }

    /// A box that is turned counterclockwise by `angle` around its middle.
    pub(super) fn turned_box(
        center: [f64; 2],
        [width, height]: [f64; 2],
        angle: f64,
        color: Color,
    ) -> Self {
        let (sin, cos) = angle.sin_cos();
        let corner = |right: f64, up: f64| {
            let (x, y) = (right * width / 2.0, up * height / 2.0);
            [center[0] + x * cos - y * sin, center[1] + x * sin + y * cos]
        };
        Shape::Polygon {
            corners: vec![
                corner(-1.0, -1.0),
                corner(1.0, -1.0),
                corner(1.0, 1.0),
                corner(-1.0, 1.0),
            ],
            color,
        }
    }
}

/// A car in the valley sin(3x), and the flag at `goal`.
pub(super) fn mountain_car(position: f64, goal: f64) -> Drawing {
    let height = |x: f64| 0.45 * (3.0 * x).sin() + 0.55;
    let mut shapes = Vec::new();
    let strips = 60;
    let place = |strip: i32| {
        let x = -1.2 + 1.8 * f64::from(strip) / f64::from(strips);
        [x, height(x)]
    };
    for strip in 0..strips {
        shapes.push(Shape::line(place(strip), place(strip + 1), 0.012, GROUND));
    }
    let (foot, top) = (height(goal), height(goal) + 0.22);
    shapes.push(Shape::line([goal, foot], [goal, top], 0.012, JOINT));
    shapes.push(Shape::Polygon {
        corners: vec![[goal, top], [goal + 0.1, top - 0.035], [goal, top - 0.07]],
        color: GOAL,
    });
    let slope = (1.35 * (3.0 * position).cos()).atan();
    let (sin, cos) = slope.sin_cos();
    // Along the slope and away from it.
    let on_car = |along: f64, away: f64| {
        [
            position + along * cos - away * sin,
            height(position) + along * sin + away * cos,
        ]
    };
    shapes.push(Shape::turned_box(
        on_car(0.0, 0.075),
        [0.16, 0.06],
        slope,
        BODY,
    ));
    for along in [-0.05, 0.05] {
        shapes.push(Shape::disc(on_car(along, 0.032), 0.028, LIMB));
    }
    Drawing {
        low: [-1.25, 0.0],
        high: [0.65, 1.25],
        seconds: 1.0 / 30.0,
        shapes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_turned_by_a_quarter_stands_upright() {
        let Shape::Polygon { corners, .. } =
            Shape::turned_box([1.0, 2.0], [4.0, 2.0], std::f64::consts::FRAC_PI_2, BODY)
        else {
            panic!("a polygon");
        };
        let expected = [[2.0, 0.0], [2.0, 4.0], [0.0, 4.0], [0.0, 0.0]];
        for (corner, expected) in corners.iter().zip(expected) {
            assert!((corner[0] - expected[0]).abs() < 1e-12);
            assert!((corner[1] - expected[1]).abs() < 1e-12);
        }
    }
}
