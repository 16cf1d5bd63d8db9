//! Learning curves as pictures: one SVG for one quantity, several curves in it, several runs (seeds) to a curve.
//!
//! The picture brings its own light background, so that it reads on a light page and on a dark one, and asks for no
//! particular font.

use plotters::prelude::*;

use super::axis::Axis;
use super::canvas::{Anchor, Canvas, GREY, INK, element, fine, fitting, text_width, thick};
use super::frame::Frame;
use super::lines::{Lines, drawable};

/// Width and height of a picture, in CSS pixels, where nothing else is said.
pub const SIZE: (u32, u32) = (900, 480);

/// Colors that the color-blind can tell apart (Okabe & Ito, <https://jfly.uni-koeln.de/color/>), without the yellow,
/// which a white ground swallows.
const PALETTE: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(60, 60, 60),
];

/// The color of the curve at a place in the list, as CSS has it.
pub(crate) fn color(index: usize) -> String {
    let RGBColor(red, green, blue) = PALETTE[index % PALETTE.len()];
    format!("#{red:02X}{green:02X}{blue:02X}")
}

/// Height of a row of the legend.
const LEGEND_ROW: f64 = 22.0;
/// A picture could not be drawn.
#[derive(Debug, thiserror::Error)]
#[error(
    "the picture `{title}` could not be drawn; please report this, with the runs' metrics.jsonl"
)]
pub struct CurvesError {
    /// The picture's title.
    pub title: String,
    /// What the drawing library says.
    pub source: DrawingAreaErrorKind<std::io::Error>,
}

/// What one algorithm, or one setting of it, did: one or more runs of the same thing.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// What the legend says; a curve without a label has no place in it.
    pub label: String,
    /// Each run's points, (step, value). Points that are not finite are left out.
    pub runs: Vec<Vec<(f64, f64)>>,
}

/// A horizontal line to compare with, such as an expert's return.
#[derive(Debug, Clone, PartialEq)]
pub struct Reference {
    /// What is written at the line, before its value.
    pub label: String,
    /// Where the line is, in the curves' unit.
    pub value: f64,
}

/// A picture of learning curves.
///
/// A curve of one run is a line. A curve of several is their mean as a bold line, with each run thin and the range from
/// the lowest run to the highest shaded. Runs with points at different steps are interpolated between them; the mean
/// ends where the first of its runs ends.
///
/// ```
/// use yarak::report::curves::{Curve, Picture, Reference};
///
/// let picture = Picture {
///     title: "pendulum-medium-expert".into(),
///     x_label: "gradient steps".into(),
///     y_label: "evaluate/return".into(),
///     curves: vec![Curve {
///         label: "TD3+BC".into(),
///         runs: vec![vec![(0.0, -1200.0), (10_000.0, -190.0)], vec![(0.0, -1150.0), (10_000.0, -230.0)]],
///     }],
///     references: vec![Reference { label: "expert".into(), value: -160.0 }],
///     ..Picture::default()
/// };
/// assert!(picture.svg()?.starts_with("<svg "));
/// # Ok::<(), yarak::report::curves::CurvesError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    /// Above everything; nothing where empty.
    pub title: String,
    /// Under the horizontal axis; nothing where empty.
    pub x_label: String,
    /// Above the vertical axis; nothing where empty.
    pub y_label: String,
    /// In the legend's order. From the eighth on, colors repeat.
    pub curves: Vec<Curve>,
    /// Always inside the picture: the vertical axis reaches all of them.
    pub references: Vec<Reference>,
    /// Width and height in CSS pixels, at least 300 by 150. A smaller picture has fewer ticks, and letters of the same size.
    pub size: (u32, u32),
}

impl Default for Picture {
    fn default() -> Self {
        Picture {
            title: String::new(),
            x_label: String::new(),
            y_label: String::new(),
            curves: Vec::new(),
            references: Vec::new(),
            size: SIZE,
        }
    }
}

/// A picture that was drawn, and where things are in it, in the units of its view box.
pub(crate) struct Plot {
    pub(crate) svg: String,
    /// Top and bottom of the field between the axes.
    pub(crate) field: [i32; 2],
    /// The steps of each curve's mean.
    pub(crate) marks: Vec<Vec<Mark>>,
}

