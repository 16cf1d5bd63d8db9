//! The Minari layout: a group an episode (Younis et al., <https://minari.farama.org>), in `main_data.hdf5`, with
//! `metadata.json` next to it (Minari 0.5) or attributes in the file (Minari 0.4).
//!
//! | dataset of `episode_N/` | shape | type |
//! |---|---|---|
//! | `observations` | `[T + 1, ...]`, or a group of such | numbers |
//! | `actions` | `[T, ...]`, or a group of such | numbers, or whole numbers `[T]` that are discrete actions |
//! | `rewards` (optional, all or none) | `[T]` or `[T, 1]` | numbers |
//! | `terminations`, `truncations` (optional, all or none) | `[T]` or `[T, 1]` | bool, or 0 and 1 of any type |
//! | `infos/` (optional) | anything | anything |
//!
//! **Spaces.** The parts of a `Dict` come in the order of their names' bytes and those of a `Tuple`, `_index_0`, `_index_1`, in the
//! order of their numbers, depth first; each is flattened row by row and all are joined. Gymnasium's `flatten` joins in the same
//! order (its `Dict` sorts its keys), except that it writes a choice as one of several zeros and ones: here it is one number.
//! An observation of a `Discrete` or `MultiDiscrete` space is counted from 0, whatever its `start`: it is the same number where the policy
//! acts.
//!
//! **Ends.** An episode ends terminal where its last row of `terminations` is true, else truncated where that of `truncations` is,
//! else it is unfinished. A flag before the last row is an error. Every row is a transition: observations have one row more.
//!
//! Episodes come in the order of their numbers, padded or not, and none may be missing. Pictures in JPEG and texts are not read. The storage in
//! Arrow and Parquet is, with the feature `parquet`: it is copied into this layout.

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use serde_json::Value;

use super::dataset_file::{Index, Key};
use super::episode_index::{EpisodeIndex, NextRule, Part};
use super::space::{Space, parse_json, parse_json_with};
use super::{DiscreteActions, Dtype, File, Layout, LoadError, Reading, names};
use crate::data::{EpisodeEnd, Recorded};

/// What the names of episodes begin with.
const WORD: &str = "episode_";
const METADATA: &str = "metadata.json";
/// More than any space needs.
const MAX_METADATA_BYTES: u64 = 64 << 20;

/// Whether the first dataset of an episode is where Minari puts it.
pub(super) fn is_it(file: &File) -> bool {
    file.datasets().iter().any(|dataset| {
        dataset
            .path
            .split_once('/')
            .is_some_and(|(group, _)| names::episode(group, WORD).is_some())
    })
}

/// How a folder's values are stored, if it holds metadata that say so.
pub(super) fn storage_format(folder: &Path) -> Result<Option<String>, LoadError> {
    let metadata = Metadata::beside(&folder.join("main_data.hdf5"))?;
    Ok(metadata.and_then(|metadata| metadata.format))
}

