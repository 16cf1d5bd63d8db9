//! What a sweep varies: settings by path, each with its values.

use serde::{Deserialize, Serialize};

use crate::scene::{Item, Node, Problem, Reader, Shape};

/// One or several settings that have the same value, and which values that may be.
#[derive(Clone, Debug)]
pub(crate) struct Dimension {
    /// Paths as `--set` has them; more than one for settings that are tied.
    pub paths: Vec<String>,
    pub values: Values,
    /// Where it was written.
    pub place: Problem,
}

/// The values of a dimension.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Values {
    /// Each with each of the other grids.
    Grid(Vec<String>),
    /// One of them, each as likely.
    Choice(Vec<String>),
    /// A number between two.
    Uniform(f64, f64),
    /// A number between two, whose logarithm is evenly spread.
    LogUniform(f64, f64),
    /// A whole number from the first to the last.
    Int(i64, i64),
}

/// A setting that a trial has, in the place of the scene's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Setting {
    pub paths: Vec<String>,
    /// As RON.
    pub value: String,
}

impl Setting {
    /// What it is called in tables.
    pub fn name(&self) -> String {
        self.paths.join(" & ")
    }

    /// As `--set` has it, one for each path.
    pub fn overrides(&self) -> impl Iterator<Item = String> + '_ {
        self.paths
            .iter()
            .map(|path| format!("{path}={}", self.value))
    }
}

impl Dimension {
    /// Whether its values are drawn, and not taken one after the other.
    pub fn is_drawn(&self) -> bool {
        !matches!(self.values, Values::Grid(_))
    }

    /// The setting with this value.
    pub fn setting(&self, value: String) -> Setting {
        Setting {
            paths: self.paths.clone(),
            value,
        }
    }

    /// Values with which everything that can be wrong with one shows: each of a list, both ends of a stretch.
    pub fn extremes(&self) -> Vec<String> {
        match &self.values {
            Values::Grid(values) | Values::Choice(values) => values.clone(),
            Values::Uniform(low, high) | Values::LogUniform(low, high) => {
                vec![number(*low), number(*high)]
            }
            Values::Int(low, high) => vec![low.to_string(), high.to_string()],
        }
    }

    /// A mistake at its place.
    pub fn problem(&self, message: impl Into<String>, help: Option<String>) -> Problem {
        Problem {
            path: self.paths.join(" & "),
            message: message.into(),
            help,
            ..self.place.clone()
        }
    }
}

/// A number as a setting: six digits are enough to tell two draws apart, and a command stays readable.
pub(super) fn number(value: f64) -> String {
    let rounded: f64 = format!("{value:.5e}").parse().unwrap_or(value);
    format!("{rounded:?}")
}

/// What has a setting of its own in `Sweep(..)`.
const ELSEWHERE: [(&str, &str); 5] = [
    ("seed", "trials have the sweep's `seeds`"),
    ("seeds", "trials have the sweep's `seeds`"),
    (
        "steps",
        "how far trials go is the scene's `steps`, and the `scheduler`",
    ),
    (
        "epochs",
        "how far trials go is the scene's `steps`, and the `scheduler`",
    ),
    ("name", "trials have numbers"),
];

