//! What the line of a learner says: its counters, its time left, and its losses and scores.

use std::time::Duration;

use console::{Style, measure_text_width};

use crate::terminal::shown;

/// Cells of the bar: what it shrinks to before values are left out, and what it grows to.
const BAR: std::ops::RangeInclusive<usize> = 6..=24;

/// What a line says.
#[derive(Debug, Clone)]
pub(super) struct ProgressLine {
    pub(super) name: String,
    pub(super) step: u64,
    pub(super) total: u64,
    pub(super) steps_per_second: f64,
    /// The shown metrics with their last values, in the order in which they appeared.
    pub(super) values: Vec<(String, f64)>,
}

impl ProgressLine {
    pub(super) fn plain(&self, name_width: usize) -> String {
        let mut line = format!(
            "{}step {}  {}  {} steps/s  ETA {}",
            self.padded_name(name_width),
            self.steps(),
            self.percent(),
            rate(self.steps_per_second),
            self.remaining()
        );
        for (name, value) in &self.values {
            line.push_str(&format!("  {name} {}", number(*value)));
        }
        line
    }

    /// A line of at most `width` columns: bar, counters, and as many values as there is room for, scores first.
    pub(super) fn drawn(&self, name_width: usize, width: usize) -> String {
        let name = self.padded_name(name_width);
        let unit = if width < 99 { "/s" } else { " steps/s" };
        let counters = format!(
            "{}  {}  {}{unit}  ETA {}",
            self.steps(),
            self.percent(),
            rate(self.steps_per_second),
            self.remaining()
        );
        let mut room = width.saturating_sub(
            measure_text_width(&name) + *BAR.start() + 2 + measure_text_width(&counters),
        );
        let mut shown = vec![false; self.values.len()];
        for shown_kind in [Kind::Score, Kind::Rollout, Kind::Loss] {
            for (index, (name, value)) in self.values.iter().enumerate() {
                let needs = measure_text_width(short(name)) + 3 + number(*value).len();
                if Kind::of(name) == Some(shown_kind) && needs <= room {
                    room -= needs;
                    shown[index] = true;
                }
            }
        }
        let bar = (BAR.start() + room).min(*BAR.end());
        let mut line = format!("{}{}  {counters}", bold().apply_to(name), self.bar(bar));
        for ((name, value), _) in self.values.iter().zip(shown).filter(|(_, shown)| *shown) {
            line.push_str(&format!(
                "  {} {}",
                dim().apply_to(short(name)),
                number(*value)
            ));
        }
        // Narrower than the counters: what is left of them.
        console::truncate_str(&line, width, "").into_owned()
    }

    pub(super) fn finished(
        &self,
        name_width: usize,
        width: usize,
        text: &str,
        took: &str,
    ) -> String {
        let name = self.padded_name(name_width);
        let line = format!(
            "{}{}  {}  {text}  {}",
            bold().apply_to(name),
            self.steps(),
            self.percent(),
            dim().apply_to(took)
        );
        console::truncate_str(&line, width, "…").into_owned()
    }

    fn bar(&self, cells: usize) -> String {
        let filled = (self.fraction() * cells as f64) as usize;
        let cyan = Style::new().for_stderr().cyan();
        format!(
            "{}{}",
            cyan.apply_to("━".repeat(filled)),
            dim().apply_to("─".repeat(cells - filled))
        )
    }

    pub(super) fn padded_name(&self, width: usize) -> String {
        if self.name.is_empty() {
            String::new()
        } else {
            format!("{:width$}  ", self.name)
        }
    }

    fn steps(&self) -> String {
        let width = self.total.to_string().len();
        format!("{:>width$}/{}", self.step, self.total)
    }

    /// Between 0 and 1; a run of no steps is done.
    fn fraction(&self) -> f64 {
        if self.total == 0 {
            1.0
        } else {
            (self.step as f64 / self.total as f64).min(1.0)
        }
    }

    /// Rounded down: 100% is said only when it is done.
    fn percent(&self) -> String {
        format!("{:>3}%", (self.fraction() * 100.0) as u64)
    }

