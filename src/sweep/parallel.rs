//! Parallel coordinates: an axis for each setting and one for the objective, a line for each trial.

use super::importance::numbers;
use super::state::State;
use crate::report::axis::Axis;
use crate::report::canvas::{escaped, fitting};
use crate::schedule::Goal;

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 360.0;
const TOP: f64 = 48.0;
const BOTTOM: f64 = 24.0;
const SIDE: f64 = 80.0;
/// About the width of a letter.
const LETTER: f64 = 6.0;

/// The picture as an SVG element; nothing before two trials have a value.
pub(super) fn parallel(state: &State) -> Option<String> {
    let ended: Vec<(usize, f64)> = state
        .progress
        .iter()
        .enumerate()
        .filter_map(|(trial, progress)| Some((trial, progress.reached.last()?.value?)))
        .collect();
    if ended.len() < 2 {
        return None;
    }
    let first = &state.lineages[ended[0].0].settings;
    let mut columns: Vec<(String, Vec<f64>)> = Vec::new();
    for (index, setting) in first.iter().enumerate() {
        let texts = ended
            .iter()
            .map(|(trial, _)| &*state.lineages[*trial].settings[index].value);
        let values = numbers(texts);
        // What spans decades is read on a logarithmic axis.
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        columns.push(match low > 0.0 && high / low >= 20.0 {
            true => (
                format!("log10 {}", setting.name()),
                values.iter().map(|it| it.log10()).collect(),
            ),
            false => (setting.name(), values),
        });
    }
    let values: Vec<f64> = ended.iter().map(|(_, value)| *value).collect();
    columns.push((state.settings.objective.metric.clone(), values.clone()));
    let gap = (WIDTH - 2.0 * SIDE) / (columns.len() - 1).max(1) as f64;
    let axes: Vec<Axis> = columns
        .iter()
        .map(|(_, values)| Axis::of_values(values.iter().copied(), 5))
        .collect();
    let down =
        |axis: &Axis, value: f64| HEIGHT - BOTTOM - axis.fraction(value) * (HEIGHT - TOP - BOTTOM);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"settings and {}\" font-family=\"sans-serif\" font-size=\"11\">\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n",
        escaped(&state.settings.objective.metric)
    );
    // The best are drawn last, so that they are on top.
    let mut order: Vec<usize> = (0..ended.len()).collect();
    order.sort_by(|one, other| values[*one].total_cmp(&values[*other]));
    if state.settings.objective.goal == Goal::Smallest {
        order.reverse();
    }
    let most = (order.len() - 1).max(1) as f64;
    for (place, line) in order.into_iter().enumerate() {
        let points = columns
            .iter()
            .zip(&axes)
            .enumerate()
            .map(|(column, ((_, values), axis))| {
                let across = SIDE + gap * column as f64;
                format!("{across:.1},{:.1}", down(axis, values[line]))
            });
        let strength = 0.15 + 0.85 * (place as f64 / most).powi(2);
        svg.push_str(&format!(
            "<polyline points=\"{}\" fill=\"none\" stroke=\"#0072B2\" stroke-width=\"1.5\" stroke-opacity=\"{strength:.2}\"><title>trial {}</title></polyline>\n",
            points.collect::<Vec<_>>().join(" "),
            ended[line].0
        ));
    }
    for (column, ((name, _), axis)) in columns.iter().zip(&axes).enumerate() {
        let across = SIDE + gap * column as f64;
        // Names of neighbors are on two levels, so that they do not run into each other; those at the sides stay within the picture.
        let level = if column % 2 == 0 { 14.0 } else { 30.0 };
        let (at, anchor) = match column {
            0 => (4.0, "start"),
            last if last + 1 == columns.len() => (WIDTH - 4.0, "end"),
            _ => (across, "middle"),
        };
        svg.push_str(&format!(
            "<line x1=\"{across:.1}\" y1=\"{TOP}\" x2=\"{across:.1}\" y2=\"{}\" stroke=\"#8C959F\"/>\n<text x=\"{at:.1}\" y=\"{level}\" text-anchor=\"{anchor}\" fill=\"#1F2328\">{}</text>\n",
            HEIGHT - BOTTOM,
            escaped(&fitting(name, (1.7 * gap / LETTER) as usize))
        ));
        for (tick, label) in axis.ticks.iter().zip(&axis.labels) {
            svg.push_str(&format!(
                "<text x=\"{:.1}\" y=\"{:.1}\" fill=\"#59636E\">{}</text>\n",
                across + 4.0,
                down(axis, *tick) + 4.0,
                escaped(label)
            ));
        }
    }
    svg.push_str("</svg>");
    Some(svg)
}
