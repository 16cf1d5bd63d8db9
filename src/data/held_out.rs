//! Going over the held-out rows, part by part.

use std::ops::Range;

use bevy_ecs::prelude::*;

/// How many parts of the held-out rows are validated on; `None`: all.
#[derive(Resource, Clone, Copy, Debug, Default)]
pub struct ValidatedParts(pub Option<u64>);

/// How far a validation is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Pass(u64);

impl Pass {
    /// The next part of `rows` rows, at most `batch` long, one after the other from the first; and whether more are left. Of fewer
    /// parts than all, each is as far from the next. After the last comes the first again. Empty where there are no rows.
    pub fn next_part(
        &mut self,
        rows: usize,
        batch: usize,
        parts: ValidatedParts,
    ) -> (Range<usize>, bool) {
        let batch = batch.max(1);
        let all = rows.div_ceil(batch) as u64;
        let wanted = parts.0.map_or(all, |parts| parts.clamp(1, all.max(1)));
        let first = (self.0 * all / wanted.max(1)) as usize * batch;
        self.0 += 1;
        let left = self.0 < wanted;
        if !left {
            self.0 = 0;
        }
        (first.min(rows)..(first + batch).min(rows), left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_parts(rows: usize, batch: usize, parts: Option<u64>) -> Vec<Range<usize>> {
        let (mut pass, mut found) = (Pass::default(), Vec::new());
        loop {
            let (part, left) = pass.next_part(rows, batch, ValidatedParts(parts));
            found.push(part);
            if !left {
                assert_eq!(pass, Pass::default(), "the next pass begins anew");
                return found;
            }
        }
    }

    #[test]
    fn a_pass_goes_over_each_row_once() {
        assert_eq!(all_parts(10, 4, None), [0..4, 4..8, 8..10]);
        assert_eq!(all_parts(8, 4, None), [0..4, 4..8]);
        assert_eq!(all_parts(3, 256, None), vec![0..3]);
        assert_eq!(all_parts(0, 4, None), vec![0..0]);
    }

    #[test]
    fn fewer_parts_are_spread_over_the_rows_and_more_are_all() {
        assert_eq!(all_parts(40, 4, Some(3)), [0..4, 12..16, 24..28]);
        assert_eq!(all_parts(10, 4, Some(9)), [0..4, 4..8, 8..10]);
        assert_eq!(all_parts(10, 4, Some(1)), vec![0..4]);
    }
}