    /// The time to the last step at the present speed, in seven columns.
    fn remaining(&self) -> String {
        let seconds = self.total.saturating_sub(self.step) as f64 / self.steps_per_second;
        let time = Duration::try_from_secs_f64(seconds).map_or_else(|_| "-:--".into(), clock);
        format!("{time:>7}")
    }
}

fn bold() -> Style {
    Style::new().for_stderr().bold()
}

fn dim() -> Style {
    Style::new().for_stderr().dim()
}

/// What a line shows of the metrics, the kind that keeps its place longest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// What the deterministic policy is worth.
    Score,
    /// What the exploring policy is worth, where there is one.
    Rollout,
    /// What is descended.
    Loss,
}

impl Kind {
    fn of(name: &str) -> Option<Self> {
        match name {
            "evaluate/return" | "evaluate/normalized_score" => Some(Self::Score),
            "rollout/episodic_return" => Some(Self::Rollout),
            _ if name == "loss" || name.ends_with("/loss") => Some(Self::Loss),
            _ => None,
        }
    }
}

/// Whether a metric has a place on the line.
pub(super) fn is_shown(name: &str) -> bool {
    Kind::of(name).is_some()
}

/// The returns are known without their groups: a drawn line has better use for the room.
fn short(name: &str) -> &str {
    match (Kind::of(name), name.split_once('/')) {
        (Some(Kind::Score | Kind::Rollout), Some((_, short))) => short,
        _ => name,
    }
}

/// A line break, or an escape sequence from somebody's file name, would break the redrawing.
pub(super) fn one_line(text: &str) -> String {
    shown(text).replace(['\n', '\t'], " ")
}

/// A metric's value in seven columns, with three digits or more while they fit.
fn number(value: f64) -> String {
    let size = value.abs();
    let text = match size {
        0.0 => "0.000".into(),
        _ if !value.is_finite() => value.to_string(),
        _ if !(1e-9..9.5e9).contains(&size) => format!("{value:.0e}"),
        _ if !(0.01..999_999.5).contains(&size) => format!("{value:.1e}"),
        _ if size < 9.9995 => format!("{value:.3}"),
        _ if size < 99.995 => format!("{value:.2}"),
        _ if size < 9_999.95 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    };
    format!("{text:>7}")
}

/// Steps a second in five columns.
fn rate(steps_per_second: f64) -> String {
    let text = match steps_per_second {
        rate if !rate.is_finite() => "-".into(),
        rate if rate < 9.995 => format!("{rate:.2}"),
        rate if rate < 99.95 => format!("{rate:.1}"),
        rate if rate < 99_999.5 => format!("{rate:.0}"),
        rate if rate < 9_999_500.0 => format!("{:.0}k", rate / 1e3),
        rate => format!("{:.0}M", rate / 1e6),
    };
    format!("{text:>5}")
}

