//! `docs/custom_algorithm.md`: its pieces are the files that it names, and what it makes passes the checks that it names.
//! Its programs are doc tests of the library.
//!
//! `YARAK_BLESS=1 cargo test --release --test house tutorial` writes the files' pieces into the page again, after a file has changed.

use std::fs;
use std::path::Path;

use yarak::prelude::*;
use yarak::testing::{Mistake, Trial};

#[allow(dead_code)] // Its `main` is the example's.
#[path = "../../examples/custom_parts.rs"]
mod custom_parts;
#[allow(dead_code)]
#[path = "../../examples/replace_a_step.rs"]
mod replace_a_step;

const PAGE: &str = "docs/custom_algorithm.md";

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The file and the beginning of a line that a marker names: `<!-- plugins/td3_bc.rs: fn mix( -->`.
fn marker(line: &str) -> Option<(&str, &str)> {
    let inside = line.strip_prefix("<!-- ")?.strip_suffix(" -->")?;
    let (file, beginning) = inside.split_once(": ")?;
    file.ends_with(".rs").then_some((file, beginning))
}

/// The page with every piece as it is in its file. The pieces of a file follow each other without gaps: each goes from its
/// marker's line up to the next one's, the first begins with the file, and the last ends where the file's tests begin.
fn page(old: &str) -> String {
    let markers: Vec<(&str, &str)> = old.lines().filter_map(marker).collect();
    let places: Vec<usize> = markers
        .iter()
        .enumerate()
        .map(|(index, (file, beginning))| {
            let source = read(file);
            let lines: Vec<&str> = source.lines().collect();
            let found = lines.iter().position(|line| line.starts_with(beginning));
            let found = found.unwrap_or_else(|| {
                panic!("no line of {file} begins with `{beginning}`: name another in {PAGE}")
            });
            let is_first = !markers[..index].iter().any(|(before, _)| before == file);
            assert!(
                !is_first || found == 0,
                "{PAGE} must begin {file} with its first line"
            );
            found
        })
        .collect();
    let mut out = String::new();
    let mut lines = old.lines();
    let mut index = 0;
    while let Some(line) = lines.next() {
        out.push_str(line);
        out.push('\n');
        let Some((file, beginning)) = marker(line) else {
            continue;
        };
        let source = read(file);
        let whole: Vec<&str> = source.lines().collect();
        let tests = whole.iter().position(|line| *line == "#[cfg(test)]");
        let next = (index + 1..markers.len()).find(|next| markers[*next].0 == file);
        let end = next.map_or(tests.unwrap_or(whole.len()), |next| places[next]);
        assert!(places[index] < end, "{PAGE}: `{beginning}` comes too early");
        let piece = whole[places[index]..end].join("\n");
        out.push_str(&format!("```rust,ignore\n{}\n```\n", piece.trim_end()));
        assert_eq!(lines.next(), Some("```rust,ignore"), "behind `{beginning}`");
        assert!(lines.any(|line| line == "```"), "behind `{beginning}`");
        index += 1;
    }
    out
}

#[test]
fn the_page_shows_the_files_line_by_line() {
    let old = read(PAGE);
    let new = page(&old);
    if std::env::var_os("YARAK_BLESS").is_some() {
        fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE), &new).unwrap();
        return;
    }
    let differs = old.lines().zip(new.lines()).find(|(old, new)| old != new);
    assert!(
        old == new,
        "{PAGE} is not what the files say, from {differs:?} on: look at the page, then run this with YARAK_BLESS=1"
    );
    for file in [
        "plugins/td3_bc.rs",
        "examples/replace_a_step.rs",
        "examples/custom_parts.rs",
    ] {
        let shown = new.lines().filter_map(marker);
        assert!(
            shown.filter(|(shown, _)| *shown == file).count() > 1,
            "{file}"
        );
    }
}

fn small() -> Td3Bc {
    let mut td3 = Td3Bc {
        minibatch: MinibatchSettings::of(64),
        ..default()
    };
    td3.actor.encoder.set_hidden_sizes(&[32]);
    td3.critic.encoder.set_hidden_sizes(&[32]);
    td3.actor.optimizer.learning_rate = Schedule::Constant(3e-3);
    td3.critic.optimizer.learning_rate = Schedule::Constant(3e-3);
    td3
}

fn check_actor_step(trial: Trial) -> Result<(), Mistake> {
    trial.losses_are_finite()?;
    trial.one_writer_for_each_network()?;
    trial.changes(&[
        (LearnSystems::Critic, &["critic"]),
        (LearnSystems::Actor, &["actor"]),
        (LearnSystems::Targets, &["target_actor", "target_critic"]),
    ])?;
    trial.resumes_exactly()?;
    // Against rewards that are all equal the values say nothing, and these steps listen to them.
    trial.learns_from_rewards(1_500)
}

#[test]
fn the_changed_step_passes_the_checks() -> Result<(), Mistake> {
    check_actor_step(Trial::of(small()).with(|app| {
        app.replace(Learn, LearnSystems::Actor, replace_a_step::filtered_actor);
    }))
}

#[test]
fn the_loss_and_the_metric_pass_the_checks() -> Result<(), Mistake> {
    check_actor_step(Trial::of(small()).with(|app| {
        app.replace(Learn, LearnSystems::Actor, custom_parts::robust_actor)
            .add_systems(
                Learn,
                custom_parts::measure_saturation.in_set(LearnSystems::Measure),
            );
    }))
}

#[test]
fn the_loss_is_the_logarithm_of_the_hyperbolic_cosine_with_its_gradient() {
    let device = ComputeDevice::cpu();
    let errors = [0.0_f32, 0.5, -2.0, 50.0];
    let prediction = Tensor::<2>::from_floats([errors], &device.autodiff()).require_grad();
    let target = Tensor::<2>::zeros([1, 4], &device.plain());
    let loss = custom_parts::log_cosh(prediction.clone(), target);
    let wide = errors.map(|e| f64::from(e).abs().cosh().ln());
    let mean = wide.iter().sum::<f64>() / 4.0;
    let found: f32 = loss.clone().into_scalar();
    assert!((f64::from(found) - mean).abs() < 1e-5, "{found} {mean}");
    let gradient = prediction.grad(&loss.backward()).unwrap().into_data();
    for (found, error) in gradient.to_vec::<f32>().unwrap().iter().zip(errors) {
        let expected = f64::from(error).tanh() / 4.0;
        assert!(
            (f64::from(*found) - expected).abs() < 1e-5,
            "{found} {expected}"
        );
    }
}

#[test]
fn the_network_passes_the_checks() -> Result<(), Mistake> {
    let trial = Trial::of(custom_parts::ShortcutBc {
        batch_size: 64,
        network: MlpSettings {
            hidden_sizes: vec![32],
            activation: Activation::Elu,
            ..default()
        },
        optimizer: OptimizerSettings::at(3e-3),
    });
    trial.networks_exist(&["shortcut"])?;
    trial.losses_are_finite()?;
    trial.changes(&[(LearnSystems::Actor, &["shortcut"])])?;
    trial.one_writer_for_each_network()?;
    trial.looking_changes_nothing()?;
    trial.same_seed_same_bits()?;
    trial.resumes_exactly()?;
    trial.learns_to_imitate(1_000)
}
