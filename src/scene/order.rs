//! A scene's edits to the order of steps, as plain data: the schedule applies them, by registered names.

use std::fmt;

use super::nearest::suggestion;
use super::problem::{Problem, Problems};
use super::read::Reader;
use super::template::one_line;
use super::text::{Item, Node, Shape};

/// The edits as a scene writes them, for help lines.
const FORMS: [(&str, &str); 6] = [
    ("Replace", "Replace(Slot, with: \"step::name\")"),
    ("InsertBefore", "InsertBefore(Slot, with: \"step::name\")"),
    ("InsertAfter", "InsertAfter(Slot, with: \"step::name\")"),
    ("MoveBefore", "MoveBefore(Slot, before: Other)"),
    ("MoveAfter", "MoveAfter(Slot, after: Other)"),
    ("Remove", "Remove(Slot)"),
];

/// The name of a slot or step in an order edit, which knows where it was written.
///
/// Two names are equal when they are spelled alike, wherever they are.
#[derive(Clone, Debug)]
pub struct OrderName {
    name: String,
    place: Problem,
}

impl OrderName {
    /// The name as it is registered.
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// A mistake at the place of this name.
    pub fn problem(&self, message: impl Into<String>, help: Option<String>) -> Problem {
        Problem {
            message: message.into(),
            help,
            ..self.place.clone()
        }
    }
}

impl PartialEq for OrderName {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for OrderName {}

/// One edit to the order of a schedule's steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrderEdit {
    /// `Replace(Actor, with: "bc::clone_behavior")`: another step takes over a slot.
    Replace {
        /// The slot.
        slot: OrderName,
        /// The step that takes it over.
        with: OrderName,
    },
    /// `InsertBefore(Actor, with: "mine::measure")`: a step runs right before a slot.
    InsertBefore {
        /// The slot.
        slot: OrderName,
        /// The new step.
        with: OrderName,
    },
    /// `InsertAfter(Actor, with: "mine::measure")`: a step runs right after a slot.
    InsertAfter {
        /// The slot.
        slot: OrderName,
        /// The new step.
        with: OrderName,
    },
    /// `MoveBefore(Targets, before: Critic)`: a slot runs right before another.
    MoveBefore {
        /// The slot that moves.
        slot: OrderName,
        /// The slot that it moves to.
        before: OrderName,
    },
    /// `MoveAfter(Critic, after: Targets)`: a slot runs right after another.
    MoveAfter {
        /// The slot that moves.
        slot: OrderName,
        /// The slot that it moves to.
        after: OrderName,
    },
    /// `Remove(Measure)`: nothing runs in a slot.
    Remove {
        /// The slot.
        slot: OrderName,
    },
}

impl OrderEdit {
    /// The slots that the edit names, and the step where it names one.
    fn names(&self) -> (Vec<&OrderName>, Option<&OrderName>) {
        match self {
            Self::Replace { slot, with }
            | Self::InsertBefore { slot, with }
            | Self::InsertAfter { slot, with } => (vec![slot], Some(with)),
            Self::MoveBefore {
                slot,
                before: other,
            }
            | Self::MoveAfter { slot, after: other } => (vec![slot, other], None),
            Self::Remove { slot } => (vec![slot], None),
        }
    }
}

impl fmt::Display for OrderEdit {
    /// The edit as a scene writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let step = |step: &OrderName| one_line(&step.name);
        match self {
            Self::Replace { slot, with } => {
                write!(f, "Replace({}, with: {})", slot.name, step(with))
            }
            Self::InsertBefore { slot, with } => {
                write!(f, "InsertBefore({}, with: {})", slot.name, step(with))
            }
            Self::InsertAfter { slot, with } => {
                write!(f, "InsertAfter({}, with: {})", slot.name, step(with))
            }
            Self::MoveBefore { slot, before } => {
                write!(f, "MoveBefore({}, before: {})", slot.name, before.name)
            }
            Self::MoveAfter { slot, after } => {
                write!(f, "MoveAfter({}, after: {})", slot.name, after.name)
            }
            Self::Remove { slot } => write!(f, "Remove({})", slot.name),
        }
    }
}

