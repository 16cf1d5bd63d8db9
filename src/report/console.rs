//! The progress of a run on stderr.
//!
//! On a terminal every learner has one line that is redrawn in place, with messages printed above the lines. Anywhere
//! else (a file, a batch queue's log) every report is one plain line:
//!
//! ```text
//! step  2000/20000  10%    412 steps/s  ETA    0:43  critic/loss   0.412  actor/loss  -1.930  evaluate/return  -512.3
//! ```
//!
//! Shown are the scores (`evaluate/return` and `evaluate/normalized_score`), the return of online runs while they learn
//! (`rollout/episodic_return`), and the losses (`loss` and names that end in `/loss`); all other metrics are for the
//! files. A terminal that is too narrow for all of them shows them in this order. Every number has a fixed width, so that columns stand still.

use std::fmt;
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bevy_ecs::prelude::Resource;
use console::{Term, measure_text_width};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressStyle};

use super::in_place::{Gone, look_after};
use super::progress_line::{ProgressLine, clock, is_shown, one_line};
use crate::terminal::shown;

/// Redraws a second, at most.
const REDRAWS: u8 = 10;

/// Where the progress of all learners of a process goes. Clones write to the same place.
#[derive(Clone, Resource)]
pub struct Console {
    output: Output,
    learners: Arc<Mutex<Learners>>,
    /// The file of one learner's run, and where it is, which gets the same in plain lines.
    log: Arc<Mutex<Option<(File, PathBuf)>>>,
}

#[derive(Clone)]
enum Output {
    Terminal {
        lines: MultiProgress,
        width: fn() -> usize,
    },
    Plain(Arc<Mutex<Box<dyn Write + Send>>>),
}

#[derive(Default)]
struct Learners {
    /// Width of the longest name so far, to which the others are padded.
    name_width: usize,
    /// indicatif forgets the line of a bar that was dropped at the next message: finished ones are kept here.
    lines: Vec<ProgressBar>,
}

impl Console {
    /// Writes to stderr: lines that are redrawn when it is a terminal, plain ones otherwise.
    pub fn stderr() -> Self {
        let width = || {
            Term::stderr()
                .size_checked()
                .map_or(80, |(_, columns)| columns.into())
        };
        if io::stderr().is_terminal() && !console::is_dumb() {
            Self::terminal(ProgressDrawTarget::stderr_with_hz(REDRAWS), width)
        } else {
            Self::plain(io::stderr())
        }
    }

    /// Writes plain lines to `writer`, each in one piece. Errors of the writer are ignored: a run does not end because
    /// nobody reads its log any more.
    pub fn plain(writer: impl Write + Send + 'static) -> Self {
        Self::with(Output::Plain(Arc::new(Mutex::new(Box::new(writer)))))
    }

    fn terminal(target: ProgressDrawTarget, width: fn() -> usize) -> Self {
        Self::with(Output::Terminal {
            lines: MultiProgress::with_draw_target(target),
            width,
        })
    }

    fn with(output: Output) -> Self {
        Self {
            output,
            learners: Arc::default(),
            log: Arc::default(),
        }
    }

    /// The same place, for a learner with a log of its own.
    pub fn of_learner(&self) -> Self {
        Self {
            log: Arc::default(),
            ..self.clone()
        }
    }

    /// From now on, what this console and its clones show is written to `log`, too, a plain line each. It was opened at `path` for
    /// reading and appending. Errors of the file are ignored: a run does not end because its log cannot be written.
    pub fn log_to(&self, log: File, path: PathBuf) {
        *self.log.lock().unwrap_or_else(PoisonError::into_inner) = Some((log, path));
    }

    /// Looks whether the log is still where it was.
    ///
    /// # Errors
    /// Somebody has deleted it. What was in it is then written anew, and goes on there.
    pub(super) fn look_after_log(&self) -> Result<(), Gone> {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.as_mut()
            .map_or(Ok(()), |(file, path)| look_after(file, path))
    }

    /// Writes to the log alone what is shown in another way.
    pub fn log(&self, text: &str) {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((log, _)) = log.as_mut() {
            let _ = log.write_all(format!("{}\n", shown(text)).as_bytes());
        }
    }

