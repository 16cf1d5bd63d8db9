//! The exact state of an environment, to stop a run and go on later.

use serde::{Deserialize, Serialize};

use super::NumpyRandom;

/// All that an environment's future depends on: restore it, take the same actions, get the same bits.
///
/// Numbers are serialized as their bits, because many text formats lose the last one (`serde_json` does by default).
///
/// ```
/// use yarak::env::registry;
///
/// let mut environment = registry::make("Acrobot-v1")?;
/// let mut observation = [0.0; 6];
/// environment.reset(Some(3), &mut observation)?;
/// let before = environment.snapshot();
/// let first = environment.step(&[2.0], &mut observation)?;
///
/// let mut other = registry::make("Acrobot-v1")?;
/// let mut same_observation = [0.0; 6];
/// other.restore(&before)?;
/// assert_eq!(other.step(&[2.0], &mut same_observation)?, first);
/// assert_eq!(same_observation, observation);
/// # Ok::<(), yarak::env::EnvironmentError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    /// The name of the environment that it was taken from.
    pub environment: String,
    /// The generator that draws first states; none before the first seeded reset.
    pub generator: Option<NumpyRandom>,
    /// The physical state, in the environment's own units and order; empty before the first reset.
    #[serde(with = "bits")]
    pub state: Vec<f64>,
    /// Steps taken in the running episode.
    pub steps: u64,
    /// Whether the episode has ended, in either way.
    pub over: bool,
}

mod bits {
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(values: &[f64], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(values.iter().map(|value| value.to_bits()))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f64>, D::Error> {
        let words = Vec::<u64>::deserialize(deserializer)?;
        Ok(words.into_iter().map(f64::from_bits).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshot_survives_json_to_the_bit() {
        let snapshot = Snapshot {
            environment: "Here".to_owned(),
            generator: Some(NumpyRandom::new(5)),
            state: vec![0.1 + 0.2, -0.0, f64::MIN_POSITIVE / 3.0, 1e300 / 7.0],
            steps: 17,
            over: false,
        };
        let text = serde_json::to_string(&snapshot).unwrap();
        let back: Snapshot = serde_json::from_str(&text).unwrap();
        assert_eq!(back, snapshot);
        let bits = |snapshot: &Snapshot| -> Vec<u64> {
            snapshot.state.iter().map(|value| value.to_bits()).collect()
        };
        assert_eq!(bits(&back), bits(&snapshot));
    }

    #[test]
    fn snapshot_with_an_unknown_field_is_refused() {
        let text =
            r#"{"environment":"Here","generator":null,"state":[],"steps":0,"over":false,"more":1}"#;
        assert!(serde_json::from_str::<Snapshot>(text).is_err());
    }
}
