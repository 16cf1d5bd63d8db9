//! What is in a file of demonstrations, for people and for scripts: `yarak data info FILE [--json]`.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Serialize, Serializer};

use super::check::precision::Precision;
use super::hdf5::{DatasetInfo, Dtype};
use super::parts::measured;
use super::table::{Table, grouped, size};
use super::{Column, DatasetFile, EpisodeEnd, Layout, LoadError, Reading, Transitions};
use crate::observation::ObservationParts;

/// Lines about rounded elements.
const MOST_ROUNDED: usize = 6;

/// A file's contents in numbers. `Display` is a page to read; `Serialize` is the same for a script.
///
/// ```
/// # let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/d4rl/contiguous.hdf5");
/// let summary = yarak::data::Summary::read(file)?;
/// println!("{summary}");
/// assert!(summary.transitions > 0);
/// # Ok::<(), yarak::data::LoadError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// The file.
    pub file: PathBuf,
    /// Its layout.
    pub layout: Layout,
    /// Its length in bytes.
    pub bytes: u64,
    /// How many episodes it gives.
    pub episodes: usize,
    /// How many episodes the file records, before some were split at terminals or left out.
    pub recorded_episodes: usize,
    /// How many transitions it gives; fewer than rows where a layout has rows that are none.
    pub transitions: usize,
    /// Number of discrete actions; `None` where actions are vectors of real numbers.
    pub discrete_actions: Option<usize>,
    /// What the file says of its environment, as it says it.
    pub environment: Option<String>,
    /// The filter keys that name some of its episodes.
    pub filter_keys: Vec<String>,
    /// What one observation consists of.
    pub observation: ObservationParts,
    /// The datasets that training reads.
    pub columns: Vec<ColumnInFile>,
    /// Transitions in an episode.
    pub lengths: Spread,
    /// Undiscounted returns of the episodes.
    pub returns: Spread,
    /// How the episodes end.
    pub ends: Ends,
    /// Whether rewards were recorded; the returns are of zeros where they were not.
    pub has_rewards: bool,
    /// Whether it was recorded which steps are terminal.
    pub has_ends: bool,
    /// Columns with elements whose differences float32 cannot hold, whose [`ranges`](Self::ranges) are those of rounded numbers.
    pub rounded: Vec<(&'static str, usize)>,
    /// Each element of observations, actions and rewards over all transitions.
    pub ranges: Vec<ElementRange>,
    /// The file's other datasets, which training does not read.
    pub others: Vec<ColumnInFile>,
}

/// A dataset as it is in the file, or those of all episodes that have the same name in their episode.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ColumnInFile {
    /// The path inside the file, or inside each episode's group.
    pub name: String,
    /// How many datasets these are.
    pub datasets: usize,
    /// The shape, rows first; of several datasets with all their rows.
    pub shape: Vec<usize>,
    /// The type, by NumPy's name.
    #[serde(serialize_with = "by_name")]
    pub dtype: Dtype,
}

/// One number of each episode, over all episodes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// The least.
    pub min: f64,
    /// The mean.
    pub mean: f64,
    /// The median: the middle one, or the mean of the middle two.
    pub median: f64,
    /// The greatest.
    pub max: f64,
    /// The population standard deviation.
    pub std: f64,
}

/// How many episodes end in which way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Ends {
    /// In a terminal state.
    pub terminated: usize,
    /// Cut off.
    pub truncated: usize,
    /// With the recording.
    pub unfinished: usize,
}

/// One element of a column, or all pixels of a picture, over all transitions.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ElementRange {
    /// `observation`, `action` or `reward`.
    pub column: &'static str,
    /// The part of the observation, where it has several or is a picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub part: Option<String>,
    /// The element within the row or the part, from 0; `None`: all elements of a picture.
    pub element: Option<usize>,
    /// The least value.
    pub min: f32,
    /// The greatest value.
    pub max: f32,
    /// The mean.
    pub mean: f64,
    /// The population standard deviation.
    pub std: f64,
}

impl Summary {
    /// Reads a file and sums it up.
    ///
    /// # Errors
    ///
    /// As [`load`](super::load).
    pub fn read(path: impl AsRef<Path>) -> Result<Self, LoadError> {
        Self::of(&DatasetFile::open(path, &Reading::default())?)
    }

