//! One Python process, and the frames that pass between it and us.

use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::spaces::Announced;
use super::{Answer, BridgeError, WorkerSettings, WorkerSpaces};
use crate::env::Space;
use crate::env::python::{Script, interpreter};
use crate::schedule::stop_requested;

/// What runs in Python.
const SCRIPT: &str = include_str!("worker.py");

/// How long Python may take to import Gymnasium and to make the environments.
const START: Duration = Duration::from_secs(180);

/// How often a wait looks whether the run was asked to stop.
const SLICE: Duration = Duration::from_millis(50);

/// How long an answer may take once the run was asked to stop: a step that is nearly done is not thrown away.
const GRACE: Duration = Duration::from_millis(800);

/// Frames are believed up to this length.
const LONGEST: usize = 1 << 30;

/// How many bytes of a frame there is room for before more of them come.
const PIECE: usize = 1 << 20;

/// The head of an answer's row: reward, terminated, truncated, success.
const HEAD: usize = 11;

/// A Python process with environments. Dropping it ends the process.
#[derive(Debug)]
pub(crate) struct Worker {
    settings: WorkerSettings,
    child: Child,
    stream: UnixStream,
    spaces: WorkerSpaces,
    /// The environments that the last question was about.
    asked: Vec<usize>,
    doing: &'static str,
    frame: Vec<u8>,
    row: Vec<f32>,
    sound: bool,
    /// When the process has to have ended, once it was told to.
    until: Option<Instant>,
}

/// A process that has not said anything yet.
struct Started {
    settings: WorkerSettings,
    python: String,
    /// `None` once it is a worker's.
    child: Option<Child>,
    listener: UnixListener,
    // What Python runs, and the socket next to it; both go once the process has connected.
    _script: Script,
}

/// How long the other end is waited for: as long as the settings say, and not much longer once the run was asked to stop.
///
/// Only time that was waited counts: while a job is suspended (Ctrl-Z) both ends stand still.
struct Patience {
    left: Duration,
    looked: Instant,
    stops: Option<Instant>,
}

impl Patience {
    fn new(seconds: f64) -> Self {
        Patience {
            left: Duration::try_from_secs_f64(seconds.max(1e-3)).unwrap_or(Duration::MAX),
            looked: Instant::now(),
            stops: None,
        }
    }

    /// Whether to try again after this error of a read or a write.
    fn goes_on(&mut self, error: io::Error) -> io::Result<()> {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {}
            // A signal came, which says nothing of the other end.
            io::ErrorKind::Interrupted => return Ok(()),
            _ => return Err(error),
        }
        let now = Instant::now();
        if stop_requested() && now >= *self.stops.get_or_insert(now + GRACE) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let waited = now.duration_since(self.looked).min(2 * SLICE);
        (self.looked, self.left) = (now, self.left.saturating_sub(waited));
        match self.left.is_zero() {
            true => Err(error),
            false => Ok(()),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.leave(closing_time());
        if let (true, Some(until)) = (self.sound, self.until) {
            wait_for(&mut self.child, until);
        }
        end(&mut self.child);
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            end(child);
        }
    }
}

/// How long processes may take to close their environments.
const CLOSING: Duration = Duration::from_millis(2_000);

/// Until when processes that are told to end now may take for it.
pub(crate) fn closing_time() -> Instant {
    Instant::now()
        + match stop_requested() {
            true => CLOSING / 4,
            false => CLOSING,
        }
}

