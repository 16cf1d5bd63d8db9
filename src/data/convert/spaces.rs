//! The spaces of observations and actions: what the environment that was named has, or what the file itself says.

use super::account::Account;
use super::{DiscreteActions, Job, LoadError};
use crate::data::hdf5::JoinedBounds;

/// The names of the spaces, as Minari has them.
const NAMES: [&str; 2] = ["observation_space", "action_space"];

/// Why a space that the file has is not in the new one.
const NAMED: &str = "--env names the environment, whose space is there";

/// The spaces of observations and of actions as Minari writes them, each one Box, or a Discrete.
pub(super) fn for_minari(job: &Job<'_>, account: &mut Account) -> Result<[String; 2], LoadError> {
    let own = of_the_file(job)?;
    let named = job.origin.map(|origin| {
        [
            (&origin.observation_low, &origin.observation_high),
            (&origin.action_low, &origin.action_high),
        ]
    });
    let transitions = job.transitions;
    let widths = [
        transitions.observation().width(),
        transitions.action().width,
    ];
    let mut spaces = [String::new(), String::new()];
    let mut unbounded = Vec::new();
    for (index, own) in own.into_iter().enumerate() {
        if let (1, Some(discrete_actions)) = (index, job.discrete_actions) {
            let declared = job
                .extras
                .and_then(|extras| extras.dataset_file.discrete_actions()?.count);
            if own.is_some() && declared.is_some_and(|count| count != discrete_actions.count) {
                account.leave(NAMES[index], NAMED);
            }
            spaces[index] = discrete(discrete_actions);
            continue;
        }
        let width = widths[index];
        let named = named
            .map(|spaces| spaces[index])
            .filter(|(low, high)| low.len() == width && high.len() == width);
        let own_is_all = own.as_ref().is_none_or(|own| own.are_all);
        let (low, high) = match (named, own) {
            (Some((low, high)), own) => {
                if own.is_some_and(|own| {
                    !own.are_all || own.is_bounded() && (&own.low, &own.high) != (low, high)
                }) {
                    account.leave(NAMES[index], NAMED);
                }
                (low.clone(), high.clone())
            }
            (None, own) => {
                if !own_is_all {
                    account.leave(
                        NAMES[index],
                        "of a space that is no Box only its parts' bounds have a place in the one Box that is written",
                    );
                }
                let infinite = |infinity| vec![infinity; width];
                let (low, high) = match own {
                    Some(own) => (own.low, own.high),
                    None => (infinite(f32::NEG_INFINITY), infinite(f32::INFINITY)),
                };
                if !low.iter().chain(&high).any(|bound| bound.is_finite()) {
                    unbounded.push(["observations", "actions"][index]);
                }
                (low, high)
            }
        };
        spaces[index] = space(&low, &high);
    }
    if !unbounded.is_empty() {
        let remedy = match job.origin {
            None => "give --env NAME to have that environment's".to_owned(),
            Some(origin) => format!("{} has none of their width", origin.environment),
        };
        account.note(format!(
            "without bounds are {}: {remedy}",
            unbounded.join(" and ")
        ));
    }
    Ok(spaces)
}

/// Tells of spaces that go to a layout without any. A Discrete of actions is written down with them.
pub(super) fn leave(job: &Job<'_>, account: &mut Account) -> Result<(), LoadError> {
    for (index, own) in of_the_file(job)?.into_iter().enumerate() {
        let is_written = index == 1 && job.discrete_actions.is_some();
        if own.is_some_and(|own| own.is_bounded() || !own.are_all) && !is_written {
            account.leave(
                NAMES[index],
                "only Minari has a place for bounds and spaces",
            );
        }
    }
    Ok(())
}

fn of_the_file(job: &Job<'_>) -> Result<[Option<JoinedBounds>; 2], LoadError> {
    match job.extras {
        Some(extras) => extras.dataset_file.space_bounds(),
        None => Ok([None, None]),
    }
}

/// A Discrete as Minari writes spaces.
fn discrete(DiscreteActions { first, count }: DiscreteActions) -> String {
    format!(r#"{{"type": "Discrete", "dtype": "int64", "start": {first}, "n": {count}}}"#)
}

/// A Box of float32 as Minari writes spaces: JSON in which Python's `Infinity` may be.
fn space(low: &[f32], high: &[f32]) -> String {
    let list = |bounds: &[f32]| {
        let bounds: Vec<String> = bounds
            .iter()
            .map(|&bound| match bound {
                f32::INFINITY => "Infinity".to_owned(),
                f32::NEG_INFINITY => "-Infinity".to_owned(),
                bound => format!("{:?}", f64::from(bound)),
            })
            .collect();
        format!("[{}]", bounds.join(", "))
    };
    format!(
        r#"{{"type": "Box", "dtype": "float32", "shape": [{}], "low": {}, "high": {}}}"#,
        low.len(),
        list(low),
        list(high)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spaces_are_pythons_json() {
        assert_eq!(
            space(&[f32::NEG_INFINITY, -2.0], &[f32::INFINITY, 0.5]),
            r#"{"type": "Box", "dtype": "float32", "shape": [2], "low": [-Infinity, -2.0], "high": [Infinity, 0.5]}"#
        );
    }
}