    /// Prints a message, above the lines of the learners where there is a terminal.
    pub fn message(&self, text: &str) {
        self.log(text);
        let text = shown(text);
        match &self.output {
            Output::Terminal { lines, .. } => {
                let _ = lines.println(&*text);
            }
            Output::Plain(writer) => {
                let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
                let _ = writer
                    .write_all(format!("{text}\n").as_bytes())
                    .and_then(|()| writer.flush());
            }
        }
    }

    /// Columns that a line may take: the last one stays free, where some terminals break the line.
    fn width(&self) -> usize {
        match &self.output {
            Output::Terminal { width, .. } => width().saturating_sub(1),
            Output::Plain(_) => usize::MAX,
        }
    }
}

impl fmt::Debug for Console {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.output {
            Output::Terminal { .. } => "terminal",
            Output::Plain(_) => "plain",
        };
        formatter.debug_tuple("Console").field(&kind).finish()
    }
}

/// The line of one learner. Learners in threads of their own each have one, on clones of one [`Console`].
///
/// ```
/// use yarak::report::console::{Console, Progress};
///
/// let console = Console::stderr();
/// let mut progress = Progress::new(&console, "seed_3", 20_000, 0);
/// progress.message("dataset: 200 episodes, 100,000 transitions");
/// progress.report(2_000, 412.0, &[("critic/loss", 0.412), ("evaluate/return", -512.3)]);
/// progress.finish("finished: runs/pendulum/seed_3");
/// ```
#[derive(Debug)]
pub struct Progress {
    console: Console,
    line: Option<ProgressBar>,
    status: ProgressLine,
    started: Instant,
}

impl Progress {
    /// Adds a line for a learner called `name` (nothing is written for an empty one), which is to run up to step
    /// `total` and starts at `start_step`: 0, or the checkpoint's step when it is resumed.
    pub fn new(console: &Console, name: &str, total: u64, start_step: u64) -> Self {
        let name = one_line(name);
        let mut learners = console
            .learners
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        learners.name_width = learners.name_width.max(measure_text_width(&name));
        let line = match &console.output {
            Output::Plain(_) => None,
            Output::Terminal { lines, .. } => {
                let line = ProgressBar::new(total).with_finish(ProgressFinish::Abandon);
                let line = lines.add(line.with_position(start_step));
                // The template is a constant without keys to mistype; indicatif's default is the fallback.
                line.set_style(
                    ProgressStyle::with_template("{msg}")
                        .unwrap_or_else(|_| ProgressStyle::default_bar()),
                );
                learners.lines.push(line.clone());
                Some(line)
            }
        };
        drop(learners);
        let status = ProgressLine {
            name,
            step: start_step,
            total,
            steps_per_second: f64::NAN,
            values: Vec::new(),
        };
        let progress = Self {
            console: console.clone(),
            line,
            status,
            started: Instant::now(),
        };
        progress.redraw();
        progress
    }

    /// Shows where the learner is: its step, how many steps it makes a second, and all metrics of this report, of which
    /// the losses and scores are picked.
    ///
    /// A terminal's line keeps the last value of a metric that this report lacks: scores are rarer than losses.
    /// A plain line has this report's values alone.
    pub fn report<N: AsRef<str>>(&mut self, step: u64, steps_per_second: f64, values: &[(N, f64)]) {
        if self.line.is_none() {
            self.status.values.clear();
        }
        self.status.step = step;
        self.status.steps_per_second = steps_per_second;
        for (name, value) in values {
            let (name, value) = (one_line(name.as_ref()), *value);
            match self
                .status
                .values
                .iter_mut()
                .find(|(known, _)| *known == name)
            {
                Some((_, last)) => *last = value,
                None if is_shown(&name) => self.status.values.push((name, value)),
                None => {}
            }
        }
        let plain = self.status.plain(self.name_width());
        match &self.line {
            Some(_) => {
                self.redraw();
                self.console.log(&plain);
            }
            None => self.console.message(&plain),
        }
    }

    /// Prints a message, above the lines of all learners where there is a terminal.
    pub fn message(&self, text: &str) {
        self.console.message(text);
    }

    /// Ends the line. It stays where it is and says how the run ended (`text`) and how long it took.
    /// A line that is dropped without this stays as it was last drawn.
    pub fn finish(self, text: &str) {
        let took = clock(self.started.elapsed());
        let plain = format!(
            "{}{text}  ({took})",
            self.status.padded_name(self.name_width())
        );
        match &self.line {
            Some(line) => {
                self.console.log(&plain);
                let width = self.console.width();
                line.abandon_with_message(self.status.finished(
                    self.name_width(),
                    width,
                    &one_line(text),
                    &took,
                ));
            }
            None => self.console.message(&plain),
        }
    }