/// `0:43`, `1:02:05`, `3d 4h`.
pub(super) fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match days {
        0 if hours == 0 => format!("{minutes}:{:02}", seconds % 60),
        0 => format!("{hours}:{:02}:{:02}", minutes % 60, seconds % 60),
        1..100 => format!("{days}d {}h", hours % 24),
        100..100_000 => format!("{days}d"),
        _ => "-:--".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(values: &[(&str, f64)]) -> ProgressLine {
        let values = values
            .iter()
            .map(|(name, value)| (name.to_string(), *value))
            .collect();
        ProgressLine {
            name: "seed_3".into(),
            step: 2000,
            total: 20_000,
            steps_per_second: 412.0,
            values,
        }
    }

    #[test]
    fn a_drawn_line_fits_its_terminal_and_keeps_the_score_longest() {
        let status = status(&[
            ("critic/loss", 0.4),
            ("actor/loss", -1.9),
            ("evaluate/return", -512.3),
        ]);
        for width in 0..200 {
            let line = status.drawn(6, width);
            assert!(measure_text_width(&line) <= width, "{width}: {line}");
        }
        let narrow = console::strip_ansi_codes(&status.drawn(6, 79)).into_owned();
        assert_eq!(
            narrow,
            "seed_3  ━─────────────   2000/20000   10%    412/s  ETA    0:43  return  -512.3"
        );
        let wide = console::strip_ansi_codes(&status.drawn(6, 119)).into_owned();
        assert!(
            wide.contains("412 steps/s")
                && wide.ends_with("loss   0.400  actor/loss  -1.900  return  -512.3"),
            "{wide}"
        );
    }

    #[test]
    fn an_online_run_shows_the_return_of_its_rollouts_after_the_score_and_before_losses() {
        let status = status(&[
            ("critic/loss", 0.4),
            ("rollout/episodic_return", -1103.0),
            ("evaluate/return", -512.3),
        ]);
        let drawn = |width| console::strip_ansi_codes(&status.drawn(6, width)).into_owned();
        assert!(
            drawn(200).contains("critic/loss   0.400  episodic_return -1103.0  return  -512.3")
        );
        let narrow = drawn(109);
        assert!(
            narrow.ends_with("episodic_return -1103.0  return  -512.3"),
            "{narrow}"
        );
        assert!(drawn(79).ends_with("0:43  return  -512.3"));
        assert!(
            status
                .plain(6)
                .contains("  rollout/episodic_return -1103.0")
        );
    }

    #[test]
    fn numbers_keep_their_columns() {
        let values = [
            0.0, 0.412, -1.93, 9.9999, -99.999, -512.3, 9_999.99, 123_456.7, -999_999.9, 1e-5,
            -1.24e-9, -1.24e-10,
        ]
        .into_iter()
        .chain([
            1e12,
            -1e100,
            f64::MAX,
            f64::MIN_POSITIVE,
            f64::NAN,
            f64::NEG_INFINITY,
            -9.96e9,
            0.009_99,
        ]);
        for value in values {
            assert_eq!(number(value).len(), 7, "{value}: {}", number(value));
        }
        for value in [
            0.0,
            0.004,
            9.999,
            99.96,
            412.4,
            99_999.9,
            1e6,
            1e9,
            f64::NAN,
            f64::INFINITY,
        ] {
            assert_eq!(rate(value).len(), 5, "{value}: {}", rate(value));
        }
        assert_eq!(
            [number(0.412), number(-1.93), number(-512.3)],
            ["  0.412", " -1.930", " -512.3"]
        );
        assert_eq!(
            [number(1.2e-5), number(2_500_000.0)],
            [" 1.2e-5", "  2.5e6"]
        );
    }

    #[test]
    fn the_time_left_is_unknown_without_a_speed_and_never_overflows() {
        let at = |steps_per_second, total| {
            ProgressLine {
                steps_per_second,
                total,
                ..status(&[])
            }
            .remaining()
        };
        assert_eq!(
            [at(f64::NAN, 20_000), at(0.0, 20_000), at(-1.0, 20_000)],
            ["   -:--", "   -:--", "   -:--"]
        );
        assert_eq!(
            [at(412.0, 20_000), at(1.0, 9_000), at(1e-300, u64::MAX)],
            ["   0:43", "1:56:40", "   -:--"]
        );
        assert_eq!(
            [at(1.0, 302_000), at(1.0, 20_000_000), at(1.0, u64::MAX)],
            [" 3d 11h", "   231d", "   -:--"]
        );
        assert_eq!(at(412.0, 0), "   0:00");
    }

    #[test]
    fn a_run_of_no_steps_or_past_its_end_is_done() {
        for (step, total) in [(0, 0), (5, 4), (u64::MAX, 1)] {
            let status = ProgressLine {
                step,
                total,
                ..status(&[])
            };
            assert_eq!(status.percent(), "100%");
            assert!(status.drawn(6, 200).contains('━'));
        }
        assert_eq!(
            ProgressLine {
                step: 19_999,
                ..status(&[])
            }
            .percent(),
            " 99%"
        );
    }
}
