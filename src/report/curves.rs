//! Learning curves as pictures: one SVG for one quantity, several curves in it, several runs (seeds) to a curve.
//!
//! The picture brings its own light background, so that it reads on a light page and on a dark one, and asks for no
//! particular font.

use plotters::prelude::*;

use super::axis::Axis;
use super::canvas::{Anchor, Canvas, Drawn, GREY, INK, element, fine, fitting, text_width, thick};
use super::frame::Frame;

/// Width and height of a picture, in CSS pixels.
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
    /// What the legend says.
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
/// };
/// assert!(picture.svg()?.starts_with("<svg "));
/// # Ok::<(), yarak::report::curves::CurvesError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
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
}

impl Picture {
    /// The picture as an SVG element with its name space: a file of its own, or a part of an HTML canvas.
    ///
    /// # Errors
    /// The drawing library failed; no values that could make it are known.
    pub fn svg(&self) -> Result<String, CurvesError> {
        let mut drawn = String::new();
        self.draw(&mut drawn).map_err(|source| CurvesError {
            title: self.title.clone(),
            source,
        })?;
        let label = if self.title.is_empty() {
            &self.y_label
        } else {
            &self.title
        };
        let size = (f64::from(SIZE.0), f64::from(SIZE.1));
        Ok(element(&drawn, size, label))
    }

    fn draw(&self, svg: &mut String) -> Drawn {
        let (width, height) = (f64::from(SIZE.0), f64::from(SIZE.1));
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
        let x = Axis::of_steps(points().map(|point| point.0));
        let y = Axis::of_values(values);

        // From the top: title, legend, name of the vertical axis, the curves.
        let mut top = 16.0;
        if !self.title.is_empty() {
            canvas.write(
                &fitting(&self.title, 80),
                (24.0, top + 8.0),
                17.0,
                &INK,
                Anchor::TITLE,
            )?;
            top += 28.0;
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
            .map(|note| text_width(note, 12.0) + 8.0)
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
        canvas.0.present()
    }

    /// Entries side by side, in as many rows as they need. Returns where the last row ends.
    fn draw_legend(
        &self,
        canvas: &Canvas,
        top: f64,
        width: f64,
    ) -> Result<f64, DrawingAreaErrorKind<std::io::Error>> {
        let (mut left, mut row) = (24.0, top);
        for (index, curve) in self.curves.iter().enumerate() {
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
        Ok(if self.curves.is_empty() {
            top
        } else {
            row + LEGEND_ROW + 2.0
        })
    }
}

/// What is drawn of one curve.
struct Lines {
    /// Each run's drawable points in the order of their steps; runs without any are left out.
    runs: Vec<Vec<(f64, f64)>>,
    mean: Vec<(f64, f64)>,
    lowest: Vec<(f64, f64)>,
    highest: Vec<(f64, f64)>,
}

impl Lines {
    fn of(curve: &Curve) -> Self {
        let mut runs: Vec<Vec<_>> = Vec::new();
        for run in &curve.runs {
            let mut run: Vec<_> = run
                .iter()
                .copied()
                .filter(|(step, value)| drawable(*step) && drawable(*value))
                .collect();
            run.sort_by(|a, b| a.0.total_cmp(&b.0));
            if !run.is_empty() {
                runs.push(run);
            }
        }
        let mut lines = Self {
            runs,
            mean: Vec::new(),
            lowest: Vec::new(),
            highest: Vec::new(),
        };
        let start = lines
            .runs
            .iter()
            .map(|run| run[0].0)
            .fold(f64::NEG_INFINITY, f64::max);
        let end = lines
            .runs
            .iter()
            .map(|run| run[run.len() - 1].0)
            .fold(f64::INFINITY, f64::min);
        let mut steps: Vec<_> = lines.runs.iter().flatten().map(|point| point.0).collect();
        steps.retain(|step| (start..=end).contains(step));
        steps.sort_by(f64::total_cmp);
        steps.dedup();
        for step in steps {
            let values = || lines.runs.iter().map(|run| interpolated(run, step));
            lines.mean.push((
                step,
                values().map(|value| value / lines.runs.len() as f64).sum(),
            ));
            lines
                .lowest
                .push((step, values().fold(f64::INFINITY, f64::min)));
            lines
                .highest
                .push((step, values().fold(f64::NEG_INFINITY, f64::max)));
        }
        lines
    }

    fn draw(&self, canvas: &Canvas, frame: &Frame, color: RGBColor) -> Drawn {
        if self.runs.len() > 1 {
            let mut outline = frame.line(&self.lowest);
            outline.extend(frame.line(&self.highest).into_iter().rev());
            canvas.0.draw(&Polygon::new(outline, color.mix(0.13)))?;
            for run in &self.runs {
                canvas.0.draw(&PathElement::new(
                    frame.line(run),
                    color.mix(0.45).stroke_width(thick(1.0)),
                ))?;
            }
        }
        canvas.0.draw(&PathElement::new(
            frame.line(&self.mean),
            color.stroke_width(thick(2.5)),
        ))?;
        if let [only] = self.mean[..] {
            canvas
                .0
                .draw(&Circle::new(frame.point(only), thick(4.0), color.filled()))?;
        }
        Ok(())
    }
}

/// Whether a number has a place on an axis: differences of greater ones overflow.
fn drawable(value: f64) -> bool {
    value.abs() < 1e300
}

/// The run's value at a step between its first and its last.
fn interpolated(run: &[(f64, f64)], step: f64) -> f64 {
    // Of several points at one step the last holds.
    let behind = run.partition_point(|point| point.0 <= step);
    let (before, after) = (
        run[behind.saturating_sub(1)],
        run[behind.min(run.len() - 1)],
    );
    if after.0 <= before.0 {
        return before.1;
    }
    let part = (step - before.0) / (after.0 - before.0);
    before.1 * (1.0 - part) + after.1 * part
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
    fn the_mean_interpolates_and_ends_with_the_shortest_run() {
        let runs = vec![
            vec![(10.0, 4.0), (0.0, 0.0), (20.0, 8.0)],
            vec![(0.0, 2.0), (5.0, 2.0), (15.0, 2.0)],
        ];
        let lines = Lines::of(&curve("", runs));
        assert_eq!(
            lines.mean,
            [(0.0, 1.0), (5.0, 2.0), (10.0, 3.0), (15.0, 4.0)]
        );
        assert_eq!(
            lines.lowest,
            [(0.0, 0.0), (5.0, 2.0), (10.0, 2.0), (15.0, 2.0)]
        );
        assert_eq!(lines.highest[3], (15.0, 6.0));
    }

    #[test]
    fn runs_that_never_overlap_have_no_mean() {
        let lines = Lines::of(&curve("", vec![vec![(0.0, 1.0)], vec![(5.0, 1.0)], vec![]]));
        assert!(lines.mean.is_empty());
        assert_eq!(lines.runs.len(), 2);
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
