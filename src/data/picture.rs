//! A dataset as a picture: the return of every episode in the file's order, how long episodes are, and how each element of
//! observations, actions and rewards is spread.

use std::ops::Range;

use plotters::prelude::*;

use super::parts::measured;
use super::{Column, EpisodeEnd, ObservationColumn, Transitions};
use crate::observation::ObservationParts;
use crate::report::axis::Axis;
use crate::report::canvas::{
    AXIS, Anchor, Canvas, Drawn, GREY, GRID, INK, element, fine, fitting, text_width, thick,
};
use crate::report::curves::CurvesError;
use crate::report::histogram::Histogram;

const WIDTH: f64 = 1000.0;
const MARGIN: f64 = 28.0;
/// Where the two upper fields begin and end.
const TOP: f64 = 142.0;
const BOTTOM: f64 = 382.0;
/// The small fields below: how many side by side, and how high each is.
const ACROSS: usize = 4;
const SMALL_HEIGHT: f64 = 108.0;
const GAP: f64 = 24.0;
/// More episodes than this are not drawn one by one: the dots would only make the file larger.
const MOST_DOTS: usize = 3_000;
/// More elements than this would make the picture longer than anybody looks.
const MOST_ELEMENTS: usize = 64;

const BLUE: RGBColor = RGBColor(0, 114, 178);
const ORANGE: RGBColor = RGBColor(230, 159, 0);
const GREEN: RGBColor = RGBColor(0, 158, 115);
const VERMILION: RGBColor = RGBColor(213, 94, 0);
const BARS: RGBColor = RGBColor(176, 186, 197);

/// A picture of a dataset.
///
/// ```
/// # let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/d4rl/contiguous.hdf5");
/// use yarak::data::DatasetPicture;
/// use yarak::observation::ObservationParts;
///
/// let transitions = yarak::data::load(file)?;
/// let picture = DatasetPicture {
///     title: "contiguous.hdf5".into(),
///     subtitle: "D4RL layout".into(),
///     transitions: &transitions,
///     parts: &ObservationParts::vector(transitions.observation().width()),
/// };
/// assert!(picture.svg()?.starts_with("<svg "));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct DatasetPicture<'a> {
    /// Above everything.
    pub title: String,
    /// Below it.
    pub subtitle: String,
    /// What is drawn.
    pub transitions: &'a Transitions,
    /// What an observation of it consists of.
    pub parts: &'a ObservationParts,
}

/// One element of a column.
struct Element<'a> {
    name: String,
    color: RGBColor,
    values: &'a ObservationColumn,
    /// Where it lies in a row.
    place: Range<usize>,
}

impl Element<'_> {
    fn numbers(&self) -> impl Iterator<Item = f64> + Clone {
        let values = self.values.elements_at(self.place.clone());
        values.map(f64::from)
    }
}

