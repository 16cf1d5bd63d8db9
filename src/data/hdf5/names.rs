//! Names of groups and datasets: those of episodes in the order of their numbers, and those below a group.

use std::cmp::Ordering;

use super::{File, LoadError};

/// The number of a name such as `demo_12`; none where it is written in another way, such as `demo_012`.
pub(super) fn number(name: &str, prefix: &str) -> Option<u64> {
    let digits = name.strip_prefix(prefix)?;
    let number: u64 = digits.parse().ok()?;
    (number.to_string() == digits).then_some(number)
}

/// An episode's name taken apart: the digits of its number without leading zeros, and what comes after them, `_aug` in
/// `demo_007_aug`; none where no number follows the word.
pub(super) fn episode<'n>(name: &'n str, word: &str) -> Option<(&'n str, &'n str)> {
    let rest = name.strip_prefix(word)?;
    let end = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    let (digits, suffix) = rest.split_at(end);
    (!digits.is_empty()).then(|| (digits.trim_start_matches('0'), suffix))
}

/// Names of episodes by their number, then by what comes after it, then by how the number is padded.
fn by_number(a: &str, b: &str, word: &str) -> Ordering {
    let key = |name: &str| {
        episode(name, word).map(|(digits, suffix)| {
            let number = (digits.len(), digits.to_owned());
            (number, suffix.to_owned(), name.to_owned())
        })
    };
    key(a).cmp(&key(b))
}

/// The names of a group's episodes in the order of the number behind `word`, padded or not, as the tools that read them have it.
///
/// What looks like an episode and has no such name is an error: nothing that was recorded is left out unsaid.
pub(super) fn episodes(file: &File, group: &str, word: &str) -> Result<Vec<String>, LoadError> {
    let mut names = file.names_in(group)?;
    names.retain(|name| {
        let path = path_in(group, name);
        file.listed(&path).is_none()
            && (name.starts_with(word) || is_there(file, &format!("{path}/actions")))
    });
    if let Some(name) = names.iter().find(|name| episode(name, word).is_none()) {
        return Err(LoadError::EpisodeName {
            file: file.path().to_owned(),
            name: path_in(group, name),
            word: word.to_owned(),
        });
    }
    names.sort_by(|a, b| by_number(a, b, word));
    Ok(names)
}

fn path_in(group: &str, name: &str) -> String {
    match group {
        "" => name.to_owned(),
        group => format!("{group}/{name}"),
    }
}

/// Whether a dataset is at a path or below it.
fn is_there(file: &File, path: &str) -> bool {
    let first = file
        .datasets()
        .partition_point(|dataset| dataset.path.as_str() < path);
    file.datasets()[first..]
        .iter()
        .take_while(|dataset| dataset.path.starts_with(path))
        .any(|dataset| dataset.path == path || dataset.path[path.len()..].starts_with('/'))
}

/// The names of all datasets below a path, in the order of names, and of numbers where the parts of a tuple are numbered. Where
/// a dataset is at the path itself, its own last name.
pub(super) fn below(file: &File, path: &str) -> Vec<String> {
    let own = path.rsplit('/').next().unwrap_or(path);
    let first = file
        .datasets()
        .partition_point(|dataset| dataset.path.as_str() < path);
    let mut names: Vec<String> = file.datasets()[first..]
        .iter()
        .take_while(|dataset| dataset.path.starts_with(path))
        .filter_map(|dataset| dataset.path[path.len()..].strip_prefix('/'))
        .map(str::to_owned)
        .collect();
    if names.is_empty() {
        names.push(own.to_owned());
    }
    names.sort_by_cached_key(|name| name.split('/').map(order).collect::<Vec<_>>());
    names
}

/// The path of a part whose name [`below`] gave for the episode's `group`.
pub(super) fn part_path(episode: &str, group: &str, name: &str) -> String {
    match name == group {
        true => format!("{episode}/{group}"),
        false => format!("{episode}/{group}/{name}"),
    }
}

/// Numbers before names, so that `_index_2` comes before `_index_10`.
fn order(name: &str) -> (Option<u64>, String) {
    (number(name, "_index_"), name.to_owned())
}

/// Those of the names that were asked for, in that order; all of them where nothing was.
pub(super) fn choose(
    file: &File,
    names: Vec<String>,
    wanted: &[String],
) -> Result<Vec<String>, LoadError> {
    if wanted.is_empty() {
        return Ok(names);
    }
    let mut chosen = Vec::new();
    for name in wanted {
        let below = format!("{name}/");
        let before = chosen.len();
        chosen.extend(
            names
                .iter()
                .filter(|found| *found == name || found.starts_with(&below))
                .cloned(),
        );
        if chosen.len() == before {
            return Err(LoadError::Unknown {
                file: file.path().to_owned(),
                what: "observation",
                name: name.clone(),
                found: list(&names),
            });
        }
        let (chosen_before, now) = chosen.split_at(before);
        if let Some(twice) = now.iter().find(|name| chosen_before.contains(name)) {
            return Err(LoadError::Twice {
                file: file.path().to_owned(),
                name: twice.clone(),
            });
        }
    }
    Ok(chosen)
}

/// Names in a message, the first few of many.
pub(super) fn list(names: &[String]) -> String {
    const SHOWN: usize = 20;
    let quoted: Vec<String> = names
        .iter()
        .take(SHOWN)
        .map(|name| format!("`{name}`"))
        .collect();
    match names.len().checked_sub(SHOWN) {
        None | Some(0) if quoted.is_empty() => "none".to_owned(),
        None | Some(0) => quoted.join(", "),
        Some(more) => format!("{} and {more} more", quoted.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_numbers_are_numbers() {
        assert_eq!(number("demo_12", "demo_"), Some(12));
        for odd in [
            "demo_012",
            "demo_",
            "demo_-1",
            "demo_+1",
            "Demo_1",
            "demo_1a",
            "demo_99999999999999999999",
        ] {
            assert_eq!(number(odd, "demo_"), None, "{odd}");
        }
    }

    #[test]
    fn episodes_come_by_number_padded_or_not_and_copies_after_their_original() {
        let mut names = [
            "demo_10",
            "demo_0010",
            "demo_9",
            "demo_0_aug",
            "demo_0",
            "demo_99999999999999999999",
            "demo_1",
        ];
        names.sort_by(|a, b| by_number(a, b, "demo_"));
        assert_eq!(
            names,
            [
                "demo_0",
                "demo_0_aug",
                "demo_1",
                "demo_9",
                "demo_0010",
                "demo_10",
                "demo_99999999999999999999",
            ]
        );
        for odd in ["demo_", "demo_-1", "demo_x", "Demo_1"] {
            assert_eq!(episode(odd, "demo_"), None, "{odd}");
        }
    }

    #[test]
    fn parts_of_a_tuple_come_in_the_order_of_their_numbers() {
        let mut names = ["_index_10", "_index_2", "b", "a"];
        names.sort_by_key(|name| order(name));
        // A space is a tuple or has names, never both.
        assert_eq!(names, ["a", "b", "_index_2", "_index_10"]);
    }

    #[test]
    fn a_list_of_many_names_is_cut() {
        assert_eq!(list(&[]), "none");
        assert_eq!(list(&["a".into(), "b".into()]), "`a`, `b`");
        let many: Vec<String> = (0..25).map(|n| n.to_string()).collect();
        assert!(list(&many).ends_with("`19` and 5 more"));
    }
}