/// Checks the names in edits against the slots and steps that there are.
pub(crate) fn check(edits: &[OrderEdit], slots: &[&str], steps: &[&str]) -> Result<(), Problems> {
    let mut problems = Problems::default();
    for edit in edits {
        let (named_slots, step) = edit.names();
        for slot in named_slots {
            if !slots.contains(&slot.as_str()) {
                let help = suggestion(slot.as_str(), slots.iter().copied(), "slots");
                problems.push(slot.problem(format!("no slot is called `{}`", slot.name), help));
            }
        }
        if let Some(step) = step
            && !steps.contains(&step.as_str())
        {
            let help = suggestion(step.as_str(), steps.iter().copied(), "steps");
            problems.push(step.problem(format!("no step is called `{}`", step.name), help));
        }
    }
    problems.into_result()
}

/// Reads the list of edits.
pub(crate) fn read<'s>(reader: &mut Reader<'s>, node: &Node<'s>) -> Vec<OrderEdit> {
    let Shape::List(nodes) = &node.shape else {
        let message = format!("expected a list of edits [..], found {}", node.found());
        reader.refuse(node.problem(
            "order",
            message,
            Some(format!("such as order: [{}]", FORMS[0].1)),
        ));
        return Vec::new();
    };
    nodes
        .iter()
        .filter_map(|node| {
            read_edit(node)
                .map_err(|problem| reader.refuse(problem))
                .ok()
        })
        .collect()
}

fn read_edit(node: &Node) -> Result<OrderEdit, Box<Problem>> {
    let (
        Shape::Group {
            name: Some(name), ..
        },
        Shape::Group { items, .. },
    ) = (&node.shape, &node.shape)
    else {
        let message = format!("expected an edit of the order, found {}", node.found());
        let forms: Vec<&str> = FORMS
            .iter()
            .map(|(_, setting_type)| *setting_type)
            .collect();
        let help = format!("the edits are: {}", forms.join(", "));
        return Err(Box::new(node.problem("order", message, Some(help))));
    };
    let Some((_, setting_type)) = FORMS.iter().find(|(known, _)| *known == name.text) else {
        let message = format!("no edit of the order is called `{}`", name.text);
        let help = suggestion(name.text, FORMS.iter().map(|(name, _)| *name), "edits");
        let problem = node
            .source
            .problem(name.range.clone(), "order", message, help);
        return Err(problem.into());
    };
    let wrong = |node: &Node| {
        node.problem(
            "order",
            format!("expected {setting_type}, found {}", node.found()),
            None,
        )
    };
    // A slot is a bare name, a step a quoted one.
    let slot = |item: &Item| match (&item.key, &item.value.shape) {
        (None, Shape::Name(_)) => Ok(named(&item.value, item.value.text().to_owned())),
        _ => Err(Box::new(wrong(node))),
    };
    let keyed = |item: &Item, key: &str, quoted: bool| {
        let right_key = item.key.as_ref().is_some_and(|written| written.text == key);
        let text = match (&item.value.shape, quoted) {
            (Shape::Name(_), false) => Some(item.value.text().to_owned()),
            (Shape::Text, true) => ron::from_str(item.value.text()).ok(),
            _ => None,
        };
        match text {
            Some(text) if right_key => Ok(named(&item.value, text)),
            _ => Err(Box::new(wrong(node))),
        }
    };
    let edit = match (name.text, items.as_slice()) {
        ("Remove", [first]) => OrderEdit::Remove { slot: slot(first)? },
        ("Replace", [first, second]) => OrderEdit::Replace {
            slot: slot(first)?,
            with: keyed(second, "with", true)?,
        },
        ("InsertBefore", [first, second]) => OrderEdit::InsertBefore {
            slot: slot(first)?,
            with: keyed(second, "with", true)?,
        },
        ("InsertAfter", [first, second]) => OrderEdit::InsertAfter {
            slot: slot(first)?,
            with: keyed(second, "with", true)?,
        },
        ("MoveBefore", [first, second]) => OrderEdit::MoveBefore {
            slot: slot(first)?,
            before: keyed(second, "before", false)?,
        },
        ("MoveAfter", [first, second]) => OrderEdit::MoveAfter {
            slot: slot(first)?,
            after: keyed(second, "after", false)?,
        },
        _ => return Err(wrong(node).into()),
    };
    if let (slots, None) = edit.names()
        && let [slot, other] = slots.as_slice()
        && slot == other
    {
        let message = format!("`{}` cannot move next to itself", slot.name);
        let help = Some("name another slot".to_owned());
        return Err(other.problem(message, help).into());
    }
    Ok(edit)
}

