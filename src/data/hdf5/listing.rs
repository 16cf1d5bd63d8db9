//! What a file declares of its datasets, found once when it is opened.

use std::sync::Arc;
use std::thread;

use rust_hdf5::H5File;

use super::element::Dtype;

/// One dataset, as the file declares it.
#[derive(Clone, Debug, PartialEq)]
pub struct DatasetInfo {
    /// The path inside the file, without a leading `/`.
    pub path: String,
    /// The shape; empty for a single value.
    pub shape: Vec<usize>,
    /// The type of an element.
    pub dtype: Dtype,
    /// Bytes of one element.
    pub element_bytes: usize,
    /// Why it cannot be read, where that is known already.
    pub unreadable: Option<String>,
    /// The rows that it is of a longer dataset, in the copy of a table.
    pub(in crate::data) slice: Option<Slice>,
}

/// Where a dataset is that is listed by itself, and stored as rows of a longer one.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::data) struct Slice {
    /// The longer dataset's path.
    pub(super) dataset: Arc<str>,
    /// The row at which it begins there.
    pub(super) first: usize,
}

impl DatasetInfo {
    /// The length of the first axis; 1 for a single value.
    pub fn rows(&self) -> usize {
        self.shape.first().copied().unwrap_or(1)
    }

    /// Elements in one row; `None` where the declared number is beyond all bounds.
    pub fn width(&self) -> Option<usize> {
        self.shape
            .iter()
            .skip(1)
            .try_fold(1usize, |product, &length| product.checked_mul(length))
    }

    /// Bytes that a file must have room for where it declares this. An axis of length 0 counts as one element: rows of nothing are
    /// counted through and allocated by like others, and no byte of the file would stand for them.
    pub(super) fn declared_bytes(&self) -> u64 {
        let element = self.element_bytes.max(1) as u64;
        self.shape.iter().fold(element, |product, &length| {
            product.saturating_mul(length.max(1) as u64)
        })
    }

    /// Bytes of all elements in memory, `u64::MAX` where the declared number is beyond all bounds.
    pub fn bytes(&self) -> u64 {
        self.shape
            .iter()
            .fold(self.element_bytes as u64, |product, &length| {
                product.saturating_mul(length as u64)
            })
    }
}

/// Describes datasets, half of them by each handle.
pub(super) fn describe_all(
    handle: &H5File,
    spare: Option<&H5File>,
    names: Vec<String>,
) -> Vec<DatasetInfo> {
    /// Starting a thread takes longer than describing this many.
    const FEW: usize = 256;
    let describe_each = |handle: &H5File, names: &[String]| {
        names
            .iter()
            .map(|name| describe(handle, name.clone()))
            .collect::<Vec<_>>()
    };
    match spare {
        Some(spare) if names.len() > FEW => thread::scope(|scope| {
            let (first, second) = names.split_at(names.len() / 2);
            let second = scope.spawn(move || describe_each(spare, second));
            let mut described = describe_each(handle, first);
            match second.join() {
                Ok(more) => described.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
            described
        }),
        _ => describe_each(handle, &names),
    }
}

fn describe(handle: &H5File, path: String) -> DatasetInfo {
    match handle
        .dataset(&path)
        .and_then(|dataset| Ok((dataset.datatype()?, dataset)))
    {
        Ok((datatype, dataset)) => DatasetInfo {
            path,
            // The null dataspace holds nothing, although its shape looks like that of a single value.
            shape: if dataset.is_null() {
                vec![0]
            } else {
                dataset.shape()
            },
            dtype: Dtype::of(&datatype),
            element_bytes: dataset.element_size(),
            unreadable: None,
            slice: None,
        },
        Err(error) => DatasetInfo {
            path,
            shape: Vec::new(),
            dtype: Dtype::Other("unreadable"),
            element_bytes: 0,
            unreadable: Some(error.to_string()),
            slice: None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_beyond_all_bounds_saturate() {
        let info = DatasetInfo {
            path: String::new(),
            shape: vec![usize::MAX, usize::MAX, 2],
            dtype: Dtype::Float32,
            element_bytes: 4,
            unreadable: None,
            slice: None,
        };
        assert_eq!(
            (info.bytes(), info.width(), info.rows()),
            (u64::MAX, None, usize::MAX)
        );
    }

    #[test]
    fn rows_of_nothing_need_room_in_the_file_as_others_do() {
        for (shape, declared) in [
            (vec![1 << 56, 0], 1 << 58),
            (vec![0, 1 << 56], 1 << 58),
            (vec![0], 4),
            (vec![3, 2], 24),
            (vec![], 4),
        ] {
            let info = DatasetInfo {
                path: String::new(),
                shape,
                dtype: Dtype::Float32,
                element_bytes: 4,
                unreadable: None,
                slice: None,
            };
            assert_eq!(info.declared_bytes(), declared, "{:?}", info.shape);
        }
    }
}
