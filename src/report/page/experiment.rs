//! Runs that belong together: those whose scenes differ in nothing but the seed.

use super::videos::Video;
use crate::report::curves::Reference;
use crate::report::json_lines::Row;
use crate::scene::Scene;
use crate::schedule::DrawnSchedule;

/// A run, as its folder has it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Run {
    /// Its folder as the user gave it.
    pub name: String,
    /// The rows of its `metrics.jsonl`, in the file's order.
    pub rows: Vec<Row>,
    /// The text of its resolved scene.
    pub scene: String,
    /// Videos of its policy.
    pub videos: Vec<Video>,
    /// What its best checkpoint came to on episodes that it was not chosen by, as `scores.json` has it.
    pub fresh: Option<FreshScore>,
}

/// The mean return of several episodes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FreshScore {
    /// The mean.
    pub mean: f64,
    /// Its standard error; `None` of one episode.
    pub standard_error: Option<f64>,
    /// How many episodes.
    pub episodes: u64,
}

impl FreshScore {
    /// Reads it from the text of a run's `scores.json`; `None` where there is none in it.
    ///
    /// ```
    /// use yarak::report::page::FreshScore;
    ///
    /// let text = r#"{"best_on_fresh_episodes": {"return": -209.8, "standard_error": 20.3, "episodes": 50}}"#;
    /// assert_eq!(FreshScore::read(text).unwrap().mean, -209.8);
    /// assert_eq!(FreshScore::read(r#"{"best_on_fresh_episodes": null}"#), None);
    /// ```
    pub fn read(text: &str) -> Option<Self> {
        let scores: serde_json::Value = serde_json::from_str(text).ok()?;
        let fresh = scores.get("best_on_fresh_episodes")?;
        Some(FreshScore {
            mean: fresh.get("return")?.as_f64()?,
            standard_error: fresh
                .get("standard_error")
                .and_then(serde_json::Value::as_f64),
            episodes: fresh.get("episodes")?.as_u64()?,
        })
    }
}

impl Run {
    /// The values of a metric with their steps.
    pub fn points(&self, metric: &str) -> Vec<(f64, f64)> {
        let rows = self.rows.iter();
        rows.filter_map(|row| Some((row.step as f64, row.get(metric)?)))
            .collect()
    }
}

/// Runs that are one curve: seeds of one scene.
#[derive(Debug, Clone)]
pub struct Experiment {
    /// At least one.
    pub runs: Vec<Run>,
    /// The scene of the first run, where this program can read it: settings are compared by it.
    pub scene: Option<Scene>,
    /// The returns of known policies in its environment.
    pub references: Vec<Reference>,
    /// What the scene runs, or why it cannot be drawn.
    pub(crate) schedule: Result<Vec<DrawnSchedule>, String>,
}

impl Experiment {
    /// An experiment of which nothing is known but its runs.
    pub fn of(runs: Vec<Run>) -> Self {
        Experiment {
            runs,
            scene: None,
            references: Vec::new(),
            schedule: Err("the scene was not read".to_owned()),
        }
    }

    /// The scene's name; the folder of a scene without one.
    pub fn name(&self) -> String {
        let scene = self.runs.first().and_then(|run| scene_name(&run.scene));
        scene
            .filter(|name| !name.trim().is_empty())
            .unwrap_or_else(|| self.folder())
    }

    /// The folder that the runs share, without what names a seed; that of the first run where they share none.
    pub fn folder(&self) -> String {
        let runs: Vec<&Run> = self.runs.iter().collect();
        match (shared_name(&runs), runs.first()) {
            (shared, Some(first)) if shared.is_empty() => first.name.clone(),
            (shared, _) => shared,
        }
    }
}

