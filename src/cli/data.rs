//! `yarak data`.

use std::io::Write;
use std::path::{Path, PathBuf};

use bevy_app::AppExit;
use clap::{Args, Subcommand, ValueEnum};

use super::error::CliError;
use super::print;
use crate::checkpoint::write_whole;
use crate::data::DatasetPicture;
use crate::data::check::{ActionBounds, Check as Checked};
use crate::data::convert::{self, ConvertError, Origin, Target};
use crate::data::{DatasetFile, DiscreteActions, Reading, Summary, Transitions};
use crate::env::Space;
use crate::env::registry::{Specification, specification};
use crate::terminal::message;

/// Look into datasets, check, convert and draw them.
#[derive(Subcommand)]
pub enum DataCommand {
    Info(Info),
    Check(Check),
    Convert(Convert),
    Plot(Plot),
}

impl DataCommand {
    /// Does it.
    pub fn run(&self) -> Result<AppExit, CliError> {
        match self {
            DataCommand::Info(info) => info.run(),
            DataCommand::Check(check) => check.run(),
            DataCommand::Convert(convert) => convert.run(),
            DataCommand::Plot(plot) => plot.run(),
        }
    }
}

/// Print a dataset's layout, episodes, lengths, returns, ranges and ends.
#[derive(Args)]
pub struct Info {
    /// The file, HDF5 or `.npz`, or Minari's or LeRobot's folder
    file: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Info {
    fn run(&self) -> Result<AppExit, CliError> {
        let summary = Summary::read(&self.file).map_err(|error| CliError::of(true, &error))?;
        if self.json {
            print(&serde_json::to_string(&summary).map_err(CliError::failed)?)?;
        } else {
            print(&summary.to_string())?;
        }
        Ok(AppExit::Success)
    }
}

/// Look a dataset over: what is odd in it, each finding with its place.
///
/// Exit status: 2 where training on it would be wrong, 0 otherwise.
#[derive(Args)]
pub struct Check {
    /// The file, HDF5 or `.npz`, or Minari's or LeRobot's folder
    file: PathBuf,
    /// Hold the actions against this environment's bounds, such as Pendulum-v1
    #[arg(long, value_name = "NAME")]
    env: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Check {
    fn run(&self) -> Result<AppExit, CliError> {
        let known = self.env.as_deref().map(specification).transpose();
        let known = known.map_err(|error| CliError::of(true, &error))?;
        // What cannot be opened is a finding like any other.
        if let Ok(dataset_file) = DatasetFile::open(&self.file, &Reading::default()) {
            say_what_it_takes(&self.file, &dataset_file);
            if let Some(known) = &known {
                refuse_other_spaces(&self.file, &dataset_file, known)?;
            }
        }
        let bounds = known.and_then(|known| action_bounds(&known));
        let check = Checked::of(&self.file, bounds.as_ref());
        if self.json {
            print(&serde_json::to_string(&check).map_err(CliError::failed)?)?;
        } else {
            print(&check.to_string())?;
        }
        Ok(match check.errors() {
            0 => AppExit::Success,
            _ => AppExit::from_code(2),
        })
    }
}

/// Write a dataset in another layout, with what else its file holds, and say what had to be left behind.
#[derive(Args)]
pub struct Convert {
    /// The file to read, HDF5 or `.npz`, or Minari's or LeRobot's folder
    #[arg(value_name = "IN")]
    input: PathBuf,
    /// The file to write; for minari the folder, named as the dataset, such as pendulum-v0
    #[arg(value_name = "OUT")]
    output: PathBuf,
    /// The layout to write
    #[arg(long)]
    to: To,
    /// The environment that the data are of, such as Pendulum-v1, for layouts that name it
    #[arg(long, value_name = "NAME")]
    env: Option<String>,
    /// Print one JSON object, with what had to be left behind
    #[arg(long)]
    json: bool,
    /// Replace what is at OUT
    #[arg(long)]
    force: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum To {
    D4rl,
    Robomimic,
    Minari,
}

impl Convert {
    fn run(&self) -> Result<AppExit, CliError> {
        let target = match self.to {
            To::D4rl => Target::D4rl,
            To::Robomimic => Target::Robomimic,
            To::Minari => Target::Minari,
        };
        refuse_what_stands(&self.output, self.force)?;
        let wrong = |error| CliError::of(true, &error);
        let dataset_file = DatasetFile::open(&self.input, &Reading::default()).map_err(wrong)?;
        say_what_it_takes(&self.input, &dataset_file);
        let origin = match &self.env {
            None => None,
            Some(name) => Some(origin(name, dataset_file.widths()[1])?),
        };
        let converted = convert::convert(
            &dataset_file,
            &self.output,
            target,
            origin.as_ref(),
            self.force,
        )
        .map_err(|error| CliError::of(!matches!(error, ConvertError::Io { .. }), &error))?;
        if self.json {
            print(&serde_json::to_string(&converted).map_err(CliError::failed)?)?;
        } else {
            print(&converted.to_string())?;
        }
        Ok(AppExit::Success)
    }
}

/// What is known of an environment that data are said to be of.
fn origin(name: &str, width: usize) -> Result<Origin, CliError> {
    let known = specification(name).map_err(|error| CliError::of(true, &error))?;
    let (observation_low, observation_high) = match known.observation_space {
        Space::Box { low, high, .. } => (low, high),
        Space::Discrete { .. } | Space::Dict { .. } => (Vec::new(), Vec::new()),
    };
    let (action_low, action_high, discrete_actions) = match known.action_space {
        Space::Box { low, high, .. } => (low, high, None),
        space => {
            let discrete_actions = match space {
                Space::Discrete { n } => Some(n),
                _ => None,
            };
            let unbounded = (vec![f32::NEG_INFINITY; width], vec![f32::INFINITY; width]);
            (unbounded.0, unbounded.1, discrete_actions)
        }
    };
    Ok(Origin {
        environment: name.to_owned(),
        observation_low,
        observation_high,
        action_low,
        action_high,
        discrete_actions,
    })
}

/// Draw a dataset: returns, lengths, and how each element is spread.
#[derive(Args)]
pub struct Plot {
    /// The file, HDF5 or `.npz`, or Minari's or LeRobot's folder
    file: PathBuf,
    /// The picture, SVG; the file's name with .svg, in the working directory, if not given
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Replace a picture that is there
    #[arg(long)]
    force: bool,
}

impl Plot {
    fn run(&self) -> Result<AppExit, CliError> {
        let out = self.out.clone().unwrap_or_else(|| {
            PathBuf::from(self.file.file_stem().unwrap_or_default()).with_extension("svg")
        });
        refuse_what_stands(&out, self.force)?;
        let (dataset_file, transitions) = read(&self.file)?;
        let layout = dataset_file.layout();
        let parts = dataset_file.parts();
        let name = self.file.file_name().unwrap_or(self.file.as_os_str());
        let picture = DatasetPicture {
            title: name.to_string_lossy().into_owned(),
            subtitle: format!(
                "{layout} layout, {} transitions in {} episodes{}",
                transitions.len(),
                transitions.episodes().len(),
                match transitions.recorded().rewards {
                    true => "",
                    false => ", no rewards recorded: returns of 0",
                }
            ),
            transitions: &transitions,
            parts: &parts,
        };
        let svg = picture.svg().map_err(CliError::failed)?;
        write_whole(&out, self.force, |file| file.write_all(svg.as_bytes()))
            .map_err(|error| CliError::failed(format!("{}: {error}", out.display())))?;
        print(&out.display().to_string())?;
        Ok(AppExit::Success)
    }
}

/// Reads a file, having said what that takes.
fn read(path: &Path) -> Result<(DatasetFile, Transitions), CliError> {
    let wrong = |error| CliError::of(true, &error);
    let dataset_file = DatasetFile::open(path, &Reading::default()).map_err(wrong)?;
    say_what_it_takes(path, &dataset_file);
    let transitions = dataset_file.read().map_err(wrong)?;
    Ok((dataset_file, transitions))
}

fn say_what_it_takes(path: &Path, dataset_file: &DatasetFile) {
    let needed = dataset_file.memory_needed();
    message(&format!("{}: {needed} in memory", path.display()));
}

/// The bounds of an environment's actions; `None` where they are discrete.
fn action_bounds(known: &Specification) -> Option<ActionBounds> {
    match &known.action_space {
        Space::Box { low, high, .. } => Some(ActionBounds {
            of: known.name.to_owned(),
            low: low.clone(),
            high: high.clone(),
        }),
        Space::Discrete { .. } | Space::Dict { .. } => None,
    }
}

/// Refuses data whose actions cannot be of an environment, and says where its observations are others.
fn refuse_other_spaces(
    path: &Path,
    dataset_file: &DatasetFile,
    known: &Specification,
) -> Result<(), CliError> {
    let [observation, action] = dataset_file.widths();
    let (path, name) = (path.display(), known.name);
    let of_data = dataset_file.discrete_actions();
    let fits = match (of_data, &known.action_space) {
        // How many there are a file may not say.
        (Some(of_data), Space::Discrete { n }) => of_data.count.is_none_or(|count| count == *n),
        (None, Space::Discrete { .. }) | (Some(_), _) => false,
        (None, space) => space.size() == action,
    };
    if !fits {
        let of_data = match of_data {
            Some(DiscreteActions { count: Some(n), .. }) => format!("{n} discrete actions"),
            Some(_) => "discrete actions".to_owned(),
            None => format!("actions of {action} real numbers"),
        };
        let of_known = match known.action_space {
            Space::Discrete { n } => format!("{n} discrete actions"),
            _ => format!("actions of {} real numbers", known.action_space.size()),
        };
        return Err(CliError::input(format!(
            "{path}: the data have {of_data}, and {name} takes {of_known}: name the environment that they are of"
        )));
    }
    let shown = known.observation_space.size();
    if shown != observation {
        message(&format!(
            "{path}: note: the data have observations of {observation} numbers, and {name} shows {shown}"
        ));
    }
    Ok(())
}

fn refuse_what_stands(path: &Path, force: bool) -> Result<(), CliError> {
    if !force && std::fs::symlink_metadata(path).is_ok() {
        return Err(CliError::input(format!(
            "{}: there is something already; choose another name, or give --force to replace it",
            path.display()
        )));
    }
    Ok(())
}
