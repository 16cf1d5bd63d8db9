//! The snapshot of a stack of learners, whose networks are members of one network, and those of its learners.
//!
//! In a stack's snapshot the tensors and states that each learner has for itself are named after it, `learner_3/0.weight`; the others,
//! such as the clock, are the same for all. In a learner's own snapshot they have their plain names: it is that of a lone run.

use std::collections::BTreeMap;

use super::{CheckpointError, Snapshot};

/// The states that a stack moves and that are the same for all of its learners: keys, or what keys begin with.
const COUNTERS: [&str; 2] = ["clock", "tick/"];

/// The name of what a learner of a stack has for itself; the plain name, where one learns alone.
pub(crate) fn own(name: &str, learner: usize, learners: usize) -> String {
    match learners {
        1 => name.to_owned(),
        _ => format!("{}{name}", prefix(learner)),
    }
}

fn prefix(learner: usize) -> String {
    format!("{PREFIX}{learner}/")
}

const PREFIX: &str = "learner_";

/// The snapshot of a stack, made of those of its learners in order. What they share is the first one's.
pub(crate) fn merge(learners: &[Snapshot]) -> Result<Snapshot, CheckpointError> {
    let Some(first) = learners.first() else {
        return Ok(Snapshot::new(0));
    };
    let mut stack = Snapshot::new(first.step);
    stack.state = first.state.clone();
    for (learner, snapshot) in learners.iter().enumerate() {
        let own = |name: &String| own(name, learner, learners.len());
        let different = |key: &&String| snapshot.state.get(*key) != first.state.get(*key);
        let mut counters = first.state.keys().filter(|key| is_counter(key));
        if let Some(key) = counters.find(different) {
            let what = format!(
                "their `{key}` differs: {} and {}",
                first.state.get(key).map_or("none", |it| it.as_str()),
                snapshot.state.get(key).map_or("none", |it| it.as_str())
            );
            return Err(CheckpointError::unusable("learners of one stack", what));
        }
        for (key, value) in &snapshot.state {
            stack.state.insert(own(key), value.clone());
        }
        for (file, tensors) in &snapshot.files {
            let stacked = stack.files.entry(file.clone()).or_default();
            stacked.extend(
                tensors
                    .iter()
                    .map(|(name, tensor)| (own(name), tensor.clone())),
            );
        }
    }
    Ok(stack)
}

/// Puts what a stack has taught one of its learners into that learner's own snapshot: what it has for itself there, and the counters.
pub(crate) fn teach(snapshot: &mut Snapshot, stack: &Snapshot, learner: usize) {
    let prefix = prefix(learner);
    snapshot.step = stack.step;
    for (key, value) in &stack.state {
        if let Some(key) = key.strip_prefix(&prefix) {
            snapshot.state.insert(key.to_owned(), value.clone());
        } else if is_counter(key) {
            snapshot.state.insert(key.clone(), value.clone());
        }
    }
    for (file, tensors) in &stack.files {
        for (name, tensor) in tensors {
            if let Some(name) = name.strip_prefix(&prefix) {
                let own = snapshot.files.entry(file.clone()).or_default();
                own.insert(name.to_owned(), tensor.clone());
            }
        }
    }
}

/// The states of a stack's snapshot that are neither a learner's own nor counters: no step of a stack may change them.
pub(crate) fn shared(stack: &Snapshot) -> BTreeMap<String, String> {
    let shared = stack.state.iter().filter(|(key, _)| is_shared(key));
    shared
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// A state in a stack's snapshot that differs from what was shared before and is neither a learner's own nor a counter, or a tensor that
/// is no learner's own: no learner would be given it.
pub(crate) fn nobodys(before: &BTreeMap<String, String>, after: &Snapshot) -> Option<String> {
    let mut keys = after.state.keys().filter(|key| is_shared(key));
    let changed = keys.find(|key| before.get(*key) != after.state.get(*key));
    let whole = after.files.iter().find_map(|(file, tensors)| {
        let mut names = tensors.keys().filter(|name| !name.starts_with(PREFIX));
        Some(format!("{} of {file}", names.next()?))
    });
    changed.cloned().or(whole)
}

fn is_shared(key: &str) -> bool {
    !key.starts_with(PREFIX) && !is_counter(key)
}

fn is_counter(key: &str) -> bool {
    COUNTERS.iter().any(|counter| key.starts_with(counter))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learner(value: f32) -> Snapshot {
        let mut snapshot = Snapshot::new(7);
        snapshot
            .put_tensor("actor", "0.weight", &[1], vec![value])
            .unwrap();
        snapshot.put_state("random/noise", &value).unwrap();
        snapshot.put_state("clock", &7_u64).unwrap();
        snapshot.put_state("best", &(10.0 * value)).unwrap();
        snapshot
    }

    #[test]
    fn what_is_merged_and_taught_again_is_what_it_was() {
        let learners = [learner(1.0), learner(2.0), learner(3.0)];
        let stack = merge(&learners).unwrap();
        for (place, own) in learners.iter().enumerate() {
            let mut taught = learner(0.0);
            taught.state.remove("best");
            teach(&mut taught, &stack, place);
            assert_eq!(taught, *own);
        }
    }

    #[test]
    fn learners_at_different_steps_are_no_stack() {
        let mut late = learner(2.0);
        late.state.remove("clock");
        late.put_state("clock", &8_u64).unwrap();
        let refused = merge(&[learner(1.0), late]).unwrap_err().to_string();
        assert!(refused.contains("`clock` differs"), "{refused}");
    }

    #[test]
    fn what_changes_and_is_nobodys_is_found() {
        let mut after = merge(&[learner(1.0), learner(2.0)]).unwrap();
        let before = shared(&after);
        assert_eq!(nobodys(&before, &after), None);
        after.state.remove("clock");
        after.put_state("clock", &8_u64).unwrap();
        assert_eq!(nobodys(&before, &after), None);
        after.put_state("resource/Lessons", &1_u64).unwrap();
        let found = nobodys(&before, &after);
        assert_eq!(found.as_deref(), Some("resource/Lessons"));
    }
}