/// Puts the runs together whose scenes differ in nothing but the seed, in the order of the first of each.
///
/// ```
/// use yarak::report::page::{Run, group};
///
/// let run = |name: &str, seed, alpha| Run {
///     name: name.into(),
///     scene: format!("Scene(seed: {seed}, plugins: [Td3Bc(alpha: {alpha})])"),
///     ..Run::default()
/// };
/// let groups = group(vec![run("a/seed_0", 0, 2.5), run("b", 0, 1.0), run("a/seed_1", 1, 2.5)]);
/// let names = groups.iter().map(|runs| runs.iter().map(|run| run.name.as_str()).collect::<Vec<_>>());
/// assert_eq!(names.collect::<Vec<_>>(), [vec!["a/seed_0", "a/seed_1"], vec!["b"]]);
/// ```
pub fn group(runs: Vec<Run>) -> Vec<Vec<Run>> {
    let mut groups: Vec<(String, Vec<Run>)> = Vec::new();
    for run in runs {
        let key = without_seed(&run.scene);
        match groups.iter_mut().find(|(known, _)| *known == key) {
            Some((_, runs)) => runs.push(run),
            None => groups.push((key, vec![run])),
        }
    }
    groups.into_iter().map(|(_, runs)| runs).collect()
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

/// The tokens of RON's text with the depth of brackets before each.
fn tokens(scene: &str) -> impl Iterator<Item = (u32, &str)> {
    let (mut rest, mut depth) = (scene, 0_u32);
    std::iter::from_fn(move || {
        let (token, after) = rest.split_at(token_length(rest));
        rest = after;
        let before = depth;
        match token {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            _ => {}
        }
        (!token.is_empty()).then_some((before, token))
    })
}

/// The scene's own field `name`. Read as text: the scene's plugins need not be known here.
fn scene_name(scene: &str) -> Option<String> {
    let mut own = tokens(scene).filter(|(depth, token)| *depth == 1 && !token.trim().is_empty());
    own.find(|(_, token)| *token == "name")?;
    own.next().filter(|(_, token)| *token == ":")?;
    ron::from_str(own.next()?.1).ok()
}

/// The scene's text without its field `seed` (and `seeds`); fields of that name further inside are settings and stay.
fn without_seed(scene: &str) -> String {
    let mut kept = String::with_capacity(scene.len());
    let mut in_seed = false;
    let mut rest = scene;
    for (depth, token) in tokens(scene) {
        rest = &rest[token.len()..];
        match token {
            "seed" | "seeds" if depth == 1 && rest.trim_start().starts_with(':') => in_seed = true,
            "," if depth == 1 && in_seed => {
                in_seed = false;
                continue;
            }
            ")" if depth == 1 => in_seed = false,
            _ => {}
        }
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
            scene: scene.into(),
            ..Run::default()
        }
    }

    #[test]
    fn runs_that_differ_in_their_seed_alone_are_one_experiment() {
        let scene = |seed: u32, alpha: f32| {
            format!(
                "Scene(\n    name: \"seed: 1, (\",\n    seed: {seed},\n    plugins: [A(alpha: {alpha}, seed: 7)],\n)"
            )
        };
        let runs = vec![
            run("runs/a/seed_10", &scene(10, 2.5)),
            run("runs/b", &scene(0, 1.0)),
            run("runs/a/seed_11", &scene(11, 2.5)),
        ];
        let experiments = group(runs).into_iter().map(Experiment::of);
        let found: Vec<_> = experiments
            .map(|one| (one.name(), one.folder(), one.runs.len()))
            .collect();
        let name = || "seed: 1, (".to_owned();
        assert_eq!(
            found,
            [(name(), "runs/a".into(), 2), (name(), "runs/b".into(), 1)]
        );
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
    fn an_experiment_is_called_as_its_scene_or_else_as_its_folder() {
        for (scene, name) in [
            ("Scene(name: \"a \\\"b\\\", c\", steps: 1)", "a \"b\", c"),
            (
                "Scene(seed: 3, plugins: [A(name: \"x\")], name : \"y\")",
                "y",
            ),
            ("Scene(plugins: [A(name: \"x\")])", "runs/a"),
            ("Scene(name: \" \")", "runs/a"),
            ("Scene(name: \"open", "runs/a"),
            ("Scene(name:", "runs/a"),
            ("", "runs/a"),
        ] {
            let experiment = Experiment::of(vec![run("runs/a", scene)]);
            assert_eq!(experiment.name(), name, "{scene}");
        }
    }

    #[test]
    fn runs_without_a_folder_in_common_have_that_of_the_first() {
        let folder =
            |names: [&str; 2]| Experiment::of(names.map(|name| run(name, "s")).to_vec()).folder();
        assert_eq!(folder(["x", "y"]), "x");
        assert_eq!(folder(["a/seed_1", "a/seed_12"]), "a");
        assert_eq!(folder(["a/0", "a/1"]), "a");
    }
}
