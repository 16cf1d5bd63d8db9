//! What a run must remember, gathered in host memory so that training can go on while it is written.

use std::any::type_name;
use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::exact_ron;
use super::{Blob, CheckpointError};

/// A tensor's shape and its values in row-major order.
///
/// Two of them are equal when their bits are: a NaN equals itself, and `-0.0` is not `0.0`.
#[derive(Clone, Debug, Default)]
pub struct HostTensor {
    /// The extent of each dimension, outermost first; empty for a scalar.
    pub shape: Vec<usize>,
    /// As many values as the shape's product.
    pub values: Vec<f32>,
}

impl PartialEq for HostTensor {
    fn eq(&self, other: &Self) -> bool {
        self.shape == other.shape
            && self.values.len() == other.values.len()
            && self
                .values
                .iter()
                .zip(&other.values)
                .all(|(left, right)| left.to_bits() == right.to_bits())
    }
}

/// Everything that a checkpoint holds: tensors by file and name, small state by key, and blobs by name.
///
/// Weights, moments and replay rows are tensors. Counters, positions of random streams and schedules are state: any type
/// that serde knows, kept as RON text in which integers up to 128 bits and floats come back bit for bit (a NaN with its
/// payload, `-0.0` with its sign). Types with `serde(flatten)` or without visible tags do not keep that promise.
///
/// Equality is of the contents, not of where they came from.
///
/// ```
/// use yarak::checkpoint::Snapshot;
///
/// let mut snapshot = Snapshot::new(20_000);
/// snapshot.put_tensor("actor", "weight", &[2, 3], vec![0.5; 6])?;
/// snapshot.put_state("rng/sample", &(7_u64, 1_u128 << 100))?;
///
/// assert_eq!(snapshot.tensor("actor", "weight", &[2, 3])?.values, [0.5; 6]);
/// assert_eq!(snapshot.state::<(u64, u128)>("rng/sample")?, (7, 1 << 100));
///
/// let error = snapshot.tensor("actor", "weight", &[3, 2]).unwrap_err();
/// assert!(error.to_string().contains("has shape [2, 3] where [3, 2] is expected"));
/// # Ok::<(), yarak::checkpoint::CheckpointError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Gradient steps (offline) or environment steps (online) done when it was taken.
    pub step: u64,
    /// The tensors: by file (`actor` becomes `actor.safetensors`), then by name.
    pub files: BTreeMap<String, BTreeMap<String, HostTensor>>,
    /// RON text by key.
    pub state: BTreeMap<String, String>,
    /// Bytes by name (`replay.3` becomes `replay.3.blob`), shared with the checkpoints that hold the same.
    pub blobs: BTreeMap<String, Blob>,
    /// What messages call it: the folder that it was read from, or its step.
    origin: String,
}

impl PartialEq for Snapshot {
    fn eq(&self, other: &Self) -> bool {
        self.step == other.step
            && self.files == other.files
            && self.state == other.state
            && self.blobs == other.blobs
    }
}

impl Snapshot {
    /// An empty snapshot of `step`.
    pub fn new(step: u64) -> Self {
        Self {
            step,
            files: BTreeMap::new(),
            state: BTreeMap::new(),
            blobs: BTreeMap::new(),
            origin: format!("snapshot of step {step}"),
        }
    }

    /// The same, named after the folder that it was read from.
    pub(super) fn read_from(origin: String, step: u64) -> Self {
        Self {
            origin,
            ..Self::new(step)
        }
    }

    /// Adds the tensor `name` to the file `file`, with `values` in row-major order.
    ///
    /// # Errors
    /// A file name that some disk could not hold, `values` that do not fill `shape`, or a name that is taken.
    pub fn put_tensor(
        &mut self,
        file: &str,
        name: &str,
        shape: &[usize],
        values: Vec<f32>,
    ) -> Result<(), CheckpointError> {
        let tensor = HostTensor {
            shape: shape.to_vec(),
            values,
        };
        self.check_tensor(file, name, &tensor)?;
        let tensors = self.files.entry(file.to_owned()).or_default();
        if tensors.contains_key(name) {
            let what = format!("tensor `{name}` of `{file}`");
            return Err(CheckpointError::PutTwice {
                checkpoint: self.origin.clone(),
                what,
            });
        }
        tensors.insert(name.to_owned(), tensor);
        Ok(())
    }

