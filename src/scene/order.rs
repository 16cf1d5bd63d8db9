//! A scene's edits to the order of steps, as plain data: the schedule applies them, by registered names.

use std::fmt;

use super::leaf::quoted;
use super::nearest::suggestion;
use super::problem::{Problem, Problems};
use super::read::Reader;
use super::text::{Item, Node, Shape};

/// The edits as a scene writes them, for help lines. Each takes `in: Evaluate`, too, for another schedule than `Learn`.
const FORMS: [(&str, &str); 6] = [
    ("Replace", "Replace(Slot, with: \"step::name\")"),
    ("InsertBefore", "InsertBefore(Slot, with: \"step::name\")"),
    ("InsertAfter", "InsertAfter(Slot, with: \"step::name\")"),
    ("MoveBefore", "MoveBefore(Slot, before: Other)"),
    ("MoveAfter", "MoveAfter(Slot, after: Other)"),
    ("Remove", "Remove(Slot)"),
];

/// The schedule that is edited where none is named.
const LEARN: &str = "Learn";

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

impl fmt::Display for OrderName {
    /// The name of a slot or a schedule as a scene writes it: bare where it can be.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&written(&self.name))
    }
}

/// The name of a slot or a schedule as a scene writes it: in quotes where it could not be bare, as that of a step.
pub(crate) fn written(name: &str) -> String {
    let mut letters = name.chars();
    let begins = letters
        .next()
        .is_some_and(|it| it == '_' || it.is_alphabetic());
    match begins && letters.all(|it| it == '_' || it.is_alphanumeric()) {
        true => name.to_owned(),
        false => quoted(name),
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
pub struct OrderEdit {
    /// What is done.
    pub change: OrderChange,
    /// `in: Evaluate`: the schedule; `Learn` if not given.
    pub schedule: Option<OrderName>,
}

/// What an edit does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrderChange {
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
        step: InsertedStep,
    },
    /// `InsertAfter(Actor, with: "mine::measure")`: a step runs right after a slot.
    InsertAfter {
        /// The slot.
        slot: OrderName,
        /// The new step.
        step: InsertedStep,
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

/// A step that an edit inserts, in a slot of its own: `with: "mine::measure", as: Probe, every: 10, when: Actor`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InsertedStep {
    /// The step's registered name.
    pub with: OrderName,
    /// The name of its slot, by which later edits call it; the step's name if not given.
    pub name: Option<OrderName>,
    /// It runs on every so many gradient steps only; at least 1. In `Learn` alone.
    pub every: Option<u64>,
    /// It runs only when the conditions of this slot hold, such as the actor's delay.
    pub when: Option<OrderName>,
}

impl InsertedStep {
    /// The name of its slot.
    pub fn slot(&self) -> &OrderName {
        self.name.as_ref().unwrap_or(&self.with)
    }
}

impl OrderEdit {
    /// The name of the schedule that is edited.
    pub fn schedule(&self) -> &str {
        self.schedule.as_ref().map_or(LEARN, OrderName::as_str)
    }

    /// The slot that the edit is about: the first that it names.
    pub fn slot(&self) -> &OrderName {
        match &self.change {
            OrderChange::Replace { slot, .. }
            | OrderChange::InsertBefore { slot, .. }
            | OrderChange::InsertAfter { slot, .. }
            | OrderChange::MoveBefore { slot, .. }
            | OrderChange::MoveAfter { slot, .. }
            | OrderChange::Remove { slot } => slot,
        }
    }

    /// The step that it names, if any.
    pub fn step(&self) -> Option<&OrderName> {
        match &self.change {
            OrderChange::Replace { with, .. } => Some(with),
            _ => self.inserted().map(|step| &step.with),
        }
    }

    /// The step that it inserts, if any.
    pub fn inserted(&self) -> Option<&InsertedStep> {
        match &self.change {
            OrderChange::InsertBefore { step, .. } | OrderChange::InsertAfter { step, .. } => {
                Some(step)
            }
            _ => None,
        }
    }

    /// The slots that it names and that are to be there.
    fn slots(&self) -> Vec<&OrderName> {
        let mut slots = vec![self.slot()];
        match &self.change {
            OrderChange::MoveBefore { before: other, .. }
            | OrderChange::MoveAfter { after: other, .. } => slots.push(other),
            _ => slots.extend(self.inserted().and_then(|step| step.when.as_ref())),
        }
        slots
    }
}

impl fmt::Display for OrderEdit {
    /// The edit as a scene writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, rest) = match &self.change {
            OrderChange::Replace { with, .. } => {
                ("Replace", format!(", with: {}", quoted(&with.name)))
            }
            OrderChange::InsertBefore { step, .. } => ("InsertBefore", step.to_string()),
            OrderChange::InsertAfter { step, .. } => ("InsertAfter", step.to_string()),
            OrderChange::MoveBefore { before, .. } => ("MoveBefore", format!(", before: {before}")),
            OrderChange::MoveAfter { after, .. } => ("MoveAfter", format!(", after: {after}")),
            OrderChange::Remove { .. } => ("Remove", String::new()),
        };
        write!(f, "{name}({}{rest}", self.slot())?;
        if let Some(schedule) = &self.schedule {
            write!(f, ", in: {schedule}")?;
        }
        f.write_str(")")
    }
}

