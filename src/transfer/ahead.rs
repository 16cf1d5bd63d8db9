//! Draws that are on the device before they are asked for.

use std::ops::Range;

/// The most calls that one copy serves.
const MOST: usize = 64;

/// The most bytes that are ahead on a device, where they are of more than one call.
const MOST_BYTES: usize = 1 << 28;

/// Draws of a random stream, of several calls to come, and what was made of them on a device: so that one copy serves many steps.
///
/// Nothing depends on it. The stream is drawn from at each call as if there were nothing ahead, which costs the host a few microseconds;
/// what lies on the device is taken where it was made of the same draws, and made anew where it was not. So a run draws the same numbers
/// on every device, is saved and resumed in the middle of what is ahead, and other draws of the stream may come between.
#[derive(Debug)]
pub(crate) struct Ahead<T, B> {
    made: Option<Made<T, B>>,
    /// The calls that the first copy serves.
    first: usize,
    /// What is made of a draw takes so many bytes.
    bytes: usize,
}

#[derive(Debug)]
struct Made<T, B> {
    /// What it was made of.
    draws: Vec<T>,
    block: B,
    /// How many draws were taken.
    taken: usize,
}

impl<T, B> Default for Ahead<T, B> {
    fn default() -> Self {
        Self::beginning_with(1)
    }
}

impl<T, B> Ahead<T, B> {
    /// Nothing yet, and at first so many calls, where it is known that as many will come.
    pub fn beginning_with(calls: u64) -> Self {
        Ahead {
            made: None,
            first: calls.clamp(1, MOST as u64) as usize,
            bytes: 4,
        }
    }

    /// What is made of a draw takes so many bytes: of large ones fewer are ahead. A number's four if nothing is said.
    #[must_use]
    pub fn each_of(self, bytes: usize) -> Self {
        Ahead { bytes, ..self }
    }
}

impl<T: PartialEq + Copy, B> Ahead<T, B> {
    /// What was made of `draws`, and where they are in it. `more` draws so many that come after them, without moving the stream, and
    /// `make` puts draws onto the device.
    ///
    /// At first one call is ahead, or as many as are known to come. Where all that was ahead was asked for, four times as much is ahead
    /// next, up to 64 such calls and 256 MiB; where it was not, one call.
    pub fn take<E>(
        &mut self,
        draws: &[T],
        more: impl FnOnce(usize) -> Vec<T>,
        make: impl FnOnce(&[T]) -> Result<B, E>,
    ) -> Result<(&B, Range<usize>), E> {
        let n = draws.len();
        let most = (MOST_BYTES / (n * self.bytes).max(1)).clamp(1, MOST);
        let missing = match &self.made {
            None => Some(self.first.min(most) * n),
            Some(made) => {
                let left = &made.draws[made.taken..];
                match (left.starts_with(draws), draws.starts_with(left)) {
                    (true, _) => None,
                    (false, true) => Some((4 * made.draws.len()).min(most * n).max(n)),
                    (false, false) => Some(n),
                }
            }
        };
        if let Some(length) = missing {
            let mut all = draws.to_vec();
            all.extend(more(length - n));
            self.made = Some(Made {
                block: make(&all)?,
                draws: all,
                taken: 0,
            });
        }
        let made = self.made.as_mut().expect("it was made above");
        let place = made.taken..made.taken + n;
        made.taken = place.end;
        Ok((&made.block, place))
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    /// A stream that counts; what is made of draws is a copy of them.
    struct Counting {
        next: u32,
        ahead: Ahead<u32, Vec<u32>>,
        copies: u32,
    }

    impl Counting {
        fn new() -> Self {
            Counting {
                next: 0,
                ahead: Ahead::default(),
                copies: 0,
            }
        }

        fn draw(&mut self, n: u32) -> Vec<u32> {
            let draws: Vec<u32> = (self.next..self.next + n).collect();
            self.next += n;
            let next = self.next;
            let taken = self.ahead.take(
                &draws,
                |more| (next..next + more as u32).collect(),
                |draws| {
                    self.copies += 1;
                    Ok::<_, Infallible>(draws.to_vec())
                },
            );
            let Ok((block, place)) = taken;
            assert_eq!(block[place], draws[..]);
            draws
        }
    }

    #[test]
    fn one_copy_comes_to_serve_64_calls() {
        let mut stream = Counting::new();
        for call in 0..(1 + 4 + 16 + 3 * 64) {
            assert_eq!(stream.draw(3), [3 * call, 3 * call + 1, 3 * call + 2]);
        }
        assert_eq!(stream.copies, 3 + 3);
    }

    #[test]
    fn where_it_is_known_how_many_calls_will_come_one_copy_serves_them() {
        for (calls, copies) in [(0, 3), (1, 3), (12, 1), (64, 1), (1_000, 1)] {
            let mut stream = Counting::new();
            stream.ahead = Ahead::beginning_with(calls);
            (0..12).for_each(|_| drop(stream.draw(3)));
            assert_eq!(stream.copies, copies, "{calls}");
        }
    }

    #[test]
    fn of_what_is_large_less_is_ahead() {
        // Three draws of 16 MiB a call: five calls are 240 MiB.
        for (bytes, copies) in [(1 << 24, 4), (1 << 26, 20), (1 << 30, 20)] {
            let mut stream = Counting::new();
            stream.ahead = Ahead::beginning_with(64).each_of(bytes);
            (0..20).for_each(|_| drop(stream.draw(3)));
            assert_eq!(stream.copies, copies, "{bytes}");
        }
    }

    #[test]
    fn other_draws_between_and_another_place_are_found() {
        let mut stream = Counting::new();
        for _ in 0..5 {
            stream.draw(2);
            stream.next += 1;
        }
        assert_eq!(stream.copies, 5);
        // As a run that is resumed.
        stream.next = 1_000;
        assert_eq!(stream.draw(2), [1_000, 1_001]);
        assert_eq!(stream.draw(2), [1_002, 1_003]);
        // Calls of another length go on in what is ahead.
        let before = stream.copies;
        for _ in 0..100 {
            stream.draw(2);
            stream.draw(5);
        }
        assert!(stream.copies - before < 12, "{}", stream.copies - before);
    }
}
