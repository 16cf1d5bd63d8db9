//! The lines of one curve: its runs, their mean and their range.

use plotters::prelude::*;

use super::canvas::{Canvas, Drawn, thick};
use super::curves::Curve;
use super::frame::Frame;

/// What is drawn of one curve.
pub(super) struct Lines {
    /// Each run's drawable points in the order of their steps; runs without any are left out.
    pub(super) runs: Vec<Vec<(f64, f64)>>,
    pub(super) mean: Vec<(f64, f64)>,
    lowest: Vec<(f64, f64)>,
    highest: Vec<(f64, f64)>,
}

impl Lines {
    pub(super) fn of(curve: &Curve) -> Self {
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

    /// Each run's value at a step of the mean.
    pub(super) fn values(&self, step: f64) -> Vec<f64> {
        let runs = self.runs.iter();
        runs.map(|run| interpolated(run, step)).collect()
    }

    pub(super) fn draw(&self, canvas: &Canvas, frame: &Frame, color: RGBColor) -> Drawn {
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
pub(super) fn drawable(value: f64) -> bool {
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

    fn curve(runs: Vec<Vec<(f64, f64)>>) -> Curve {
        Curve {
            label: String::new(),
            runs,
        }
    }

    #[test]
    fn the_mean_interpolates_and_ends_with_the_shortest_run() {
        let runs = vec![
            vec![(10.0, 4.0), (0.0, 0.0), (20.0, 8.0)],
            vec![(0.0, 2.0), (5.0, 2.0), (15.0, 2.0)],
        ];
        let lines = Lines::of(&curve(runs));
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
        let lines = Lines::of(&curve(vec![vec![(0.0, 1.0)], vec![(5.0, 1.0)], vec![]]));
        assert!(lines.mean.is_empty());
        assert_eq!(lines.runs.len(), 2);
    }
}