impl DatasetPicture<'_> {
    /// The picture as an SVG element with its name space: a file of its own, or a part of an HTML page.
    ///
    /// # Errors
    /// The drawing library failed; no values that could make it are known.
    pub fn svg(&self) -> Result<String, CurvesError> {
        let reward = ObservationColumn::from(Column {
            values: self.transitions.reward().to_vec(),
            width: 1,
        });
        let action = ObservationColumn::from(self.transitions.action().clone());
        let elements = self.elements(&reward, &action);
        let shown = elements.len().min(MOST_ELEMENTS);
        let foot = if shown < elements.len() { 36.0 } else { 12.0 };
        let rows = shown.div_ceil(ACROSS) as f64;
        let height = BOTTOM + 92.0 + rows * (SMALL_HEIGHT + GAP) + foot;
        let mut drawn = String::new();
        self.draw(&mut drawn, height, &elements)
            .map_err(|source| CurvesError {
                title: self.title.clone(),
                source,
            })?;
        Ok(element(&drawn, (WIDTH, height), &self.title))
    }

    fn elements<'a>(
        &'a self,
        reward: &'a ObservationColumn,
        action: &'a ObservationColumn,
    ) -> Vec<Element<'a>> {
        let reward = Element {
            name: "reward".to_owned(),
            color: VERMILION,
            values: reward,
            place: 0..1,
        };
        let actions = (0..action.width()).map(|index| Element {
            name: format!("action {index}"),
            color: GREEN,
            values: action,
            place: index..index + 1,
        });
        let observations = measured(self.parts).into_iter().map(|it| {
            let column = it.part.as_deref().unwrap_or("observation");
            Element {
                name: match it.element {
                    Some(element) => format!("{column} {element}"),
                    None => column.to_owned(),
                },
                color: BLUE,
                values: self.transitions.observation(),
                place: it.place,
            }
        });
        // Rewards and actions first: of many observations not all are shown.
        std::iter::once(reward)
            .chain(actions)
            .chain(observations)
            .collect()
    }

    fn draw(&self, svg: &mut String, height: f64, elements: &[Element]) -> Drawn {
        let (fine_width, fine_height) = fine(WIDTH, height);
        let backend = SVGBackend::with_string(svg, (fine_width as u32, fine_height as u32));
        let canvas = Canvas(backend.into_drawing_area());
        canvas.0.fill(&WHITE)?;
        let title = fitting(&self.title, 90);
        canvas.write(&title, (MARGIN, 34.0), 19.0, &INK, Anchor::TITLE)?;
        let subtitle = fitting(&self.subtitle, 140);
        canvas.write(&subtitle, (MARGIN, 60.0), 13.0, &GREY, Anchor::LEFT)?;
        self.draw_returns(&canvas)?;
        self.draw_lengths(&canvas)?;
        let top = BOTTOM + 92.0;
        let heading = (MARGIN, top - 28.0);
        let text = "Every element, from its least to its greatest value";
        canvas.write(text, heading, 14.0, &INK, Anchor::TITLE)?;
        let text = "mean ± deviation; heights are square roots of counts";
        let right = (WIDTH - MARGIN, heading.1);
        canvas.write(text, right, 12.0, &GREY, Anchor::RIGHT)?;
        let shown = &elements[..elements.len().min(MOST_ELEMENTS)];
        for (place, element) in shown.iter().enumerate() {
            let each = (WIDTH - 2.0 * MARGIN + GAP) / ACROSS as f64;
            let left = MARGIN + each * (place % ACROSS) as f64;
            let top = top + (SMALL_HEIGHT + GAP) * (place / ACROSS) as f64;
            draw_element(&canvas, element, (left, top), each - GAP)?;
        }
        if shown.len() < elements.len() {
            let more = elements.len() - shown.len();
            let text = format!("and {more} more elements, which `yarak data info` lists");
            canvas.write(&text, (MARGIN, height - 22.0), 12.0, &GREY, Anchor::LEFT)?;
        }
        canvas.0.present()
    }

    /// A dot for each episode, and next to them how many there are of each return.
    fn draw_returns(&self, canvas: &Canvas) -> Drawn {
        let returns = self.transitions.returns();
        let episodes = self.transitions.episodes();
        let y = Axis::of_values(returns.iter().copied(), 8);
        let x = Axis::with_ticks(0.0, (returns.len().max(2) - 1) as f64, 6);
        let ticks = y.labels.iter().map(|label| text_width(label, 12.0));
        let left = MARGIN + ticks.fold(20.0, f64::max) + 8.0;
        let (right, beside) = (536.0, 96.0);
        let down = |value: f64| BOTTOM - y.fraction(value) * (BOTTOM - TOP);
        let across = |episode: f64| left + x.fraction(episode) * (right - left);

        canvas.write(
            "Return of each episode",
            (MARGIN, TOP - 44.0),
            14.0,
            &INK,
            Anchor::TITLE,
        )?;
        self.draw_legend(canvas, TOP - 23.0)?;
        for (tick, label) in y.ticks.iter().zip(&y.labels) {
            let line = [(left, down(*tick)), (right + beside, down(*tick))];
            canvas.line(line, GRID.stroke_width(thick(1.0)))?;
            canvas.write(label, (left - 8.0, down(*tick)), 12.0, &GREY, Anchor::RIGHT)?;
        }
        canvas.line(
            [(left, BOTTOM), (right, BOTTOM)],
            AXIS.stroke_width(thick(1.0)),
        )?;
        for (tick, label) in x.ticks.iter().zip(&x.labels) {
            canvas.write(
                label,
                (across(*tick), BOTTOM + 14.0),
                12.0,
                &GREY,
                Anchor::MIDDLE,
            )?;
        }
        let middle = (left + right) / 2.0;
        canvas.write(
            "episode, in the file's order",
            (middle, BOTTOM + 33.0),
            12.0,
            &GREY,
            Anchor::MIDDLE,
        )?;

        let each = returns.len().div_ceil(MOST_DOTS).max(1);
        let radius = match returns.len() / each {
            0..150 => 3.5,
            150..800 => 2.6,
            _ => 1.8,
        };
        for (index, total) in returns.iter().enumerate().step_by(each) {
            let color = color(episodes[index].end).mix(0.75).filled();
            let at = fine(across(index as f64), down(*total));
            canvas
                .0
                .draw(&Circle::new(at, fine(radius, 0.0).0, color))?;
        }
        let histogram = Histogram::of(returns.iter().copied(), 36);
        let ends = (down(histogram.low), down(histogram.high));
        histogram.draw_lying(canvas, ends, (right + 12.0, beside - 12.0), BARS)
    }

    fn draw_legend(&self, canvas: &Canvas, middle: f64) -> Drawn {
        let mut left = MARGIN;
        for (end, name) in [
            (EpisodeEnd::Terminated, "terminal"),
            (EpisodeEnd::Truncated, "truncated"),
            (EpisodeEnd::Unfinished, "unfinished"),
        ] {
            let episodes = self.transitions.episodes().iter();
            let count = episodes.filter(|episode| episode.end == end).count();
            if count == 0 {
                continue;
            }
            let text = format!("{count} {name}");
            let dot = Circle::new(
                fine(left + 5.0, middle),
                fine(4.0, 0.0).0,
                color(end).filled(),
            );
            canvas.0.draw(&dot)?;
            canvas.write(&text, (left + 15.0, middle), 12.0, &GREY, Anchor::LEFT)?;
            left += 15.0 + text_width(&text, 12.0) + 18.0;
        }
        Ok(())
    }

    /// How many episodes are how long.
    fn draw_lengths(&self, canvas: &Canvas) -> Drawn {
        let lengths = self.transitions.episodes().iter();
        let lengths = lengths.map(|episode| episode.rows.len() as f64);
        let (left, right) = (700.0, WIDTH - MARGIN);
        canvas.write(
            "Length of episodes",
            (left, TOP - 44.0),
            14.0,
            &INK,
            Anchor::TITLE,
        )?;
        let histogram = Histogram::of(lengths.clone(), 28);
        let mut sorted: Vec<f64> = lengths.collect();
        sorted.sort_by(f64::total_cmp);
        let (least, greatest) = (histogram.low, histogram.high);
        let told = if least == greatest {
            format!("every episode has {least} steps")
        } else {
            let median = sorted[sorted.len() / 2];
            format!("{least} to {greatest} steps, half of them up to {median}")
        };
        canvas.write(&told, (left, TOP - 23.0), 12.0, &GREY, Anchor::LEFT)?;
        histogram.draw_upright(canvas, (left, right), (BOTTOM, BOTTOM - TOP), BLUE)?;
        canvas.line(
            [(left, BOTTOM), (right, BOTTOM)],
            AXIS.stroke_width(thick(1.0)),
        )?;
        if least == greatest {
            let middle = ((left + right) / 2.0, BOTTOM + 14.0);
            canvas.write(&least.to_string(), middle, 12.0, &GREY, Anchor::MIDDLE)?;
        } else {
            let x = Axis::with_ticks(least, greatest, 4);
            for (tick, label) in x.ticks.iter().zip(&x.labels) {
                let across = left + x.fraction(*tick) * (right - left);
                canvas.line(
                    [(across, BOTTOM), (across, BOTTOM + 4.0)],
                    AXIS.stroke_width(thick(1.0)),
                )?;
                canvas.write(label, (across, BOTTOM + 14.0), 12.0, &GREY, Anchor::MIDDLE)?;
            }
        }
        let middle = ((left + right) / 2.0, BOTTOM + 33.0);
        let most = histogram.most();
        let text = format!("steps; the tallest bar is {most} episodes");
        canvas.write(&text, middle, 12.0, &GREY, Anchor::MIDDLE)
    }
}