/// Whether a setting is another one, or a part of it.
fn is_in(path: &str, whole: &str) -> bool {
    let rest = path.strip_prefix(whole);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Reads `{ "Td3Bc.alpha": LogUniform(0.5, 10.0), ["A.x", "B.x"]: Choice([1, 2]) }`.
pub(super) fn read_space<'s>(reader: &mut Reader<'s>, node: &Node<'s>) -> Vec<Dimension> {
    let Shape::Map(entries) = &node.shape else {
        let message = format!("expected settings in braces, found {}", node.found());
        let help = "write space: { \"Td3Bc.alpha\": LogUniform(0.5, 10.0) }".to_owned();
        reader.refuse(node.problem("space", message, Some(help)));
        return Vec::new();
    };
    if entries.is_empty() {
        let help = "name a setting and its values: { \"Td3Bc.alpha\": LogUniform(0.5, 10.0) }";
        reader.refuse(node.problem("space", "nothing is varied", Some(help.into())));
    }
    let mut space: Vec<Dimension> = Vec::new();
    for (key, values) in entries {
        let Some(paths) = read_paths(key) else {
            let message = format!("expected a setting's path, found {}", key.found());
            let help = "write \"Td3Bc.alpha\", or [\"Td3Bc.actor.optimizer.x\", \"Td3Bc.critic.optimizer.x\"] for settings that have one value";
            reader.refuse(key.problem("space", message, Some(help.into())));
            continue;
        };
        for (index, path) in paths.iter().enumerate() {
            let before = space.iter().flat_map(|dimension| &dimension.paths);
            let before = before.chain(&paths[..index]);
            let mut taken = before.filter(|other| is_in(path, other) || is_in(other, path));
            if let Some(other) = taken.next() {
                let message = match other == path {
                    true => "it is varied twice".to_owned(),
                    false => format!("it and `{other}` are varied, and one is in the other"),
                };
                let help = "keep one of them".to_owned();
                reader.refuse(key.problem(path, message, Some(help)));
            }
            if let Some((_, why)) = ELSEWHERE.iter().find(|(name, _)| name == path) {
                let message = "this setting cannot be varied";
                reader.refuse(key.problem(path, message, Some((*why).to_owned())));
            }
        }
        match read_values(values) {
            Ok(values_read) => space.push(Dimension {
                paths,
                values: values_read,
                place: values.problem("", "", None),
            }),
            Err((message, help)) => {
                reader.refuse(values.problem(&paths.join(" & "), message, Some(help.to_owned())));
            }
        }
    }
    space
}

fn read_paths(key: &Node) -> Option<Vec<String>> {
    let text = |node: &Node| match node.shape {
        Shape::Text => ron::from_str::<String>(node.text()).ok(),
        _ => None,
    };
    let paths: Vec<String> = match &key.shape {
        Shape::List(nodes) => nodes.iter().map(text).collect::<Option<_>>()?,
        _ => vec![text(key)?],
    };
    let is_path = |path: &String| !path.is_empty() && !path.contains(['=', ' ']);
    (!paths.is_empty() && paths.iter().all(is_path)).then_some(paths)
}

const KINDS: &str = "write Grid([..]), Choice([..]), Uniform(a, b), LogUniform(a, b) or Int(a, b)";

fn read_values(node: &Node) -> Result<Values, (String, &'static str)> {
    let Shape::Group {
        name: Some(name),
        items,
    } = &node.shape
    else {
        return Err((format!("expected values, found {}", node.found()), KINDS));
    };
    let arguments: Option<Vec<&Node>> = items
        .iter()
        .map(|Item { key, value }| key.is_none().then_some(value))
        .collect();
    let arguments = arguments.unwrap_or_default();
    match (name.text, arguments.as_slice()) {
        ("Grid" | "Choice", [list]) => {
            let Shape::List(values) = &list.shape else {
                return Err((format!("expected a list, found {}", list.found()), KINDS));
            };
            let values: Vec<String> = values.iter().map(|it| it.text().to_owned()).collect();
            if values.is_empty() {
                return Err(("the list is empty".to_owned(), "give at least one value"));
            }
            Ok(match name.text {
                "Grid" => Values::Grid(values),
                _ => Values::Choice(values),
            })
        }
        ("Uniform" | "LogUniform", [low, high]) => {
            let [low, high] = [low, high].map(|it| ron::from_str::<f64>(it.text()).ok());
            let (Some(low), Some(high)) = (low, high) else {
                return Err((
                    format!("expected two numbers, found {}", node.found()),
                    KINDS,
                ));
            };
            if !(low.is_finite() && high.is_finite() && low < high) {
                return Err((
                    format!("there is nothing between {low} and {high}"),
                    "give the lower number first",
                ));
            }
            match name.text {
                "Uniform" => Ok(Values::Uniform(low, high)),
                _ if low > 0.0 => Ok(Values::LogUniform(low, high)),
                _ => Err((
                    format!("{low} has no logarithm"),
                    "give two positive numbers, or Uniform(a, b)",
                )),
            }
        }
        ("Int", [low, high]) => {
            let [low, high] = [low, high].map(|it| ron::from_str::<i64>(it.text()).ok());
            match (low, high) {
                (Some(low), Some(high)) if low <= high => Ok(Values::Int(low, high)),
                (Some(low), Some(high)) => Err((
                    format!("there is nothing from {low} to {high}"),
                    "give the lower number first",
                )),
                _ => Err((
                    format!("expected two whole numbers, found {}", node.found()),
                    KINDS,
                )),
            }
        }
        _ => Err((format!("expected values, found {}", node.found()), KINDS)),
    }
}
