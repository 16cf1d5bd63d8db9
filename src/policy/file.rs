//! A policy as one file: safetensors, with the network's form in its notes.
//!
//! The tensors are the network's (`0.weight` is `[in, out]`, `0.bias`, and so on), `observation.mean`, `observation.std`, `action.low` and
//! `action.high`; the note `policy` says the rest. Whatever reads safetensors reads it.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView, serialize};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::policy::Parts;
use super::values::ValueParts;
use super::{Architecture, PolicyError};
use crate::checkpoint::write_whole;
use crate::data::{ActionScale, Normalizer, Preprocessing};
use crate::observation::ObservationParts;

/// The note's name.
const NOTE: &str = "policy";

/// The newest format that is read, and the one that is written where actions are rounded or clipped: who does not know of that must not
/// act with the policy.
const FORMAT: u32 = 4;

/// The format of all other policies.
const PLAIN_FORMAT: u32 = 3;

#[derive(Serialize, Deserialize)]
struct Note {
    format: u32,
    step: u64,
    /// How many observations it sees side by side.
    frames: usize,
    /// What one observation consists of.
    parts: ObservationParts,
    architecture: Architecture,
    /// Whether actions are rounded to whole numbers.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    whole_actions: bool,
    /// What actions are clipped to where it is not `action.low` and `action.high`, `[action, 2]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    clipped_actions: Vec<(f32, f32)>,
    /// Of all tensors' bytes, in the order of their names: a copy that lost some bits on the way is found out.
    sha256: String,
}

/// A tensor's name, shape and values.
type Named = (String, Vec<usize>, Vec<f32>);

impl Parts {
    fn tensors(&self) -> Result<Vec<Named>, String> {
        let mut tensors: Vec<Named> = Vec::new();
        let mut rest = &self.parameters[..];
        for (name, shape) in self.architecture.pieces(self.parameters.len())? {
            let (values, after) = rest.split_at(shape.iter().product());
            rest = after;
            tensors.push((name, shape, values.to_vec()));
        }
        let Preprocessing {
            observation,
            action,
            ..
        } = &self.preprocessing;
        for (name, values) in [
            ("observation.mean", &observation.mean[..]),
            ("observation.std", &observation.std),
            ("action.low", action.low()),
            ("action.high", action.high()),
        ] {
            tensors.push((name.to_owned(), vec![values.len()], values.to_vec()));
        }
        tensors.sort_by(|one, other| one.0.cmp(&other.0));
        Ok(tensors)
    }

    /// The file's bytes.
    fn to_bytes(&self) -> Result<Vec<u8>, String> {
        let tensors = self.tensors()?;
        let bytes: Vec<Vec<u8>> = tensors.iter().map(|it| bytes_of(&it.2)).collect();
        let action = &self.preprocessing.action;
        let is_plain = !action.is_rounded() && action.clipped().is_empty();
        let note = Note {
            format: if is_plain { PLAIN_FORMAT } else { FORMAT },
            step: self.step,
            frames: self.preprocessing.frames,
            parts: self.preprocessing.parts.clone(),
            architecture: self.architecture.clone(),
            whole_actions: action.is_rounded(),
            clipped_actions: action.clipped().to_vec(),
            sha256: sum(bytes.iter().map(Vec::as_slice)),
        };
        let note = serde_json::to_string(&note).map_err(|error| error.to_string())?;
        let mut views = Vec::new();
        for ((name, shape, _), bytes) in tensors.iter().zip(&bytes) {
            let view = TensorView::new(Dtype::F32, shape.clone(), bytes);
            views.push((name.clone(), view.map_err(|error| error.to_string())?));
        }
        let notes = HashMap::from([(NOTE.to_owned(), note)]);
        serialize(views, Some(notes)).map_err(|error| error.to_string())
    }