    /// Sums up a recording.
    ///
    /// # Errors
    ///
    /// As [`DatasetFile::read`].
    pub fn of(dataset_file: &DatasetFile) -> Result<Self, LoadError> {
        let (file, layout) = (dataset_file.file(), dataset_file.layout());
        let transitions = dataset_file.read()?;
        let parts = dataset_file.parts();
        let (columns, others): (Vec<_>, Vec<_>) = file
            .datasets()
            .iter()
            .partition(|info| layout.reads(&info.path) && info.dtype.is_numeric());
        let lengths = transitions
            .episodes()
            .iter()
            .map(|episode| episode.rows.len() as f64)
            .collect();
        let mut ends = Ends::default();
        for episode in transitions.episodes() {
            *match episode.end {
                EpisodeEnd::Terminated => &mut ends.terminated,
                EpisodeEnd::Truncated => &mut ends.truncated,
                EpisodeEnd::Unfinished => &mut ends.unfinished,
            } += 1;
        }
        Ok(Self {
            file: file.path().to_owned(),
            layout,
            bytes: file.bytes(),
            episodes: transitions.episodes().len(),
            recorded_episodes: dataset_file.recorded_episodes(),
            transitions: transitions.len(),
            discrete_actions: transitions.discrete_actions(),
            environment: dataset_file.environment().map(str::to_owned),
            filter_keys: dataset_file.filter_keys()?,
            columns: together(layout, &columns),
            lengths: Spread::of(lengths),
            returns: Spread::of(transitions.returns()),
            ends,
            has_rewards: dataset_file.recorded().rewards,
            has_ends: dataset_file.recorded().ends,
            rounded: Precision::of(dataset_file)?
                .lost
                .iter()
                .map(|it| (it.column, it.element))
                .collect(),
            ranges: ranges(&transitions, &parts),
            observation: parts,
            others: together(layout, &others),
        })
    }
}

/// The datasets, those of one name in their episodes together.
fn together(layout: Layout, datasets: &[&DatasetInfo]) -> Vec<ColumnInFile> {
    let mut columns: Vec<ColumnInFile> = Vec::new();
    let mut places: HashMap<(String, Vec<usize>, String), usize> = HashMap::new();
    for info in datasets {
        let name = layout
            .step_name(&info.path)
            .unwrap_or_else(|| info.path.clone());
        let row = info.shape.get(1..).unwrap_or_default().to_vec();
        let place = places
            .entry((name, row, info.dtype.to_string()))
            .or_insert_with_key(|(name, _, _)| {
                columns.push(ColumnInFile {
                    name: name.clone(),
                    datasets: 0,
                    shape: info.shape.clone(),
                    dtype: info.dtype,
                });
                columns.len() - 1
            });
        let column = &mut columns[*place];
        column.datasets += 1;
        if column.datasets > 1 {
            match column.shape.first_mut() {
                Some(rows) => *rows = rows.saturating_add(info.rows()),
                None => column.shape = vec![2],
            }
        }
    }
    columns
}

impl Spread {
    /// Of at least one number; of none, all zero.
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let (Some(&min), Some(&max)) = (values.first(), values.last()) else {
            return Self {
                min: 0.0,
                mean: 0.0,
                median: 0.0,
                max: 0.0,
                std: 0.0,
            };
        };
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let std = (values
            .iter()
            .map(|value| (value - mean).powi(2))
            .sum::<f64>()
            / count)
            .sqrt();
        let median = (values[(values.len() - 1) / 2] + values[values.len() / 2]) / 2.0;
        Self {
            min,
            mean,
            median,
            max,
            std,
        }
    }
}

fn ranges(transitions: &Transitions, parts: &ObservationParts) -> Vec<ElementRange> {
    let rewards = Column {
        values: transitions.reward().to_vec(),
        width: 1,
    };
    let seen = transitions.observation();
    let count = seen.rows();
    let observation = measured(parts).into_iter().map(|it| ElementRange {
        part: it.part,
        ..range("observation", it.element, count * it.place.len(), || {
            seen.elements_at(it.place.clone())
        })
    });
    let mut ranges: Vec<ElementRange> = observation.collect();
    for (column, values) in [("action", transitions.action()), ("reward", &rewards)] {
        let each = (0..values.width).map(|at| {
            let all = || (0..values.rows()).map(move |row| values.row(row)[at]);
            range(column, Some(at), values.rows(), all)
        });
        ranges.extend(each);
    }
    ranges
}

