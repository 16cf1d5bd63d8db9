//! What a file says of itself next to its values: numbers of steps that are others, rewards and ends that are not there, and a
//! writer that did not finish.

use super::{Finding, Kind, Place, Severity};
use crate::data::{DatasetFile, Layout};

/// What a file declares and does not hold.
pub(super) fn look(dataset_file: &DatasetFile) -> Vec<Finding> {
    let mut findings = other_numbers_of_steps(dataset_file);
    findings.extend(other_spaces(dataset_file));
    findings.extend(not_recorded(dataset_file));
    if !dataset_file.file().was_closed() {
        findings.push(
            Finding::new(
                Severity::Warning,
                Kind::NotClosed,
                "the program that wrote the file did not close it, or still writes: its last rows may be missing or of the moment; \
                 close it there, or after a crash clear its mark with `h5clear -s FILE` and look at the last rows",
            )
            .once(Place::default()),
        );
    }
    findings
}

/// Attributes that count steps, held against the columns.
fn other_numbers_of_steps(dataset_file: &DatasetFile) -> Vec<Finding> {
    let file = dataset_file.file();
    let steps = (dataset_file.recorded_steps(), "rows");
    let episodes = (dataset_file.recorded_episodes(), "episodes");
    let (of_episode, of_all, group) = match dataset_file.layout() {
        Layout::Robomimic => ("num_samples", vec![("total", steps)], "data"),
        Layout::Minari => (
            "total_steps",
            vec![("total_episodes", episodes), ("total_steps", steps)],
            "",
        ),
        Layout::D4rl | Layout::D3rlpy | Layout::Ogbench | Layout::Lerobot | Layout::Maniskill => {
            return Vec::new();
        }
    };
    let mut finding: Option<Finding> = None;
    for (name, steps) in dataset_file.steps_of_episodes() {
        let object = match group {
            "" => name.to_owned(),
            group => format!("{group}/{name}"),
        };
        if let Some(said) = file.other_number(&object, of_episode, *steps as u64) {
            finding
                .get_or_insert_with(|| {
                    Finding::new(
                        Severity::Warning,
                        Kind::Declared,
                        format!(
                            "`{of_episode}` {said}, and the columns have {steps} rows: all rows are read; the file was not written to its \
                             end, or was cut afterwards: mend the attribute, or write the episode again"
                        ),
                    )
                })
                .at(|| Place {
                    dataset: Some(object.clone()),
                    ..Place::default()
                });
        }
    }
    let mut findings: Vec<Finding> = finding.into_iter().collect();
    for (total, (count, what)) in of_all {
        let Some(said) = file.other_number(group, total, count as u64) else {
            continue;
        };
        let place = Place {
            dataset: (!group.is_empty()).then(|| group.to_owned()),
            ..Place::default()
        };
        let message = format!(
            "`{total}` {said}, and the file has {count} {what}: it was not written to its end, or the attribute is to be mended"
        );
        let finding = Finding::new(Severity::Warning, Kind::Declared, message);
        findings.push(finding.once(place));
    }
    findings
}

/// Spaces of other shapes than the columns: metadata of another file.
fn other_spaces(dataset_file: &DatasetFile) -> Vec<Finding> {
    // What cannot be read was refused before.
    let other = dataset_file.other_widths().unwrap_or_default();
    let finding = |(part, said, found): (&str, usize, usize)| {
        let message = format!(
            "the space of `{part}` has {said} elements, and the columns have {found}: the columns count; are the metadata another file's?"
        );
        Finding::new(Severity::Warning, Kind::Declared, message).once(Place {
            dataset: Some(part.to_owned()),
            ..Place::default()
        })
    };
    other.into_iter().map(finding).collect()
}

fn not_recorded(dataset_file: &DatasetFile) -> Option<Finding> {
    let recorded = dataset_file.recorded();
    let [rewards, ends] = dataset_file.layout().columns_of_rewards_and_ends();
    let missing = match (recorded.rewards, recorded.ends) {
        (true, true) => return None,
        (false, true) => format!("no `{rewards}`"),
        (true, false) => format!("no `{ends}`"),
        (false, false) => format!("neither `{rewards}` nor `{ends}`"),
    };
    Some(
        Finding::new(
            Severity::Note,
            Kind::NotRecorded,
            format!("the file has {missing}: behavior cloning learns from it, and no algorithm that learns from rewards"),
        )
        .once(Place::default()),
    )
}
