//! `Suite(..)` as a file has it: scenes, datasets and seeds, each with each.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use bevy_reflect::prelude::ReflectDefault;
use bevy_reflect::{Reflect, TypeInfo, TypeRegistry, Typed};

use super::file::{Needs, read_text};
use crate::scene::{Bounds, Problem, Problems, Reader, Shape, Source, split, struct_fields};

/// A suite's settings.
#[derive(Clone, Debug, Reflect)]
pub(crate) struct SuiteFile {
    /// Scenes and the data that they learn from.
    #[reflect(@Bounds::any().required())]
    pub groups: Vec<Group>,
    /// The seeds of each.
    #[reflect(@Bounds::any().required())]
    pub seeds: Vec<u64>,
    /// What is overridden in every scene, as `--set` has it.
    pub set: Vec<String>,
    /// What a run needs of the machine.
    pub needs: Needs,
    /// Where each setting was written; the whole under the empty path.
    #[reflect(ignore)]
    places: HashMap<String, Problem>,
}

/// Scenes, each of which learns from each of the datasets.
#[derive(Clone, Debug, Default, Reflect)]
#[reflect(Default)]
pub(crate) struct Group {
    /// Scenes, relative to the suite's file.
    pub scenes: Vec<PathBuf>,
    /// HDF5 files, relative to the suite's file or to the working directory. Empty: each scene's own.
    pub datasets: Vec<PathBuf>,
}

impl SuiteFile {
    /// Reads a file.
    ///
    /// # Errors
    /// Every mistake in it, with its place.
    pub fn read(path: &Path) -> Result<Self, Problems> {
        let text = read_text(path, "a suite's file, such as scenes/suites/pendulum.ron")?;
        Self::parse(&path.display().to_string(), &text)
    }

    fn parse(name: &str, text: &str) -> Result<Self, Problems> {
        let source = Source::file(name, text);
        let (root, extensions) = split(&source).map_err(|problem| Problems::from(*problem))?;
        let is_suite =
            matches!(&root.shape, Shape::Group { name: Some(name), .. } if name.text == "Suite");
        if !is_suite {
            let message = format!("expected Suite(..), found {}", root.found());
            let help =
                "a suite is Suite(groups: [(scenes: [\"..\"])], seeds: [0, 1, 2])".to_owned();
            return Err(root.problem("", message, Some(help)).into());
        }
        let mut types = TypeRegistry::new();
        types.register::<SuiteFile>();
        let mut reader = Reader::new(&types);
        reader.extensions = extensions;
        let mut suite = SuiteFile {
            groups: Vec::new(),
            seeds: Vec::new(),
            set: Vec::new(),
            needs: Needs::default(),
            places: HashMap::new(),
        };
        if let TypeInfo::Struct(info) = SuiteFile::type_info() {
            let fields = struct_fields(info);
            reader.read_struct(&root, "Suite", &fields, &mut suite, "");
        }
        reader.refuse_missing();
        let places = reader.places.iter();
        suite.places = places
            .map(|(path, node)| (path.clone(), node.problem("", "", None)))
            .chain([(String::new(), root.problem("", "", None))])
            .collect();
        reader.problems.into_result()?;
        let mut problems = Problems::default();
        for (path, is_empty) in [
            (
                "groups",
                suite.groups.iter().all(|group| group.scenes.is_empty()),
            ),
            ("seeds", suite.seeds.is_empty()),
        ] {
            if is_empty {
                problems.push(suite.problem(path, "there are none", "give one at least"));
            }
        }
        let twice =
            (0..suite.seeds.len()).find(|at| suite.seeds[..*at].contains(&suite.seeds[*at]));
        if let Some(at) = twice {
            let message = format!("seed {} is given twice", suite.seeds[at]);
            problems.push(suite.problem("seeds", message, "keep one of them"));
        }
        problems.into_result()?;
        Ok(suite)
    }

    /// A mistake at the place of a setting.
    pub fn problem(&self, path: &str, message: impl Into<String>, help: &str) -> Problem {
        let place = self.places.get(path).or_else(|| self.places.get(""));
        Problem {
            path: path.to_owned(),
            message: message.into(),
            help: Some(help.to_owned()),
            ..place
                .cloned()
                .unwrap_or_else(|| Problem::about_file("the suite", "", None))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_of_a_suite_have_their_places() {
        for (text, part) in [
            ("Sweep()", "a.ron:1:1: error: expected Suite(..)"),
            ("Suite(seeds: [0])", "`Suite` needs `groups`"),
            (
                "Suite(groups: [(scenes: [])], seeds: [0])",
                "groups: there are none",
            ),
            (
                "Suite(groups: [(scenes: [\"a\"])], seeds: [])",
                "seeds: there are none",
            ),
            (
                "Suite(groups: [(scenes: [\"a\"])], seeds: [1, 2, 1])",
                "seed 1 is given twice",
            ),
            ("Suite(groups: [(scenes: [\"a\"])], seed: [1])", "seeds"),
            ("Suite(groups: [(scene: [\"a\"])], seeds: [1])", "scenes"),
        ] {
            let said = SuiteFile::parse("a.ron", text).unwrap_err().to_string();
            assert!(said.contains(part), "{part:?} is not in:\n{said}");
        }
    }
}
