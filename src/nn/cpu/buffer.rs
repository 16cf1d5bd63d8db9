//! Memory that outlives a call and begins on a cache line.

use std::ops::{Deref, DerefMut};

/// Bytes in a cache line, and in the widest register.
const LINE: usize = 64;

/// Values that a step writes before it reads them.
///
/// An allocator gives room for a few hundred kilobytes at 16 bytes behind the beginning of a page, where every register that is
/// written crosses a line: the output of a first layer then takes a fifth longer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Buffer {
    /// As many as asked for, and a line more.
    values: Vec<f32>,
    /// Where the line begins.
    start: usize,
}

impl Buffer {
    /// The first `len` values, which mean nothing, of a buffer that grows where it must.
    pub(crate) fn at_least(&mut self, len: usize) -> &mut [f32] {
        const SPARE: usize = LINE / size_of::<f32>();
        if len > 0 && self.values.len() < len + SPARE {
            self.values.resize(len + SPARE, 0.0);
        }
        // Where it cannot be said (the interpreter of the tests may answer so), any place will do.
        self.start = match self.values.as_ptr().align_offset(LINE) {
            start if start < SPARE && len > 0 => start,
            _ => 0,
        };
        &mut self[..len]
    }
}

impl Deref for Buffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.values[self.start..]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.values[self.start..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_begins_on_a_line_grows_and_never_shrinks() {
        let mut buffer = Buffer::default();
        assert!(buffer.at_least(0).is_empty() && buffer.is_empty());
        for len in [1, 16, 100, 40_000] {
            let values = buffer.at_least(len);
            assert_eq!(values.len(), len);
            if !cfg!(miri) {
                assert_eq!(values.as_ptr() as usize % LINE, 0);
            }
            values.fill(7.0);
        }
        assert_eq!(buffer.at_least(3), [7.0; 3]);
        assert!(buffer.len() >= 40_000);
    }

    #[test]
    fn a_copy_has_the_same_values_at_the_same_places() {
        let mut buffer = Buffer::default();
        buffer.at_least(50).fill(1.0);
        assert_eq!(buffer.clone()[..50], [1.0; 50]);
    }
}