    fn redraw(&self) {
        if let Some(line) = &self.line {
            line.set_position(self.status.step);
            line.set_message(self.status.drawn(self.name_width(), self.console.width()));
        }
    }

    fn name_width(&self) -> usize {
        self.console
            .learners
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .name_width
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_learners_log_has_what_it_showed_in_plain_lines_and_nothing_of_others() {
        let terminal = Console::terminal(ProgressDrawTarget::hidden(), || 80);
        let plain = Console::plain(io::sink());
        for console in [terminal, plain] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("log.txt");
            let (mine, other) = (console.of_learner(), console.of_learner());
            let mut progress = Progress::new(&mine, "", 20, 0);
            mine.log_to(File::create(&path).unwrap(), path.clone());
            other.message("of another learner");
            mine.message("warning: mine");
            progress.report(10, 5.0, &[("loss", 0.5)]);
            progress.finish("finished: here");
            let text = std::fs::read_to_string(&path).unwrap();
            let lines: Vec<&str> = text.lines().collect();
            assert_eq!(lines.len(), 3, "{text}");
            assert_eq!(lines[0], "warning: mine");
            assert!(
                lines[1].starts_with("step 10/20") && lines[1].contains("loss"),
                "{text}"
            );
            assert!(lines[2].starts_with("finished: here  ("), "{text}");
        }
    }

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Log {
        fn lines(&self) -> Vec<String> {
            String::from_utf8(self.0.lock().unwrap().clone())
                .unwrap()
                .lines()
                .map(String::from)
                .collect()
        }
    }

    #[test]
    fn without_a_terminal_a_report_is_one_plain_line() {
        let log = Log::default();
        let mut progress = Progress::new(&Console::plain(log.clone()), "", 20_000, 0);
        progress.message("200 episodes");
        let values = [
            ("critic/loss", 0.412),
            ("critic/q", 3.0),
            ("actor/loss", -1.93),
            ("evaluate/return", -512.3),
        ];
        progress.report(2000, 412.0, &values);
        progress.report(20_000, 1.5, &[("loss", 0.5)]);
        progress.finish("finished: runs/a");
        let lines = log.lines();
        assert_eq!(lines[0], "200 episodes");
        assert_eq!(
            lines[1],
            "step  2000/20000   10%    412 steps/s  ETA    0:43  critic/loss   0.412  actor/loss  -1.930  \
             evaluate/return  -512.3"
        );
        assert_eq!(
            lines[2],
            "step 20000/20000  100%   1.50 steps/s  ETA    0:00  loss   0.500"
        );
        assert_eq!(lines[3], "finished: runs/a  (0:00)");
    }

    #[test]
    fn learners_in_threads_write_whole_lines_under_their_names() {
        let log = Log::default();
        let console = Console::plain(log.clone());
        let seeds: Vec<_> = ["seed_0", "seed_10"]
            .map(|name| Progress::new(&console, name, 100, 0))
            .into();
        std::thread::scope(|scope| {
            for mut progress in seeds {
                scope.spawn(move || {
                    for step in 1..=100 {
                        progress.report(step, 1e6, &[("loss", step as f64)]);
                    }
                });
            }
        });
        let lines = log.lines();
        assert_eq!(lines.len(), 200);
        let whole = |line: &String| {
            line.starts_with("seed_0   step ") || line.starts_with("seed_10  step ")
        };
        assert!(
            lines
                .iter()
                .all(|line| whole(line) && line.len() == lines[0].len()),
            "{lines:?}"
        );
    }

    #[test]
    fn a_terminal_line_remembers_the_last_score() {
        let console = Console::terminal(ProgressDrawTarget::hidden(), || 120);
        let mut progress = Progress::new(&console, "a\nb", 100, 0);
        progress.report(
            10,
            1.0,
            &[
                ("evaluate/return", -512.3),
                ("loss", 2.0),
                ("learning_rate/actor", 1e-3),
            ],
        );
        progress.report(20, 1.0, &[("loss", 1.0)]);
        let line = progress.line.as_ref().unwrap().message();
        let line = console::strip_ansi_codes(&line);
        assert!(
            line.starts_with("a b  ") && line.ends_with("return  -512.3  loss   1.000"),
            "{line}"
        );
        progress.finish("finished");
    }
}
