//! Action chunks in data: the actions of a row and of those after it.
//!
//! Where the episode ends, or is not recorded any further, its last action stands for those after it, as in robomimic's padded
//! sequences and in Diffusion Policy's.

use smallvec::SmallVec;

use super::Order;

/// The rows whose actions are the chunk of `row`: `[length]`, its own first.
pub(super) fn chunk_of(order: &impl Order, row: usize, length: usize) -> SmallVec<[usize; 4]> {
    let mut rows = SmallVec::new();
    let mut acted = row;
    for _ in 0..length {
        rows.push(acted);
        acted = order.after(acted).unwrap_or(acted);
    }
    rows
}