    /// The tensor `name` of the file `file`, which must have the shape `expected`.
    ///
    /// # Errors
    /// No such file or tensor, or another shape; the message names the checkpoint and both shapes.
    pub fn tensor(
        &self,
        file: &str,
        name: &str,
        expected: &[usize],
    ) -> Result<&HostTensor, CheckpointError> {
        let tensors = self.tensors(file)?;
        let tensor = tensors
            .get(name)
            .ok_or_else(|| CheckpointError::MissingTensor {
                checkpoint: self.origin.clone(),
                file: file.to_owned(),
                tensor: name.to_owned(),
                present: tensors.keys().cloned().collect(),
            })?;
        if tensor.shape != expected {
            return Err(CheckpointError::WrongShape {
                checkpoint: self.origin.clone(),
                file: file.to_owned(),
                tensor: name.to_owned(),
                expected: expected.to_vec(),
                found: tensor.shape.clone(),
            });
        }
        Ok(tensor)
    }

    /// How many numbers the tensors of the file `file` hold together.
    ///
    /// # Errors
    /// No such file.
    pub(crate) fn numbers(&self, file: &str) -> Result<usize, CheckpointError> {
        let tensors = self.tensors(file)?.values();
        Ok(tensors.map(|tensor| tensor.values.len()).sum())
    }

    fn tensors(&self, file: &str) -> Result<&BTreeMap<String, HostTensor>, CheckpointError> {
        self.files
            .get(file)
            .ok_or_else(|| CheckpointError::MissingFile {
                checkpoint: self.origin.clone(),
                file: file.to_owned(),
                present: self.files.keys().cloned().collect(),
            })
    }

    /// Keeps `value` under `key`.
    ///
    /// # Errors
    /// A key that is taken, or a value that RON cannot express.
    pub fn put_state<T: Serialize + ?Sized>(
        &mut self,
        key: &str,
        value: &T,
    ) -> Result<(), CheckpointError> {
        if self.state.contains_key(key) {
            let what = format!("state `{key}`");
            return Err(CheckpointError::PutTwice {
                checkpoint: self.origin.clone(),
                what,
            });
        }
        let text = exact_ron::to_ron(value).map_err(|source| CheckpointError::UnwritableState {
            checkpoint: self.origin.clone(),
            key: key.to_owned(),
            source: Box::new(source),
        })?;
        self.state.insert(key.to_owned(), text);
        Ok(())
    }

    /// The value that was kept under `key`.
    ///
    /// # Errors
    /// No such key, or a value of another type.
    pub fn state<T: DeserializeOwned>(&self, key: &str) -> Result<T, CheckpointError> {
        let text = self
            .state
            .get(key)
            .ok_or_else(|| CheckpointError::MissingState {
                checkpoint: self.origin.clone(),
                key: key.to_owned(),
                present: self.state.keys().cloned().collect(),
            })?;
        exact_ron::from_ron(text).map_err(|source| CheckpointError::WrongState {
            checkpoint: self.origin.clone(),
            key: key.to_owned(),
            expected: type_name::<T>(),
            source: Box::new(source),
        })
    }

    /// Adds the blob `name`.
    ///
    /// # Errors
    /// A name that some disk could not hold, or one that is taken.
    pub fn put_blob(&mut self, name: &str, blob: Blob) -> Result<(), CheckpointError> {
        check_file_name(name)?;
        if self.blobs.contains_key(name) {
            let what = format!("blob `{name}`");
            return Err(CheckpointError::PutTwice {
                checkpoint: self.origin.clone(),
                what,
            });
        }
        self.blobs.insert(name.to_owned(), blob);
        Ok(())
    }

    /// The blob `name`.
    ///
    /// # Errors
    /// When there is none.
    pub fn blob(&self, name: &str) -> Result<&Blob, CheckpointError> {
        self.blobs
            .get(name)
            .ok_or_else(|| CheckpointError::MissingFile {
                checkpoint: self.origin.clone(),
                file: name.to_owned(),
                present: self.blobs.keys().cloned().collect(),
            })
    }

