//! Shapes to pixels.
//!
//! A pixel takes as much of a shape's color as its middle's distance to the shape's edge says: what lies half a pixel inside is
//! covered, half a pixel outside is not. For shapes that are larger than a few pixels nothing looks better.

use super::{Color, Drawing, Shape};

/// Shades between a shape and what lies under it; few, so that a video's colors are few.
const SHADES: f64 = 8.0;

/// Rows of pixels, from the top.
pub(crate) struct Picture {
    pub width: usize,
    pub height: usize,
    pub pixels: Vec<Color>,
}

impl Picture {
    /// Draws on an empty ground, `width` pixels wide and as high as the drawing's form makes it.
    pub fn of(drawing: &Drawing, width: usize, ground: Color) -> Self {
        let [wide, high] = [0, 1].map(|axis| (drawing.high[axis] - drawing.low[axis]).max(1e-9));
        let scale = width as f64 / wide;
        let height = ((high * scale).round() as usize).clamp(1, 4 * width);
        Picture::scaled(drawing, [width, height], scale, drawing.low, ground)
    }

    /// Draws all of it in the middle of a square of so many pixels.
    pub fn square(drawing: &Drawing, size: usize, ground: Color) -> Self {
        let sides = [0, 1].map(|axis| (drawing.high[axis] - drawing.low[axis]).max(1e-9));
        let side = sides[0].max(sides[1]);
        let corner = [0, 1].map(|axis| drawing.low[axis] - (side - sides[axis]) / 2.0);
        Picture::scaled(drawing, [size; 2], size as f64 / side, corner, ground)
    }

    /// Draws with so many pixels for a unit, `low` being the lower left corner of what is shown.
    fn scaled(
        drawing: &Drawing,
        [width, height]: [usize; 2],
        scale: f64,
        low: [f64; 2],
        ground: Color,
    ) -> Self {
        let mut picture = Picture {
            width,
            height,
            pixels: vec![ground; width * height],
        };
        let place = |[right, up]: [f64; 2]| {
            [
                (right - low[0]) * scale,
                height as f64 - (up - low[1]) * scale,
            ]
        };
        for shape in &drawing.shapes {
            match shape {
                Shape::Line {
                    from,
                    to,
                    width,
                    color,
                } => {
                    let (from, to, half) = (place(*from), place(*to), width * scale / 2.0);
                    let within = around(&[from, to], half);
                    picture.fill(within, *color, |at| to_segment(at, from, to) - half);
                }
                Shape::Disc {
                    center,
                    radius,
                    color,
                } => {
                    let (center, radius) = (place(*center), radius * scale);
                    let within = around(&[center], radius);
                    picture.fill(within, *color, |at| apart(at, center) - radius);
                }
                Shape::Polygon { corners, color } => {
                    let corners: Vec<[f64; 2]> = corners.iter().map(|it| place(*it)).collect();
                    let within = around(&corners, 0.0);
                    picture.fill(within, *color, |at| to_polygon(at, &corners));
                }
            }
        }
        picture
    }

    /// Mixes a color in where `outside`, the distance from the edge in pixels, is below a half.
    fn fill(
        &mut self,
        [low, high]: [[f64; 2]; 2],
        color: Color,
        outside: impl Fn([f64; 2]) -> f64,
    ) {
        let limit = |value: f64, most: usize| (value.max(0.0) as usize).min(most);
        let columns = limit(low[0] - 1.0, self.width)..limit(high[0] + 2.0, self.width);
        for y in limit(low[1] - 1.0, self.height)..limit(high[1] + 2.0, self.height) {
            for x in columns.clone() {
                let covered = 0.5 - outside([x as f64 + 0.5, y as f64 + 0.5]);
                let share = (covered.clamp(0.0, 1.0) * SHADES).round() / SHADES;
                if share > 0.0 {
                    let pixel = &mut self.pixels[y * self.width + x];
                    for (value, new) in pixel.iter_mut().zip(color) {
                        let mixed = f64::from(*value) * (1.0 - share) + f64::from(new) * share;
                        *value = mixed.round() as u8;
                    }
                }
            }
        }
    }
}

