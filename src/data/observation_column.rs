//! Observations in memory: rows of numbers, of which those of a picture are bytes and take a byte each. They become numbers when a
//! batch is gathered.

use std::borrow::Cow;
use std::ops::Range;

use super::huge_pages::move_to_huge_pages;
use super::transitions::touch_row;
use super::{Column, NotAByte, Packing};
use crate::observation::ObservationParts;

/// Observations, one row after the other: `[rows, width]`. Each element of a part that is bytes, such as a picture, takes one byte, and
/// each other number four.
///
/// ```
/// use yarak::prelude::*;
/// use yarak::data::{Column, ObservationColumn};
/// use yarak::observation::ObservationParts;
///
/// let space = Space::dict([
///     ("camera", Space::picture([20, 20, 3])),
///     ("state", Space::from_bounds(&[(-1.0, 1.0); 2])),
/// ]);
/// let shown = Column { values: [[7.0; 1200].as_slice(), &[0.5, -0.5]].concat(), width: 1202 };
/// let column = ObservationColumn::packed(shown, &ObservationParts::of_space(&space))?;
/// assert_eq!(column.bytes(), 1200 + 2 * 4);
/// assert_eq!(column.row(0)[1199..], [7.0, 0.5, -0.5]);
/// # Ok::<(), yarak::data::NotAByte>(())
/// ```
#[derive(Clone, Debug)]
pub struct ObservationColumn {
    packing: Packing,
    rows: StoredObservations,
}

/// Rows as they lie in memory, one after the other.
#[derive(Clone, Debug)]
pub(in crate::data) enum StoredObservations {
    /// None of their elements is a byte.
    Numbers(Vec<f32>),
    /// A byte for each that is, and four, the lowest first, for each other number.
    Packed(Vec<u8>),
}

impl ObservationColumn {
    /// The rows of a column, of which the elements of parts that are bytes take a byte each. Parts of another width than the column's
    /// leave them numbers.
    ///
    /// # Errors
    /// The first number of such a part that is no byte.
    pub fn packed(column: Column, parts: &ObservationParts) -> Result<Self, NotAByte> {
        let packing = Packing::of(parts);
        if !packing.is_packed() || packing.width() != column.width {
            return Ok(column.into());
        }
        let mut packed = Self::with_capacity(&packing, column.rows());
        packed.extend(&column)?;
        Ok(packed)
    }

    /// No rows, with room for so many.
    pub(in crate::data) fn with_capacity(packing: &Packing, rows: usize) -> Self {
        let rows = match packing.is_packed() {
            true => StoredObservations::Packed(Vec::with_capacity(rows * packing.row_bytes())),
            false => StoredObservations::Numbers(Vec::with_capacity(rows * packing.width())),
        };
        ObservationColumn {
            packing: packing.clone(),
            rows,
        }
    }

    /// So many rows of zeros.
    pub(in crate::data) fn zeros(packing: &Packing, rows: usize) -> Self {
        let rows = match packing.is_packed() {
            true => StoredObservations::Packed(vec![0; rows * packing.row_bytes()]),
            false => StoredObservations::Numbers(vec![0.0; rows * packing.width()]),
        };
        ObservationColumn {
            packing: packing.clone(),
            rows,
        }
    }

    /// Whole rows that lie as [`as_stored`](Self::as_stored) gave them.
    pub(in crate::data) fn of_stored(packing: &Packing, rows: StoredObservations) -> Self {
        ObservationColumn {
            packing: packing.clone(),
            rows,
        }
    }

    /// Elements in one row.
    pub fn width(&self) -> usize {
        self.packing.width()
    }

    /// The number of whole rows; 0 where the width is 0.
    pub fn rows(&self) -> usize {
        let all = match &self.rows {
            StoredObservations::Numbers(numbers) => 4 * numbers.len(),
            StoredObservations::Packed(packed) => packed.len(),
        };
        all.checked_div(self.packing.row_bytes()).unwrap_or(0)
    }

    /// What the rows take in memory.
    pub fn bytes(&self) -> u64 {
        (self.rows() * self.packing.row_bytes()) as u64
    }