impl fmt::Display for InsertedStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, ", with: {}", quoted(&self.with.name))?;
        if let Some(name) = &self.name {
            write!(f, ", as: {name}")?;
        }
        if let Some(every) = self.every {
            write!(f, ", every: {every}")?;
        }
        if let Some(when) = &self.when {
            write!(f, ", when: {when}")?;
        }
        Ok(())
    }
}

/// Checks the names in edits against the schedules with their slots, and the steps, that there are.
pub(crate) fn check(
    edits: &[OrderEdit],
    schedules: &[(String, Vec<String>)],
    steps: &[&str],
) -> Result<(), Problems> {
    let mut schedules = schedules.to_vec();
    let mut inserted: Vec<(String, String)> = Vec::new();
    let mut problems = Problems::default();
    for edit in edits {
        if let Some(step) = edit.step()
            && !steps.contains(&step.as_str())
        {
            let help = suggestion(step.as_str(), steps.iter().copied(), "steps");
            let help = help.map(|help| format!("{help}; `yarak list steps` describes them"));
            problems.push(step.problem(format!("no step is called `{}`", step.name), help));
        }
        let names = schedules.iter().map(|(name, _)| name.as_str());
        let names: Vec<String> = names.map(str::to_owned).collect();
        let schedule = edit.schedule();
        let Some((_, slots)) = schedules.iter_mut().find(|(name, _)| name == schedule) else {
            // Only a name that was written can be unknown.
            if let Some(written) = &edit.schedule {
                let help = suggestion(schedule, names.iter().map(String::as_str), "schedules");
                problems.push(written.problem(format!("no schedule is called `{schedule}`"), help));
            }
            continue;
        };
        if let Some(problem) = protected(edit, schedule, slots, &inserted) {
            problems.push(problem);
            continue;
        }
        let mut known = true;
        for slot in edit.slots() {
            if !slots.iter().any(|there| there == slot.as_str()) {
                known = false;
                let what = format!("slots of `{schedule}`");
                let help = suggestion(slot.as_str(), slots.iter().map(String::as_str), &what);
                let message = format!("no slot of `{schedule}` is called `{}`", slot.name);
                problems.push(slot.problem(message, help));
            }
        }
        let Some(step) = edit.inserted().filter(|_| known) else {
            continue;
        };
        if step.every.is_some() && schedule != LEARN {
            let message = format!("`every` counts gradient steps, and `{schedule}` takes none");
            let help = Some("leave `every` out: the schedule's own period holds".to_owned());
            problems.push(step.with.problem(message, help));
        }
        let slot = step.slot();
        if slots.iter().any(|there| there == slot.as_str()) {
            let message = format!("`{schedule}` has a slot `{}` already", slot.name);
            let help = Some("give this one a name of its own, such as as: Again".to_owned());
            problems.push(slot.problem(message, help));
        } else {
            // A later edit may name it.
            slots.push(slot.name.clone());
            inserted.push((schedule.to_owned(), slot.name.clone()));
        }
    }
    problems.into_result()
}

