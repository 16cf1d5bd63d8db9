//! The field of a picture between its two axes: where values go, the grid, and the lines to compare with.

use plotters::prelude::*;

use super::axis::Axis;
use super::canvas::{AXIS, Anchor, Canvas, Drawn, GREY, GRID, fine, thick};
use super::curves::Reference;

/// Points of a line are merged into this many stretches, each drawn with its lowest and its highest value: finer detail
/// than the screen's would only make the file larger.
const STRETCHES: usize = 400;

/// Where the curves are on the canvas, and which values it shows.
pub(super) struct Frame<'a> {
    pub(super) left: f64,
    pub(super) right: f64,
    pub(super) top: f64,
    pub(super) bottom: f64,
    pub(super) x: &'a Axis,
    pub(super) y: &'a Axis,
}

impl Frame<'_> {
    fn across(&self, step: f64) -> f64 {
        self.left + self.x.fraction(step) * (self.right - self.left)
    }

    fn down(&self, value: f64) -> f64 {
        self.bottom - self.y.fraction(value) * (self.bottom - self.top)
    }

    pub(super) fn point(&self, (step, value): (f64, f64)) -> (i32, i32) {
        fine(self.across(step), self.down(value))
    }

    /// The line through the points, without detail that is finer than the screen.
    pub(super) fn line(&self, points: &[(f64, f64)]) -> Vec<(i32, i32)> {
        let points: Vec<_> = points.iter().map(|point| self.point(*point)).collect();
        if points.len() <= 2 * STRETCHES {
            return points;
        }
        let extremes = |stretch: &[(i32, i32)]| {
            let lowest = (0..stretch.len()).min_by_key(|index| stretch[*index].1);
            let highest = (0..stretch.len()).max_by_key(|index| stretch[*index].1);
            let mut kept = [
                0,
                lowest.unwrap_or(0),
                highest.unwrap_or(0),
                stretch.len() - 1,
            ];
            kept.sort();
            kept.map(|index| stretch[index])
        };
        let mut line: Vec<_> = points
            .chunks(points.len().div_ceil(STRETCHES))
            .flat_map(extremes)
            .collect();
        line.dedup();
        line
    }

    pub(super) fn draw_grid(&self, canvas: &Canvas) -> Drawn {
        for (tick, label) in self.y.ticks.iter().zip(&self.y.labels) {
            let down = self.down(*tick);
            canvas.line(
                [(self.left, down), (self.right, down)],
                GRID.stroke_width(thick(1.0)),
            )?;
            canvas.write(label, (self.left - 8.0, down), 12.0, &GREY, Anchor::RIGHT)?;
        }
        canvas.line(
            [(self.left, self.bottom), (self.right, self.bottom)],
            AXIS.stroke_width(thick(1.0)),
        )?;
        for (tick, label) in self.x.ticks.iter().zip(&self.x.labels) {
            let across = self.across(*tick);
            canvas.line(
                [(across, self.bottom), (across, self.bottom + 5.0)],
                AXIS.stroke_width(thick(1.0)),
            )?;
            canvas.write(
                label,
                (across, self.bottom + 16.0),
                12.0,
                &GREY,
                Anchor::MIDDLE,
            )?;
        }
        Ok(())
    }

    pub(super) fn draw_references(
        &self,
        canvas: &Canvas,
        references: &[&Reference],
        notes: &[String],
    ) -> Drawn {
        let mut lines: Vec<_> = references
            .iter()
            .map(|line| self.down(line.value))
            .zip(notes)
            .collect();
        lines.sort_by(|a, b| b.0.total_cmp(&a.0));
        // From the lowest line up, a note is moved off the one below it.
        let mut free = f64::INFINITY;
        for (down, note) in lines {
            let mut across = self.left;
            while across < self.right {
                let dash = [(across, down), ((across + 5.0).min(self.right), down)];
                canvas.line(dash, GREY.stroke_width(thick(1.2)))?;
                across += 9.0;
            }
            let middle = down.min(free);
            canvas.write(note, (self.right + 6.0, middle), 12.0, &GREY, Anchor::LEFT)?;
            free = middle - 14.0;
        }
        Ok(())
    }
}
