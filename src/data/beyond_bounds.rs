//! Recorded actions beyond the bounds that they are scaled by: they are learned from, and no policy gives them.

use super::{ActionScale, Column, Dataset, Preprocessing, Spaces};
use crate::env::Space;

/// A float that was rounded on its way is not beyond the bound.
const SLACK: f32 = 1e-6;

/// How far beyond a bound rounding may bring an action.
pub(super) fn slack(low: f32, high: f32) -> f32 {
    SLACK * (1.0 + low.abs().min(high.abs()))
}

/// Bounds that something other than the data says.
pub(super) struct Bounds {
    of: Source,
    low: Vec<f32>,
    high: Vec<f32>,
}

/// Who says them.
enum Source {
    Environment(String),
    Setting,
    Pretrained,
}

impl Bounds {
    /// Those that the actions of a run's data are scaled by, `width` of them; `None` where they are the data's own.
    pub(super) fn of_run(
        dataset: &Dataset,
        spaces: Option<&Spaces>,
        given: Option<&Preprocessing>,
        width: usize,
    ) -> Option<Self> {
        if let Some(Preprocessing { action, .. }) = given {
            return Some(Bounds::of_scale(Source::Pretrained, action));
        }
        if let Some((low, high)) = dataset.action_bounds {
            return Some(Bounds {
                of: Source::Setting,
                low: vec![low; width],
                high: vec![high; width],
            });
        }
        let Spaces {
            environment,
            action: Space::Box { low, high, .. },
            ..
        } = spaces?
        else {
            return None;
        };
        Some(Bounds {
            of: Source::Environment(environment.clone()),
            low: low.clone(),
            high: high.clone(),
        })
    }

    fn of_scale(of: Source, scale: &ActionScale) -> Self {
        Bounds {
            of,
            low: scale.low().to_vec(),
            high: scale.high().to_vec(),
        }
    }
}

/// How far actions go beyond their bounds, and in how many rows.
pub(super) struct Beyond {
    bounds: Bounds,
    rows: usize,
    beyond: usize,
    furthest: Option<Furthest>,
    /// The least and the greatest action of all elements.
    extremes: (f32, f32),
}

/// The action that is furthest beyond its bounds.
struct Furthest {
    value: f32,
    element: usize,
    distance: f32,
}

impl Beyond {
    /// Before any action was looked at.
    pub(super) fn new(bounds: Bounds) -> Self {
        Beyond {
            bounds,
            rows: 0,
            beyond: 0,
            furthest: None,
            extremes: (f32::INFINITY, f32::NEG_INFINITY),
        }
    }

    /// Looks at actions as they were recorded.
    pub(super) fn look(&mut self, actions: &Column) {
        let Bounds { low, high, .. } = &self.bounds;
        if actions.width != low.len() {
            return;
        }
        for row in actions.values.chunks_exact(actions.width.max(1)) {
            let mut is_beyond = false;
            for (element, (&value, (&low, &high))) in
                row.iter().zip(low.iter().zip(high)).enumerate()
            {
                self.extremes = (self.extremes.0.min(value), self.extremes.1.max(value));
                let distance = (low - value).max(value - high);
                if distance > slack(low, high) {
                    is_beyond = true;
                    if self
                        .furthest
                        .as_ref()
                        .is_none_or(|furthest| distance > furthest.distance)
                    {
                        self.furthest = Some(Furthest {
                            value,
                            element,
                            distance,
                        });
                    }
                }
            }
            self.rows += 1;
            self.beyond += usize::from(is_beyond);
        }
    }

    /// What there is to say of the file `name`, if any action lies beyond.
    pub(super) fn warning(&self, name: &str) -> Option<String> {
        let Furthest { value, element, .. } = self.furthest.as_ref()?;
        let (low, high) = (self.bounds.low[*element], self.bounds.high[*element]);
        let (least, greatest) = self.extremes;
        let (of, remedy) = match &self.bounds.of {
            Source::Environment(environment) => (
                environment.clone(),
                format!(
                    "name the environment that they are of, or learn in their own range with `Dataset(action_bounds: ({least:?}, {greatest:?}))`: \
                     what acts is clipped to the bounds of {environment} all the same; `yarak data check {name} --env {environment}` lists \
                     the places"
                ),
            ),
            Source::Setting => (
                "`Dataset.action_bounds`".to_owned(),
                format!("or give `action_bounds: ({least:?}, {greatest:?})`, which holds them all"),
            ),
            Source::Pretrained => (
                "the networks of `Pretrained`".to_owned(),
                "or take networks that learned from such actions".to_owned(),
            ),
        };
        Some(format!(
            "warning: {name}: {} of {} rows ({:.1}%) have actions beyond the bounds of {of}, up to {value} in element {element}, which is \
             from {low} to {high}. They are scaled past 1 and learned from as they are, and no policy gives them: imitation pulls it \
             to its bounds, and critics learn what it never does. Clip them in the file, if the world clipped them when they were \
             recorded, {remedy}",
            self.beyond,
            self.rows,
            100.0 * self.beyond as f64 / self.rows as f64,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beyond(bounds: &[(f32, f32)], actions: &[f32]) -> Option<String> {
        let spaces = Spaces {
            environment: "Hopper-v5".to_owned(),
            observation: Space::from_bounds(&[(0.0, 1.0)]),
            action: Space::from_bounds(bounds),
        };
        let dataset = Dataset::default();
        let bounds = Bounds::of_run(&dataset, Some(&spaces), None, bounds.len())?;
        let width = bounds.low.len();
        let mut beyond = Beyond::new(bounds);
        beyond.look(&Column {
            values: actions.to_vec(),
            width,
        });
        beyond.warning("a.hdf5")
    }

    #[test]
    fn the_furthest_action_its_element_and_the_share_of_rows_are_said() {
        let bounds = [(-1.0, 1.0), (0.0, 10.0)];
        let said = beyond(&bounds, &[1.5, 11.0, 0.0, 5.0, -1.0, -3.95, 1.0, 10.0]).unwrap();
        for expected in [
            "2 of 4 rows (50.0%)",
            "bounds of Hopper-v5, up to -3.95 in element 1, which is from 0 to 10",
            "action_bounds: (-3.95, 11.0)",
        ] {
            assert!(said.contains(expected), "{expected}\n{said}");
        }
    }

    #[test]
    fn actions_at_their_bounds_rounded_ones_and_elements_without_bounds_are_no_matter() {
        let inf = f32::INFINITY;
        for (bounds, actions) in [
            ([(-1.0, 1.0), (0.0, 10.0)], [1.0, 10.0]),
            ([(-1.0, 1.0), (0.0, 10.0)], [-1.000_001, 0.0]),
            ([(-inf, inf), (0.0, inf)], [1e9, 1e9]),
            ([(f32::MIN, f32::MAX), (0.0, f32::MAX)], [1e9, 1e9]),
        ] {
            assert_eq!(beyond(&bounds, &actions), None, "{bounds:?}");
        }
    }
}