/// The corners of the box around points with some room.
fn around(points: &[[f64; 2]], room: f64) -> [[f64; 2]; 2] {
    let mut corners = [[f64::INFINITY; 2], [f64::NEG_INFINITY; 2]];
    for point in points {
        for axis in [0, 1] {
            corners[0][axis] = corners[0][axis].min(point[axis] - room);
            corners[1][axis] = corners[1][axis].max(point[axis] + room);
        }
    }
    corners
}

fn apart(a: [f64; 2], b: [f64; 2]) -> f64 {
    (a[0] - b[0]).hypot(a[1] - b[1])
}

/// How far a point is from a line between two others.
fn to_segment(at: [f64; 2], from: [f64; 2], to: [f64; 2]) -> f64 {
    let along = [to[0] - from[0], to[1] - from[1]];
    let length = along[0] * along[0] + along[1] * along[1];
    let way = [at[0] - from[0], at[1] - from[1]];
    let share = if length > 0.0 {
        ((way[0] * along[0] + way[1] * along[1]) / length).clamp(0.0, 1.0)
    } else {
        0.0
    };
    apart(at, [from[0] + share * along[0], from[1] + share * along[1]])
}

/// The distance to a polygon's edge, negative inside: a point is inside where a ray from it crosses the edge an odd number of times.
fn to_polygon(at: [f64; 2], corners: &[[f64; 2]]) -> f64 {
    let mut nearest = f64::INFINITY;
    let mut inside = false;
    for (index, one) in corners.iter().enumerate() {
        let other = corners[(index + 1) % corners.len()];
        nearest = nearest.min(to_segment(at, *one, other));
        if (one[1] > at[1]) != (other[1] > at[1]) {
            let share = (at[1] - one[1]) / (other[1] - one[1]);
            inside ^= at[0] < one[0] + share * (other[0] - one[0]);
        }
    }
    if inside { -nearest } else { nearest }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHITE: Color = [255; 3];
    const BLACK: Color = [0; 3];

    fn draw(shape: Shape) -> Picture {
        let drawing = Drawing {
            low: [-1.0, -1.0],
            high: [1.0, 1.0],
            seconds: 0.1,
            shapes: vec![shape],
        };
        Picture::of(&drawing, 100, WHITE)
    }

    /// The area that is covered, in the drawing's unit.
    fn area(picture: &Picture) -> f64 {
        let dark = picture
            .pixels
            .iter()
            .map(|it| 1.0 - f64::from(it[0]) / 255.0);
        dark.sum::<f64>() * 4.0 / 1e4
    }

    #[test]
    fn shapes_cover_their_area_at_their_place() {
        let disc = draw(Shape::Disc {
            center: [0.5, 0.5],
            radius: 0.4,
            color: BLACK,
        });
        assert!((area(&disc) - 0.16 * std::f64::consts::PI).abs() < 0.005);
        // Up is up: the middle of the upper right quarter.
        assert_eq!(disc.pixels[25 * 100 + 75], BLACK);
        assert_eq!(disc.pixels[75 * 100 + 75], WHITE);

        let line = draw(Shape::Line {
            from: [-0.5, -0.5],
            to: [0.5, 0.5],
            width: 0.2,
            color: BLACK,
        });
        let expected = 2.0_f64.sqrt() * 0.2 + 0.01 * std::f64::consts::PI;
        assert!((area(&line) - expected).abs() < 0.005);

        // An arrow's head, which is not convex.
        let arrow = draw(Shape::Polygon {
            corners: vec![[-0.8, -0.8], [0.0, -0.4], [0.8, -0.8], [0.0, 0.8]],
            color: BLACK,
        });
        assert!((area(&arrow) - 0.96).abs() < 0.01, "{}", area(&arrow));
        assert_eq!(arrow.pixels[85 * 100 + 50], WHITE);
        assert_eq!(arrow.pixels[60 * 100 + 50], BLACK);
    }

    #[test]
    fn what_lies_outside_of_the_picture_is_cut() {
        let disc = draw(Shape::Disc {
            center: [1.0, 1.0],
            radius: 0.4,
            color: BLACK,
        });
        assert!((area(&disc) - 0.04 * std::f64::consts::PI).abs() < 0.003);
        assert_eq!(
            area(&draw(Shape::Disc {
                center: [9.0, -9.0],
                radius: 0.4,
                color: BLACK
            })),
            0.0
        );
    }
}
