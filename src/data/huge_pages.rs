//! Memory for columns of many megabytes, in pages of two megabytes where Linux has them to give.

/// So many zeros.
///
/// A fresh column is first touched page by page, and with pages of 4 KiB that takes longer than reading what goes into it
/// (NumPy asks for the same).
pub(super) fn zeros(len: usize) -> Vec<f32> {
    let values = vec![0.0; len];
    advise(&values, Advice::Use);
    values
}

/// Moves values that are there already.
///
/// A row that is drawn at random is on a page of its own in each column, and looking up nine pages of 4 KiB takes a processor longer
/// than reading what is on them.
pub(super) fn move_to_huge_pages<T>(values: &[T]) {
    advise(values, Advice::Use);
    advise(values, Advice::MoveNow);
}

#[derive(Clone, Copy)]
enum Advice {
    /// For pages that are not there yet.
    Use,
    /// For those that are, since Linux 6.1.
    MoveNow,
}

/// One such page.
#[cfg(target_os = "linux")]
const WORTH_IT_FROM_BYTES: usize = 2 << 20;

#[cfg(target_os = "linux")]
fn advise<T>(values: &[T], advice: Advice) {
    const PAGE: usize = 4096;
    // `libc` has it for glibc alone.
    const MADV_COLLAPSE: libc::c_int = 25;
    if size_of_val(values) < WORTH_IT_FROM_BYTES {
        return;
    }
    let bytes = values.as_ptr().cast::<u8>().cast_mut();
    let before = bytes.align_offset(PAGE);
    let whole = (size_of_val(values) - before) / PAGE * PAGE;
    let advice = match advice {
        Advice::Use => libc::MADV_HUGEPAGE,
        Advice::MoveNow => MADV_COLLAPSE,
    };
    // SAFETY: the range lies within `values`, and the advice changes how its memory is backed, never what it holds. Where the
    // kernel knows no huge pages, or has none, it refuses, which leaves everything as it was.
    unsafe {
        libc::madvise(bytes.add(before).cast(), whole, advice);
    }
}

#[cfg(not(target_os = "linux"))]
fn advise<T>(_: &[T], _: Advice) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_are_zeros_of_any_number() {
        for len in [0, 1, (1 << 20) - 1, 1 << 20, (3 << 20) + 7] {
            let values = zeros(len);
            assert_eq!(values.len(), len);
            assert!(values.iter().all(|value| value.to_bits() == 0));
        }
    }

    #[test]
    fn values_that_are_moved_stay_what_they_are() {
        for len in [0, 7, (3 << 20) + 7] {
            let values: Vec<u32> = (0..len).collect();
            move_to_huge_pages(&values[..]);
            assert!(values.iter().copied().eq(0..len));
        }
    }
}
