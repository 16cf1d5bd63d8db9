//! What was reported last.

use bevy_ecs::prelude::*;

/// The last report.
#[derive(Resource, Clone, Debug, Default, PartialEq)]
pub struct Reported {
    /// The step after which it was made.
    pub step: u64,
    /// Names and means since the report before, sorted by name.
    pub values: Vec<(String, f64)>,
    /// Steps a second since the report before, evaluations not counted.
    pub steps_per_second: f64,
}

impl Reported {
    /// The value of a metric; `None` when the report does not have it.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.values
            .iter()
            .find(|(there, _)| there == name)
            .map(|(_, value)| *value)
    }
}
