//! Memory for columns of many megabytes.

/// So many zeros, in pages of two megabytes where Linux has them to give.
///
/// A fresh column is first touched page by page, and with pages of 4 KiB that takes longer than reading what goes into it
/// (NumPy asks for the same).
pub(super) fn zeros(len: usize) -> Vec<f32> {
    let mut values = vec![0.0; len];
    advise(&mut values);
    values
}

/// NumPy's limit.
#[cfg(target_os = "linux")]
const WORTH_IT_FROM_BYTES: usize = 4 << 20;

#[cfg(target_os = "linux")]
fn advise(values: &mut [f32]) {
    const PAGE: usize = 4096;
    if size_of_val(values) < WORTH_IT_FROM_BYTES {
        return;
    }
    let bytes = values.as_mut_ptr().cast::<u8>();
    let before = bytes.align_offset(PAGE);
    let whole = (size_of_val(values) - before) / PAGE * PAGE;
    // SAFETY: the range lies within `values`, and the advice changes how its memory is backed, never what it holds. Where the
    // kernel knows no huge pages it refuses, which leaves everything as it was.
    unsafe {
        libc::madvise(bytes.add(before).cast(), whole, libc::MADV_HUGEPAGE);
    }
}

#[cfg(not(target_os = "linux"))]
fn advise(_: &mut [f32]) {}

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
}
