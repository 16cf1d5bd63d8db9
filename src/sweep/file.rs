//! `Sweep(..)` as a file has it.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use bevy_reflect::{Reflect, TypeInfo, TypeRegistry, Typed};

use super::draw::{self, MOST_TRIALS};
use super::plan::{self, MOST_ROUNDS};
use super::space::{Dimension, read_space};
use crate::scene::{
    Bounds, LARGEST, Node, Problem, Problems, Reader, Shape, Source, split, struct_fields,
};
use crate::schedule::Goal;

/// The settings of a sweep but for its space.
#[derive(Clone, Debug, Reflect)]
pub(crate) struct SweepSettings {
    /// The scene, relative to the sweep's file.
    #[reflect(@Bounds::any().required())]
    pub scene: PathBuf,
    /// What is overridden in every trial, as `--set` has it: "steps=3_000".
    pub set: Vec<String>,
    /// The seeds that each trial is trained with.
    pub seeds: Vec<u64>,
    /// How many times the settings that are drawn are drawn, each time for every point of the grid.
    #[reflect(@Bounds::at_least(1.0).up_to(10_000.0))]
    pub samples: u64,
    /// How they are drawn.
    pub sampler: Sampler,
    /// The seed of the draws, and of the decisions of `Pbt`.
    pub seed: u64,
    /// What is to become good.
    pub objective: Objective,
    /// How far each trial is brought.
    pub scheduler: Scheduler,
    /// What a trial needs of a machine.
    pub needs: Needs,
    /// How often a trial that failed is tried again.
    pub retries: u64,
    /// The most steps that all trials together may take: a sweep that could take more is refused. None: as many as it takes.
    pub budget: Option<u64>,
}

impl Default for SweepSettings {
    fn default() -> Self {
        SweepSettings {
            scene: PathBuf::new(),
            set: Vec::new(),
            seeds: vec![0],
            samples: 1,
            sampler: Sampler::Quasi,
            seed: 0,
            objective: Objective::default(),
            scheduler: Scheduler::All,
            needs: Needs::default(),
            retries: 1,
            budget: None,
        }
    }
}

/// How settings are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Reflect)]
pub(crate) enum Sampler {
    /// Evenly spread: a shifted additive recurrence (Roberts' R sequence).
    Quasi,
    /// Independently.
    Random,
}

/// What a trial is judged by.
#[derive(Clone, Debug, PartialEq, Reflect)]
pub(crate) struct Objective {
    /// The metric.
    pub metric: String,
    /// Which of its values are good.
    pub goal: Goal,
    /// What counts of several seeds.
    pub seeds: OverSeeds,
    /// The mean of how many of the last reports with the metric.
    #[reflect(@Bounds::at_least(1.0))]
    pub last: u64,
}

impl Default for Objective {
    fn default() -> Self {
        Objective {
            metric: "evaluate/return".to_owned(),
            goal: Goal::Largest,
            seeds: OverSeeds::Mean,
            last: 1,
        }
    }
}

/// One number for several seeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Reflect)]
pub(crate) enum OverSeeds {
    /// Their mean.
    Mean,
    /// Their median.
    Median,
    /// The worst of them.
    Worst,
}