/// A step of a curve.
pub(crate) struct Mark {
    pub(crate) step: f64,
    /// Where the mean is.
    pub(crate) at: (i32, i32),
    /// The value of each run.
    pub(crate) values: Vec<f64>,
}

impl Picture {
    /// The picture as an SVG element with its name space: a file of its own, or a part of an HTML canvas.
    ///
    /// # Errors
    /// The drawing library failed; no values that could make it are known.
    pub fn svg(&self) -> Result<String, CurvesError> {
        Ok(self.plot()?.svg)
    }

    /// The same, with the places of its values.
    pub(crate) fn plot(&self) -> Result<Plot, CurvesError> {
        let mut drawn = String::new();
        let plot = self.draw(&mut drawn).map_err(|source| CurvesError {
            title: self.title.clone(),
            source,
        })?;
        let label = if self.title.is_empty() {
            &self.y_label
        } else {
            &self.title
        };
        Ok(Plot {
            svg: element(&drawn, self.pixels(), label),
            ..plot
        })
    }

    fn pixels(&self) -> (f64, f64) {
        let (width, height) = self.size;
        (f64::from(width.max(300)), f64::from(height.max(150)))
    }

    fn draw(&self, svg: &mut String) -> Result<Plot, DrawingAreaErrorKind<std::io::Error>> {
        let (width, height) = self.pixels();
        let (fine_width, fine_height) = fine(width, height);
        let backend = SVGBackend::with_string(svg, (fine_width as u32, fine_height as u32));
        let canvas = Canvas(backend.into_drawing_area());
        canvas.0.fill(&WHITE)?;

        let lines: Vec<_> = self.curves.iter().map(Lines::of).collect();
        let references: Vec<_> = self
            .references
            .iter()
            .filter(|line| drawable(line.value))
            .collect();
        let points = || lines.iter().flat_map(|lines| lines.runs.iter().flatten());
        let values = points()
            .map(|point| point.1)
            .chain(references.iter().map(|line| line.value));
        let (across, down) = (self.size.0 / 80, self.size.1 / 55);
        let x = Axis::of_steps(points().map(|point| point.0), across.clamp(2, 8));
        let y = Axis::of_values(values, down.clamp(2, 8));

        // From the top: title, legend, name of the vertical axis, the curves.
        let mut top = 16.0;
        if !self.title.is_empty() {
            let size = if width < 600.0 { 13.0 } else { 17.0 };
            canvas.write(
                &fitting(
                    &self.title,
                    ((width - 48.0) / text_width("m", size)) as usize,
                ),
                (24.0, top + 8.0),
                size,
                &INK,
                Anchor::TITLE,
            )?;
            top += 11.0 + size;
        }
        top = self.draw_legend(&canvas, top, width)?;
        if !self.y_label.is_empty() {
            canvas.write(
                &fitting(&self.y_label, 80),
                (24.0, top + 8.0),
                12.0,
                &GREY,
                Anchor::LEFT,
            )?;
            top += 16.0;
        }
        let notes: Vec<_> = references
            .iter()
            .map(|line| format!("{} {}", fitting(&line.label, 16), y.exact(line.value)))
            .collect();
        let note_width = notes
            .iter()
            .map(|note| text_width(note, 13.5) + 10.0)
            .fold(24.0, f64::max);
        let tick_width = y
            .labels
            .iter()
            .map(|label| text_width(label, 12.0))
            .fold(0.0, f64::max);
        let bottom = height - if self.x_label.is_empty() { 36.0 } else { 56.0 };
        let frame = Frame {
            left: (24.0 + tick_width + 10.0).max(56.0),
            right: width - note_width,
            top: top + 8.0,
            bottom,
            x: &x,
            y: &y,
        };

        frame.draw_grid(&canvas)?;
        if !self.x_label.is_empty() {
            let middle = (frame.left + frame.right) / 2.0;
            canvas.write(
                &fitting(&self.x_label, 80),
                (middle, height - 20.0),
                12.0,
                &GREY,
                Anchor::MIDDLE,
            )?;
        }
        for (index, lines) in lines.iter().enumerate() {
            lines.draw(&canvas, &frame, PALETTE[index % PALETTE.len()])?;
        }
        frame.draw_references(&canvas, &references, &notes)?;
        if lines.iter().all(|lines| lines.runs.is_empty()) {
            let middle = (
                (frame.left + frame.right) / 2.0,
                (frame.top + frame.bottom) / 2.0,
            );
            canvas.write("no values yet", middle, 14.0, &GREY, Anchor::MIDDLE)?;
        }
        canvas.0.present()?;
        let marks = lines.iter().map(|lines| {
            let mean = lines.mean.iter();
            let marks = mean.map(|point| Mark {
                step: point.0,
                at: frame.point(*point),
                values: lines.values(point.0),
            });
            marks.collect()
        });
        Ok(Plot {
            svg: String::new(),
            field: [fine(0.0, frame.top).1, fine(0.0, frame.bottom).1],
            marks: marks.collect(),
        })
    }

