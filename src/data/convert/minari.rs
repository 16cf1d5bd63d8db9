//! Writing the Minari layout: a folder with `data/main_data.hdf5`, a group per episode, and `data/metadata.json`.

use std::fs;
use std::path::Path;

use super::{ConvertError, Origin, count};
use crate::data::hdf5::Writer;
use crate::data::{End, Episode, Transitions};

/// The version of the layout: every Minari 0.5 reads it.
const VERSION: &str = "0.5.0";

/// Writes a dataset's folder, which will stand at `to` and has its name from there.
///
/// An episode of T transitions has T + 1 observations, so that each next observation must be the following observation.
pub(super) fn write(
    transitions: &Transitions,
    folder: &Path,
    to: &Path,
    origin: Option<&Origin>,
) -> Result<Vec<String>, ConvertError> {
    let name = name(to)?;
    for (index, episode) in transitions.episodes().iter().enumerate() {
        follows(transitions, index, episode)?;
    }
    let io = |source| ConvertError::Io {
        path: to.to_owned(),
        source,
    };
    let data = folder.join("data");
    fs::create_dir_all(&data).map_err(io)?;
    let main = data.join("main_data.hdf5");
    let writer = Writer::create(&main)?;
    for (index, episode) in transitions.episodes().iter().enumerate() {
        let rows = episode.rows.clone();
        let group = writer.root().group(&format!("episode_{index}"))?;
        group.number("id", index)?;
        group.number("total_steps", rows.len())?;
        let observation = transitions.observation();
        let last = transitions.next_observation().row(rows.end - 1);
        let observations = [observation.rows_between(&rows), last].concat();
        group.matrix("observations", &observations, observation.width)?;
        let action = transitions.action();
        group.matrix("actions", action.rows_between(&rows), action.width)?;
        group.vector("rewards", &transitions.reward()[rows.clone()])?;
        let at_end = |end| {
            let (length, is_it) = (rows.len(), episode.end == end);
            (1..=length).map(move |step| is_it && step == length)
        };
        group.flags("terminations", at_end(End::Terminal))?;
        group.flags("truncations", at_end(End::Truncated))?;
    }
    writer.close()?;
    let size = fs::metadata(&main).map_err(io)?.len();
    let unbounded = |width| (vec![f32::NEG_INFINITY; width], vec![f32::INFINITY; width]);
    let (low, high) = unbounded(transitions.observation().width);
    let (action_low, action_high) = match origin {
        Some(origin) => (origin.action_low.clone(), origin.action_high.clone()),
        None => unbounded(transitions.action().width),
    };
    let metadata = serde_json::json!({
        "dataset_id": name,
        "minari_version": VERSION,
        "data_format": "hdf5",
        "total_episodes": transitions.episodes().len(),
        "total_steps": transitions.len(),
        "dataset_size": size as f64 / 1e6,
        "observation_space": space(&low, &high),
        "action_space": space(&action_low, &action_high),
    });
    fs::write(data.join("metadata.json"), metadata.to_string()).map_err(io)?;
    let mut notes = Vec::new();
    if origin.is_none() {
        notes.push(
            "the spaces are without bounds: give --env NAME to have that environment's".to_owned(),
        );
    }
    let unfinished = count(transitions, End::Unfinished);
    if unfinished > 0 {
        notes.push(format!(
            "neither a termination nor a truncation ends unfinished episodes, of which there are {unfinished}"
        ));
    }
    Ok(notes)
}

/// A Box of float32 as Minari writes spaces: JSON in which Python's `Infinity` may stand.
fn space(low: &[f32], high: &[f32]) -> String {
    let list = |bounds: &[f32]| {
        let bounds: Vec<String> = bounds
            .iter()
            .map(|&bound| match bound {
                f32::INFINITY => "Infinity".to_owned(),
                f32::NEG_INFINITY => "-Infinity".to_owned(),
                bound => format!("{:?}", f64::from(bound)),
            })
            .collect();
        format!("[{}]", bounds.join(", "))
    };
    format!(
        r#"{{"type": "Box", "dtype": "float32", "shape": [{}], "low": {}, "high": {}}}"#,
        low.len(),
        list(low),
        list(high)
    )
}

/// The dataset's name, from its folder's.
fn name(to: &Path) -> Result<String, ConvertError> {
    let name = to
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let is_letter = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if let Some((before, version)) = name.rsplit_once("-v")
        && !before.is_empty()
        && before.chars().all(is_letter)
        && !version.is_empty()
        && version.chars().all(|c| c.is_ascii_digit())
    {
        return Ok(name);
    }
    let stem = name.split('.').next().unwrap_or_default();
    let kept: String = stem
        .chars()
        .map(|c| if is_letter(c) { c } else { '-' })
        .collect();
    let kept = if kept.is_empty() { "data" } else { &kept };
    Err(ConvertError::Name {
        path: to.to_owned(),
        suggestion: format!("{kept}-v0"),
    })
}

fn follows(
    transitions: &Transitions,
    index: usize,
    Episode { rows, .. }: &Episode,
) -> Result<(), ConvertError> {
    let width = transitions.observation().width;
    let next = transitions
        .next_observation()
        .rows_between(&(rows.start..rows.end - 1));
    let following = transitions
        .observation()
        .rows_between(&(rows.start + 1..rows.end));
    match next.iter().zip(following).position(|(a, b)| a != b) {
        None => Ok(()),
        Some(at) => Err(ConvertError::DoesNotFollow {
            episode: index,
            row: rows.start + at / width,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_named_as_minari_names_datasets() {
        for fine in ["pendulum-v0", "a/b/pen_dulum-expert-v12"] {
            assert!(name(Path::new(fine)).is_ok(), "{fine}");
        }
        for (odd, suggestion) in [
            ("pendulum", "pendulum-v0"),
            ("out/pendulum.hdf5", "pendulum-v0"),
            ("a b-v", "a-b-v-v0"),
            ("-v0", "-v0-v0"),
        ] {
            let error = name(Path::new(odd)).unwrap_err().to_string();
            assert!(
                error.ends_with(&format!("such as `{suggestion}`")),
                "{error}"
            );
        }
    }

    #[test]
    fn spaces_are_pythons_json() {
        assert_eq!(
            space(&[f32::NEG_INFINITY, -2.0], &[f32::INFINITY, 0.5]),
            r#"{"type": "Box", "dtype": "float32", "shape": [2], "low": [-Infinity, -2.0], "high": [Infinity, 0.5]}"#
        );
    }
}
