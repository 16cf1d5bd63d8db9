//! What of a file is read, and as what: the questions that a layout leaves open, and their answers.

use bevy_reflect::Reflect;

use super::{File, Layout, LoadError};

/// What of a file is read, and as what. The default reads everything, and nothing that the file does not say.
///
/// ```
/// use yarak::data::{Reading, DatasetFile};
///
/// # let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/layouts/robomimic/plain.hdf5");
/// let reading = Reading { observations: vec!["object".into(), "eef_pos".into()], ..Reading::default() };
/// let dataset_file = DatasetFile::open(file, &reading)?;
/// assert_eq!(dataset_file.observation()[0].name, "object");
/// # Ok::<(), yarak::data::LoadError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    /// Minari, robomimic, ManiSkill and LeRobot: the named parts of an observation, in the order in which they are joined. Empty: all of them, in
    /// the layout's order, and of LeRobot's those that are numbers. A name with others below it stands for all of these.
    pub observations: Vec<String>,
    /// D4RL: which rows are transitions.
    pub rule: Rule,
    /// D4RL's own rule on a file without `timeouts`: the environment's step limit.
    pub max_episode_steps: Option<usize>,
    /// robomimic, LeRobot: what `dones` mean, or `next.done`.
    pub dones: Dones,
    /// robomimic: the filter key in `mask/` whose demonstrations are trained on. None: all that are not held out.
    pub filter: Option<String>,
    /// robomimic: the filter key in `mask/` whose demonstrations are held out for validation. None: none.
    pub validation_filter: Option<String>,
    /// Keeps rows whose next observation was not recorded, with their own observation in its place: for who learns from observations and
    /// actions alone. [`Rule::D4rl`] leaves them out all the same, and so does OGBench, whose last actions were never taken.
    pub unfollowed: bool,
}

/// Which rows of a D4RL file are transitions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Reflect)]
pub enum Rule {
    /// Every row whose next observation was recorded. A truncated step keeps its true next observation where the file has one, and
    /// is not a transition where it has none, unless [`Reading::unfollowed`] keeps it.
    #[default]
    Exact,
    /// Row for row what D4RL's `qlearning_dataset` gives, to compare with published scores: next observations are those of the
    /// following row, also after a terminal; rows that a time limit ended and the file's last row are left out.
    D4rl,
}

/// What the `dones` of a robomimic file mean, after the three modes of robomimic's converter (`dataset_states_to_obs.py
/// --done_mode`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Reflect)]
pub enum Dones {
    /// Each one is a terminal, as robomimic's algorithms take it. Right for files of mode 0, whose `dones` mark success.
    #[default]
    Terminated,
    /// They mark the ends of demonstrations (mode 1) and none is a terminal: the last step is truncated.
    EndOfDemonstration,
    /// Each one is a terminal and so is each demonstration's last step (mode 2).
    Both,
}

impl Reading {
    /// Refuses what means nothing for the file's layout, rather than to leave it aside.
    pub(super) fn check(&self, file: &File, layout: Layout) -> Result<(), LoadError> {
        let plain = Self::default();
        let [d4rl, robomimic, lerobot] =
            [Layout::D4rl, Layout::Robomimic, Layout::Lerobot].map(|it| it == layout);
        let has_names =
            robomimic || lerobot || [Layout::Minari, Layout::Maniskill].contains(&layout);
        let has_dones = robomimic || lerobot;
        let no_names = "whose observations have no named parts; leave it out";
        let no_rule = "whose files say which steps have a next observation; leave it out";
        let no_filter = "which has no filter keys; hold out a share with `validation`, such as 0.1";
        let no_dones = "whose files tell terminals from other ends; leave it out";
        for (setting, is_given, means_something, remedy) in [
            (
                "observations",
                !self.observations.is_empty(),
                has_names,
                no_names,
            ),
            ("rule", self.rule != plain.rule, d4rl, no_rule),
            (
                "max_episode_steps",
                self.max_episode_steps.is_some(),
                d4rl,
                no_rule,
            ),
            ("dones", self.dones != plain.dones, has_dones, no_dones),
            ("filter", self.filter.is_some(), robomimic, no_filter),
            (
                "validation_filter",
                self.validation_filter.is_some(),
                robomimic,
                no_filter,
            ),
        ] {
            if is_given && !means_something {
                return Err(LoadError::Setting {
                    file: file.path().to_owned(),
                    setting,
                    layout,
                    remedy,
                });
            }
        }
        Ok(())
    }
}