/// In other schedules than `Learn` the steps that are there are what a run's results and its resuming hang on: they stay, in their
/// order. Steps beside them, and other steps in the place of those that act, play and compute, are free.
fn protected(
    edit: &OrderEdit,
    schedule: &str,
    slots: &[String],
    inserted: &[(String, String)],
) -> Option<Problem> {
    let slot = edit.slot();
    let is_inserted = inserted.contains(&(schedule.to_owned(), slot.name.clone()));
    let is_there = slots.iter().any(|there| there == slot.as_str());
    if schedule == LEARN || is_inserted || !is_there {
        return None;
    }
    let done = match &edit.change {
        OrderChange::InsertBefore { .. } | OrderChange::InsertAfter { .. } => return None,
        OrderChange::Replace { .. } if !["Report", "Save"].contains(&schedule) => return None,
        OrderChange::Replace { .. } => "replaced",
        OrderChange::MoveBefore { .. } | OrderChange::MoveAfter { .. } => "moved",
        OrderChange::Remove { .. } => "removed",
    };
    let message = format!(
        "`{}` of `{schedule}` cannot be {done}: what a run reports, saves and goes on from hangs on it",
        slot.name
    );
    let help = format!(
        "put a step of yours beside it, such as InsertAfter({slot}, with: \"step::name\", in: {schedule})"
    );
    Some(slot.problem(message, Some(help)))
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
    let Shape::Group {
        name: Some(name),
        items,
    } = &node.shape
    else {
        let message = format!("expected an edit of the order, found {}", node.found());
        let forms: Vec<&str> = FORMS.iter().map(|(_, form)| *form).collect();
        let help = format!("the edits are: {}", forms.join(", "));
        return Err(Box::new(node.problem("order", message, Some(help))));
    };
    let Some((_, form)) = FORMS.iter().find(|(known, _)| *known == name.text) else {
        let message = format!("no edit of the order is called `{}`", name.text);
        let help = suggestion(name.text, FORMS.iter().map(|(name, _)| *name), "edits");
        let problem = node
            .source
            .problem(name.range.clone(), "order", message, help);
        return Err(problem.into());
    };
    let inserts = name.text.starts_with("Insert");
    let wrong = || {
        let help = match inserts {
            true => "behind the step there may be as: Name, every: 2, when: Slot, in: Schedule",
            false => "at the end there may be in: Schedule, for another one than Learn",
        };
        let help = Some(help.to_owned());
        let message = format!("expected {form}, found {}", node.found());
        Box::new(node.problem("order", message, help))
    };
    let mut parts = Parts::of(items).ok_or_else(wrong)?;
    let slot = parts.slot().ok_or_else(wrong)?;
    let change = match name.text {
        "Remove" => OrderChange::Remove { slot },
        "Replace" => OrderChange::Replace {
            slot,
            with: parts.step().ok_or_else(wrong)?,
        },
        "MoveBefore" => OrderChange::MoveBefore {
            slot,
            before: parts.name("before").ok_or_else(wrong)?,
        },
        "MoveAfter" => OrderChange::MoveAfter {
            slot,
            after: parts.name("after").ok_or_else(wrong)?,
        },
        _ => {
            let step = InsertedStep {
                with: parts.step().ok_or_else(wrong)?,
                name: parts.name("as"),
                every: parts.period(),
                when: parts.name("when"),
            };
            match name.text {
                "InsertBefore" => OrderChange::InsertBefore { slot, step },
                _ => OrderChange::InsertAfter { slot, step },
            }
        }
    };
    let schedule = parts.name("in");
    // What was not taken is not known here, or not written as it should be.
    if !parts.0.is_empty() {
        return Err(wrong());
    }
    if let OrderChange::MoveBefore {
        slot,
        before: other,
    }
    | OrderChange::MoveAfter { slot, after: other } = &change
        && slot == other
    {
        let message = format!("`{slot}` cannot move next to itself");
        let help = Some("name another slot".to_owned());
        return Err(other.problem(message, help).into());
    }
    Ok(OrderEdit { change, schedule })
}