fn color(end: EpisodeEnd) -> RGBColor {
    match end {
        EpisodeEnd::Terminated => BLUE,
        EpisodeEnd::Truncated => ORANGE,
        EpisodeEnd::Unfinished => GREY,
    }
}

/// A small field: the name, the mean and the deviation, the bars, and the range below.
fn draw_element(canvas: &Canvas, element: &Element, (left, top): (f64, f64), width: f64) -> Drawn {
    let histogram = Histogram::of(element.numbers(), 44).square_root();
    let count = element.numbers().count().max(1) as f64;
    let mean = element.numbers().sum::<f64>() / count;
    let variance = element
        .numbers()
        .map(|value| (value - mean).powi(2))
        .sum::<f64>()
        / count;
    let (right, bottom) = (left + width, top + SMALL_HEIGHT - 26.0);
    canvas.write(&element.name, (left, top), 12.5, &INK, Anchor::LEFT)?;
    let constant = histogram.low == histogram.high;
    // Beside the range of all, a very small number is none.
    let shown = |number: f64| match number.abs() < 1e-3 * (histogram.high - histogram.low) {
        true => "0".to_owned(),
        false => short(number),
    };
    let told = if constant {
        "never changes".to_owned()
    } else {
        format!("{} ± {}", shown(mean), short(variance.sqrt()))
    };
    canvas.write(&told, (right, top), 11.5, &GREY, Anchor::RIGHT)?;
    let height = bottom - top - 14.0;
    histogram.draw_upright(canvas, (left, right), (bottom, height), element.color)?;
    canvas.line(
        [(left, bottom), (right, bottom)],
        AXIS.stroke_width(thick(1.0)),
    )?;
    if constant {
        let middle = ((left + right) / 2.0, bottom + 13.0);
        return canvas.write(&short(mean), middle, 11.5, &GREY, Anchor::MIDDLE);
    }
    canvas.write(
        &shown(histogram.low),
        (left, bottom + 13.0),
        11.5,
        &GREY,
        Anchor::LEFT,
    )?;
    canvas.write(
        &shown(histogram.high),
        (right, bottom + 13.0),
        11.5,
        &GREY,
        Anchor::RIGHT,
    )?;
    let zero = -histogram.low / (histogram.high - histogram.low);
    // Where it is apart from both ends.
    if (0.12..0.88).contains(&zero) {
        let across = left + zero * width;
        canvas.line(
            [(across, bottom), (across, bottom + 4.0)],
            AXIS.stroke_width(thick(1.0)),
        )?;
        canvas.write("0", (across, bottom + 13.0), 11.5, &GREY, Anchor::MIDDLE)?;
    }
    Ok(())
}

/// A number with three digits that tell.
fn short(number: f64) -> String {
    match number.abs() {
        0.0 => "0".to_owned(),
        size if !(1e-3..1e5).contains(&size) => format!("{number:.1e}"),
        size => {
            let decimals = (2.0 - size.log10().floor()).clamp(0.0, 5.0) as usize;
            let text = format!("{number:.decimals$}");
            match text.contains('.') {
                true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
                false => text,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits_that_tell() {
        for (number, text) in [
            (0.0, "0"),
            (-1.0, "-1"),
            (0.123_456, "0.123"),
            (123.456, "123"),
            (-12.34, "-12.3"),
            (2e-7, "2.0e-7"),
            (250_000.0, "2.5e5"),
        ] {
            assert_eq!(short(number), text);
        }
    }
}