/// How far trials are brought.
#[derive(Clone, Debug, PartialEq, Reflect)]
pub(crate) enum Scheduler {
    /// All to the end.
    All,
    /// Asynchronous successive halving (Li et al. 2020, <https://arxiv.org/abs/1810.05934>): all to `first` steps, the best of each
    /// `factor` to `factor` times as many, and so on. Who is promoted, and when, is decided in virtual time, in which a step takes every
    /// trial equally long, so that decisions do not hang on who was faster.
    Asha {
        /// Steps of the first rung.
        #[reflect(@Bounds::at_least(1.0))]
        first: u64,
        /// One of so many goes on.
        #[reflect(@Bounds::at_least(2.0))]
        factor: u64,
        /// How many trials are under way at once in virtual time, and so the most that run at once. Fewer bring the first ones to the end
        /// earlier. None: all.
        #[reflect(@Bounds::at_least(1.0))]
        workers: Option<u64>,
    },
    /// Ends a trial that is worse than the median of all, every so many steps.
    Median {
        /// Steps between two comparisons.
        #[reflect(@Bounds::at_least(1.0))]
        every: u64,
    },
    /// Population based training (Jaderberg et al. 2017, <https://arxiv.org/abs/1711.09846>): every so many steps the worst are replaced
    /// by forks of the best, with settings a little different.
    Pbt {
        /// Steps between two replacements.
        #[reflect(@Bounds::at_least(1.0))]
        every: u64,
        /// The share that is replaced, and the share that is copied.
        #[reflect(@Bounds::above(0.0).up_to(0.5))]
        quantile: f64,
        /// Numbers are multiplied or divided by this.
        #[reflect(@Bounds::above(1.0))]
        perturb: f64,
    },
}

/// What a trial needs.
#[derive(Clone, Debug, PartialEq, Reflect)]
pub(crate) struct Needs {
    /// Processor cores.
    #[reflect(@Bounds::at_least(1.0).up_to(1024.0))]
    pub cores: u64,
    /// Memory in GiB.
    #[reflect(@Bounds::above(0.0))]
    pub memory: f64,
}

impl Default for Needs {
    fn default() -> Self {
        Needs {
            cores: 1,
            memory: 1.0,
        }
    }
}

/// A sweep's file, read.
#[derive(Debug)]
pub(crate) struct SweepFile {
    pub settings: SweepSettings,
    pub space: Vec<Dimension>,
    /// Its text.
    pub text: String,
    /// Where each setting was written; the whole under the empty path.
    places: HashMap<String, Problem>,
}

impl SweepFile {
    /// Reads a file.
    ///
    /// # Errors
    /// Every mistake in it, with its place.
    pub fn read(path: &Path) -> Result<Self, Problems> {
        let text = read_text(
            path,
            "a sweep's file, such as scenes/sweeps/pendulum_td3_bc.ron",
        )?;
        Self::parse(&path.display().to_string(), &text)
    }

