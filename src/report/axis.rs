//! An axis of a picture: the stretch of numbers that it shows, its round ticks and their labels.

/// A relative difference that is taken for none: rounding alone makes it.
const FLAT: f64 = 1e-9;

/// A stretch of numbers with its ticks.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Axis {
    low: f64,
    high: f64,
    /// Round numbers within the stretch, rising.
    pub(crate) ticks: Vec<f64>,
    /// One for each tick: `0`, `2.5k`, `1M`, `0.25`, `3e-5`.
    pub(crate) labels: Vec<String>,
}

impl Axis {
    /// An axis of steps with at most so many ticks and one, as wide as the data; from 0 where that is near. Numbers beyond
    /// ±1e300 are not expected.
    pub(crate) fn of_steps(steps: impl Iterator<Item = f64>, most: u32) -> Self {
        let (low, high) = stretch(steps);
        let low = if low > 0.0 && low < 0.25 * high {
            0.0
        } else {
            low
        };
        Self::between(low, high, most)
    }

    /// An axis of values with at most so many ticks and one, with a little air above and below the data. Numbers beyond
    /// ±1e300 are not expected.
    pub(crate) fn of_values(values: impl Iterator<Item = f64>, most: u32) -> Self {
        let (low, high) = stretch(values);
        let air = 0.05 * (high - low);
        Self::between(low - air, high + air, most)
    }

    /// An axis from `low` to `high`, which differ, with at most so many ticks and one.
    pub(crate) fn with_ticks(low: f64, high: f64, most: u32) -> Self {
        let (low, high) = stretch([low, high].into_iter());
        Self::between(low, high, most)
    }

    fn between(low: f64, high: f64, most: u32) -> Self {
        let step = round_up((high - low) / f64::from(most));
        let (first, last) = ((low / step).ceil(), (high / step).floor());
        let ticks: Vec<_> = (0..=most)
            .map(|index| (first + f64::from(index)) * step)
            .collect();
        // `+ 0.0` turns -0 into 0.
        let ticks: Vec<_> = ticks
            .into_iter()
            .filter(|tick| *tick <= last * step)
            .map(|tick| tick + 0.0)
            .collect();
        let labels = labels(&ticks, step);
        Self {
            low,
            high,
            ticks,
            labels,
        }
    }

    /// Where a number is: 0 at the axis' start, 1 at its end.
    pub(crate) fn fraction(&self, number: f64) -> f64 {
        (number - self.low) / (self.high - self.low)
    }

    /// A number on this axis as text, to about a thousandth of the axis' length.
    pub(crate) fn exact(&self, number: f64) -> String {
        let power = ((self.high - self.low) / 1000.0).log10().floor();
        let rounded = (number / 10_f64.powf(power)).round() * 10_f64.powf(power);
        if rounded.abs() >= 1e7 || power < -6.0 {
            return scientific(rounded);
        }
        trimmed(format!("{rounded:.0$}", (-power).max(0.0) as usize))
    }
}

/// The lowest and the highest number; never equal, so that an axis has a length.
fn stretch(numbers: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = numbers.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), number| {
        (low.min(number), high.max(number))
    });
    if low > high {
        return (0.0, 1.0);
    }
    let size = low.abs().max(high.abs());
    if high - low > FLAT * size && high - low > 1e-300 {
        return (low, high);
    }
    let air = if size > 1e-290 { 0.1 * size } else { 1.0 };
    (low - air, high + air)
}

/// The next number of the form 1, 2, 2.5 or 5 times a power of ten that is not lower.
fn round_up(number: f64) -> f64 {
    let power = 10_f64.powf(number.log10().floor());
    let round = [1.0, 2.0, 2.5, 5.0]
        .into_iter()
        .find(|round| round * power >= number * (1.0 - FLAT));
    round.unwrap_or(10.0) * power
}

fn labels(ticks: &[f64], step: f64) -> Vec<String> {
    let size = ticks
        .iter()
        .fold(0.0_f64, |size, tick| size.max(tick.abs()));
    if size >= 1e12 || (size > 0.0 && size < 1e-3) {
        return ticks.iter().map(|tick| scientific(*tick)).collect();
    }
    let unit = |tick: f64| match tick.abs() {
        _ if size < 10_000.0 => (1.0, ""),
        0.0..1e3 => (1.0, ""),
        1e3..1e6 => (1e3, "k"),
        1e6..1e9 => (1e6, "M"),
        _ => (1e9, "G"),
    };
    let label = |tick: &f64| {
        let (unit, suffix) = unit(*tick);
        let digits = if suffix.is_empty() {
            digits(ticks, step, unit)
        } else {
            digits(&[*tick], step, unit)
        };
        // A zero needs no decimals to line up with.
        if *tick == 0.0 {
            "0".into()
        } else {
            format!("{:.digits$}{suffix}", tick / unit)
        }
    };
    ticks.iter().map(label).collect()
}