    /// Reads what [`to_bytes`](Self::to_bytes) made.
    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|error| error.to_string())?;
        let note = metadata
            .metadata()
            .as_ref()
            .and_then(|notes| notes.get(NOTE));
        let Some(note) = note else {
            return Err("there is no note `policy` in it".to_owned());
        };
        // What a later format says is not known, so its number is looked at before the rest.
        let any: serde_json::Value =
            serde_json::from_str(note).map_err(|error| error.to_string())?;
        if any["format"]
            .as_u64()
            .is_some_and(|format| format > u64::from(FORMAT))
        {
            return Err(format!(
                "it has format {}, and this yarak reads {FORMAT}; use a newer one",
                any["format"]
            ));
        }
        let note: Note = serde_json::from_value(any).map_err(|error| error.to_string())?;
        let file = SafeTensors::deserialize(bytes).map_err(|error| error.to_string())?;
        let mut names = file.names();
        names.sort_unstable();
        let views = names.iter().filter_map(|name| file.tensor(name).ok());
        let views: Vec<TensorView<'_>> = views.collect();
        if sum(views.iter().map(TensorView::data)) != note.sha256 {
            return Err("its numbers are not those that were written".to_owned());
        }
        let read = |name: &str, shape: Option<&[usize]>| -> Result<Vec<f32>, String> {
            let view = file.tensor(name).map_err(|error| error.to_string())?;
            if view.dtype() != Dtype::F32 || shape.is_some_and(|shape| shape != view.shape()) {
                return Err(format!("`{name}` is not what its form says"));
            }
            let values = view.data().as_chunks().0.iter();
            Ok(values.map(|it| f32::from_le_bytes(*it)).collect())
        };
        // Before anything is made of what the note declares, it is held against what is there.
        let mean = read("observation.mean", None)?;
        if let Some(encoder) = &note.architecture.encoder
            && encoder.input.checked_width() != Some(mean.len())
        {
            return Err(format!(
                "its encoder does not see the {} numbers that there are statistics of",
                mean.len()
            ));
        }
        let most = bytes.len() / size_of::<f32>();
        let mut parameters = Vec::new();
        for (name, shape) in note.architecture.pieces(most)? {
            parameters.extend(read(&name, Some(&shape))?);
        }
        let (low, high) = (read("action.low", None)?, read("action.high", None)?);
        let bounds = serde_json::json!({
            "low": low,
            "high": high,
            "integer": note.whole_actions,
            "clip": note.clipped_actions,
        });
        // The way that looks at the bounds, and lets an element be constant.
        let action: ActionScale =
            serde_json::from_value(bounds).map_err(|error| error.to_string())?;
        Ok(Parts {
            architecture: note.architecture,
            parameters,
            preprocessing: Preprocessing {
                parts: note.parts,
                observation: Normalizer {
                    mean,
                    std: read("observation.std", None)?,
                },
                action,
                frames: note.frames,
            },
            values: ValueParts::none(Parts::EXPORTED),
            step: note.step,
            place: "bytes".to_owned(),
        })
    }

    /// Writes the file, whole or not at all; `force` replaces what is there.
    pub(super) fn write(&self, path: &Path, force: bool) -> Result<(), PolicyError> {
        let io = |source: io::Error| PolicyError::Io {
            path: path.to_path_buf(),
            source,
        };
        let bytes = self.to_bytes().map_err(|what| io(io::Error::other(what)))?;
        let written = write_whole(path, force, |file| file.write_all(&bytes));
        written.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => PolicyError::Exists {
                path: path.to_path_buf(),
            },
            _ => io(error),
        })
    }
}

/// Reads a policy's file.
pub(super) fn read(path: &Path) -> Result<Parts, PolicyError> {
    let bytes = fs::read(path).map_err(|source| PolicyError::Io {
        path: path.to_path_buf(),
        source,
    })?;
    let place = path.display().to_string();
    match Parts::from_bytes(&bytes) {
        Ok(parts) => Ok(Parts { place, ..parts }),
        Err(what) => Err(PolicyError::NotAPolicy { place, what }),
    }
}