pub(super) fn index(file: &File, reading: &Reading) -> Result<Index, LoadError> {
    let metadata = Metadata::of(file)?;
    if let Some(format) = metadata
        .format
        .as_deref()
        .filter(|format| *format != "hdf5" && file.tables().is_none())
    {
        return Err(LoadError::Storage {
            path: file.path().to_owned(),
            format: format.to_owned(),
        });
    }
    let episodes = names::episodes(file, "", WORD)?;
    for (expected, name) in episodes.iter().enumerate() {
        let place = file.path().to_owned();
        match names::episode(name, WORD) {
            Some((digits, "")) if digits.parse().unwrap_or(0) == expected => {}
            Some((digits, "")) => {
                let before = expected.checked_sub(1).map(|before| &episodes[before]);
                let twin = before.filter(|before| {
                    names::episode(before, WORD).is_some_and(|(number, _)| number == digits)
                });
                return Err(match twin {
                    Some(twin) => LoadError::SameNumber {
                        file: place,
                        first: twin.clone(),
                        second: name.clone(),
                    },
                    None => LoadError::Gap {
                        file: place,
                        episode: format!("{WORD}{expected}"),
                    },
                });
            }
            _ => {
                return Err(LoadError::EpisodeName {
                    file: place,
                    name: name.clone(),
                    word: WORD.to_owned(),
                });
            }
        }
    }
    let first = episodes.first().map_or("episode_0", String::as_str);
    let count = |what, declared: Option<u64>, found: usize| match declared {
        Some(declared) if declared != found as u64 => Err(LoadError::Count {
            file: file.path().to_owned(),
            what,
            declared,
            found: found as u64,
        }),
        _ => Ok(()),
    };
    count("episodes", metadata.episodes, episodes.len())?;

    let observation = names::below(file, &format!("{first}/observations"));
    let observation = names::choose(file, observation, &reading.observations)?;
    let action = names::below(file, &format!("{first}/actions"));
    for name in &observation {
        metadata.refuse_pictures(file, "observations", name)?;
    }
    let path = Box::new(|part: Part, episode: &str, name: &str| {
        let group = if part == Part::Action {
            "actions"
        } else {
            "observations"
        };
        names::part_path(episode, group, name)
    });
    let mut episode_index = EpisodeIndex::new(
        file,
        Layout::Minari,
        NextRule::OneMore,
        path,
        first,
        [observation, action],
    )?;
    episode_index.find_discrete_actions(metadata.action.as_ref())?;
    episode_index.start_at(metadata.starts(file, episode_index.observation())?);
    let mut steps = Vec::new();
    for name in &episodes {
        steps.push(episode_index.steps(name)?);
    }
    let reward = |name: &String| format!("{name}/rewards");
    let has_rewards = episode_index.is_recorded(episodes.iter().map(reward))?;
    let flag_paths = |flag: &'static str| {
        let path = move |(name, steps): (&String, &usize)| (format!("{name}/{flag}"), *steps);
        episodes.iter().zip(&steps).map(path).collect::<Vec<_>>()
    };
    let (mut wanted, mut has_flags) = (Vec::new(), [false; 2]);
    for (has, flag) in has_flags.iter_mut().zip(["terminations", "truncations"]) {
        let paths = flag_paths(flag);
        *has = episode_index.is_recorded(paths.iter().map(|(path, _)| path.clone()))?;
        if *has {
            wanted.extend(paths);
        }
    }
    let flags = episode_index.flags(&wanted)?;
    let [has_terminations, has_truncations] = has_flags;
    let ends = |is_there: bool, place: usize| {
        if !is_there {
            return Ok(false);
        }
        let (path, steps) = &wanted[place];
        match flags[place].iter().position(|flag| *flag) {
            Some(row) if row + 1 < *steps => Err(LoadError::EndInside {
                file: file.path().to_owned(),
                dataset: path.clone(),
                row,
                rows: *steps,
            }),
            found => Ok(found.is_some()),
        }
    };
    let mut steps_found = 0;
    for (place, (name, steps)) in episodes.iter().zip(&steps).enumerate() {
        let steps = *steps;
        steps_found += steps;
        let terminated = ends(has_terminations, place)?;
        let before = if has_terminations { episodes.len() } else { 0 };
        let truncated = ends(has_truncations, before + place)?;
        let terminals: &[usize] = if terminated { &[steps - 1] } else { &[] };
        let end = if truncated {
            EpisodeEnd::Truncated
        } else {
            EpisodeEnd::Unfinished
        };
        let reward = has_rewards.then(|| reward(name));
        episode_index.add(name, reward.as_deref(), steps, terminals, end)?;
    }
    count("steps", metadata.steps, steps_found)?;
    let columns = Recorded {
        rewards: has_rewards,
        ends: has_terminations,
    };
    Ok(Index {
        environment: metadata.environment,
        ..episode_index.finish(episodes.len(), columns)?
    })
}

/// What the metadata say of observations and of actions.
pub(super) fn spaces(file: &File) -> Result<[Option<Space>; 2], LoadError> {
    let metadata = Metadata::of(file)?;
    Ok([metadata.observation, metadata.action])
}

