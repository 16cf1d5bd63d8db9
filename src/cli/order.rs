//! A scene's `order`, applied to an app, and what is wrong with it in the words of scenes.

use std::path::PathBuf;

use bevy_app::App;

use super::building::{For, Program};
use super::error::CliError;
use crate::scene::{InsertedStep, OrderChange, OrderEdit, OrderName, Problems, Scene, written};
use crate::schedule::{
    AppScheduleExt, NamedChange, NamedEdit, NewStep, ScheduleError, ScheduleErrors, Side,
    TrainingSchedule,
};

/// Queues a scene's edits.
pub fn apply(app: &mut App, edits: &[OrderEdit]) {
    for (number, edit) in edits.iter().enumerate() {
        // The names were checked when the scene was read.
        let schedule = TrainingSchedule::named(edit.schedule()).unwrap_or_default();
        app.edit_by_name(NamedEdit {
            schedule,
            change: change(&edit.change),
            number,
        });
    }
}

fn change(change: &OrderChange) -> NamedChange {
    let name = |name: &OrderName| name.as_str().to_owned();
    let insert = |side, anchor, step: &InsertedStep| NamedChange::Insert {
        side,
        anchor: name(anchor),
        step: NewStep {
            step: name(&step.with),
            slot: step.name.as_ref().map(name),
            every: step.every,
            when: step.when.as_ref().map(name),
        },
    };
    let moved = |slot, side, anchor| NamedChange::Move {
        slot: name(slot),
        side,
        anchor: name(anchor),
    };
    match change {
        OrderChange::Replace { slot, with } => NamedChange::Replace {
            slot: name(slot),
            step: name(with),
        },
        OrderChange::InsertBefore { slot, step } => insert(Side::Before, slot, step),
        OrderChange::InsertAfter { slot, step } => insert(Side::After, slot, step),
        OrderChange::MoveBefore { slot, before } => moved(slot, Side::Before, before),
        OrderChange::MoveAfter { slot, after } => moved(slot, Side::After, after),
        OrderChange::Remove { slot } => NamedChange::Remove { slot: name(slot) },
    }
}

/// What is wrong with a finished app, at the places of the edits that it comes from.
///
/// # Errors
/// All of it.
pub fn check(
    program: &Program,
    scene: &Scene,
    folders: &[PathBuf],
    app: &App,
) -> Result<(), CliError> {
    let errors = &app.world().resource::<ScheduleErrors>().0;
    let mut problems = Problems::default();
    let mut elsewhere = Vec::new();
    for error in errors {
        let (number, error) = match error {
            ScheduleError::OfEdit { number, error } => (Some(*number), &**error),
            ScheduleError::Prepare { .. } => (None, error),
            _ => (since(program, scene, folders), error),
        };
        match number.and_then(|number| scene.order.get(number)) {
            Some(edit) => {
                let (message, help) = in_scenes_words(error, edit);
                let about_step = matches!(
                    error,
                    ScheduleError::NotBrought { .. } | ScheduleError::LearnsOutside { .. }
                );
                let place = edit.step().filter(|_| about_step);
                problems.push(place.unwrap_or(edit.slot()).problem(message, help));
            }
            None => elsewhere.push(error.to_string()),
        }
    }
    if !elsewhere.is_empty() {
        return Err(CliError::input(elsewhere.join("\nerror: ")));
    }
    Ok(problems.into_result()?)
}

/// The edit with which something is wrong from then on; `None` where it is wrong without any.
fn since(program: &Program, scene: &Scene, folders: &[PathBuf]) -> Option<usize> {
    let is_good = |edits: usize| {
        let mut shorter = scene.clone();
        shorter.order.truncate(edits);
        let app = program.finished(&shorter, shorter.seed, folders.to_vec(), For::Looking);
        app.is_ok_and(|app| app.world().resource::<ScheduleErrors>().0.is_empty())
    };
    (0..scene.order.len()).rev().find(|edits| is_good(*edits))
}

/// The message and the help.
fn in_scenes_words(error: &ScheduleError, edit: &OrderEdit) -> (String, Option<String>) {
    let slot = edit.slot();
    let in_schedule = edit.schedule.as_ref();
    let in_schedule = in_schedule.map_or(String::new(), |schedule| format!(", in: {schedule}"));
    match error {
        ScheduleError::NothingThere {
            edit,
            schedule,
            filled,
            ..
        } => (
            format!(
                "nothing runs in slot `{}` of `{schedule}`, so there is nothing to {edit}",
                slot.as_str()
            ),
            Some(format!(
                "to put a step there, write InsertAfter({slot}, with: \"step::name\"{in_schedule}); slots in which something runs here: {filled}"
            )),
        ),
        ScheduleError::NoConditions { slot, .. } => (
            format!("`when: {}` asks for the conditions of a slot that has none", written(slot)),
            Some("leave `when` out; `yarak graph` shows conditions in brackets".to_owned()),
        ),
        ScheduleError::LearnsOutside {
            step,
            schedule,
            resources,
        } => (
            format!(
                "the step `{step}` changes {resources}, and `{schedule}` also runs where a run is stopped or ends, so a resumed run would learn otherwise"
            ),
            Some("put it into `Learn`: leave `in` out, and give it a period with `every`".to_owned()),
        ),
        ScheduleError::ReadBeforeWritten {
            slot: reads,
            reader,
            resource,
            writer,
            ..
        } => (
            format!(
                "after this edit `{reader}` in slot `{reads}` reads `{resource}`, which nothing before it has written"
            ),
            Some(match writer {
                Some(writer) => format!(
                    "slot `{writer}` writes it, later: MoveBefore({}, before: {}{in_schedule})",
                    written(writer),
                    written(reads)
                ),
                None => format!(
                    "put a step that writes `{resource}` before it; `yarak list steps` says what each step writes"
                ),
            }),
        ),
        ScheduleError::NeverWritten { schedule, resource } => (
            format!(
                "after this edit no step of `{schedule}` writes `{resource}`, so nothing that counts on it would ever run"
            ),
            Some("put steps of your own into slots of their own: InsertAfter(First, with: \"step::name\")".to_owned()),
        ),
        ScheduleError::NotBrought { step, resources } => (
            format!("the step `{step}` needs {resources}, and no plugin of this scene brings that"),
            Some(
                "take a step of the scene's own algorithm, or one that needs only what the algorithm has; `yarak list steps` says what each step reads and writes".to_owned(),
            ),
        ),
        ScheduleError::Build { schedule, cause } => (
            format!("with this edit `{schedule}` cannot be built: {cause}"),
            Some("put the steps into different slots".to_owned()),
        ),
        ScheduleError::NoOrder(_) | ScheduleError::InNoSlot { .. } => (
            format!("with this edit {error}"),
            Some("put the steps into different slots".to_owned()),
        ),
        other => (other.to_string(), None),
    }
}
