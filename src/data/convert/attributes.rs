//! Attributes of a file, its groups and its datasets: their types cannot be seen, so that only those are copied whose layout says what
//! they are.

use std::collections::BTreeSet;
use std::iter;

use super::account::Account;
use super::extras::Extras;
use crate::data::hdf5::{DatasetInfo, WHOLE_NUMBERS};
use crate::data::{Layout, LoadError};

/// Tells of all that are neither the layout's own nor a field of what the file says of itself.
pub(super) fn leave(extras: &Extras<'_>, account: &mut Account) -> Result<(), LoadError> {
    let (file, layout) = (extras.dataset_file.file(), extras.dataset_file.layout());
    let mut left = BTreeSet::new();
    for object in objects(file.datasets()) {
        let shown = without_number(layout, object);
        for name in file.attribute_names(object)? {
            let is_field = object.is_empty() && extras.fields.contains_key(&name);
            if !is_derived(layout, &shown, &name) && !is_field {
                left.insert(format!("{shown}@{name}"));
            }
        }
    }
    for name in left {
        account.leave(&name, "attributes are not copied");
    }
    Ok(())
}

/// What a layout's own writer derives from the transitions, and its readers ask for: written anew, never copied. `object` is the
/// group or dataset whose attribute it is, without an episode's number.
pub(super) fn is_derived(layout: Layout, object: &str, name: &str) -> bool {
    let names: &[&str] = match (layout, object) {
        (Layout::D4rl, "") => &["env"],
        (Layout::D4rl, "actions") => &["n", "start", WHOLE_NUMBERS],
        (Layout::Minari, "") => &[
            "action_space",
            "data_format",
            "dataset_id",
            "dataset_size",
            "jpeg_encoding",
            "minari_version",
            "observation_space",
            "total_episodes",
            "total_steps",
        ],
        (Layout::Minari, "episode_N") => &["id", "total_steps"],
        (Layout::Robomimic, "data") => &["env_args", "total"],
        (Layout::Robomimic, "data/demo_N") => &["num_samples"],
        (Layout::Minari, "episode_N/actions") | (Layout::Robomimic, "data/demo_N/actions") => {
            &[WHOLE_NUMBERS]
        }
        _ => &[],
    };
    names.contains(&name)
}

/// The file itself, its datasets, and the groups that they are in.
fn objects(datasets: &[DatasetInfo]) -> BTreeSet<&str> {
    let inside = datasets.iter().flat_map(|info| {
        let path = info.path.as_str();
        let groups = path.match_indices('/').map(|(at, _)| &path[..at]);
        groups.chain([path])
    });
    iter::once("").chain(inside).collect()
}

/// A path with `N` for the episode's number, so that what is the same in many episodes is reported once.
fn without_number(layout: Layout, path: &str) -> String {
    let prefix = match layout {
        Layout::D4rl | Layout::Ogbench => return path.to_owned(),
        Layout::Minari | Layout::Lerobot => "episode_",
        Layout::Robomimic => "data/demo_",
        Layout::Maniskill => "traj_",
        Layout::D3rlpy => path.find('_').map_or(path, |at| &path[..=at]),
    };
    match path.strip_prefix(prefix) {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_digit()) => {
            let rest = match layout {
                Layout::D3rlpy => rest.trim_start_matches(|c: char| c.is_ascii_digit()),
                // What comes after the number, as in `demo_7_aug`, is the episode's name too.
                _ => rest.find('/').map_or("", |at| &rest[at..]),
            };
            format!("{prefix}N{rest}")
        }
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_to_each_episode_has_one_name_for_all() {
        for (layout, path, shown) in [
            (
                Layout::Minari,
                "episode_12/infos/x_3",
                "episode_N/infos/x_3",
            ),
            (Layout::Robomimic, "data/demo_7", "data/demo_N"),
            (Layout::Robomimic, "data/demo_07_aug/obs", "data/demo_N/obs"),
            (Layout::Robomimic, "mask/demo_7", "mask/demo_7"),
            (Layout::D3rlpy, "observations_12_3", "observations_N_3"),
            (Layout::D3rlpy, "num_episodes", "num_episodes"),
            (Layout::D4rl, "infos/qpos_1", "infos/qpos_1"),
        ] {
            assert_eq!(without_number(layout, path), shown);
        }
    }
}
