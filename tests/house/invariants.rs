//! What the source never has. Read as text, so that a slip is found where it is.

use std::fs;
use std::path::Path;

use crate::ROOT;
use crate::sources::{Source, sources};

#[track_caller]
fn assert_nowhere(sources: &[Source], words: &[&str], why: &str) {
    let places: Vec<String> = sources
        .iter()
        .flat_map(|source| source.places(words))
        .collect();
    assert!(places.is_empty(), "{why}\n{}", places.join("\n"));
}

/// Bevy's and Burn's own names come on top; a trait that is there for its methods has none.
#[test]
fn the_prelude_has_at_most_120_names_of_ours() {
    let text = fs::read_to_string(Path::new(ROOT).join("src/prelude.rs")).unwrap();
    let ours = text.split("pub use crate::").skip(1);
    let names = ours.flat_map(|item| {
        let item = item.split(';').next().unwrap();
        let list = item.split_once('{').map_or(item, |(_, list)| list);
        list.trim_end_matches('}').split(',')
    });
    let named = names.map(str::trim);
    let count = named
        .filter(|name| !name.is_empty() && !name.ends_with(" as _"))
        .count();
    assert!((100..=120).contains(&count), "{count} names");
}

#[test]
fn an_algorithm_is_written_with_the_prelude_alone() {
    for source in sources(&["plugins"]) {
        if source.path == "plugins/mod.rs" {
            continue;
        }
        let uses: Vec<&str> = source
            .code
            .iter()
            .map(|(_, line)| line.trim())
            .filter(|line| {
                line.starts_with("use ")
                    || line.starts_with("pub use ")
                    || line.starts_with("extern ")
            })
            .collect();
        assert_eq!(uses, ["use yarak::prelude::*;"], "{}", source.path);
        let source = Source {
            code: source
                .code
                .into_iter()
                .filter(|(_, line)| line != "use yarak::prelude::*;")
                .collect(),
            ..source
        };
        assert_nowhere(
            &[source],
            &[
                "yarak::",
                "crate::",
                "super::",
                "std::",
                "core::",
                "include!",
                "macro_rules!",
            ],
            "what a plugin file needs comes from the prelude: if the prelude lacks it, add it there",
        );
    }
}

#[test]
fn nothing_that_runs_inside_learn_reads_a_value_back_to_the_host() {
    let inside = sources(&[
        "plugins",
        "src/learner/learning.rs",
        "src/learner/optimizer.rs",
        "src/learner/tracking.rs",
        "src/learner/update.rs",
        "src/learner/rate.rs",
        "src/nn",
    ]);
    assert_nowhere(
        &inside,
        &[
            "into_scalar",
            "into_data",
            "to_data",
            "into_vec",
            "to_vec::<",
            "try_into_scalar",
            "download(",
        ],
        "record a device scalar in `Metrics`, which reads back once a report",
    );
}

/// `tests/learning/devices.rs` counts what crosses.
#[test]
fn tensors_cross_between_host_and_device_in_one_place() {
    // What computes on the processor alone, checks that are no part of a run, and the words of a step that failed.
    const ELSEWHERE: [&str; 13] = [
        "src/transfer/mod.rs",
        "src/data/pipeline/batch.rs",
        "src/learner/on_cpu.rs",
        "src/nn/attention.rs",
        "src/nn/convolution.rs",
        "src/nn/encoder/module.rs",
        "src/nn/fused.rs",
        "src/nn/group_norm.rs",
        "src/nn/layer_norm.rs",
        "src/nn/max_pool.rs",
        "src/nn/recurrence.rs",
        "src/policy/policy.rs",
        "src/testing/",
    ];
    let elsewhere = |source: &Source| ELSEWHERE.iter().any(|it| source.path.starts_with(it));
    let counted: Vec<Source> = sources(&["src", "plugins"])
        .into_iter()
        .filter(|source| !elsewhere(source))
        .collect();
    assert_nowhere(
        &counted,
        &[
            "Tensor::from_data",
            ">::from_data",
            "from_floats(",
            "from_ints(",
            "into_data()",
            "to_data()",
            "into_scalar",
        ],
        "`transfer::upload` and `transfer::download` count it; a plugin draws from a `Random`",
    );
}

#[test]
fn unsafe_code_stands_in_the_kernels_and_at_foreign_libraries_alone() {
    // Foreign functions, and the processor's mode.
    const FOREIGN: [&str; 8] = [
        "src/cli/hang_up.rs",
        "src/cli/file_size_limit.rs",
        "src/cli/kept_memory.rs",
        "src/cli/pool/process.rs",
        "src/data/huge_pages.rs",
        "src/env/mujoco/binding.rs",
        "src/nn/device/cuda.rs",
        "src/subnormals.rs",
    ];
    let elsewhere: Vec<Source> = sources(&["src", "plugins"])
        .into_iter()
        .filter(|source| {
            !source.path.starts_with("src/nn/cpu/") && !FOREIGN.contains(&&*source.path)
        })
        .collect();
    assert_nowhere(&elsewhere, &["unsafe "], "safe Rust has to do here");
    // Each block says why it is sound.
    let places = [&["src/nn/cpu"][..], &FOREIGN].concat();
    for source in sources(&places) {
        let text = fs::read_to_string(Path::new(ROOT).join(&source.path)).unwrap();
        let uses = source.places(&["unsafe {", "unsafe impl"]).len();
        let reasons = text.matches("SAFETY:").count();
        assert!(
            uses == 0 || reasons > 0,
            "{}: {uses} uses of unsafe and no SAFETY",
            source.path
        );
    }
}

#[test]
fn nothing_is_unwrapped_outside_of_tests() {
    assert_nowhere(
        &sources(&["src", "plugins"]),
        &[
            ".unwrap()",
            ".unwrap_err()",
            "todo!(",
            "unimplemented!(",
            "dbg!(",
        ],
        "return an error that names the place and the remedy, or `expect` with the reason why it cannot fail",
    );
}

/// A terminal that has hung up, or a reader that has gone, must not end a run.
#[test]
fn nothing_is_printed_in_a_way_that_panics_where_nobody_listens() {
    assert_nowhere(
        &sources(&["src", "plugins"]),
        &["println!(", "print!("],
        "say it with `terminal::message`, and print results with the `print` of `src/cli/printing.rs`",
    );
}

#[test]
fn public_items_without_documentation_do_not_compile() {
    let library = fs::read_to_string(Path::new(ROOT).join("src/lib.rs")).unwrap();
    assert!(library.contains("#![deny(missing_docs)]"));
    assert_nowhere(
        &sources(&["src", "plugins"]),
        &["allow(missing_docs)"],
        "document it",
    );
}

#[test]
fn metrics_are_read_where_reports_are_made() {
    let elsewhere: Vec<Source> = sources(&["src", "plugins"])
        .into_iter()
        .filter(|source| !source.path.starts_with("src/report/"))
        .collect();
    assert_nowhere(
        &elsewhere,
        &["metrics.read(", "Metrics>().read("],
        "reading resets the means",
    );
    let reading = sources(&["src/report"]);
    let places: usize = reading
        .iter()
        .map(|source| source.places(&["metrics.read("]).len())
        .sum();
    assert_eq!(places, 1, "once a report");
}
