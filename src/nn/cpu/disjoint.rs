//! One buffer, written by several tasks at once, each in a part of its own.
//!
//! The borrow checker cannot follow "task i writes only rows 64 i .. 64 (i + 1)", so this type moves that one promise
//! into the `unsafe` of [`Disjoint::part`] and [`Disjoint::strip`]; bounds are always checked.

use std::{marker::PhantomData, ops::Range};

/// A mutable slice that can be shared between threads and handed out in parts.
#[derive(Clone, Copy)]
pub(crate) struct Disjoint<'a> {
    start: *mut f32,
    len: usize,
    slice: PhantomData<&'a mut [f32]>,
}

// SAFETY: it stands for a `&mut [f32]`, which is `Send`; parts are taken under the promise that they do not overlap.
unsafe impl Send for Disjoint<'_> {}
// SAFETY: as above; `f32` itself has no interior state.
unsafe impl Sync for Disjoint<'_> {}

impl<'a> Disjoint<'a> {
    pub(crate) fn new(slice: &'a mut [f32]) -> Self {
        Self {
            start: slice.as_mut_ptr(),
            len: slice.len(),
            slice: PhantomData,
        }
    }

    /// The values in `range`.
    ///
    /// # Safety
    /// While the result lives, nobody else may use any value of the range.
    #[inline]
    pub(crate) unsafe fn part(&self, range: Range<usize>) -> &'a mut [f32] {
        assert!(
            range.start <= range.end && range.end <= self.len,
            "{range:?} is outside of a buffer of {}",
            self.len
        );
        // SAFETY: in bounds by the assertion, unaliased by the caller's promise.
        unsafe {
            std::slice::from_raw_parts_mut(self.start.add(range.start), range.end - range.start)
        }
    }

    /// The values in `range`, for reading by any number of tasks at once.
    ///
    /// # Safety
    /// While the result lives, nobody may write any value of the range.
    #[inline]
    pub(crate) unsafe fn read(&self, range: Range<usize>) -> &'a [f32] {
        assert!(
            range.start <= range.end && range.end <= self.len,
            "{range:?} is outside of a buffer of {}",
            self.len
        );
        // SAFETY: in bounds by the assertion, not written by the caller's promise.
        unsafe { std::slice::from_raw_parts(self.start.add(range.start), range.end - range.start) }
    }

    /// `rows` rows of `columns` values, the first at `start`, each `stride` values behind the one before.
    ///
    /// # Safety
    /// While the result lives, nobody else may use any value of those rows; what lies between them is free.
    #[inline]
    pub(crate) unsafe fn strip(
        &self,
        start: usize,
        rows: usize,
        columns: usize,
        stride: usize,
    ) -> Strip<'a> {
        assert!(
            rows > 0 && columns <= stride,
            "a strip of {rows} rows of {columns} values, {stride} apart"
        );
        let end = start + (rows - 1) * stride + columns;
        assert!(
            end <= self.len,
            "a strip that ends at {end} is outside of a buffer of {}",
            self.len
        );
        // SAFETY: in bounds by the assertion.
        Strip {
            start: unsafe { self.start.add(start) },
            rows,
            columns,
            stride,
            slice: PhantomData,
        }
    }
}

/// Some columns of some rows of a matrix, for writing.
pub(crate) struct Strip<'a> {
    start: *mut f32,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) stride: usize,
    slice: PhantomData<&'a mut [f32]>,
}

impl<'a> Strip<'a> {
    /// The whole of a matrix whose rows lie back to back.
    pub(crate) fn of(matrix: &'a mut [f32], columns: usize) -> Self {
        let rows = matrix.len() / columns;
        Self {
            start: matrix.as_mut_ptr(),
            rows,
            columns,
            stride: columns,
            slice: PhantomData,
        }
    }

    /// The same rows, for a while.
    pub(crate) fn reborrow(&mut self) -> Strip<'_> {
        Strip {
            start: self.start,
            rows: self.rows,
            columns: self.columns,
            stride: self.stride,
            slice: PhantomData,
        }
    }

    /// Where the value at `row`, `column` lies; valid for writing the rest of that row.
    #[inline(always)]
    pub(crate) fn at(&mut self, row: usize, column: usize) -> *mut f32 {
        debug_assert!(row < self.rows && column < self.columns);
        self.start.wrapping_add(row * self.stride + column)
    }

    /// Writes one value.
    #[inline(always)]
    pub(crate) fn set(&mut self, row: usize, column: usize, value: f32) {
        assert!(row < self.rows && column < self.columns);
        // SAFETY: in bounds by the assertion and by the strip's construction, which also promised that it is ours.
        unsafe { *self.at(row, column) = value };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "outside of a buffer of 6")]
    fn a_part_past_the_end_is_refused() {
        let mut values = [0.0; 6];
        // SAFETY: nothing else uses the values.
        unsafe { Disjoint::new(&mut values).part(4..7) };
    }

    #[test]
    #[should_panic(expected = "outside of a buffer of 6")]
    fn a_strip_past_the_end_is_refused() {
        let mut values = [0.0; 6];
        // SAFETY: nothing else uses the values.
        unsafe { Disjoint::new(&mut values).strip(2, 2, 2, 3) };
    }

    #[test]
    fn a_strip_leaves_the_other_columns_alone() {
        let mut values = [0.0; 6];
        // SAFETY: nothing else uses the values.
        let mut strip = unsafe { Disjoint::new(&mut values).strip(1, 2, 1, 3) };
        strip.set(0, 0, 1.0);
        strip.set(1, 0, 2.0);
        assert_eq!(values, [0.0, 1.0, 0.0, 0.0, 2.0, 0.0]);
    }
}