fn named(node: &Node, name: String) -> OrderName {
    OrderName {
        name,
        place: node.problem("order", "", None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scene::Scene;
    use crate::scene::test_settings::registry;

    fn scene(order: &str) -> Result<Scene, Problems> {
        let text = format!("Scene(steps: 1, plugins: [], order: [{order}])");
        Scene::parse("a.ron", &text, &registry(), &[])
    }

    #[test]
    fn every_edit_is_read_and_printed_alike() {
        let order = "Replace(Actor, with: \"bc::clone_behavior\"), InsertBefore(Actor, with: \"a::b\"), InsertAfter(Actor, with: \"a::b\"), MoveBefore(Targets, before: Critic), MoveAfter(Critic, after: Targets), Remove(Measure)";
        let edits = scene(order).unwrap().order;
        let printed: Vec<String> = edits.iter().map(OrderEdit::to_string).collect();
        assert_eq!(printed.join(", "), order);
    }

    #[test]
    fn a_malformed_edit_shows_how_it_is_written() {
        for (order, message) in [
            (
                "Replace(Actor)",
                "expected Replace(Slot, with: \"step::name\"), found Replace(Actor)",
            ),
            (
                "Replace(Actor, by: \"a\")",
                "expected Replace(Slot, with: \"step::name\"), found Replace(Actor, by: \"a\")",
            ),
            (
                "Replace(\"Actor\", with: \"a\")",
                "expected Replace(Slot, with: \"step::name\"), found Replace(\"Actor\", with: \"a\")",
            ),
            (
                "Swap(Actor, Critic)",
                "no edit of the order is called `Swap`",
            ),
            (
                "Replce(Actor, with: \"a\")",
                "no edit of the order is called `Replce`",
            ),
            ("3", "expected an edit of the order, found 3"),
            (
                "MoveAfter(Critic, after: Critic)",
                "`Critic` cannot move next to itself",
            ),
        ] {
            let problems = scene(order).unwrap_err();
            assert_eq!(problems.iter().next().unwrap().message, message);
        }
    }

    #[test]
    fn unknown_slots_and_steps_are_told_with_their_places_and_the_nearest_names() {
        let order =
            "Replace(Acter, with: \"bc::clone_behavoir\"), MoveBefore(Targets, before: Critics)";
        let scene = scene(order).unwrap();
        let problems = scene
            .check_order(&["Critic", "Actor", "Targets"], &["bc::clone_behavior"])
            .unwrap_err();
        let told: Vec<(usize, &str, &str)> = problems
            .iter()
            .map(|problem| {
                (
                    problem.column,
                    problem.message.as_str(),
                    problem.help.as_deref().unwrap_or_default(),
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                (
                    46,
                    "no slot is called `Acter`",
                    "did you mean `Actor`? the slots are: Critic, Actor, Targets"
                ),
                (
                    59,
                    "no step is called `bc::clone_behavoir`",
                    "did you mean `bc::clone_behavior`? the steps are: bc::clone_behavior"
                ),
                (
                    110,
                    "no slot is called `Critics`",
                    "did you mean `Critic`? the slots are: Critic, Actor, Targets"
                ),
            ]
        );
        assert!(
            scene
                .check_order(&["Acter", "Targets", "Critics"], &["bc::clone_behavoir"])
                .is_ok()
        );
    }
}