/// The range of so many numbers.
fn range<I: Iterator<Item = f32>>(
    column: &'static str,
    element: Option<usize>,
    count: usize,
    all: impl Fn() -> I,
) -> ElementRange {
    let count = count as f64;
    let mean = all().map(f64::from).sum::<f64>() / count;
    let squares = all().map(|value| (f64::from(value) - mean).powi(2));
    ElementRange {
        column,
        part: None,
        element,
        min: all().fold(f32::INFINITY, f32::min),
        max: all().fold(f32::NEG_INFINITY, f32::max),
        mean,
        std: (squares.sum::<f64>() / count).sqrt(),
    }
}

fn by_name<S: Serializer>(dtype: &Dtype, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(dtype)
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.file.display())?;
        writeln!(f, "  layout       {}", self.layout)?;
        writeln!(f, "  size         {}", size(self.bytes))?;
        writeln!(f, "  transitions  {}", grouped(self.transitions))?;
        let recorded = match self.recorded_episodes {
            recorded if recorded == self.episodes => String::new(),
            recorded => format!(", of {} that are recorded", grouped(recorded)),
        };
        writeln!(f, "  episodes     {}{recorded}", grouped(self.episodes))?;
        let Ends {
            terminated,
            truncated,
            unfinished,
        } = self.ends;
        writeln!(
            f,
            "  ends         {terminated} terminal, {truncated} truncated, {unfinished} unfinished"
        )?;

        writeln!(f, "  observation  {}", self.observation)?;
        let [rewards, terminals] = self.layout.columns_of_rewards_and_ends();
        for (is_there, column) in [(self.has_rewards, rewards), (self.has_ends, terminals)] {
            if !is_there {
                writeln!(f, "  not recorded {column}")?;
            }
        }
        if let Some(discrete_actions) = self.discrete_actions {
            writeln!(
                f,
                "  actions      one of {discrete_actions} discrete actions"
            )?;
        }
        if let Some(environment) = &self.environment {
            writeln!(f, "  environment  {environment}")?;
        }
        if !self.filter_keys.is_empty() {
            writeln!(f, "  filter keys  {}", self.filter_keys.join(", "))?;
        }

        let mut episodes = Table::new(["per episode", "min", "median", "mean", "max", "std"]);
        let returns = self.has_rewards.then_some(("return", self.returns));
        for (name, spread) in [("length", self.lengths)].into_iter().chain(returns) {
            let Spread {
                min,
                mean,
                median,
                max,
                std,
            } = spread;
            episodes.row(name.to_owned(), &[min, median, mean, max, std]);
        }
        episodes.write(f)?;

        let mut ranges = Table::new(["per transition", "min", "mean", "max", "std"]);
        let shown = |range: &&ElementRange| self.has_rewards || range.column != "reward";
        for range in self.ranges.iter().filter(shown) {
            let column = range.part.as_deref().unwrap_or(range.column);
            let name = match range.element {
                Some(element) if column != "reward" => format!("{column} {element}"),
                _ => column.to_owned(),
            };
            ranges.row(
                name,
                &[
                    f64::from(range.min),
                    range.mean,
                    f64::from(range.max),
                    range.std,
                ],
            );
        }
        ranges.write(f)?;
        for (column, element) in self.rounded.iter().take(MOST_ROUNDED) {
            let name = match *column {
                "reward" => "reward".to_owned(),
                column => format!("{column} {element}"),
            };
            writeln!(
                f,
                "  {name} is rounded: float32 cannot hold its differences; see `yarak data check`"
            )?;
        }

        let width = self
            .columns
            .iter()
            .chain(&self.others)
            .map(|column| column.name.len())
            .max()
            .unwrap_or(0);
        for (title, columns) in [
            ("read by training", &self.columns),
            ("also in the file", &self.others),
        ] {
            if columns.is_empty() {
                continue;
            }
            writeln!(f, "\n  {title}")?;
            for column in columns {
                let ColumnInFile { name, dtype, .. } = column;
                let shape = &column.shape;
                write!(f, "    {name:width$}  {dtype:8}  {shape:?}")?;
                match column.datasets {
                    1 => writeln!(f)?,
                    several => writeln!(f, " in {} datasets", grouped(several))?,
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_has_the_median_of_an_even_count_between_the_middle_two() {
        let spread = Spread::of(vec![4.0, 1.0, 2.0, 9.0]);
        assert_eq!(
            (spread.min, spread.mean, spread.median, spread.max),
            (1.0, 4.0, 3.0, 9.0)
        );
        assert_eq!(spread.std, 9.5_f64.sqrt());
    }

    #[test]
    fn datasets_of_one_name_are_one_line_and_others_stay_apart() {
        let info = |path: &str, shape: &[usize], dtype| DatasetInfo {
            path: path.to_owned(),
            shape: shape.to_vec(),
            dtype,
            element_bytes: 4,
            unreadable: None,
            slice: None,
        };
        let datasets = [
            info("episode_0/actions", &[3, 2], Dtype::Float32),
            info("episode_0/infos/x", &[4], Dtype::Float64),
            info("episode_1/actions", &[5, 2], Dtype::Float32),
            info("episode_2/actions", &[5, 1], Dtype::Float32),
            info("notes", &[], Dtype::Text),
        ];
        let found = together(Layout::Minari, &datasets.iter().collect::<Vec<_>>());
        let lines: Vec<_> = found
            .iter()
            .map(|column| (column.name.as_str(), column.datasets, column.shape.clone()))
            .collect();
        assert_eq!(
            lines,
            [
                ("actions", 2, vec![8, 2]),
                ("infos/x", 1, vec![4]),
                ("actions", 1, vec![5, 1]),
                ("notes", 1, vec![])
            ]
        );
    }

    #[test]
    fn a_page_is_aligned_and_a_script_finds_its_keys() {
        let summary = Summary {
            has_rewards: true,
            has_ends: true,
            rounded: Vec::new(),
            file: PathBuf::from("data.hdf5"),
            layout: Layout::D4rl,
            bytes: 2_048,
            episodes: 1,
            recorded_episodes: 1,
            transitions: 2,
            discrete_actions: None,
            environment: Some("Pendulum-v1".to_owned()),
            filter_keys: vec!["train".to_owned(), "valid".to_owned()],
            observation: ObservationParts::vector(3),
            columns: vec![ColumnInFile {
                name: "actions".to_owned(),
                datasets: 12,
                shape: vec![2, 1],
                dtype: Dtype::Float32,
            }],
            lengths: Spread::of(vec![2.0]),
            returns: Spread::of(vec![-1.25]),
            ends: Ends {
                truncated: 1,
                ..Ends::default()
            },
            ranges: vec![
                ElementRange {
                    column: "action",
                    part: None,
                    element: Some(0),
                    min: -2.0,
                    max: 2.0,
                    mean: 0.125,
                    std: 1.5,
                },
                ElementRange {
                    column: "reward",
                    part: None,
                    element: Some(0),
                    min: -1.25,
                    max: 0.0,
                    mean: -0.625,
                    std: 0.625,
                },
            ],
            others: vec![ColumnInFile {
                name: "infos/qpos".to_owned(),
                datasets: 1,
                shape: vec![2],
                dtype: Dtype::Float64,
            }],
        };
        assert_eq!(
            summary.to_string(),
            "\
data.hdf5
  layout       D4RL
  size         2.0 kB (2 048 bytes)
  transitions  2
  episodes     1
  ends         0 terminal, 1 truncated, 0 unfinished
  observation  one vector [3]
  environment  Pendulum-v1
  filter keys  train, valid

  per episode             min     median       mean        max        std
  length                    2          2          2          2          0
  return               -1.250     -1.250     -1.250     -1.250          0

  per transition          min       mean        max        std
  action 0                 -2      0.125          2      1.500
  reward               -1.250     -0.625          0      0.625

  read by training
    actions     float32   [2, 1] in 12 datasets

  also in the file
    infos/qpos  float64   [2]
"
        );
        let json = serde_json::to_value(&summary).unwrap();
        assert_eq!(json["layout"], "d4rl");
        assert_eq!(json["episodes"], 1);
        assert_eq!(json["transitions"], 2);
        assert_eq!(json["columns"][0]["name"], "actions");
        assert_eq!(json["columns"][0]["dtype"], "float32");
        assert_eq!(json["columns"][0]["shape"][1], 1);
    }
}
