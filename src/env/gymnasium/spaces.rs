//! What a worker says of its environments' spaces.

use serde::Deserialize;

use crate::env::Space;

/// What the environments of a worker show and take.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct WorkerSpaces {
    /// Observations.
    pub observation: Space,
    /// Actions.
    pub action: Space,
    /// Whether the elements of a box of actions are whole numbers.
    pub integer_actions: bool,
    /// What the environments call their first discrete action, which is 0 here.
    pub first_action: i64,
}

/// The first frame of a worker.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Announced {
    observation: Described,
    action: Described,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "type")]
enum Described {
    Box {
        /// A bound that is not finite is null.
        low: Vec<Option<f32>>,
        high: Vec<Option<f32>>,
        shape: Vec<usize>,
        #[serde(default)]
        integer: bool,
    },
    Discrete {
        n: usize,
        #[serde(default)]
        start: i64,
    },
    Dict {
        parts: Vec<(String, Described)>,
    },
}

impl Announced {
    /// The spaces of observations and of actions.
    pub fn spaces(&self) -> Result<WorkerSpaces, String> {
        Ok(WorkerSpaces {
            observation: self.observation.space()?,
            action: self.action.space()?,
            integer_actions: matches!(self.action, Described::Box { integer: true, .. }),
            first_action: match self.action {
                Described::Discrete { start, .. } => start,
                _ => 0,
            },
        })
    }
}

impl Described {
    fn space(&self) -> Result<Space, String> {
        Ok(match self {
            Described::Box {
                low, high, shape, ..
            } => {
                let size = shape
                    .iter()
                    .try_fold(1_usize, |all, it| all.checked_mul(*it));
                if size != Some(low.len()) || size != Some(high.len()) {
                    return Err(format!("bounds that do not fill the shape {shape:?}"));
                }
                let open = |bounds: &[Option<f32>], value| {
                    bounds.iter().map(|it| it.unwrap_or(value)).collect()
                };
                Space::Box {
                    low: open(low, f32::NEG_INFINITY),
                    high: open(high, f32::INFINITY),
                    shape: shape.clone(),
                }
            }
            Described::Discrete { n, .. } => Space::Discrete { n: *n },
            // In the worker's order, in which it flattens.
            Described::Dict { parts } => Space::Dict {
                entries: parts
                    .iter()
                    .map(|(name, part)| {
                        crate::terminal::heed(name);
                        Ok((name.clone(), part.space()?))
                    })
                    .collect::<Result<_, String>>()?,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spaces_come_with_open_bounds_and_in_the_workers_order() {
        let text = r#"{
            "observation": {"type": "Dict", "parts": [
                ["_index_2", {"type": "Discrete", "n": 3}],
                ["_index_10", {"type": "Box", "low": [null, 0.1], "high": [1.0, null], "shape": [1, 2]}]
            ]},
            "action": {"type": "Discrete", "n": 2, "start": -1}
        }"#;
        let announced: Announced = serde_json::from_str(text).unwrap();
        let spaces = announced.spaces().unwrap();
        let observation = spaces.observation;
        assert_eq!(spaces.action, Space::Discrete { n: 2 });
        assert_eq!((spaces.first_action, spaces.integer_actions), (-1, false));
        assert_eq!(observation.place_of("_index_10"), Some(1..3));
        let Space::Dict { entries } = observation else {
            panic!("a dictionary");
        };
        let expected = Space::Box {
            low: vec![f32::NEG_INFINITY, 0.1],
            high: vec![1.0, f32::INFINITY],
            shape: vec![1, 2],
        };
        assert_eq!(entries[1].1, expected);
    }

    #[test]
    fn bounds_that_do_not_fill_their_shape_are_refused() {
        let text = r#"{"type": "Box", "low": [0.0], "high": [1.0], "shape": [2]}"#;
        let described: Described = serde_json::from_str(text).unwrap();
        assert!(described.space().unwrap_err().contains("[2]"));
    }
}