/// What the metadata say of the dataset as a whole: every entry of `metadata.json`, or those of the `known` names that the file
/// has as attributes, which are texts. `None` is what holds a NaN or an infinity, which JSON has no number for.
pub(in crate::data) fn fields<const N: usize>(
    file: &File,
    known: [&str; N],
) -> Result<Vec<(String, Option<Value>)>, LoadError> {
    let path = file.path().with_file_name(METADATA);
    let broken = |cause: String| LoadError::Metadata {
        file: path.clone(),
        place: "the metadata".to_owned(),
        cause,
    };
    if let Some(text) = Metadata::text(&path).map_err(|error| broken(error.to_string()))? {
        // A field that is another with other numbers in the place of those that JSON lacks has such numbers.
        let (fields, others) = (
            parse_json(&text).map_err(broken)?,
            parse_json_with(&text, "0").map_err(broken)?,
        );
        let Value::Object(fields) = fields else {
            return Ok(Vec::new());
        };
        return Ok(fields
            .into_iter()
            .map(|(name, value)| {
                let is_whole = others[&name] == value;
                (name, is_whole.then_some(value))
            })
            .collect());
    }
    let mut fields = Vec::new();
    for name in known.into_iter().filter(|name| !name.starts_with("ref_")) {
        if let Some(text) = file.text_attribute("", name)? {
            fields.push((name.to_owned(), Some(Value::String(text))));
        }
    }
    Ok(fields)
}

/// What actions choose from, where each is one whole number: as its space says, or where there is none as its type does.
pub(super) fn discrete_actions(
    file: &File,
    keys: &[Key],
    space: Option<&Space>,
) -> Result<Option<DiscreteActions>, LoadError> {
    let is_choice = |key: &Key| match space.and_then(|space| space.part(&key.name)) {
        Some(Space::Box { .. }) => false,
        // Also where the numbers were written as floats.
        Some(Space::Discrete { .. } | Space::MultiDiscrete { .. }) => true,
        // A space of another kind, such as MultiBinary, has several choices too.
        Some(Space::Other(_)) => !key.dtype.is_float(),
        _ => key.width() == 1 && !key.dtype.is_float(),
    };
    if !keys.iter().any(is_choice) {
        return Ok(None);
    }
    match (keys, space) {
        ([key], space) if key.width() == 1 => {
            let (first, count) = match space {
                Some(Space::Discrete { n, start }) => (*start, Some(*n)),
                Some(Space::MultiDiscrete { n, start }) => (start[0], Some(n[0])),
                _ => (0, (key.dtype == Dtype::Bool).then_some(2)),
            };
            DiscreteActions::declared(file, &key.name, first, count).map(Some)
        }
        _ => Err(LoadError::DiscreteActions {
            file: file.path().to_owned(),
            dataset: "actions".to_owned(),
            found: keys
                .iter()
                .map(|key| format!("{} of shape {:?} at each step", key.dtype, key.shape))
                .collect::<Vec<_>>()
                .join(" and "),
            expected:
                "real numbers, or one choice at each step: several choices at once are not learned"
                    .to_owned(),
        }),
    }
}

/// What Minari says about a dataset next to its values.
#[derive(Default)]
struct Metadata {
    episodes: Option<u64>,
    steps: Option<u64>,
    format: Option<String>,
    compresses: bool,
    observation: Option<Space>,
    action: Option<Space>,
    environment: Option<String>,
}

impl Metadata {
    /// `metadata.json` where it is there, or else the attributes.
    fn of(file: &File) -> Result<Self, LoadError> {
        match Self::beside(file.path())? {
            Some(metadata) => Ok(metadata),
            None => Self::inside(file),
        }
    }

