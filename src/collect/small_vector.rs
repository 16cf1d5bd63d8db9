//! The numbers of one observation or one action.

use std::ops::{Deref, DerefMut};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use smallvec::SmallVec;

/// A slice of numbers that lies in the component itself where there are no more than eight, so that thousands of
/// environments are read in the order of memory.
///
/// ```
/// use yarak::collect::SmallVector;
///
/// let mut elements = SmallVector::from([1.0, 2.0]);
/// elements[1] = 3.0;
/// assert_eq!(elements[..], [1.0, 3.0]);
/// elements.set(&[0.5]);
/// assert_eq!(elements.len(), 1);
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SmallVector(SmallVec<[f32; 8]>);

impl SmallVector {
    /// So many zeros.
    pub fn zeros(len: usize) -> Self {
        SmallVector(SmallVec::from_elem(0.0, len))
    }

    /// Takes these numbers instead. Nothing is allocated where as many were there before.
    pub fn set(&mut self, values: &[f32]) {
        self.0.resize(values.len(), 0.0);
        self.0.copy_from_slice(values);
    }
}

impl<const N: usize> From<[f32; N]> for SmallVector {
    fn from(values: [f32; N]) -> Self {
        SmallVector(SmallVec::from_slice(&values))
    }
}

impl Deref for SmallVector {
    type Target = [f32];

    #[inline]
    fn deref(&self) -> &[f32] {
        &self.0
    }
}

impl DerefMut for SmallVector {
    #[inline]
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.0
    }
}

impl Serialize for SmallVector {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for SmallVector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::<f32>::deserialize(deserializer).map(|values| SmallVector(SmallVec::from_vec(values)))
    }
}
