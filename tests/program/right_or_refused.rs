//! Inputs that were once misread, or that broke a run without a word: each is read right, or refused with the remedy.
//!
//! A case is a folder of `tests/fixtures/cases`. Its `expected.txt` says what is right, and has one demand a line:
//!
//! - `$ COMMAND`: run it with the shell, in a copy of the folder;
//! - `status N`, `says TEXT`, `never TEXT`: how it ended, and what it said and did not say;
//! - `absent PATH`: what it did not leave behind;
//! - `metric NAME LOW HIGH`: the last value that the run of `scene.ron` reported;
//! - `spread ELEMENT LOW HIGH`: that element of the actions that the world got takes half of that range, and nothing beyond it;
//! - `records FILE START`: the file's actions, which count from there, are those that the world got.
//!
//! `docs/right_or_refused.md` has the table of their kinds. Worlds in Python are played where `YARAK_PYTHON` names a Python that has
//! the package gymnasium.

#![cfg(target_os = "linux")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use yarak::data::load;

use crate::room::{ROOT, YARAK, files, metric};

/// A copy of a case's folder, and what the last command said in it.
struct Case {
    name: String,
    folder: tempfile::TempDir,
    status: Option<i32>,
    said: String,
}

impl Case {
    fn new(name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (file, bytes) in files(&folder_of_cases().join(name)) {
            let copy = folder.path().join(file);
            fs::create_dir_all(copy.parent().unwrap()).unwrap();
            fs::write(copy, bytes).unwrap();
        }
        Case {
            name: name.to_owned(),
            folder,
            status: None,
            said: String::new(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs a command of the shell, in which `yarak` is the program under test.
    fn run(&mut self, command: &str) {
        if command.contains("yarak ") {
            let _ = fs::remove_file(self.path("actions.log"));
        }
        let programs = Path::new(YARAK).parent().unwrap().display();
        let others = std::env::var("PATH").unwrap();
        // The cases' worlds vary one of the tests' own.
        let worlds = [folder_of_cases(), Path::new(ROOT).join("tests/python")];
        let python_path = std::env::join_paths(worlds).unwrap();
        let output = Command::new("sh")
            .args(["-c", command])
            .current_dir(self.folder.path())
            .env("PATH", format!("{programs}:{others}"))
            .env("PYTHONPATH", python_path)
            .env("ACTIONS", "actions.log")
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let [out, said] = [&output.stdout, &output.stderr].map(|it| String::from_utf8_lossy(it));
        self.status = output.status.code();
        self.said = format!("{out}{said}");
    }

    /// The actions that the world got from the last run, as it logged them.
    fn actions(&self) -> Vec<Vec<f64>> {
        let text = fs::read_to_string(self.path("actions.log")).unwrap_or_default();
        let lines = text.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// Whether a demand is met; a command is run, and has to end without a panic.
    fn meets(&mut self, demand: &str) -> bool {
        let (word, rest) = demand.split_once(' ').unwrap();
        let parts: Vec<&str> = rest.split_whitespace().collect();
        match (word, &parts[..]) {
            ("$", _) => {
                self.run(rest);
                !self.said.contains("panicked")
            }
            ("status", [status]) => self.status == status.parse().ok(),
            ("says", _) => self.said.contains(rest),
            ("never", _) => !self.said.contains(rest),
            ("absent", [name]) => !self.path(name).exists(),
            ("metric", [name, low, high]) => {
                let (_, last) = *metric(&self.path("runs/scene"), name).last().unwrap();
                number(low) <= last && last <= number(high)
            }
            ("spread", [element, low, high]) => {
                let element: usize = element.parse().unwrap();
                let (low, high) = (number(low), number(high));
                let actions = self.actions();
                let values = actions.iter().map(|action| action[element]);
                let least = values.clone().fold(f64::INFINITY, f64::min);
                let most = values.fold(f64::NEG_INFINITY, f64::max);
                low <= least && most <= high && most - least >= 0.5 * (high - low)
            }
            ("records", [name, start]) => {
                let file = load(self.path(name)).unwrap();
                let recorded = file.action().values.iter();
                let recorded = recorded.map(|it| f64::from(*it) + number(start));
                recorded.collect::<Vec<_>>() == self.actions().concat()
            }
            _ => panic!("{}: there is no such demand: {demand}", self.name),
        }
    }
}

fn number(text: &str) -> f64 {
    text.parse().unwrap()
}

fn folder_of_cases() -> PathBuf {
    Path::new(ROOT).join("tests/fixtures/cases")
}

/// The names of the cases that have a world in Python, or of all others.
fn cases(in_python: bool) -> Vec<String> {
    let entries = fs::read_dir(folder_of_cases()).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let chosen = paths.filter(|path| {
        path.join("expected.txt").is_file() && path.join("world.py").is_file() == in_python
    });
    let mut names: Vec<String> = chosen
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

/// Demands all that the cases' `expected.txt` demand, and tells everything that is not met.
#[track_caller]
fn all_are_met(names: &[String]) {
    let mut unmet = Vec::new();
    for name in names {
        let mut case = Case::new(name);
        let text = fs::read_to_string(case.path("expected.txt")).unwrap();
        let demands = text.lines().filter(|line| !line.starts_with('#'));
        assert!(demands.clone().count() >= 3, "{name} demands too little");
        for demand in demands {
            if !case.meets(demand) {
                let (status, said) = (case.status, &case.said);
                unmet.push(format!("{name}: {demand}\nended with {status:?}:\n{said}"));
            }
        }
    }
    assert!(unmet.is_empty(), "{}", unmet.join("\n\n"));
}

#[test]
fn every_file_and_scene_is_read_right_or_refused() {
    let names = cases(false);
    assert!(names.len() >= 19, "{names:?}");
    all_are_met(&names);
}

#[test]
fn every_world_in_python_is_played_right_or_refused() {
    let names = cases(true);
    assert!(names.len() >= 18, "{names:?}");
    let Some(python) = std::env::var_os("YARAK_PYTHON") else {
        eprintln!("skipped: set YARAK_PYTHON to a Python that has the package gymnasium");
        return;
    };
    let import = Command::new(&python)
        .args(["-c", "import gymnasium"])
        .output();
    if !import.is_ok_and(|it| it.status.success()) {
        eprintln!("skipped: {python:?} (YARAK_PYTHON) does not import `gymnasium`");
        return;
    }
    all_are_met(&names);
}