/// Waits until the process has ended, and no longer than until then.
fn wait_for(child: &mut Child, until: Instant) {
    while matches!(child.try_wait(), Ok(None)) && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Ends a process, also one that is stopped.
fn end(child: &mut Child) -> Option<ExitStatus> {
    // Where it has ended by itself, that is its status.
    let gone = child.try_wait().ok().flatten();
    if gone.is_none() {
        let _ = child.kill();
    }
    child.wait().ok()
}

/// Whether a process was ended by a signal that asks whole groups of processes to end, and yarak was asked as well: which of them
/// sees it first is chance.
fn was_asked_to_end(status: Option<ExitStatus>) -> bool {
    const HANGUP: i32 = 1;
    const TERMINATION: i32 = 15;
    let signal = status.and_then(|status| status.signal());
    let until = Instant::now() + Duration::from_millis(300);
    while matches!(signal, Some(HANGUP | TERMINATION)) && Instant::now() < until {
        if stop_requested() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    false
}

/// What is to be said of a process that does not answer.
fn state_of(child: &Child) -> &'static str {
    // The state is the letter behind the name, which is in parentheses. Linux alone has this file.
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap_or_default();
    match stat
        .rsplit_once(") ")
        .map(|(_, rest)| rest.starts_with('T'))
    {
        Some(true) => ", as its Python process was stopped (SIGSTOP or SIGTSTP)",
        _ => "",
    }
}

impl Started {
    fn new(settings: &WorkerSettings, python: &str) -> Result<Self, BridgeError> {
        let environment = || settings.environment();
        let io = |action| {
            move |error: io::Error| BridgeError::Io {
                environment: environment(),
                action,
                what: error.to_string(),
            }
        };
        let script = Script::new(SCRIPT).map_err(io("write a script for Python"))?;
        let path = script.folder().join("socket");
        let listener = UnixListener::bind(&path).map_err(io("make a socket"))?;
        listener
            .set_nonblocking(true)
            .map_err(io("set a socket up"))?;
        let child = script
            .command(python)
            .arg(&path)
            .arg(&settings.name)
            .arg(settings.num_envs.to_string())
            .arg(settings.time_limit.unwrap_or(0).to_string())
            .arg(settings.first.to_string())
            .arg(settings.kwargs.json())
            // Nothing is written to it: it closes when we end, however that is, and the process ends with it.
            .stdin(Stdio::piped())
            // Results of ours go to standard output, and an environment's prints must not be among them.
            .stdout(Stdio::from(io::stderr()))
            .spawn();
        let child = child.map_err(|error| BridgeError::NoPython {
            environment: environment(),
            python: python.to_owned(),
            what: error.to_string(),
        })?;
        Ok(Started {
            settings: settings.clone(),
            python: python.to_owned(),
            child: Some(child),
            listener,
            _script: script,
        })
    }

    /// Waits for its first words, for so long since the start of all processes.
    fn greet(mut self, start: Instant, patience: Duration) -> Result<Worker, BridgeError> {
        let deadline = start + patience;
        let silent =
            |python: &str, settings: &WorkerSettings, what: String| BridgeError::NoGreeting {
                environment: settings.environment(),
                python: python.to_owned(),
                what,
            };
        let stream = loop {
            match self.listener.accept() {
                Ok((stream, _)) => break stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(silent(&self.python, &self.settings, error.to_string())),
            }
            if let Some(Ok(Some(status))) = self.child.as_mut().map(Child::try_wait) {
                return Err(silent(
                    &self.python,
                    &self.settings,
                    format!("ended ({status})"),
                ));
            }
            if Instant::now() >= deadline {
                let state = self.child.as_ref().map_or("", state_of);
                let what = format!("said nothing for {} s{state}", patience.as_secs_f64());
                return Err(silent(&self.python, &self.settings, what));
            }
            if stop_requested() {
                return Err(BridgeError::Stopped {
                    environment: self.settings.environment(),
                    doing: "while it was started",
                });
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let Some(child) = self.child.take() else {
            return Err(silent(&self.python, &self.settings, "has gone".to_owned()));
        };
        let none = Space::Discrete { n: 1 };
        let mut worker = Worker {
            settings: self.settings.clone(),
            child,
            stream,
            spaces: WorkerSpaces {
                observation: none.clone(),
                action: none,
                integer_actions: false,
                first_action: 0,
            },
            asked: Vec::new(),
            doing: "while it was made",
            frame: Vec::new(),
            row: Vec::new(),
            sound: true,
            until: None,
        };
        worker.wait_in_slices()?;
        let left = deadline.saturating_duration_since(Instant::now());
        worker.learn_spaces(left.as_secs_f64())?;
        Ok(worker)
    }
}

impl Worker {
    /// Starts processes side by side.
    ///
    /// # Errors
    /// The first that does not start; the others are ended.
    pub fn start(all: &[WorkerSettings]) -> Result<Vec<Self>, BridgeError> {
        let python = interpreter();
        let mut started = Vec::new();
        for settings in all {
            started.push(Started::new(settings, &python)?);
        }
        let start = Instant::now();
        let mut workers = Vec::new();
        for process in started {
            workers.push(process.greet(start, START)?);
        }
        Ok(workers)
    }

    /// Lets it close its environments and end, until then: whoever has several lets all of them do so at the same time.
    pub fn leave(&mut self, until: Instant) {
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
        self.until.get_or_insert(until);
    }

    /// What its environments show and take.
    pub fn spaces(&self) -> &WorkerSpaces {
        &self.spaces
    }

    /// What it was started with.
    pub fn settings(&self) -> &WorkerSettings {
        &self.settings
    }

    /// Whether it answers still.
    pub fn is_sound(&self) -> bool {
        self.sound
    }

    /// Asks for first observations of these environments, with a seed or from where their generators are.
    ///
    /// # Errors
    /// The process has ended, or does not listen.
    pub fn ask_reset(
        &mut self,
        rows: impl Iterator<Item = (usize, Option<u64>)>,
    ) -> Result<(), BridgeError> {
        self.begin(b'r', "in reset");
        for (row, seed) in rows {
            self.asked.push(row);
            self.frame.extend((row as u32).to_le_bytes());
            self.frame.push(u8::from(seed.is_some()));
            self.frame.extend(seed.unwrap_or(0).to_le_bytes());
        }
        self.ask()
    }

    /// Asks for a step of each of these environments.
    ///
    /// # Errors
    /// As [`ask_reset`](Self::ask_reset).
    pub fn ask_step<'a>(
        &mut self,
        rows: impl Iterator<Item = (usize, &'a [f32])>,
    ) -> Result<(), BridgeError> {
        self.begin(b's', "in step");
        for (row, action) in rows {
            self.asked.push(row);
            self.frame.extend((row as u32).to_le_bytes());
            self.frame
                .extend(action.iter().flat_map(|it| it.to_le_bytes()));
        }
        self.ask()
    }

    /// The answers to what was asked last, with the environments' numbers; none where nothing was asked.
    ///
    /// # Errors
    /// An exception, an end, a silence, or an observation that is not finite.
    pub fn receive(&mut self, mut each: impl FnMut(usize, Answer<'_>)) -> Result<(), BridgeError> {
        if self.asked.is_empty() {
            return Ok(());
        }
        match self.read_frame(self.settings.seconds)? {
            b'R' => {}
            letter => return Err(self.other(letter)),
        }
        let stride = HEAD + 4 * self.row.len();
        if self.frame.len() != stride * self.asked.len() {
            let what = format!("{} bytes for {} rows", self.frame.len(), self.asked.len());
            return Err(self.answered(what));
        }
        for (row, answer) in self.asked.iter().zip(self.frame.chunks_exact(stride)) {
            let (head, numbers) = answer.split_at(HEAD);
            let mut reward = [0; 8];
            reward.copy_from_slice(&head[..8]);
            for (value, bytes) in self.row.iter_mut().zip(numbers.as_chunks().0) {
                *value = f32::from_le_bytes(*bytes);
            }
            if let Some(index) = self.row.iter().position(|value| !value.is_finite()) {
                self.sound = false;
                return Err(BridgeError::NotFinite {
                    environment: self.settings.environment(),
                    row: self.settings.first + *row,
                    index,
                    value: self.row[index],
                });
            }
            let reward = f64::from_le_bytes(reward);
            if !(reward as f32).is_finite() {
                self.sound = false;
                return Err(BridgeError::RewardNotFinite {
                    environment: self.settings.environment(),
                    row: self.settings.first + *row,
                    value: reward,
                });
            }
            let answer = Answer {
                reward,
                terminated: head[8] != 0,
                truncated: head[9] != 0,
                success: [Some(false), Some(true)]
                    .get(usize::from(head[10]))
                    .copied()
                    .flatten(),
                observation: &self.row,
            };
            each(*row, answer);
        }
        self.asked.clear();
        Ok(())
    }

    /// Takes what the process says first.
    fn learn_spaces(&mut self, seconds: f64) -> Result<(), BridgeError> {
        let announced: Announced = match self.read_frame(seconds)? {
            b'S' => serde_json::from_slice(&self.frame)
                .map_err(|error| self.answered(error.to_string()))?,
            letter => return Err(self.other(letter)),
        };
        let spaces = announced.spaces();
        self.spaces = spaces.map_err(|what| self.answered(what))?;
        self.row = vec![0.0; self.spaces.observation.size()];
        Ok(())
    }

    fn begin(&mut self, letter: u8, doing: &'static str) {
        self.asked.clear();
        self.doing = doing;
        self.frame.clear();
        // The length comes last.
        self.frame.extend([0, 0, 0, 0, letter]);
    }

    fn ask(&mut self) -> Result<(), BridgeError> {
        if self.asked.is_empty() {
            return Ok(());
        }
        let length = (self.frame.len() - 4) as u32;
        self.frame[..4].copy_from_slice(&length.to_le_bytes());
        let seconds = self.settings.seconds;
        let mut patience = Patience::new(seconds);
        let mut written = 0;
        while written < self.frame.len() {
            match (&self.stream).write(&self.frame[written..]) {
                Ok(0) => return Err(self.lost(&io::ErrorKind::WriteZero.into(), seconds)),
                Ok(more) => written += more,
                Err(error) => {
                    if let Err(error) = patience.goes_on(error) {
                        return Err(self.lost(&error, seconds));
                    }
                }
            }
        }
        Ok(())
    }

    fn wait_in_slices(&mut self) -> Result<(), BridgeError> {
        let set = self.stream.set_nonblocking(false);
        let set = set.and_then(|()| self.stream.set_read_timeout(Some(SLICE)));
        let set = set.and_then(|()| self.stream.set_write_timeout(Some(SLICE)));
        set.map_err(|error| self.lost(&error, self.settings.seconds))
    }

    /// Fills a buffer, for as long as there is patience.
    fn read_all(&self, buffer: &mut [u8], patience: &mut Patience) -> io::Result<()> {
        let mut filled = 0;
        while filled < buffer.len() {
            match (&self.stream).read(&mut buffer[filled..]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(more) => filled += more,
                Err(error) => patience.goes_on(error)?,
            }
        }
        Ok(())
    }

    /// The next frame's letter; the rest of it is in `frame`.
    fn read_frame(&mut self, seconds: f64) -> Result<u8, BridgeError> {
        let mut patience = Patience::new(seconds);
        let mut head = [0; 5];
        let read = self.read_all(&mut head, &mut patience);
        read.map_err(|error| self.lost(&error, seconds))?;
        let [a, b, c, d, letter] = head;
        let length = u32::from_le_bytes([a, b, c, d]) as usize;
        if !(1..=LONGEST).contains(&length) {
            return Err(self.answered(format!("a frame of {length} bytes")));
        }
        let mut frame = std::mem::take(&mut self.frame);
        frame.clear();
        let mut read = Ok(());
        // Room is made as bytes come: a length that is only declared takes none.
        while read.is_ok() && frame.len() < length - 1 {
            let from = frame.len();
            frame.resize((from + PIECE).min(length - 1), 0);
            read = self.read_all(&mut frame[from..], &mut patience);
        }
        self.frame = frame;
        read.map_err(|error| self.lost(&error, seconds))?;
        Ok(letter)
    }

    /// What a letter means that is not the answer.
    fn other(&mut self, letter: u8) -> BridgeError {
        if !matches!(letter, b'E' | b'X') {
            return self.answered(format!("with a frame `{}`", char::from(letter)));
        }
        self.sound = false;
        let text = String::from_utf8_lossy(&self.frame);
        if letter == b'X' {
            return BridgeError::Refused {
                environment: self.settings.environment(),
                what: text.into_owned(),
            };
        }
        let (doing, traceback) = text.split_once('\n').unwrap_or((&text, ""));
        BridgeError::Raised {
            environment: self.settings.environment(),
            doing: doing.to_owned(),
            traceback: traceback.trim_end().to_owned(),
        }
    }

    fn answered(&mut self, what: String) -> BridgeError {
        self.sound = false;
        BridgeError::Answer {
            environment: self.settings.environment(),
            what,
        }
    }

    /// The socket is closed, or nothing came in time. The process is ended either way.
    fn lost(&mut self, error: &io::Error, seconds: f64) -> BridgeError {
        self.sound = false;
        let environment = self.settings.environment();
        if error.kind() == io::ErrorKind::Interrupted {
            end(&mut self.child);
            return BridgeError::Stopped {
                environment,
                doing: self.doing,
            };
        }
        let late = matches!(
            error.kind(),
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
        );
        if late {
            let state = state_of(&self.child);
            end(&mut self.child);
            return BridgeError::Hangs {
                environment,
                seconds,
                doing: self.doing,
                state,
            };
        }
        // Its end is seen a moment after its socket's.
        wait_for(&mut self.child, Instant::now() + Duration::from_secs(1));
        let status = end(&mut self.child);
        if was_asked_to_end(status) {
            return BridgeError::Stopped {
                environment,
                doing: self.doing,
            };
        }
        BridgeError::Died {
            environment,
            status: status.map_or("status unknown".to_owned(), |status| status.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::fuzzing::{hold, mutant, mutant_of_text};

    /// A program in place of Python.
    fn program(folder: &std::path::Path, text: &str) -> String {
        let path = folder.join("python");
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o700)).unwrap();
        path.to_str().unwrap().to_owned()
    }

    #[test]
    fn a_process_that_is_stopped_while_it_starts_is_noticed_named_and_ended() {
        let folder = tempfile::tempdir().unwrap();
        let python = program(folder.path(), "kill -STOP $$");
        let settings = WorkerSettings::new("Pendulum-v1", 1);
        let started = Started::new(&settings, &python).unwrap();
        let process = started.child.as_ref().unwrap().id();
        let began = Instant::now();
        let error = started
            .greet(began, Duration::from_millis(300))
            .err()
            .unwrap()
            .to_string();
        assert!(error.contains("said nothing for 0.3 s"), "{error}");
        if cfg!(target_os = "linux") {
            assert!(error.contains("was stopped"), "{error}");
            assert!(!std::path::Path::new(&format!("/proc/{process}")).exists());
        }
        assert!(began.elapsed() < Duration::from_secs(3));
    }

    /// A worker whose process has ended, and the other end of its socket.
    fn worker() -> (Worker, UnixStream) {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        let (stream, other) = UnixStream::pair().unwrap();
        let space = Space::from_bounds(&[(-1.0, 1.0); 2]);
        let mut worker = Worker {
            settings: WorkerSettings::new("Mutant-v0", 2),
            child,
            stream,
            spaces: WorkerSpaces {
                observation: space.clone(),
                action: space,
                integer_actions: false,
                first_action: 0,
            },
            asked: Vec::new(),
            doing: "in step",
            frame: Vec::new(),
            row: vec![0.0; 2],
            sound: true,
            until: None,
        };
        worker.wait_in_slices().unwrap();
        (worker, other)
    }

    /// A frame as the process sends it.
    fn frame(letter: u8, content: &[u8]) -> Vec<u8> {
        let length = (content.len() as u32 + 1).to_le_bytes();
        [&length[..], &[letter], content].concat()
    }

    #[test]
    fn no_mutant_of_what_python_says_panics() {
        let spaces = [
            r#"{"observation": {"type": "Box", "low": [null, 0.1], "high": [1.0, null], "shape": [1, 2]}, "action": {"type": "Discrete", "n": 2, "start": -1}}"#,
            r#"{"observation": {"type": "Dict", "parts": [["a", {"type": "Discrete", "n": 3}], ["b", {"type": "Box", "low": [0], "high": [1], "shape": [1]}]]}, "action": {"type": "Box", "low": [-1], "high": [1], "shape": [1], "integer": true}}"#,
        ];
        // Two rows: reward, terminated, truncated, success, two numbers.
        let row = [&1.5_f64.to_le_bytes()[..], &[0, 1, 2], &[0; 8]].concat();
        let answer = frame(b'R', &[&row[..], &row].concat());
        let raised = frame(b'E', "in step\nTraceback".as_bytes());
        hold("what Python says", 2_000, |numbers| {
            let (mut worker, mut other) = worker();
            let bytes = match numbers.below(4) {
                0 => frame(
                    b'S',
                    mutant_of_text(numbers.of(&spaces), numbers).as_bytes(),
                ),
                1 => mutant(&frame(b'S', spaces[0].as_bytes()), 8, numbers),
                2 => mutant(&raised, 8, numbers),
                _ => mutant(&answer, 16, numbers),
            };
            other.write_all(&bytes).unwrap();
            other.shutdown(std::net::Shutdown::Write).unwrap();
            match numbers.below(2) {
                0 => {
                    if worker.learn_spaces(1.0).is_ok() {
                        assert_eq!(worker.row.len(), worker.spaces.observation.size());
                    }
                }
                _ => {
                    worker.asked = vec![0, 1];
                    let each = |_: usize, answer: Answer<'_>| {
                        assert!(answer.observation.iter().all(|it| it.is_finite()));
                        assert!((answer.reward as f32).is_finite());
                    };
                    let heard = worker.receive(each);
                    assert_eq!(heard.is_ok(), worker.sound);
                }
            }
        });
    }

    #[test]
    fn the_time_in_which_a_job_was_suspended_is_no_silence() {
        let late = || io::ErrorKind::WouldBlock.into();
        let mut patience = Patience::new(0.25);
        // As after Ctrl-Z and `fg`.
        std::thread::sleep(Duration::from_millis(400));
        assert!(patience.goes_on(late()).is_ok());
        let began = Instant::now();
        while patience.goes_on(late()).is_ok() {
            assert!(began.elapsed() < Duration::from_secs(5));
            std::thread::sleep(SLICE);
        }
        assert!(began.elapsed() >= Duration::from_millis(100));
    }
}