    /// The first value that is not finite, of networks before targets before optimizers.
    ///
    /// None has a meaning in a checkpoint: a network that holds one acts on nothing, and an optimizer whose moments do never moves its
    /// network again.
    pub(crate) fn not_finite(&self) -> Option<NotFinite> {
        let place = |file: &&String| {
            let of = |what: &str| file.starts_with(what);
            u8::from(of("target_")) + 2 * u8::from(of("optimizer_"))
        };
        let mut files: Vec<&String> = self.files.keys().collect();
        files.sort_by_key(place);
        files.into_iter().find_map(|file| {
            let tensors = self.files[file].iter();
            tensors.into_iter().find_map(|(tensor, values)| {
                let index = first_not_finite(&values.values)?;
                Some(NotFinite {
                    file: file.clone(),
                    tensor: tensor.clone(),
                    index,
                    value: values.values[index],
                })
            })
        })
    }

    /// Refuses values that are not finite; `suspects` says what may be the cause, where that is known.
    pub(super) fn refuse_not_finite(
        &self,
        suspects: Option<String>,
    ) -> Result<(), CheckpointError> {
        match self.not_finite() {
            None => Ok(()),
            Some(it) => Err(CheckpointError::NotFinite {
                checkpoint: self.origin.clone(),
                file: it.file,
                tensor: it.tensor,
                index: it.index,
                value: it.value,
                suspects,
            }),
        }
    }

    /// What messages call this snapshot.
    pub(crate) fn origin(&self) -> &str {
        &self.origin
    }

    /// The fields are public, so what [`Snapshot::put_tensor`] promised is looked at again before writing and restoring.
    pub(super) fn check(&self) -> Result<(), CheckpointError> {
        for (file, tensors) in &self.files {
            check_file_name(file)?;
            for (name, tensor) in tensors {
                self.check_tensor(file, name, tensor)?;
            }
        }
        self.blobs.keys().try_for_each(|name| check_file_name(name))
    }

    fn check_tensor(
        &self,
        file: &str,
        name: &str,
        tensor: &HostTensor,
    ) -> Result<(), CheckpointError> {
        check_file_name(file)?;
        if name == "__metadata__" {
            return Err(CheckpointError::BadTensorName {
                file: file.to_owned(),
            });
        }
        let product = tensor
            .shape
            .iter()
            .try_fold(1_usize, |product, &extent| product.checked_mul(extent));
        if product != Some(tensor.values.len()) {
            return Err(CheckpointError::ShapeNotFilled {
                checkpoint: self.origin.clone(),
                file: file.to_owned(),
                tensor: name.to_owned(),
                shape: tensor.shape.clone(),
                values: tensor.values.len(),
            });
        }
        Ok(())
    }
}

/// A value that is not finite, and where it is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct NotFinite {
    /// The tensor file.
    pub file: String,
    pub tensor: String,
    /// In the tensor's values, row-major.
    pub index: usize,
    pub value: f32,
}

/// Looks at pieces without a branch for each value, so that the processor takes many at a time.
fn first_not_finite(values: &[f32]) -> Option<usize> {
    const PIECE: usize = 4096;
    /// The exponent, all of whose bits are set in NaN and the infinities alone.
    const EXPONENT: u32 = 0x7f80_0000;
    let is_odd = |value: &f32| value.to_bits() & EXPONENT == EXPONENT;
    let mut pieces = values.chunks(PIECE).enumerate();
    pieces.find_map(|(number, piece)| {
        let any = piece.iter().fold(false, |any, value| any | is_odd(value));
        let place = any.then(|| piece.iter().position(is_odd))??;
        Some(number * PIECE + place)
    })
}