/// What is in an edit's parentheses and was not taken yet: the slot without a key first, then values by their keys.
struct Parts<'i, 's>(Vec<&'i Item<'s>>);

impl<'i, 's> Parts<'i, 's> {
    /// `None` where a key is missing or is there twice.
    fn of(items: &'i [Item<'s>]) -> Option<Self> {
        let keys = items
            .iter()
            .skip(1)
            .map(|item| Some(item.key.as_ref()?.text));
        let keys: Vec<&str> = keys.collect::<Option<_>>()?;
        let twice = (1..keys.len()).any(|n| keys[..n].contains(&keys[n]));
        (!twice).then(|| Parts(items.iter().collect()))
    }

    /// The first value, which has no key.
    fn slot(&mut self) -> Option<OrderName> {
        let first = self.0.first().filter(|item| item.key.is_none())?;
        let slot = name_of(&first.value)?;
        self.0.remove(0);
        Some(slot)
    }

    fn take(&mut self, key: &str) -> Option<&'i Item<'s>> {
        let is_it = |item: &&Item| item.key.as_ref().is_some_and(|there| there.text == key);
        let place = self.0.iter().position(is_it)?;
        Some(self.0.remove(place))
    }

    /// A slot or a schedule.
    fn name(&mut self, key: &str) -> Option<OrderName> {
        let item = self.take(key)?;
        let name = name_of(&item.value);
        if name.is_none() {
            self.0.push(item);
        }
        name
    }

    /// A step is in quotes.
    fn step(&mut self) -> Option<OrderName> {
        let value = &self.take("with")?.value;
        matches!(value.shape, Shape::Text)
            .then(|| name_of(value))
            .flatten()
    }

    fn period(&mut self) -> Option<u64> {
        let item = self.take("every")?;
        let digits = item.value.text().replace('_', "");
        let number = digits.bytes().all(|digit| digit.is_ascii_digit());
        let every = digits.parse().ok().filter(|every| number && *every > 0);
        if every.is_none() {
            self.0.push(item);
        }
        every
    }
}