/// Decimals that tell numbers a step apart from each other, and each from its rounding.
fn digits(numbers: &[f64], step: f64, unit: f64) -> usize {
    let exact = |number: f64, digits: usize| {
        let power = 10_f64.powi(digits as i32);
        let scaled = number / unit * power;
        (scaled - scaled.round()).abs() <= 1e-3 * (step / unit * power)
    };
    (0..15)
        .find(|digits| numbers.iter().all(|number| exact(*number, *digits)))
        .unwrap_or(15)
}

fn scientific(number: f64) -> String {
    if number == 0.0 {
        return "0".into();
    }
    let text = format!("{number:.3e}");
    match text.split_once('e') {
        Some((number, power)) => format!("{}e{power}", trimmed(number.into())),
        None => text,
    }
}

/// Without the zeros at the end of a decimal fraction.
fn trimmed(number: String) -> String {
    if number.contains('.') {
        number.trim_end_matches('0').trim_end_matches('.').into()
    } else {
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(low: f64, high: f64) -> Vec<String> {
        Axis::of_steps([low, high].into_iter(), 8).labels
    }

    fn values(low: f64, high: f64) -> Vec<String> {
        Axis::of_values([low, high].into_iter(), 8).labels
    }

    #[test]
    fn steps_are_counted_in_thousands_and_millions() {
        assert_eq!(
            steps(2000.0, 20_000.0),
            [
                "0", "2.5k", "5k", "7.5k", "10k", "12.5k", "15k", "17.5k", "20k"
            ]
        );
        assert_eq!(steps(0.0, 1e6), ["0", "200k", "400k", "600k", "800k", "1M"]);
        assert_eq!(
            steps(0.0, 1.6e6),
            [
                "0", "200k", "400k", "600k", "800k", "1M", "1.2M", "1.4M", "1.6M"
            ]
        );
        assert_eq!(
            steps(1000.0, 5000.0),
            ["0", "1000", "2000", "3000", "4000", "5000"]
        );
        assert_eq!(steps(90.0, 100.0), ["90", "92", "94", "96", "98", "100"]);
    }

    #[test]
    fn values_have_as_many_decimals_as_their_ticks_need() {
        assert_eq!(
            values(-1200.0, -150.0),
            ["-1200", "-1000", "-800", "-600", "-400", "-200"]
        );
        assert_eq!(values(0.0, 1.0), ["0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(
            values(0.5, 2.1),
            ["0.50", "0.75", "1.00", "1.25", "1.50", "1.75", "2.00"]
        );
        assert_eq!(
            values(1e-5, 3e-4),
            ["0", "5e-5", "1e-4", "1.5e-4", "2e-4", "2.5e-4", "3e-4"]
        );
        assert_eq!(values(5.0, 5.0), ["4.6", "4.8", "5.0", "5.2", "5.4"]);
    }

    #[test]
    fn no_stretch_of_numbers_is_too_odd_for_an_axis() {
        let odd = [
            0.0,
            1e299,
            -1e299,
            1e-300,
            f64::MIN_POSITIVE,
            1.0,
            1.0 + f64::EPSILON,
            -7.0,
            1e15,
            1e15 + 1.0,
        ];
        for low in odd {
            for high in odd {
                for axis in [
                    Axis::of_steps([low, high].into_iter(), 8),
                    Axis::of_values([low, high].into_iter(), 8),
                ] {
                    assert!((2..=9).contains(&axis.ticks.len()), "{low} {high} {axis:?}");
                    assert!(
                        axis.ticks.is_sorted_by(|a, b| a < b),
                        "{low} {high} {axis:?}"
                    );
                    assert!(
                        axis.ticks
                            .iter()
                            .all(|tick| (-1e-6..1.000_001).contains(&axis.fraction(*tick))),
                        "{axis:?}"
                    );
                    assert!(axis.labels.iter().all(|label| label.len() < 24), "{axis:?}");
                }
            }
        }
        assert_eq!(Axis::of_values([].into_iter(), 8).labels[0], "0");
    }

    #[test]
    fn a_number_on_an_axis_is_finer_than_its_ticks_and_no_finer() {
        let axis = Axis::of_values([-1200.0, -160.0].into_iter(), 8);
        assert_eq!([axis.exact(-160.0), axis.exact(0.0)], ["-160", "0"]);
        assert_eq!(
            Axis::of_values([0.0, 1.0].into_iter(), 8).exact(0.3333),
            "0.333"
        );
        assert_eq!(
            Axis::of_values([0.0, 1e-6].into_iter(), 8).exact(5e-7),
            "5e-7"
        );
    }
}