fn bytes_of(values: &[f32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

fn sum<'a>(parts: impl Iterator<Item = &'a [u8]>) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    let digest = hasher.finalize();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Space;
    use crate::fuzzing::{hold, mutant, mutant_of_text};
    use crate::nn::Activation;
    use crate::observation::EncoderInput;
    use crate::policy::{ActionRule, EncoderForm};

    fn parts() -> Parts {
        let architecture = Architecture {
            encoder: None,
            sizes: vec![2, 3, 1],
            hidden: Activation::Elu,
            output: Activation::Tanh,
            layer_norm: Some(1e-5),
            rule: ActionRule::Outputs,
            chunk: None,
            denoiser: None,
        };
        let count = architecture
            .pieces(usize::MAX)
            .unwrap()
            .iter()
            .map(|it| it.1.iter().product::<usize>())
            .sum();
        Parts {
            architecture,
            parameters: (0..count).map(|it: usize| it as f32 / 3.0 - 2.0).collect(),
            preprocessing: Preprocessing {
                parts: ObservationParts::vector(1),
                observation: Normalizer {
                    mean: vec![0.1, f32::MIN_POSITIVE],
                    std: vec![1.0 / 3.0, 7e30],
                },
                action: ActionScale::from_bounds(vec![-0.3], vec![1.7]).unwrap(),
                frames: 2,
            },
            values: ValueParts::none(Parts::EXPORTED),
            step: u64::MAX,
            place: "bytes".to_owned(),
        }
    }

    #[test]
    fn a_policy_comes_back_from_its_bytes_to_the_bit() {
        let parts = parts();
        let bytes = parts.to_bytes().unwrap();
        let back = Parts::from_bytes(&bytes).unwrap();
        assert_eq!(format!("{back:?}"), format!("{parts:?}"));
        assert_eq!(
            bytes,
            parts.to_bytes().unwrap(),
            "the same policy, the same bytes"
        );
        assert!(back.build().is_ok());
    }

    #[test]
    fn actions_that_are_rounded_or_clipped_stay_so_and_say_it_by_the_format() {
        let space = Space::from_bounds(&[(-3.0, f32::INFINITY)]);
        let plain = || ActionScale::from_bounds(vec![-0.3], vec![1.7]).unwrap();
        for (action, format) in [
            (plain(), "\\\"format\\\":3"),
            (plain().rounded(), "\\\"format\\\":4"),
            (
                ActionScale::identity(1).clipped_to(&space),
                "\\\"format\\\":4",
            ),
        ] {
            let mut parts = parts();
            parts.preprocessing.action = action;
            let bytes = parts.to_bytes().unwrap();
            let text = String::from_utf8_lossy(&bytes);
            assert!(text.contains(format), "{format}");
            let back = Parts::from_bytes(&bytes).unwrap();
            assert_eq!(back.preprocessing.action, parts.preprocessing.action);
        }
    }

    #[test]
    fn no_mutant_of_an_exported_policy_panics() {
        let good = parts().to_bytes().unwrap();
        let length = u64::from_le_bytes(*good.first_chunk().unwrap()) as usize;
        let (header, data) = good[8..].split_at(length);
        let header = std::str::from_utf8(header).unwrap();
        hold("exported policies", 2_000, |numbers| {
            let bytes = match numbers.below(3) {
                0 => mutant(&good, 1_024, numbers),
                _ => {
                    let header = mutant_of_text(header, numbers);
                    let length = (header.len() as u64).to_le_bytes();
                    [&length[..], header.as_bytes(), data].concat()
                }
            };
            let Ok(Ok(mut policy)) = Parts::from_bytes(&bytes).map(Parts::build) else {
                return;
            };
            let seen = vec![0.5; policy.observation_size()];
            let width = policy.action_size();
            if let Ok(action) = policy.act(&seen) {
                assert_eq!(action.len(), width);
            }
        });
    }

    #[test]
    fn gigantic_encoders_that_a_small_file_declares_are_refused_before_they_are_made() {
        let small = |input: EncoderInput, name: &str, settings: &str| {
            let mut parts = parts();
            let width = input.checked_width().unwrap_or(2);
            parts.preprocessing.observation = Normalizer::identity(width.min(1_000));
            let mut note = parts.architecture.clone();
            note.encoder = Some(EncoderForm {
                name: name.to_owned(),
                settings: settings.to_owned(),
                input,
            });
            // The file as it is written, with a note of another network.
            let bytes = parts.to_bytes().unwrap();
            let length = u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
            let (header, data) = bytes[8..].split_at(length);
            let mut header: serde_json::Value = serde_json::from_slice(header).unwrap();
            let written = header["__metadata__"][NOTE].as_str().unwrap();
            let mut written: serde_json::Value = serde_json::from_str(written).unwrap();
            written["architecture"] = serde_json::to_value(&note).unwrap();
            header["__metadata__"][NOTE] = written.to_string().into();
            let header = header.to_string();
            let length = (header.len() as u64).to_le_bytes();
            [&length[..], header.as_bytes(), data].concat()
        };
        let steps =
            |width: usize, frames| EncoderInput::new(ObservationParts::vector(width), frames);
        let picture = |shape| {
            let space = Space::dict([("camera", Space::picture(shape))]);
            EncoderInput::new(ObservationParts::of_space(&space), 1)
        };
        let beyond_all = || {
            let mut json = serde_json::to_value(steps(1, 2)).unwrap();
            json["frames"] = (1_u64 << 40).into();
            serde_json::from_value::<EncoderInput>(json).unwrap()
        };
        for (input, name, settings) in [
            (steps(2, 5), "Lstm", "(hidden_size: 4096, layers: 1)"),
            (steps(2, 5), "Gru", "(hidden_size: 4096, layers: 1)"),
            (
                steps(2, 5),
                "Transformer",
                "(embedding: 4096, layers: 1, heads: 1)",
            ),
            (
                steps(2, 5),
                "Lstm",
                "(each: Mlp(hidden_sizes: [8192, 8192]), hidden_size: 1, layers: 1)",
            ),
            (picture([20, 20, 1]), "Cnn", "(features: 65536)"),
            (
                picture([28, 28, 1]),
                "Cnn",
                "(pooling: SpatialSoftmax(keypoints: 65536), features: 1)",
            ),
            (
                picture([31, 31, 1]),
                "ResNet18",
                "(pooling: Average, features: 1)",
            ),
            (
                picture([20, 20, 1]),
                "Combined",
                "(encoders: [(part: \"camera\", encoder: Cnn(features: 65536))])",
            ),
            (beyond_all(), "Lstm", "(hidden_size: 1, layers: 1)"),
        ] {
            let bytes = small(input, name, settings);
            let refused = Parts::from_bytes(&bytes).unwrap_err();
            // Each is said before anything is made.
            let is_early = [
                "its file has numbers for",
                "what it declares is not in it",
                "does not see",
            ];
            assert!(
                is_early.iter().any(|words| refused.contains(words)),
                "{name}: {refused}"
            );
        }
    }

    #[test]
    fn bytes_that_are_not_a_policys_are_refused() {
        let bytes = parts().to_bytes().unwrap();
        let refused = |bytes: &[u8]| Parts::from_bytes(bytes).unwrap_err();
        for length in [0, 7, 8, 100, bytes.len() - 1] {
            refused(&bytes[..length]);
        }
        let mut flipped = bytes.clone();
        *flipped.last_mut().unwrap() ^= 1;
        assert!(refused(&flipped).contains("not those that were written"));
        let word = b"format";
        let place = bytes.windows(word.len()).position(|it| it == word).unwrap();
        let digit = |it: &u8| it.is_ascii_digit();
        let at = place + bytes[place..].iter().position(digit).unwrap();
        let mut later = bytes.clone();
        later[at] = b'9';
        assert!(refused(&later).contains("format 9"), "{}", refused(&later));
        let other = serialize(Vec::<(String, TensorView<'_>)>::new(), None).unwrap();
        assert!(refused(&other).contains("no note"));
    }
}