/// A bare name, or one in quotes: of a slot that has a step's name.
fn name_of(node: &Node) -> Option<OrderName> {
    let name = match node.shape {
        Shape::Name(_) => node.text().to_owned(),
        Shape::Text => ron::from_str(node.text()).ok()?,
        _ => return None,
    };
    Some(OrderName {
        name,
        place: node.problem("order", "", None),
    })
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
        let order = [
            "Replace(Actor, with: \"bc::clone_behavior\")",
            "InsertBefore(Actor, with: \"a::b\")",
            "InsertAfter(Actor, with: \"a::b\", as: Again, every: 2, when: Actor)",
            "InsertAfter(Play, with: \"a::b\", in: Evaluate)",
            "MoveBefore(\"a::b\", before: Critic)",
            "MoveAfter(Critic, after: Targets)",
            "Remove(Write, in: Save)",
        ];
        let order = order.join(", ");
        let edits = scene(&order).unwrap().order;
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
                "Replace(Actor, with: a)",
                "expected Replace(Slot, with: \"step::name\"), found Replace(Actor, with: a)",
            ),
            (
                "Remove(Actor, every: 2)",
                "expected Remove(Slot), found Remove(Actor, every: 2)",
            ),
            (
                "InsertAfter(Actor, with: \"a\", every: 0)",
                "expected InsertAfter(Slot, with: \"step::name\"), found InsertAfter(Actor, with: \"a\", every: 0)",
            ),
            (
                "InsertAfter(Actor, with: \"a\", with: \"b\")",
                "expected InsertAfter(Slot, with: \"step::name\"), found InsertAfter(Actor, with: \"a\", with: \"b\")",
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

    /// What the check says of edits in schedules of these slots, with the step `bc::clone_behavior`.
    fn told(order: &str) -> Vec<(usize, String, String)> {
        let schedules = [
            ("Learn", &["Critic", "Actor", "Targets"][..]),
            ("Evaluate", &["Play"]),
        ];
        let schedules = schedules.map(|(name, slots)| {
            let slots = slots.iter().map(|slot| slot.to_string()).collect();
            (name.to_owned(), slots)
        });
        let scene = scene(order).unwrap();
        let checked = scene.check_order(&schedules, &["bc::clone_behavior"]);
        let problems = checked.err().unwrap_or_default();
        let told = problems.iter().map(|problem| {
            let help = problem.help.clone().unwrap_or_default();
            (problem.column, problem.message.clone(), help)
        });
        told.collect()
    }

    #[test]
    fn unknown_names_are_told_with_their_places_and_the_nearest_ones() {
        let order =
            "Replace(Acter, with: \"bc::clone_behavoir\"), MoveBefore(Targets, before: Critics)";
        // Columns count from 1, in the scene's one line.
        let column = |name: &str| {
            let before = "Scene(steps: 1, plugins: [], order: [".len();
            before + order.find(name).unwrap() + 1
        };
        let expected = [
            (
                column("Acter"),
                "no slot of `Learn` is called `Acter`",
                "did you mean `Actor`? the slots of `Learn` are: Critic, Actor, Targets",
            ),
            (
                column("\"bc::"),
                "no step is called `bc::clone_behavoir`",
                "did you mean `bc::clone_behavior`? the steps are: bc::clone_behavior; `yarak list steps` describes them",
            ),
            (
                column("Critics"),
                "no slot of `Learn` is called `Critics`",
                "did you mean `Critic`? the slots of `Learn` are: Critic, Actor, Targets",
            ),
        ];
        let expected =
            expected.map(|(column, message, help)| (column, message.to_owned(), help.to_owned()));
        assert_eq!(told(order), expected);
        let unknown = told_first("Remove(Play, in: Evalute)");
        assert_eq!(
            unknown,
            "no schedule is called `Evalute`: did you mean `Evaluate`? the schedules are: Learn, Evaluate"
        );
    }

    fn told_first(order: &str) -> String {
        let first = told(order).into_iter().next();
        first.map_or(String::new(), |(_, message, help)| {
            format!("{message}: {help}")
        })
    }

    #[test]
    fn an_inserted_step_can_be_named_again_and_inserted_twice_under_names() {
        let step = "with: \"bc::clone_behavior\"";
        let insert = format!("InsertAfter(Actor, {step})");
        for good in [
            format!("{insert}, MoveBefore(\"bc::clone_behavior\", before: Critic)"),
            format!("{insert}, Remove(\"bc::clone_behavior\")"),
            format!("{insert}, InsertAfter(Actor, {step}, as: Again, when: Actor), Remove(Again)"),
            format!(
                "InsertAfter(Play, {step}, in: Evaluate), Remove(\"bc::clone_behavior\", in: Evaluate)"
            ),
            format!("Replace(Play, {step}, in: Evaluate)"),
            format!("InsertAfter(Actor, {step}, every: 1_000)"),
        ] {
            assert_eq!(told(&good), []);
        }
        assert_eq!(
            told_first(&format!("{insert}, {insert}")),
            "`Learn` has a slot `bc::clone_behavior` already: give this one a name of its own, such as as: Again"
        );
        assert_eq!(
            told_first(&format!(
                "InsertAfter(Play, {step}, in: Evaluate, every: 2)"
            )),
            "`every` counts gradient steps, and `Evaluate` takes none: leave `every` out: the schedule's own period holds"
        );
    }
}
