//! Where two snapshots of one step differ first.

use super::{HostTensor, Snapshot};

/// What is about reports, scores and which checkpoints stay, which a run that was stopped and resumed, or asked for other periods, has
/// others of.
const OF_REPORTS: [&str; 4] = ["metrics", "best", "early_stopping", "kept"];

/// The first difference in what was learned, in words: tensors first, then counters and random streams, then replayed rows. `None`
/// where all of them are the same to the last bit.
pub(crate) fn difference(expected: &Snapshot, found: &Snapshot) -> Option<String> {
    let names = |snapshot: &Snapshot| snapshot.files.keys().cloned().collect::<Vec<_>>();
    if names(expected) != names(found) {
        return Some(format!(
            "the tensor files are {:?} instead of {:?}",
            names(found),
            names(expected)
        ));
    }
    // Networks before what follows from them.
    let mut files: Vec<&String> = expected.files.keys().collect();
    files.sort_by_key(|file| file.starts_with("target_") || file.starts_with("optimizer_"));
    for file in files {
        for (name, tensor) in &expected.files[file] {
            let Some(other) = found.files[file].get(name) else {
                return Some(format!("`{file}` has no tensor `{name}`"));
            };
            if let Some(what) = of_tensors(tensor, other) {
                return Some(format!("tensor `{name}` of `{file}`: {what}"));
            }
        }
    }
    for (key, text) in &expected.state {
        if !OF_REPORTS.contains(&key.as_str()) && found.state.get(key) != Some(text) {
            return Some(format!("state `{key}`"));
        }
    }
    for (name, blob) in &expected.blobs {
        if found.blobs.get(name) != Some(blob) {
            return Some(format!("blob `{name}`"));
        }
    }
    None
}

fn of_tensors(expected: &HostTensor, found: &HostTensor) -> Option<String> {
    if expected.shape != found.shape {
        return Some(format!(
            "shape {:?} instead of {:?}",
            found.shape, expected.shape
        ));
    }
    let mut pairs = expected.values.iter().zip(&found.values);
    let at = pairs.position(|(one, other)| one.to_bits() != other.to_bits())?;
    let different = expected.values.iter().zip(&found.values);
    let count = different
        .filter(|(one, other)| one.to_bits() != other.to_bits())
        .count();
    Some(format!(
        "{} instead of {} at {at}, and {count} of {} values differ",
        found.values[at],
        expected.values[at],
        expected.values.len()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_is_named_with_its_place_and_reports_do_not_count() {
        let snapshot = |weight: f32, tick: u32, metric: u32| {
            let mut snapshot = Snapshot::new(1);
            snapshot
                .put_tensor("actor", "bias", &[2], vec![0.5, weight])
                .unwrap();
            snapshot
                .put_tensor("target_actor", "bias", &[1], vec![weight])
                .unwrap();
            snapshot.put_state("tick/actor", &tick).unwrap();
            snapshot.put_state("metrics", &metric).unwrap();
            snapshot
        };
        let said = |found| difference(&snapshot(1.0, 1, 1), &found);
        assert_eq!(said(snapshot(1.0, 1, 2)), None);
        assert_eq!(
            said(snapshot(-1.0, 2, 1)).unwrap(),
            "tensor `bias` of `actor`: -1 instead of 1 at 1, and 1 of 2 values differ"
        );
        assert_eq!(said(snapshot(1.0, 2, 1)).unwrap(), "state `tick/actor`");
    }
}
