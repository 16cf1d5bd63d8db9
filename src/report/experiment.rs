//! Which runs belong together: those whose scenes differ in nothing but the seed.

use super::page::Run;

/// Runs of one scene, which differ in their seeds.
pub(super) struct Experiment<'a> {
    pub(super) label: String,
    pub(super) runs: Vec<&'a Run>,
}

pub(super) fn experiments(runs: &[Run]) -> Vec<Experiment<'_>> {
    let mut experiments: Vec<(String, Vec<&Run>)> = Vec::new();
    for run in runs {
        let key = without_seed(&run.scene);
        match experiments.iter_mut().find(|(known, _)| *known == key) {
            Some((_, runs)) => runs.push(run),
            None => experiments.push((key, vec![run])),
        }
    }
    let labels: Vec<_> = experiments
        .iter()
        .map(|(_, runs)| shared_name(runs))
        .collect();
    let alone = |label: &String| labels.iter().filter(|other| *other == label).count() == 1;
    let experiments = labels
        .iter()
        .zip(experiments)
        .map(|(label, (_, runs))| match runs.first() {
            // Seeds of two scenes lie in one folder, whose name then says nothing.
            Some(first) if !alone(label) || label.is_empty() => Experiment {
                label: first.name.clone(),
                runs,
            },
            _ => Experiment {
                label: label.clone(),
                runs,
            },
        });
    experiments.collect()
}

/// What the runs' names begin with, less a seed that is cut off in the middle: `runs/a/seed_0` and `runs/a/seed_1` are
/// `runs/a`.
fn shared_name(runs: &[&Run]) -> String {
    let Some((first, others)) = runs.split_first() else {
        return String::new();
    };
    if others.is_empty() {
        return first.name.clone();
    }
    let equal = |a: &str, b: &str| {
        a.chars()
            .zip(b.chars())
            .take_while(|(a, b)| a == b)
            .map(|(a, _)| a.len_utf8())
            .sum()
    };
    let length = others
        .iter()
        .map(|run| equal(&first.name, &run.name))
        .min()
        .unwrap_or(0);
    let mut name = &first.name[..length];
    if runs
        .iter()
        .any(|run| run.name[length..].starts_with(|c: char| c.is_ascii_digit()))
    {
        name = name.trim_end_matches(|c: char| c.is_ascii_digit());
    }
    let separators = ['/', '\\', '_', '-', '.', ' '];
    let name = name.trim_end_matches(separators);
    name.strip_suffix("seed")
        .unwrap_or(name)
        .trim_end_matches(separators)
        .into()
}

/// The scene's text without its field `seed` (and `seeds`); fields of that name further inside are settings and stay.
fn without_seed(scene: &str) -> String {
    let mut kept = String::with_capacity(scene.len());
    let (mut rest, mut depth, mut in_seed) = (scene, 0_u32, false);
    while !rest.is_empty() {
        let (token, after) = rest.split_at(token_length(rest));
        rest = after;
        match token {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            "seed" | "seeds" if depth == 1 && rest.trim_start().starts_with(':') => in_seed = true,
            "," if depth == 1 && in_seed => {
                in_seed = false;
                continue;
            }
            _ => {}
        }
        in_seed &= depth > 0;
        if !in_seed {
            kept.push_str(token);
        }
    }
    kept
}

/// Bytes of the comment, string, word or character that RON's text begins with.
fn token_length(text: &str) -> usize {
    let ended = |mark: &str, from: usize| {
        text[from..]
            .find(mark)
            .map_or(text.len(), |at| from + at + mark.len())
    };
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut characters = text.char_indices();
    match characters.next().map(|(_, first)| first) {
        None => 0,
        Some('/') if text.starts_with("//") => ended("\n", 2),
        Some('/') if text.starts_with("/*") => ended("*/", 2),
        Some('"') => {
            let mut escape = false;
            let end = characters.find(|(_, c)| {
                let ends = *c == '"' && !escape;
                escape = *c == '\\' && !escape;
                ends
            });
            end.map_or(text.len(), |(at, quote)| at + quote.len_utf8())
        }
        Some(first) if is_word(first) => text.find(|c| !is_word(c)).unwrap_or(text.len()),
        Some(first) => first.len_utf8(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(name: &str, scene: &str) -> Run {
        Run {
            name: name.into(),
            rows: Vec::new(),
            scene: scene.into(),
        }
    }

    #[test]
    fn runs_that_differ_in_their_seed_alone_are_one_experiment() {
        let scene = |seed: u32, alpha: f32| {
            format!(
                "Scene(\n    name: \"seed: 1, (\",\n    seed: {seed},\n    plugins: [A(alpha: {alpha}, seed: 7)],\n)"
            )
        };
        let runs = [
            run("runs/a/seed_10", &scene(10, 2.5)),
            run("runs/b", &scene(0, 1.0)),
            run("runs/a/seed_11", &scene(11, 2.5)),
        ];
        let found: Vec<_> = experiments(&runs)
            .iter()
            .map(|one| (one.label.clone(), one.runs.len()))
            .collect();
        assert_eq!(found, [("runs/a".into(), 2), ("runs/b".into(), 1)]);
    }

    #[test]
    fn only_the_scenes_own_seed_is_set_aside() {
        for (scene, rest) in [
            ("Scene(seed: 3, steps: 5)", "Scene( steps: 5)"),
            ("Scene(steps: 5, seed: 3)", "Scene(steps: 5, )"),
            (
                "Scene(seeds: [0, 1], a: B(seed: 3))",
                "Scene( a: B(seed: 3))",
            ),
            (
                "Scene(name: \"\\\", seed: 3,\", /* seed: 1, */ a: 1)",
                "Scene(name: \"\\\", seed: 3,\", /* seed: 1, */ a: 1)",
            ),
            (
                "Scene( // seed: 1, (\n seed: 3, seeder: 1)",
                "Scene( // seed: 1, (\n  seeder: 1)",
            ),
            ("))) \"open \\", "))) \"open \\"),
            ("/* open", "/* open"),
            ("seed: 3, ä", "seed: 3, ä"),
        ] {
            assert_eq!(without_seed(scene), rest);
        }
    }

    #[test]
    fn experiments_in_one_folder_are_told_apart() {
        let runs = ["a/0", "a/1", "a/2", "a/3"]
            .map(|name| run(name, if name < "a/2" { "x" } else { "y" }));
        let labels: Vec<_> = experiments(&runs)
            .into_iter()
            .map(|one| one.label)
            .collect();
        assert_eq!(labels, ["a/0", "a/2"]);
        let runs = [run("x", "s"), run("y", "s")];
        assert_eq!(experiments(&runs)[0].label, "x");
    }
}