    /// Entries side by side, in as many rows as they need. Returns where the last row ends.
    fn draw_legend(
        &self,
        canvas: &Canvas,
        top: f64,
        width: f64,
    ) -> Result<f64, DrawingAreaErrorKind<std::io::Error>> {
        let (mut left, mut row) = (24.0, top);
        let named = |(_, curve): &(usize, &Curve)| !curve.label.is_empty();
        for (index, curve) in self.curves.iter().enumerate().filter(named) {
            let label = match curve.runs.len() {
                0 | 1 => fitting(&curve.label, 60),
                runs => format!("{}, mean of {runs}", fitting(&curve.label, 60)),
            };
            let needs = 30.0 + text_width(&label, 13.0);
            if left > 24.0 && left + needs > width - 24.0 {
                (left, row) = (24.0, row + LEGEND_ROW);
            }
            let middle = row + LEGEND_ROW / 2.0 - 2.0;
            let color = PALETTE[index % PALETTE.len()];
            canvas.line(
                [(left, middle), (left + 20.0, middle)],
                color.stroke_width(thick(3.0)),
            )?;
            canvas.write(&label, (left + 28.0, middle), 13.0, &INK, Anchor::LEFT)?;
            left += needs + 18.0;
        }
        Ok(if self.curves.iter().all(|curve| curve.label.is_empty()) {
            top
        } else {
            row + LEGEND_ROW + 2.0
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(label: &str, runs: Vec<Vec<(f64, f64)>>) -> Curve {
        Curve {
            label: label.into(),
            runs,
        }
    }

    fn picture(curves: Vec<Curve>) -> Picture {
        Picture {
            title: "loss".into(),
            x_label: "steps".into(),
            curves,
            ..Picture::default()
        }
    }

    fn elements(svg: &str, name: &str) -> usize {
        svg.matches(&format!("<{name} ")).count()
    }

    #[test]
    fn a_curve_of_several_runs_has_each_run_their_range_and_their_mean() {
        let run = |value| vec![(0.0, value), (10.0, value + 1.0)];
        let one = picture(vec![curve("one", vec![run(0.0)])]).svg().unwrap();
        let three = picture(vec![curve("three", vec![run(0.0), run(1.0), run(2.0)])])
            .svg()
            .unwrap();
        assert_eq!(
            (elements(&one, "polygon"), elements(&three, "polygon")),
            (0, 1)
        );
        let thin = |svg: &str| svg.matches("opacity=\"0.45\"").count();
        assert_eq!((thin(&one), thin(&three)), (0, 3));
        assert!(three.contains("three, mean of 3") && !one.contains("mean of"));
    }

    #[test]
    fn values_that_are_not_finite_or_absurd_are_left_out_and_nothing_panics() {
        let odd = [
            f64::NAN,
            f64::INFINITY,
            f64::MAX,
            f64::MIN,
            1e299,
            -1e299,
            0.0,
            -0.0,
            f64::MIN_POSITIVE,
            3.0,
        ];
        for a in odd {
            for b in odd {
                let runs = vec![vec![(a, b), (1.0, b)], vec![(b, a), (2.0, b), (2.0, 7.0)]];
                let references = vec![Reference {
                    label: "expert".into(),
                    value: a,
                }];
                let svg = Picture {
                    references,
                    ..picture(vec![curve("odd", runs)])
                }
                .svg()
                .unwrap();
                assert!(
                    !svg.contains("NaN") && !svg.contains("inf") && !svg.contains("2147483647"),
                    "{a} {b} {svg}"
                );
            }
        }
        assert!(picture(vec![]).svg().unwrap().contains("no values yet"));
        assert!(
            picture(vec![curve("a", vec![vec![(1.0, f64::NAN)]])])
                .svg()
                .unwrap()
                .contains("no values yet")
        );
    }

    #[test]
    fn a_small_picture_has_fewer_ticks_and_no_legend_without_labels() {
        let curves = || vec![curve("", vec![vec![(0.0, 0.0), (1e6, 1.0)]])];
        let small = Picture {
            size: (400, 200),
            ..picture(curves())
        };
        let (small, large) = (small.svg().unwrap(), picture(curves()).svg().unwrap());
        assert!(small.starts_with("<svg ") && small.contains("viewBox=\"0 0 4000 2000\""));
        assert!(elements(&small, "text") < elements(&large, "text"));
        let stroke = |svg: &str| svg.matches("#0072B2").count();
        assert_eq!((stroke(&small), color(0).as_str()), (1, "#0072B2"));
    }

    #[test]
    fn a_plot_knows_where_the_mean_is_and_what_each_run_has_there() {
        let runs = vec![vec![(0.0, 1.0), (10.0, 3.0)], vec![(0.0, 3.0), (10.0, 7.0)]];
        let plot = picture(vec![curve("a", runs)]).plot().unwrap();
        let marks = &plot.marks[0];
        assert_eq!(marks.len(), 2);
        assert_eq!((marks[1].step, &*marks[1].values), (10.0, &[3.0, 7.0][..]));
        assert!(marks[0].at.0 < marks[1].at.0 && marks[0].at.1 > marks[1].at.1);
        let [top, bottom] = plot.field;
        assert!(marks.iter().all(|mark| (top..=bottom).contains(&mark.at.1)));
    }

    #[test]
    fn a_single_point_is_a_dot() {
        assert_eq!(
            elements(
                &picture(vec![curve("a", vec![vec![(10.0, 2.0)]])])
                    .svg()
                    .unwrap(),
                "circle"
            ),
            1
        );
    }

    #[test]
    fn references_are_on_the_page_and_their_notes_do_not_collide() {
        let references = [-160.0, -165.0, 900.0]
            .map(|value| Reference {
                label: "line".into(),
                value,
            })
            .into();
        let svg = Picture {
            references,
            ..picture(vec![curve("a", vec![vec![(0.0, -1200.0), (5.0, -200.0)]])])
        };
        let svg = svg.svg().unwrap();
        for note in ["line -160", "line -165", "line 900"] {
            assert!(svg.contains(note), "{note}");
        }
        let down = |note: &str| -> i32 {
            let element = &svg[..svg.find(note).unwrap()];
            let (_, from) = element.rsplit_once(" y=\"").unwrap();
            from.split_once('"').unwrap().0.parse().unwrap()
        };
        assert!(down("line -165") - down("line -160") >= 140 && down("line 900") > 0);
    }

    #[test]
    fn labels_are_escaped_and_long_ones_keep_their_end() {
        let long = format!("{}/<seed>&\u{1}\"3\"", "folder".repeat(30));
        let svg = picture(vec![curve(&long, vec![vec![(0.0, 1.0)]])])
            .svg()
            .unwrap();
        assert!(
            svg.contains("/&lt;seed&gt;&amp; &quot;3&quot;") && svg.contains('…'),
            "{svg}"
        );
        assert!(!svg.contains(&"folder".repeat(30)));
        let title = Picture {
            title: "a\"><script>".into(),
            ..Picture::default()
        }
        .svg()
        .unwrap();
        assert!(!title.contains("<script>"));
    }

    #[test]
    fn a_long_run_is_drawn_with_its_spike_and_stays_small() {
        let mut run: Vec<_> = (0..100_000).map(|step| (f64::from(step), 1.0)).collect();
        run[54_321].1 = 9.0;
        let svg = picture(vec![curve("long", vec![run])]).svg().unwrap();
        assert!(svg.len() < 30_000, "{}", svg.len());
        let top = |svg: &str| -> i32 {
            let (_, points) = svg.rsplit_once("points=\"").unwrap();
            let points = points.split_once('"').unwrap().0.split_whitespace();
            points
                .map(|point| point.split_once(',').unwrap().1.parse().unwrap())
                .min()
                .unwrap()
        };
        assert!(top(&svg) < 1200, "{}", top(&svg));
    }
}
