//! Counts of numbers in stretches of equal length, and their bars in a picture.

use plotters::prelude::*;

use super::canvas::{Canvas, Drawn, fine};

/// How often numbers fall into each of several stretches of equal length between the least and the greatest.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Histogram {
    pub(crate) low: f64,
    pub(crate) high: f64,
    /// From the lowest stretch to the highest; a single one where all numbers are the same.
    pub(crate) counts: Vec<usize>,
}

impl Histogram {
    /// Of finite numbers, in `stretches` between their least and greatest.
    pub(crate) fn of(numbers: impl Iterator<Item = f64> + Clone, stretches: usize) -> Self {
        let (low, high) = numbers
            .clone()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), number| {
                (low.min(number), high.max(number))
            });
        Self::between(numbers, low, high, stretches)
    }

    /// Of finite numbers, in `stretches` from `low` to `high`; those beyond count in the first or the last.
    pub(crate) fn between(
        numbers: impl Iterator<Item = f64>,
        low: f64,
        high: f64,
        stretches: usize,
    ) -> Self {
        let flat = high.partial_cmp(&low) != Some(std::cmp::Ordering::Greater);
        let mut counts = vec![0; if flat { 1 } else { stretches.max(1) }];
        let last = counts.len() - 1;
        for number in numbers {
            let fraction = if flat {
                0.0
            } else {
                (number - low) / (high - low)
            };
            counts[((fraction * (last + 1) as f64).max(0.0) as usize).min(last)] += 1;
        }
        Self { low, high, counts }
    }

    /// The greatest count, at least 1.
    pub(crate) fn most(&self) -> usize {
        self.counts.iter().copied().max().unwrap_or(0).max(1)
    }

    /// With the square root of each count, so that what is seldom is seen next to what is frequent.
    pub(crate) fn square_root(mut self) -> Self {
        for count in &mut self.counts {
            *count = (1e3 * (*count as f64).sqrt()) as usize;
        }
        self
    }

    /// Bars that stand on the line from (left, bottom) to (right, bottom), the tallest as tall as `height`.
    pub(crate) fn draw_upright(
        &self,
        canvas: &Canvas,
        (left, right): (f64, f64),
        (bottom, height): (f64, f64),
        color: RGBColor,
    ) -> Drawn {
        self.bars(left, right, height, |from, to, tall| {
            let corners = [fine(from, bottom - tall), fine(to, bottom)];
            canvas.0.draw(&Rectangle::new(corners, color.filled()))
        })
    }

    /// Bars that lie to the right of the line from (left, bottom) up to (left, top), the longest as long as `length`.
    pub(crate) fn draw_lying(
        &self,
        canvas: &Canvas,
        (bottom, top): (f64, f64),
        (left, length): (f64, f64),
        color: RGBColor,
    ) -> Drawn {
        self.bars(bottom, top, length, |from, to, long| {
            let corners = [fine(left, to.min(from)), fine(left + long, to.max(from))];
            canvas.0.draw(&Rectangle::new(corners, color.filled()))
        })
    }

    fn bars(
        &self,
        start: f64,
        end: f64,
        tallest: f64,
        mut draw: impl FnMut(f64, f64, f64) -> Drawn,
    ) -> Drawn {
        let each = (end - start) / self.counts.len() as f64;
        // A bar of a single stretch would fill the field.
        let (start, each) = if self.counts.len() == 1 {
            ((start + end) / 2.0 - each * 0.01, each * 0.02)
        } else {
            (start, each)
        };
        for (index, count) in self.counts.iter().enumerate().filter(|(_, n)| **n > 0) {
            let from = start + each * index as f64;
            // What is there is seen, however seldom it is.
            let tall = (tallest * *count as f64 / self.most() as f64).max(1.0);
            let gap = each * 0.08;
            draw(from + gap, from + each - gap, tall)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_counted_once_and_the_greatest_in_the_last_stretch() {
        let numbers = [0.0, 0.1, 0.5, 0.99, 1.0];
        let histogram = Histogram::of(numbers.into_iter(), 4);
        assert_eq!(histogram.counts, [2, 0, 1, 2]);
        assert_eq!((histogram.low, histogram.high), (0.0, 1.0));
    }

    #[test]
    fn equal_numbers_and_none_are_one_stretch() {
        assert_eq!(Histogram::of([7.0; 3].into_iter(), 9).counts, [3]);
        assert_eq!(Histogram::of([].into_iter(), 9).counts, [0]);
    }
}
