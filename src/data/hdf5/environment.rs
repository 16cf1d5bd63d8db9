//! Which environment a file says that it is of.

use serde_json::Value;

use super::{ActionBounds, DatasetFile};
use crate::env::Space;
use crate::env::registry::specification;

/// The environment's name where none is known.
pub(in crate::data) const UNKNOWN_ENVIRONMENT: &str = "unknown";

impl DatasetFile {
    /// The name of the file's environment, where it says one.
    pub(in crate::data) fn environment_name(&self) -> Option<String> {
        self.environment().and_then(name_in)
    }

    /// The bounds of actions in the environment that the file names; `None` where that is not known here, or takes no real numbers.
    pub(in crate::data) fn environment_bounds(&self) -> Option<ActionBounds> {
        let name = self.environment_name()?;
        match specification(&name).ok()?.action_space {
            Space::Box { low, high, .. } if low.len() == self.widths()[1] => Some(ActionBounds {
                of: name,
                low,
                high,
            }),
            _ => None,
        }
    }
}

/// An environment's name, out of robomimic's arguments where it is one of them; none where it is the word for none.
fn name_in(text: &str) -> Option<String> {
    let name = serde_json::from_str::<Value>(text)
        .ok()
        .inspect(crate::terminal::heed_json)
        .and_then(|value| value["env_name"].as_str().map(str::to_owned))
        .unwrap_or_else(|| text.to_owned());
    (name != UNKNOWN_ENVIRONMENT).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environments_name_is_found_in_robomimics_arguments() {
        let named = |text| name_in(text).unwrap_or_default();
        assert_eq!(named("Hopper-v5"), "Hopper-v5");
        assert_eq!(named(r#"{"env_name": "Lift", "type": 1}"#), "Lift");
        assert_eq!(name_in(r#"{"env_name": "unknown"}"#), None);
    }
}