    /// Reads `metadata.json` in the folder of the data, if it is there.
    fn beside(data: &Path) -> Result<Option<Self>, LoadError> {
        let path = data.with_file_name(METADATA);
        let broken = |cause: String| LoadError::Metadata {
            file: path.clone(),
            place: "the metadata".to_owned(),
            cause,
        };
        let Some(text) = Self::text(&path).map_err(|error| broken(error.to_string()))? else {
            return Ok(None);
        };
        let value = parse_json(&text).map_err(broken)?;
        let number = |name: &str| match &value[name] {
            Value::Null => Ok(None),
            number => number
                .as_u64()
                .map(Some)
                .ok_or_else(|| broken(format!("`{name}` is no count"))),
        };
        let text = |name: &str| value[name].as_str();
        let space = |name: &str| {
            text(name)
                .map(|text| {
                    Space::parse(text).map_err(|cause| broken(format!("`{name}`: {cause}")))
                })
                .transpose()
        };
        Ok(Some(Self {
            episodes: number("total_episodes")?,
            steps: number("total_steps")?,
            format: text("data_format").map(str::to_owned),
            compresses: value["jpeg_encoding"].as_bool().unwrap_or(true),
            observation: space("observation_space")?,
            action: space("action_space")?,
            environment: text("env_spec").map(environment_name),
        }))
    }

    /// The text of `metadata.json`, if it is there.
    fn text(path: &Path) -> io::Result<Option<String>> {
        let file = match fs::File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut text = String::new();
        file.take(MAX_METADATA_BYTES).read_to_string(&mut text)?;
        Ok(Some(text))
    }

    /// Reads the attributes that Minari 0.4 wrote into the file. Those that are numbers cannot be read.
    fn inside(file: &File) -> Result<Self, LoadError> {
        let space = |name: &str| {
            let Some(text) = file.text_attribute("", name)? else {
                return Ok(None);
            };
            Space::parse(&text)
                .map(Some)
                .map_err(|cause| LoadError::Metadata {
                    file: file.path().to_owned(),
                    place: format!("the attribute `{name}`"),
                    cause,
                })
        };
        Ok(Self {
            observation: space("observation_space")?,
            action: space("action_space")?,
            environment: file
                .text_attribute("", "env_spec")?
                .map(|text| environment_name(&text)),
            ..Self::default()
        })
    }

    /// The elements of an observation that start at another number than 0, with that number.
    fn starts(&self, file: &File, keys: &[Key]) -> Result<Vec<(usize, f32)>, LoadError> {
        let mut starts = Vec::new();
        let mut offset: usize = 0;
        for key in keys {
            let width = key.width();
            let space = self.observation.as_ref().and_then(|it| it.part(&key.name));
            let own: &[i64] = match space {
                Some(Space::Discrete { start, .. }) => std::slice::from_ref(start),
                Some(Space::MultiDiscrete { start, .. }) => start,
                _ => &[],
            };
            for start in own {
                // Numbers as large as that are not all distinct as `float32`.
                DiscreteActions::declared(file, &key.name, *start, None)?;
            }
            if own.len() == width {
                let elements = own.iter().enumerate();
                let others = elements.filter(|(_, start)| **start != 0);
                starts.extend(others.map(|(at, start)| (offset.saturating_add(at), *start as f32)));
            }
            offset = offset.saturating_add(width);
        }
        Ok(starts)
    }

    fn refuse_pictures(&self, file: &File, group: &str, name: &str) -> Result<(), LoadError> {
        let space = self.observation.as_ref().and_then(|space| space.part(name));
        match space {
            Some(Space::Box {
                is_picture: true, ..
            }) if self.compresses => Err(LoadError::Image {
                file: file.path().to_owned(),
                dataset: if name == group {
                    group.to_owned()
                } else {
                    format!("{group}/{name}")
                },
                what: "pictures in JPEG".to_owned(),
                remedy: "choose the other observations with `observations: [...]`",
            }),
            _ => Ok(()),
        }
    }
}

/// Gymnasium's name of an environment, out of its specification in JSON.
fn environment_name(specification: &str) -> String {
    parse_json(specification)
        .ok()
        .and_then(|value| value["id"].as_str().map(str::to_owned))
        .unwrap_or_else(|| specification.to_owned())
}
