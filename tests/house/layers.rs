//! What may use what: the folders of `src/`, from the bottom to the top.

use std::collections::{BTreeMap, BTreeSet};

use crate::sources::sources;

/// Each folder or file of `src/` with those that it uses, all of which are above it in this list: so there is no circle. Tests
/// are free to use anything. `plugins` lies outside of `src/` and is held to the prelude by `invariants`.
const LAYERS: &[(&str, &[&str])] = &[
    ("plugins", &[]),
    ("subnormals", &[]),
    ("memory", &[]),
    ("period", &[]),
    ("terminal", &[]),
    ("transfer", &[]),
    ("scene", &["period", "terminal"]),
    ("schedule", &["subnormals", "period", "terminal"]),
    ("checkpoint", &["terminal", "scene", "schedule"]),
    ("random", &["transfer", "checkpoint"]),
    ("observation", &[]),
    (
        "nn",
        &[
            "subnormals",
            "memory",
            "transfer",
            "scene",
            "random",
            "observation",
        ],
    ),
    ("env", &["terminal", "scene", "schedule", "nn"]),
    (
        "report",
        &[
            "terminal",
            "transfer",
            "scene",
            "schedule",
            "checkpoint",
            "nn",
        ],
    ),
    ("sweep", &["scene", "schedule", "checkpoint", "report"]),
    (
        "learner",
        &[
            "transfer",
            "memory",
            "scene",
            "schedule",
            "checkpoint",
            "random",
            "nn",
            "report",
        ],
    ),
    (
        "data",
        &[
            "transfer",
            "subnormals",
            "memory",
            "terminal",
            "scene",
            "schedule",
            "checkpoint",
            "random",
            "observation",
            "env",
            "report",
            "nn",
        ],
    ),
    (
        "networks",
        &["schedule", "observation", "nn", "env", "learner", "data"],
    ),
    (
        "pretrained",
        &[
            "scene",
            "schedule",
            "checkpoint",
            "report",
            "learner",
            "data",
        ],
    ),
    (
        "policy",
        &[
            "subnormals",
            "transfer",
            "checkpoint",
            "observation",
            "nn",
            "data",
        ],
    ),
    (
        "evaluate",
        &[
            "transfer",
            "scene",
            "schedule",
            "checkpoint",
            "nn",
            "env",
            "report",
            "learner",
            "data",
            "policy",
        ],
    ),
    (
        "collect",
        &[
            "transfer",
            "subnormals",
            "memory",
            "terminal",
            "scene",
            "schedule",
            "checkpoint",
            "random",
            "observation",
            "nn",
            "env",
            "report",
            "learner",
            "data",
            "evaluate",
        ],
    ),
    (
        "app",
        &["terminal", "schedule", "checkpoint", "report", "learner"],
    ),
    (
        "prelude",
        &[
            "plugins",
            "networks",
            "scene",
            "schedule",
            "checkpoint",
            "observation",
            "nn",
            "env",
            "report",
            "learner",
            "data",
            "policy",
            "evaluate",
            "collect",
            "app",
        ],
    ),
    (
        "testing",
        &[
            "transfer",
            "schedule",
            "checkpoint",
            "env",
            "report",
            "learner",
            "data",
            "evaluate",
            "collect",
        ],
    ),
    (
        "cli",
        &[
            "memory",
            "terminal",
            "plugins",
            "networks",
            "pretrained",
            "scene",
            "schedule",
            "checkpoint",
            "nn",
            "observation",
            "env",
            "report",
            "sweep",
            "learner",
            "data",
            "policy",
            "evaluate",
            "collect",
            "app",
        ],
    ),
];

/// The first names of the paths into the crate that a text has: `data` of `crate::data::Batch`, and several of a list in braces.
fn first_names(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for root in ["crate::", "yarak::"] {
        for (at, _) in code.match_indices(root) {
            if code[..at].ends_with(|it: char| it.is_alphanumeric() || "_:".contains(it)) {
                continue;
            }
            let rest = &code[at + root.len()..];
            match rest.strip_prefix('{') {
                Some(list) => names_of_a_list(list, &mut found),
                None => found.extend(first_name(rest)),
            }
        }
    }
    found
}

fn first_name(text: &str) -> Option<String> {
    let is_of_a_name = |it: char| it.is_alphanumeric() || it == '_';
    let name = text.split(|it| !is_of_a_name(it)).next().unwrap_or("");
    (!name.is_empty()).then(|| name.to_owned())
}

/// The first names of `a::b, c::{d, e}}`.
fn names_of_a_list(list: &str, found: &mut BTreeSet<String>) {
    let mut depth = 0;
    let mut item = 0;
    for (at, it) in list.char_indices() {
        match it {
            '{' => depth += 1,
            ',' | '}' if depth == 0 => {
                found.extend(first_name(list[item..at].trim_start()));
                item = at + 1;
            }
            _ => {}
        }
        if it == '}' {
            if depth == 0 {
                return;
            }
            depth -= 1;
        }
    }
}

/// The folder of a file below `src/`, or the file itself where it lies in no folder.
fn layer_of(path: &str) -> &str {
    let below = path.strip_prefix("src/").unwrap();
    let first = below.split('/').next().unwrap();
    first.strip_suffix(".rs").unwrap_or(first)
}

#[test]
fn paths_into_the_crate_are_found() {
    let code = "use crate::{\n    data::{Batch, Column},\n    env,\n    nn::cpu::{a, b},\n};\n\
                let x = yarak::report::Goal; use super::scene; mycrate::no::x";
    let found = Vec::from_iter(first_names(code));
    assert_eq!(found, ["data", "env", "nn", "report"]);
}

#[test]
fn folders_use_those_below_them_alone() {
    let mut used: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for source in sources(&["src"]) {
        // These two bind the library and the program together.
        if ["src/lib.rs", "src/main.rs"].contains(&&*source.path) {
            continue;
        }
        let layer = layer_of(&source.path);
        let lines = source.code.iter().map(|(_, line)| line.as_str());
        let code = lines.collect::<Vec<_>>().join("\n");
        let uses = used.entry(layer.to_owned()).or_default();
        for name in first_names(&code) {
            if name != layer {
                uses.entry(name).or_insert(source.path.clone());
            }
        }
    }
    let mut wrong = Vec::new();
    let mut below = BTreeSet::new();
    for (layer, allowed) in LAYERS {
        for name in allowed.iter().filter(|name| !below.contains(*name)) {
            wrong.push(format!("`{name}` does not are above `{layer}` in the list"));
        }
        below.insert(*layer);
        let uses = used.remove(*layer).unwrap_or_default();
        for (name, place) in &uses {
            if !allowed.contains(&&**name) {
                wrong.push(format!(
                    "{place} uses `{name}`, which `{layer}` must not know"
                ));
            }
        }
        for name in allowed.iter().filter(|name| !uses.contains_key(**name)) {
            wrong.push(format!(
                "`{layer}` no longer uses `{name}`: take it out of the list"
            ));
        }
    }
    for layer in used.keys() {
        wrong.push(format!("`{layer}` is missing in the list"));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