    /// The numbers of row `index`, `[width]`.
    ///
    /// # Panics
    /// Like indexing a slice, where `index` is not below [`rows`](Self::rows).
    #[inline]
    pub fn row(&self, index: usize) -> Cow<'_, [f32]> {
        self.rows_between(index..index + 1)
    }

    /// The numbers of all rows, one row after the other.
    pub fn numbers(&self) -> Cow<'_, [f32]> {
        match &self.rows {
            StoredObservations::Numbers(numbers) => Cow::Borrowed(numbers),
            StoredObservations::Packed(_) => self.rows_between(0..self.rows()),
        }
    }

    /// The numbers of several rows, one row after the other.
    pub(in crate::data) fn rows_between(&self, rows: Range<usize>) -> Cow<'_, [f32]> {
        match &self.rows {
            StoredObservations::Numbers(numbers) => {
                let width = self.packing.width();
                Cow::Borrowed(&numbers[rows.start * width..rows.end * width])
            }
            StoredObservations::Packed(_) => {
                let mut numbers = Vec::with_capacity(rows.len() * self.packing.width());
                rows.for_each(|row| self.add_to(row, &mut numbers));
                Cow::Owned(numbers)
            }
        }
    }

    /// See [`move_to_huge_pages`].
    pub(super) fn move_to_huge_pages(&self) {
        match &self.rows {
            StoredObservations::Numbers(numbers) => move_to_huge_pages(numbers),
            StoredObservations::Packed(packed) => move_to_huge_pages(packed),
        }
    }

    /// Reads both ends of a row, so that the next read finds it in the cache.
    #[inline]
    pub(in crate::data) fn touch(&self, row: usize) {
        match &self.rows {
            StoredObservations::Numbers(all) => touch_row(all, self.packing.width(), row),
            StoredObservations::Packed(packed) => touch_row(packed, self.packing.row_bytes(), row),
        }
    }

    /// Adds the numbers of a row to others.
    #[inline]
    pub(in crate::data) fn add_to(&self, row: usize, numbers: &mut Vec<f32>) {
        match &self.rows {
            StoredObservations::Numbers(all) => {
                let width = self.packing.width();
                numbers.extend_from_slice(&all[row * width..(row + 1) * width]);
            }
            StoredObservations::Packed(packed) => {
                let bytes = self.packing.row_bytes();
                let row = &packed[row * bytes..(row + 1) * bytes];
                self.packing.unpack(row, numbers);
            }
        }
    }

    /// Element `element` of row `row`.
    #[inline]
    pub(in crate::data) fn element(&self, row: usize, element: usize) -> f32 {
        match &self.rows {
            StoredObservations::Numbers(numbers) => numbers[row * self.packing.width() + element],
            StoredObservations::Packed(packed) => {
                let place = row * self.packing.row_bytes();
                self.packing.element(&packed[place..], element)
            }
        }
    }

    /// The elements of a place in all rows, row by row.
    pub(in crate::data) fn elements_at(
        &self,
        place: Range<usize>,
    ) -> impl Iterator<Item = f32> + Clone + '_ {
        let of_row = move |row| place.clone().map(move |at| self.element(row, at));
        (0..self.rows()).flat_map(of_row)
    }

    /// The first number that `search` finds in numbers that lie one after the other: its row, its element, and the number.
    pub(in crate::data) fn find(
        &self,
        search: impl Fn(&[f32]) -> Option<usize>,
    ) -> Option<(usize, usize, f32)> {
        let width = self.packing.width();
        match &self.rows {
            StoredObservations::Numbers(numbers) => {
                let at = search(numbers).filter(|_| width > 0)?;
                Some((at / width, at % width, numbers[at]))
            }
            StoredObservations::Packed(_) => (0..self.rows()).find_map(|row| {
                let numbers = self.row(row);
                search(&numbers).map(|at| (row, at, numbers[at]))
            }),
        }
    }

    /// How many elements there are in all rows.
    pub(in crate::data) fn elements(&self) -> usize {
        match &self.rows {
            StoredObservations::Numbers(numbers) => numbers.len(),
            StoredObservations::Packed(_) => self.rows() * self.packing.width(),
        }
    }

    /// The rows as they lie in memory.
    pub(in crate::data) fn as_stored(&self) -> &StoredObservations {
        &self.rows
    }

    /// The rows as numbers, four bytes each.
    pub fn into_column(self) -> Column {
        Column {
            width: self.packing.width(),
            values: match self.rows {
                StoredObservations::Numbers(numbers) => numbers,
                StoredObservations::Packed(_) => self.numbers().into_owned(),
            },
        }
    }

    /// Adds a row at the end.
    pub(in crate::data) fn push(&mut self, row: &[f32]) -> Result<(), NotAByte> {
        match &mut self.rows {
            StoredObservations::Numbers(numbers) => numbers.extend_from_slice(row),
            StoredObservations::Packed(packed) => {
                let start = packed.len();
                self.packing.pack(row, packed);
                if let Err(error) = self.packing.check(row, &packed[start..]) {
                    packed.truncate(start);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Adds the rows of a column of the same width at the end.
    pub(in crate::data) fn extend(&mut self, column: &Column) -> Result<(), NotAByte> {
        match &mut self.rows {
            StoredObservations::Numbers(numbers) => numbers.extend_from_slice(&column.values),
            StoredObservations::Packed(_) => {
                for row in column.values.chunks_exact(column.width.max(1)) {
                    self.push(row)?;
                }
            }
        }
        Ok(())
    }

    /// Keeps the first rows alone.
    pub(in crate::data) fn truncate(&mut self, rows: usize) {
        match &mut self.rows {
            StoredObservations::Numbers(numbers) => numbers.truncate(rows * self.packing.width()),
            StoredObservations::Packed(packed) => packed.truncate(rows * self.packing.row_bytes()),
        }
    }

    /// Puts the rows of another column, packed alike, in the places of these.
    pub(in crate::data) fn put(&mut self, places: &Range<usize>, from: &Self) {
        match (&mut self.rows, &from.rows) {
            (StoredObservations::Numbers(to), StoredObservations::Numbers(from)) => {
                let width = self.packing.width();
                to[places.start * width..places.end * width].copy_from_slice(from);
            }
            (StoredObservations::Packed(to), StoredObservations::Packed(from)) => {
                let bytes = self.packing.row_bytes();
                to[places.start * bytes..places.end * bytes].copy_from_slice(from);
            }
            _ => unreachable!("one packing makes rows of one form"),
        }
    }

    /// Changes the numbers of all rows, one row or several at a time. `stays` says of bytes, by the place of their elements in a row,
    /// whether the change leaves them as they are; where it does not, all elements are numbers from then on.
    pub(in crate::data) fn change(
        &mut self,
        stays: impl Fn(Range<usize>) -> bool,
        change: impl Fn(&mut [f32]),
    ) {
        if !self.packing.byte_places().all(stays) {
            let numbers = self.numbers().into_owned();
            self.packing = Packing::numbers(self.packing.width());
            self.rows = StoredObservations::Numbers(numbers);
        }
        match &mut self.rows {
            StoredObservations::Numbers(numbers) => change(numbers),
            StoredObservations::Packed(packed) => {
                let (mut row, mut again) = (Vec::new(), Vec::new());
                for place in packed.chunks_exact_mut(self.packing.row_bytes()) {
                    row.clear();
                    self.packing.unpack(place, &mut row);
                    change(&mut row);
                    again.clear();
                    self.packing.pack(&row, &mut again);
                    place.copy_from_slice(&again);
                }
            }
        }
    }
}

impl From<Column> for ObservationColumn {
    fn from(column: Column) -> Self {
        ObservationColumn {
            packing: Packing::numbers(column.width),
            rows: StoredObservations::Numbers(column.values),
        }
    }
}

/// The same numbers, however they lie in memory.
impl PartialEq for ObservationColumn {
    fn eq(&self, other: &Self) -> bool {
        match (&self.rows, &other.rows) {
            (StoredObservations::Numbers(one), StoredObservations::Numbers(another)) => {
                self.width() == other.width() && one == another
            }
            _ => {
                let alike = [self.width(), self.rows()] == [other.width(), other.rows()];
                alike && (0..self.rows()).all(|row| self.row(row) == other.row(row))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::Space;

    fn bits(numbers: &[f32]) -> Vec<u32> {
        numbers.iter().map(|it| it.to_bits()).collect()
    }

    /// A camera of 60 bytes and a state of 3 numbers.
    fn both() -> ObservationParts {
        ObservationParts::of_space(&Space::dict([
            ("camera", Space::picture([4, 5, 3])),
            ("state", Space::from_bounds(&[(-1.0, 1.0); 3])),
        ]))
    }

    fn row(seed: usize) -> Vec<f32> {
        let pixels = (0..60).map(|it| ((it * 7 + seed * 51) % 256) as f32);
        let state = [-0.0, f32::MIN_POSITIVE / 3.0, 0.1 + seed as f32];
        pixels.chain(state).collect()
    }

    fn column(rows: usize) -> Column {
        Column {
            values: (0..rows).flat_map(row).collect(),
            width: 63,
        }
    }

    #[test]
    fn rows_come_back_to_the_last_bit_and_a_byte_takes_a_byte() {
        for (parts, bytes) in [(both(), 60 + 12), (ObservationParts::vector(63), 252)] {
            let packing = Packing::of(&parts);
            assert_eq!(packing.row_bytes(), bytes);
            let mut two = ObservationColumn::with_capacity(&packing, 2);
            two.push(&row(1)).unwrap();
            two.push(&row(2)).unwrap();
            let mut rows = ObservationColumn::zeros(&packing, 4);
            rows.put(&(1..3), &two);
            assert_eq!((rows.rows(), rows.bytes()), (4, 4 * bytes as u64));
            for (place, seed) in [(1, 1), (2, 2)] {
                let mut back = Vec::new();
                rows.add_to(place, &mut back);
                assert_eq!(bits(&back), bits(&row(seed)));
                assert_eq!(bits(&rows.row(place)), bits(&row(seed)));
            }
            let all = [vec![0.0; 63], row(1), row(2), vec![0.0; 63]].concat();
            assert_eq!(bits(&rows.numbers()), bits(&all));
            assert_eq!(bits(&rows.into_column().values), bits(&all));
        }
    }

    #[test]
    fn packed_rows_are_the_same_as_numbers() {
        let packed = ObservationColumn::packed(column(5), &both()).unwrap();
        assert_eq!((packed.bytes(), packed.rows()), (5 * 72, 5));
        let numbers = ObservationColumn::from(column(5));
        assert_eq!(numbers.bytes(), 5 * 252);
        assert_eq!(packed, numbers);
        let mut other = column(5);
        other.values[130] += 1.0;
        assert_ne!(packed, ObservationColumn::from(other));
        assert_ne!(packed, ObservationColumn::from(column(4)));
        // Parts of something else say nothing of these rows.
        let parts = ObservationParts::of_space(&Space::picture([4, 4, 1]));
        let unpacked = ObservationColumn::packed(column(5), &parts).unwrap();
        assert_eq!(unpacked.bytes(), numbers.bytes());
    }

    #[test]
    fn what_is_no_byte_is_refused_with_its_place_and_leaves_no_trace() {
        let mut packed = ObservationColumn::packed(column(2), &both()).unwrap();
        for odd in [0.5, -1.0, 256.0, f32::NAN] {
            let mut row = row(3);
            row[17] = odd;
            let error = packed.push(&row).unwrap_err();
            assert_eq!(error.element, 17);
            assert_eq!(error.value.to_bits(), odd.to_bits());
            assert_eq!(packed, ObservationColumn::from(column(2)));
        }
    }

    #[test]
    fn numbers_change_and_bytes_stay_bytes_unless_the_change_is_theirs() {
        let twice = |row: &mut [f32], from: usize| {
            let rows = row.chunks_exact_mut(63);
            rows.for_each(|row| row[from..].iter_mut().for_each(|it| *it *= 2.0));
        };
        for (from, bytes) in [(60, 5 * 72), (0, 5 * 252)] {
            let mut packed = ObservationColumn::packed(column(5), &both()).unwrap();
            let mut expected = column(5);
            twice(&mut expected.values, from);
            packed.change(|place| place.end <= from, |rows| twice(rows, from));
            assert_eq!(packed.bytes(), bytes);
            assert_eq!(bits(&packed.numbers()), bits(&expected.values));
        }
    }
}
