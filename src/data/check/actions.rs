//! Actions beyond their bounds, or at them.

use std::collections::BTreeSet;

use super::numbers::listed;
use super::{ActionBounds, Finding, Kind, Place, Severity};
use crate::data::beyond_bounds::slack;
use crate::data::{Column, DatasetFile, Layout, Transitions};

/// From this share of the rows on, actions at a bound are worth a word.
const SHARE: f64 = 0.01;

/// Actions beyond the bounds and at them, and discrete ones that nobody took. Without bounds, the data's own extremes stand for them.
pub(super) fn look(
    dataset_file: &DatasetFile,
    transitions: &Transitions,
    bounds: Option<&ActionBounds>,
) -> Vec<Finding> {
    let actions = transitions.action();
    // The first and the last choice are no bounds.
    if let Some(count) = transitions.discrete_actions() {
        return never_taken(dataset_file, actions, count)
            .into_iter()
            .collect();
    }
    match bounds {
        Some(bounds) if bounds.low.len() != actions.width => vec![
            Finding::new(
                Severity::Error,
                Kind::OutOfBounds,
                format!(
                    "{} has actions of {} elements, and those of the data have {}: they are of another task",
                    bounds.of,
                    bounds.low.len(),
                    actions.width
                ),
            )
            .once(Place::default()),
        ],
        Some(bounds) => held_against(bounds, Severity::Error, actions),
        None => {
            if let Some(named) = dataset_file.environment_bounds() {
                return held_against(&named, Severity::Warning, actions);
            }
            let (low, high) = extremes(actions);
            let beyond = (dataset_file.layout() == Layout::Robomimic)
                .then(|| beyond_robomimic(actions))
                .flatten();
            beyond
                .into_iter()
                .chain(saturated(
                    actions,
                    &low,
                    &high,
                    "their least or greatest value",
                ))
                .collect()
        }
    }
}

/// Actions beyond bounds that are known, and at them.
fn held_against(bounds: &ActionBounds, severity: Severity, actions: &Column) -> Vec<Finding> {
    let ActionBounds { of, low, high } = bounds;
    let at_bounds = saturated(actions, low, high, &format!("the bounds of {of}"));
    beyond(actions, bounds, severity)
        .into_iter()
        .chain(at_bounds)
        .collect()
}

fn beyond(
    actions: &Column,
    ActionBounds { of, low, high }: &ActionBounds,
    severity: Severity,
) -> Option<Finding> {
    let mut finding = Finding::new(
        severity,
        Kind::OutOfBounds,
        format!(
            "actions beyond the bounds of {of}: a policy cannot give them, and they are scaled past 1; clip or drop them, \
             or name the environment that they are of"
        ),
    );
    for (row, action) in actions.values.chunks_exact(actions.width).enumerate() {
        for (element, &value) in action.iter().enumerate() {
            let (low, high) = (low[element], high[element]);
            let slack = slack(low, high);
            if value < low - slack || value > high + slack {
                finding.at(|| Place {
                    row: Some(row),
                    element: Some(element),
                    ..Place::default()
                });
            }
        }
    }
    (finding.count > 0).then_some(finding)
}

/// Actions of a robomimic file beyond -1 and 1, within which its layout has them, where its environment's bounds are not known.
fn beyond_robomimic(actions: &Column) -> Option<Finding> {
    let mut finding = Finding::new(Severity::Warning, Kind::OutOfBounds, "");
    let mut furthest: f32 = 0.0;
    for (row, action) in actions.values.chunks_exact(actions.width).enumerate() {
        for (element, &value) in action.iter().enumerate() {
            if value.abs() > 1.0 + slack(-1.0, 1.0) {
                if value.abs() > furthest.abs() {
                    furthest = value;
                }
                finding.at(|| Place {
                    row: Some(row),
                    element: Some(element),
                    ..Place::default()
                });
            }
        }
    }
    finding.message = format!(
        "actions beyond [-1, 1], up to {furthest}, which robomimic's files do not have and its policies cannot give: here they are scaled by \
         the environment's bounds or by their own extremes; scale them before they are written, or say what is meant with \
         `action_bounds`"
    );
    (finding.count > 0).then_some(finding)
}

/// Discrete actions that nobody took.
fn never_taken(dataset_file: &DatasetFile, actions: &Column, count: usize) -> Option<Finding> {
    const SHOWN: usize = 6;
    let taken: BTreeSet<usize> = actions.values.iter().map(|value| *value as usize).collect();
    let missing = count.saturating_sub(taken.len());
    if missing == 0 {
        return None;
    }
    let declared = dataset_file.discrete_actions();
    let first = declared.map_or(0, |declared| declared.first);
    let mut shown: Vec<String> = (0..count)
        .filter(|action| !taken.contains(action))
        .take(SHOWN)
        .map(|action| (action as i64 + first).to_string())
        .collect();
    if missing > SHOWN {
        shown.push(format!("{} more", missing - SHOWN));
    }
    let guess = match declared.and_then(|declared| declared.count) {
        None => "; how many there are is a guess from the greatest",
        Some(_) => "",
    };
    let mut finding = Finding::new(
        Severity::Warning,
        Kind::NeverTaken,
        format!(
            "of {count} discrete actions {missing} never occur: {}; nothing is learned of them{guess}",
            shown.join(", ")
        ),
    )
    .once(Place::default());
    finding.count = 1;
    Some(finding)
}

fn saturated(actions: &Column, low: &[f32], high: &[f32], at_what: &str) -> Option<Finding> {
    let mut counts = vec![0usize; actions.width];
    for action in actions.values.chunks_exact(actions.width) {
        for (element, value) in action.iter().enumerate() {
            let (low, high) = (low[element], high[element]);
            // What lies beyond is another finding, but for rounding.
            let slack = slack(low, high);
            let at_bound =
                (low - slack..=low).contains(value) || (high..=high + slack).contains(value);
            // An element that never changes is another finding.
            counts[element] += usize::from(at_bound && low < high);
        }
    }
    let rows = actions.rows();
    let enough = |count: usize| count as f64 >= SHARE * rows as f64 && count > 2;
    let elements: Vec<usize> = (0..actions.width).filter(|e| enough(counts[*e])).collect();
    if elements.is_empty() {
        return None;
    }
    let most = elements.iter().map(|e| counts[*e]).max().unwrap_or(0);
    let mut finding = Finding::new(
        Severity::Note,
        Kind::Saturated,
        format!(
            "exactly at {at_what} in up to {:.1}% of the rows, in the action: {}; a policy with a tanh never quite gets there",
            100.0 * most as f64 / rows as f64,
            listed(&elements)
        ),
    );
    for element in elements {
        finding.at(|| Place {
            element: Some(element),
            ..Place::default()
        });
    }
    finding.count = counts.iter().filter(|count| enough(**count)).sum();
    Some(finding)
}

fn extremes(actions: &Column) -> (Vec<f32>, Vec<f32>) {
    let mut low = vec![f32::INFINITY; actions.width];
    let mut high = vec![f32::NEG_INFINITY; actions.width];
    for action in actions.values.chunks_exact(actions.width) {
        for (element, value) in action.iter().enumerate() {
            low[element] = low[element].min(*value);
            high[element] = high[element].max(*value);
        }
    }
    (low, high)
}