    /// The same of a text; `name` is what problems call the file.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn parse(name: &str, text: &str) -> Result<Self, Problems> {
        let source = Source::file(name, text);
        let (root, extensions) = split(&source).map_err(|problem| Problems::from(*problem))?;
        let mut types = TypeRegistry::new();
        types.register::<SweepSettings>();
        let mut reader = Reader::new(&types);
        reader.extensions = extensions;
        let mut settings = SweepSettings::default();
        let mut space = Vec::new();
        let is_sweep =
            matches!(&root.shape, Shape::Group { name: Some(name), .. } if name.text == "Sweep");
        let Shape::Group { name: head, items } = root.shape.clone() else {
            return Err(no_sweep(&root));
        };
        if !is_sweep {
            return Err(no_sweep(&root));
        }
        let (of_space, others): (Vec<_>, Vec<_>) = items
            .into_iter()
            .partition(|item| item.key.as_ref().is_some_and(|key| key.text == "space"));
        match of_space.as_slice() {
            [] => {
                let help = "add space: { \"Td3Bc.alpha\": LogUniform(0.5, 10.0) }";
                reader.refuse(root.problem("", "`Sweep` needs `space`", Some(help.into())));
            }
            [only] => space = read_space(&mut reader, &only.value),
            [.., again] => {
                let help = "keep one of them".to_owned();
                reader.refuse(
                    again
                        .value
                        .problem("space", "`space` is given twice", Some(help)),
                );
            }
        }
        let rest = Node {
            shape: Shape::Group {
                name: head,
                items: others,
            },
            ..root.clone()
        };
        if let TypeInfo::Struct(info) = SweepSettings::type_info() {
            let fields = struct_fields(info);
            reader.read_struct(&rest, "Sweep", &fields, &mut settings, "");
        }
        reader.refuse_missing();
        let mut places: HashMap<String, Problem> = reader
            .places
            .iter()
            .map(|(path, node)| (path.clone(), node.problem("", "", None)))
            .collect();
        places.insert(String::new(), root.problem("", "", None));
        reader.problems.into_result()?;
        let file = SweepFile {
            settings,
            space,
            text: text.to_owned(),
            places,
        };
        file.check()?;
        Ok(file)
    }

    /// A mistake at the place of a setting; the place of what holds it where it is left out.
    pub fn problem(&self, path: &str, message: impl Into<String>, help: &str) -> Problem {
        let mut holder = path;
        while !self.places.contains_key(holder) && !holder.is_empty() {
            holder = holder.rfind('.').map_or("", |dot| &holder[..dot]);
        }
        let place = self.places.get(holder).cloned();
        Problem {
            path: path.to_owned(),
            message: message.into(),
            help: Some(help.to_owned()),
            ..place.unwrap_or_else(|| Problem::about_file("the sweep", "", None))
        }
    }

    /// Refuses a scheduler that would compare the trials of a scene of so many steps far too often.
    ///
    /// # Errors
    /// It has more than [`MOST_ROUNDS`] rounds.
    pub fn check_rounds(&self, steps: u64) -> Result<(), Problems> {
        let rounds = plan::count(&self.settings.scheduler, steps);
        if rounds <= MOST_ROUNDS {
            return Ok(());
        }
        let message = format!(
            "{steps} steps are {rounds} rounds of these, and a sweep has at most {MOST_ROUNDS}"
        );
        let help = format!("take {} or more", steps.div_ceil(MOST_ROUNDS));
        Err(self.problem("scheduler.every", message, &help).into())
    }

    /// What can be wrong with several settings together.
    fn check(&self) -> Result<(), Problems> {
        let mut problems = Problems::default();
        let SweepSettings { seeds, samples, .. } = &self.settings;
        if seeds.is_empty() {
            problems.push(self.problem("seeds", "no seed, no run", "give one, such as [0]"));
        }
        for (index, seed) in seeds.iter().enumerate() {
            if seeds[..index].contains(seed) {
                let message = format!("seed {seed} is given twice");
                problems.push(self.problem("seeds", message, "keep one of them"));
            }
        }
        let is_drawn = self.space.iter().any(Dimension::is_drawn);
        if *samples > 1 && !is_drawn {
            problems.push(self.problem(
                "samples",
                "nothing in `space` is drawn, so all samples would be the same",
                "leave it out, or draw a setting: Uniform(a, b), LogUniform(a, b), Int(a, b), Choice([..])",
            ));
        }
        let trials = draw::count(&self.space, &self.settings);
        if trials.is_none_or(|trials| trials > MOST_TRIALS) {
            let trials = trials.map_or("more than 2^64".to_owned(), |trials| trials.to_string());
            problems.push(self.problem(
                "space",
                format!("this makes {trials} trials, and a sweep has at most {MOST_TRIALS}"),
                "draw some of the settings of a Grid instead: Choice([..]), with fewer `samples`",
            ));
        }
        if matches!(self.settings.scheduler, Scheduler::Pbt { .. }) && seeds.len() != 1 {
            problems.push(self.problem(
                "seeds",
                "a trial of `Pbt` is forked from another's checkpoint, which has the state of one seed",
                "give one seed",
            ));
        }
        problems.into_result()
    }
}

/// A file's text, of which no more is read than a scene may have.
pub(super) fn read_text(path: &Path, what: &str) -> Result<String, Problems> {
    let refuse = |message: String| {
        let name = path.display().to_string();
        Problems::from(Problem::about_file(
            name,
            message,
            Some(format!("name {what}")),
        ))
    };
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(LARGEST as u64 + 1).read_to_end(&mut bytes))
        .map_err(|error| refuse(format!("this cannot be read: {error}")))?;
    String::from_utf8(bytes).map_err(|_| refuse("this is not text".to_owned()))
}

