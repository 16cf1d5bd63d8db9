//! What experiments are called where several are in one picture: no two are called the same.

use super::experiment::Experiment;
use crate::scene::{Difference, Scene};

/// Settings in a label, and characters of each value, at most. With more of them a folder says more.
const MOST: (usize, usize) = (2, 24);

/// A label for each experiment: its scene's name. Where several have the same name, what differs in their settings is added, or
/// their folder.
///
/// ```
/// use yarak::report::page::{Experiment, Run, labels};
///
/// let experiment = |folder: &str| {
///     let scene = "Scene(name: \"pendulum\", plugins: [])".into();
///     Experiment::of(vec![Run { name: folder.into(), scene, ..Run::default() }])
/// };
/// assert_eq!(labels(&[experiment("runs/a")]), ["pendulum"]);
/// assert_eq!(
///     labels(&[experiment("runs/a"), experiment("runs/b")]),
///     ["pendulum (runs/a)", "pendulum (runs/b)"]
/// );
/// ```
pub fn labels(experiments: &[Experiment]) -> Vec<String> {
    let names: Vec<String> = experiments.iter().map(Experiment::name).collect();
    let mut labels = names.clone();
    for (first, name) in names.iter().enumerate() {
        let same: Vec<usize> = (0..names.len())
            .filter(|index| names[*index] == *name)
            .collect();
        if same.len() < 2 || same[0] != first {
            continue;
        }
        let of_one_name: Vec<&Experiment> = same.iter().map(|at| &experiments[*at]).collect();
        let added = settings(&of_one_name).unwrap_or_else(|| folders(&of_one_name));
        for (index, added) in same.into_iter().zip(added) {
            labels[index] = format!("{name}{added}");
        }
    }
    labels
}

/// What differs between the scenes of experiments that can be compared, but for names and seeds.
pub(super) fn differences(experiments: &[&Experiment]) -> Option<Vec<Difference>> {
    let scenes: Option<Vec<&Scene>> = experiments.iter().map(|one| one.scene.as_ref()).collect();
    let mut differences = Scene::compare(&scenes?);
    differences.retain(|it| !["name", "seed", "seeds"].contains(&&*it.path));
    Some(differences)
}

/// `, alpha: 2.5` for each experiment, where so few settings differ that it is short, and no two have the same.
fn settings(experiments: &[&Experiment]) -> Option<Vec<String>> {
    let differences = differences(experiments)?;
    let is_short = |it: &Difference| {
        let mut values = it.values.iter();
        values.all(|value| value.chars().count() <= MOST.1)
    };
    if differences.is_empty() || differences.len() > MOST.0 || !differences.iter().all(is_short) {
        return None;
    }
    let last = |path: &str| path.rsplit('.').next().unwrap_or(path).to_owned();
    let short: Vec<String> = differences.iter().map(|it| last(&it.path)).collect();
    let is_alone = |name: &str| short.iter().filter(|other| *other == name).count() == 1;
    let added: Vec<String> = (0..experiments.len())
        .map(|index| {
            let settings = differences.iter().zip(&short).map(|(it, short)| {
                let name = if is_alone(short) { short } else { &it.path };
                format!(", {name}: {}", it.values[index])
            });
            settings.collect()
        })
        .collect();
    are_distinct(&added).then_some(added)
}

/// ` (runs/a)` for each experiment.
fn folders(experiments: &[&Experiment]) -> Vec<String> {
    let bracketed = |folder: String| format!(" ({folder})");
    let shared: Vec<String> = experiments.iter().map(|one| one.folder()).collect();
    if are_distinct(&shared) {
        return shared.into_iter().map(bracketed).collect();
    }
    // Seeds of two scenes lie in one folder, whose name then says nothing.
    let first = experiments.iter().map(|one| one.runs.first());
    first
        .map(|run| bracketed(run.map_or(String::new(), |run| run.name.clone())))
        .collect()
}

fn are_distinct(texts: &[String]) -> bool {
    let mut seen = std::collections::BTreeSet::new();
    texts.iter().all(|text| seen.insert(text))
}

#[cfg(test)]
mod tests {
    use super::super::experiment::{Run, group};
    use super::*;
    use crate::scene::SceneRegistry;

    fn experiment(folder: &str, scene: &str) -> Experiment {
        let run = Run {
            name: folder.into(),
            scene: scene.into(),
            ..Run::default()
        };
        Experiment {
            scene: Scene::parse("a.ron", scene, &SceneRegistry::new(), &[]).ok(),
            ..Experiment::of(vec![run])
        }
    }

    #[test]
    fn experiments_of_one_name_are_told_apart_by_what_differs() {
        let scene =
            |name: &str, more: &str| format!("Scene(name: \"{name}\", plugins: [], {more})");
        let of = |scenes: &[(&str, &str)]| {
            let experiments = scenes.iter().enumerate().map(|(index, (name, more))| {
                experiment(&format!("runs/{index}"), &scene(name, more))
            });
            labels(&experiments.collect::<Vec<_>>())
        };
        assert_eq!(
            of(&[("a", "steps: 1"), ("b", "steps: 2")]),
            ["a", "b"],
            "names are enough"
        );
        assert_eq!(
            of(&[
                ("a", "steps: 1"),
                ("b", "steps: 2"),
                ("a", "steps: 3, seed: 4")
            ]),
            ["a, steps: 1", "b", "a, steps: 3"]
        );
        assert_eq!(
            of(&[("a", "steps: 1"), ("a", "steps: 1, seed: 1")]),
            ["a (runs/0)", "a (runs/1)"],
            "settings are the same"
        );
        let device = "device: \"a-device-with-a-very-long-name\", steps: 1";
        assert_eq!(
            of(&[("a", "steps: 1"), ("a", device)]),
            ["a (runs/0)", "a (runs/1)"],
            "a value is too long"
        );
    }

    #[test]
    fn scenes_that_cannot_be_read_are_told_apart_by_folder_or_run() {
        let runs = |names: [&str; 4]| {
            let runs = names.map(|name| Run {
                name: name.into(),
                scene: format!("Scene(name: \"n\", {})", name < "a/2"),
                ..Run::default()
            });
            let experiments: Vec<_> = group(runs.to_vec())
                .into_iter()
                .map(Experiment::of)
                .collect();
            labels(&experiments)
        };
        assert_eq!(runs(["a/0", "a/1", "a/2", "a/3"]), ["n (a/0)", "n (a/2)"]);
        assert_eq!(runs(["a/0", "a/1", "b/2", "b/3"]), ["n (a)", "n (b)"]);
    }
}