/// Refuses what would leave the folder, hide in it, or not exist on some disks.
pub(super) fn check_file_name(file: &str) -> Result<(), CheckpointError> {
    let starts_well = file.starts_with(|first: char| first.is_ascii_alphanumeric());
    let plain = file
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'));
    if starts_well && plain && file.len() <= 100 {
        Ok(())
    } else {
        Err(CheckpointError::BadFileName {
            file: file.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_put_twice_is_refused_and_the_first_value_stays() {
        let mut snapshot = Snapshot::new(1);
        snapshot
            .put_tensor("actor", "bias", &[], vec![1.0])
            .unwrap();
        assert!(matches!(
            snapshot.put_tensor("actor", "bias", &[], vec![2.0]),
            Err(CheckpointError::PutTwice { .. })
        ));
        assert_eq!(snapshot.tensor("actor", "bias", &[]).unwrap().values, [1.0]);
        snapshot.put_state("tick", &1_u8).unwrap();
        assert!(matches!(
            snapshot.put_state("tick", &2_u8),
            Err(CheckpointError::PutTwice { .. })
        ));
        assert_eq!(snapshot.state::<u8>("tick").unwrap(), 1);
    }

    #[test]
    fn names_and_shapes_that_could_not_be_written_are_refused() {
        let mut snapshot = Snapshot::new(1);
        for file in [
            "",
            "..",
            "a/b",
            ".hidden",
            "a b",
            "-x",
            "käse",
            &"a".repeat(101),
        ] {
            let error = snapshot.put_tensor(file, "w", &[], vec![0.0]);
            assert!(
                matches!(error, Err(CheckpointError::BadFileName { .. })),
                "{file}"
            );
        }
        assert!(matches!(
            snapshot.put_tensor("a", "__metadata__", &[], vec![0.0]),
            Err(CheckpointError::BadTensorName { .. })
        ));
        for shape in [&[2, 2][..], &[usize::MAX, 2], &[0]] {
            let error = snapshot.put_tensor("a", "w", shape, vec![0.0; 3]);
            assert!(
                matches!(error, Err(CheckpointError::ShapeNotFilled { .. })),
                "{shape:?}"
            );
        }
        assert!(snapshot.files.is_empty());
    }

    #[test]
    fn an_error_names_checkpoint_file_tensor_and_both_shapes() {
        let mut snapshot = Snapshot::read_from("runs/a/checkpoints/step_000000007".to_owned(), 7);
        snapshot
            .put_tensor("critic", "layer_0.weight", &[2, 2], vec![0.0; 4])
            .unwrap();
        let message = snapshot
            .tensor("critic", "layer_0.weight", &[4])
            .unwrap_err()
            .to_string();
        for part in [
            "runs/a/checkpoints/step_000000007",
            "critic",
            "layer_0.weight",
            "[2, 2]",
            "[4]",
            "layers",
        ] {
            assert!(message.contains(part), "{message}");
        }
        let message = snapshot
            .tensor("critic", "weight", &[4])
            .unwrap_err()
            .to_string();
        assert!(message.contains("`layer_0.weight`"), "{message}");
        let message = snapshot
            .tensor("actor", "weight", &[4])
            .unwrap_err()
            .to_string();
        assert!(message.contains("`critic`"), "{message}");
    }

    #[test]
    fn state_of_another_type_or_key_is_a_typed_error() {
        let mut snapshot = Snapshot::new(1);
        snapshot.put_state("tick/actor", &3_u64).unwrap();
        let message = snapshot
            .state::<u64>("tick/critic")
            .unwrap_err()
            .to_string();
        assert!(
            message.contains("`tick/critic`") && message.contains("`tick/actor`"),
            "{message}"
        );
        let message = snapshot
            .state::<Vec<String>>("tick/actor")
            .unwrap_err()
            .to_string();
        assert!(
            message.contains("`tick/actor`") && message.contains("Vec"),
            "{message}"
        );
    }

    #[test]
    fn the_first_value_that_is_not_finite_is_found_in_networks_before_optimizers() {
        let mut snapshot = Snapshot::new(1);
        let mut put = |file: &str, at: Option<(usize, f32)>| {
            let mut values = vec![f32::MAX; 10_000];
            at.into_iter()
                .for_each(|(index, value)| values[index] = value);
            snapshot
                .put_tensor(file, "weight", &[10_000], values)
                .unwrap();
            snapshot.not_finite().map(|it| (it.file, it.index))
        };
        assert_eq!(put("a", None), None);
        let found = put("optimizer_a", Some((9_999, f32::NAN)));
        assert_eq!(found, Some(("optimizer_a".to_owned(), 9_999)));
        let found = put("target_a", Some((4_096, f32::INFINITY)));
        assert_eq!(found, Some(("target_a".to_owned(), 4_096)));
        let found = put("value", Some((0, f32::NEG_INFINITY)));
        assert_eq!(found, Some(("value".to_owned(), 0)));
    }

    #[test]
    fn tensors_are_equal_when_their_bits_are() {
        let tensor = |bits: u32| HostTensor {
            shape: vec![1],
            values: vec![f32::from_bits(bits)],
        };
        assert_eq!(tensor(0x7fc0_0001), tensor(0x7fc0_0001));
        assert_ne!(tensor(0x7fc0_0001), tensor(0x7fc0_0000));
        assert_ne!(tensor(0x8000_0000), tensor(0));
    }
}