fn no_sweep(root: &Node) -> Problems {
    let message = format!("expected Sweep(..), found {}", root.found());
    let help = "a sweep is Sweep(scene: \"..\", space: { .. }, ..)".to_owned();
    root.problem("", message, Some(help)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grid_beyond_all_numbers_and_endless_rounds_are_refused_at_once() {
        let list = "0, ".repeat(256);
        let grids: Vec<String> = (0..9)
            .map(|index| format!("\"A.x{index}\": Grid([{list}])"))
            .collect();
        let text = format!("Sweep(scene: \"a\", space: {{ {} }})", grids.join(", "));
        let said = SweepFile::parse("a.ron", &text).unwrap_err().to_string();
        assert!(said.contains("more than 2^64 trials"), "{said}");
        let text =
            "Sweep(scene: \"a\", scheduler: Median(every: 1), space: { \"A.b\": Grid([1]) })";
        let file = SweepFile::parse("a.ron", text).unwrap();
        assert!(file.check_rounds(10_000).is_ok());
        let said = file
            .check_rounds(1_000_000_000_000)
            .unwrap_err()
            .to_string();
        assert!(said.contains("take 100000000 or more"), "{said}");
    }

    #[test]
    fn mistakes_of_a_sweep_have_their_places() {
        let refused = |text: &str| SweepFile::parse("a.ron", text).unwrap_err().to_string();
        for (text, parts) in [
            (
                "Scene(steps: 1)",
                "a.ron:1:1: error: expected Sweep(..), found Scene",
            ),
            ("Sweep(scene: \"a\")", "`Sweep` needs `space`"),
            (
                "Sweep(space: {\"A.b\": Int(1, 2)})",
                "`Sweep` needs `scene`",
            ),
            (
                "Sweep(scene: \"a\", space: {\"A.b\": Int(1, 2)}, sample: 3)",
                "samples",
            ),
            (
                "Sweep(scene: \"a\", space: {\"A.b\": Int(2, 1)})",
                "a.ron:1:34: error: A.b: ",
            ),
            ("Sweep(scene: \"a\", space: {\"A.b\": Grid([])})", "A.b"),
            (
                "Sweep(scene: \"a\", space: {\"A.b\": LogUniform(0, 1)})",
                "A.b",
            ),
            (
                "Sweep(scene: \"a\", space: {\"A.b\": Gaussian(0, 1)})",
                "Uniform(a, b)",
            ),
            ("Sweep(scene: \"a\", space: {\"seed\": Int(0, 1)})", "seeds"),
            (
                "Sweep(scene: \"a\", space: {\"A.b\": Grid([1]), \"A.b\": Grid([2])})",
                "twice",
            ),
            (
                "Sweep(scene: \"a\", space: {\"A.b.c\": Grid([1]), \"A.b\": Grid([2])})",
                "it and `A.b.c` are varied, and one is in the other",
            ),
            (
                "Sweep(scene: \"a\", samples: 2, space: {\"A.b\": Grid([1])})",
                "samples",
            ),
            (
                "Sweep(scene: \"a\", samples: 9_999, space: {\"A.a\": Int(0, 9), \"A.b\": Grid([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11])})",
                "109989 trials",
            ),
            (
                "Sweep(scene: \"a\", seeds: [1, 1], space: {\"A.b\": Grid([1])})",
                "seed 1 is given twice",
            ),
            (
                "Sweep(scene: \"a\", scheduler: Asha(first: 0, factor: 3), space: {\"A.b\": Grid([1])})",
                "scheduler.first",
            ),
            (
                "Sweep(scene: \"a\", scheduler: Asha(first: 1, factor: 3, workers: Some(0)), space: {\"A.b\": Grid([1])})",
                "scheduler.workers",
            ),
            (
                "Sweep(scene: \"a\", seeds: [0, 1], scheduler: Pbt(every: 1, quantile: 0.2, perturb: 1.2), space: {\"A.b\": Grid([1])})",
                "give one seed",
            ),
        ] {
            let said = refused(text);
            assert!(said.contains(parts), "{parts:?} is not in:\n{said}");
        }
    }
}
