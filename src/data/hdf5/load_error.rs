//! What can be wrong with a file of demonstrations, once it can be read as HDF5.

use std::path::PathBuf;

use thiserror::Error;

use super::{FileError, Layout};
use crate::data::{NotAByte, TransitionsError};

/// A file that does not give transitions.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// No known layout.
    #[error(
        "{}: no known layout. D4RL has `observations`, `actions`, `rewards` and `terminals` at the top level, Minari `episode_0/`, \
         robomimic `data/demo_0/`, d3rlpy `observations_0` and `num_episodes`, ManiSkill `traj_0/`, \
         OGBench's archives `observations`, `actions` and `terminals`; this file has {found}",
        .file.display()
    )]
    UnknownLayout {
        /// The file.
        file: PathBuf,
        /// What is at its top level.
        found: String,
    },
    /// A number where the file's first dataset of that part is of bytes.
    #[error("{}: {source}; store all of the part's datasets as `uint8`, or all as `float32`", .file.display())]
    NotAByte {
        /// The file.
        file: PathBuf,
        /// Which number.
        source: NotAByte,
    },
    /// A dataset that the layout needs is not there.
    #[error("{}: there is no dataset `{dataset}`, which the {layout} layout needs: {expected}. The file has {found}", .file.display())]
    Missing {
        /// The file.
        file: PathBuf,
        /// The path inside the file.
        dataset: String,
        /// The layout.
        layout: Layout,
        /// What was expected there.
        expected: String,
        /// What is at the file's top level.
        found: String,
    },
    /// A dataset of another shape or type than the layout's.
    #[error("{}: dataset `{dataset}` is {found}; expected {expected}", .file.display())]
    Form {
        /// The file.
        file: PathBuf,
        /// The path inside the file.
        dataset: String,
        /// Its shape and type.
        found: String,
        /// What was expected there.
        expected: String,
    },
    /// A dataset with another number of rows than the first.
    #[error(
        "{}: dataset `{dataset}` has {found} rows and `{of}` asks for {expected}; every dataset needs one row per step{}",
        .file.display(), if *.after { ", and observations one more, the last" } else { "" }
    )]
    Rows {
        /// The file.
        file: PathBuf,
        /// The path inside the file.
        dataset: String,
        /// Its rows.
        found: usize,
        /// The dataset that it is held against.
        of: String,
        /// The rows that it should have.
        expected: usize,
        /// Whether observations have a row more in this layout.
        after: bool,
    },
    /// Two datasets of one space that differ in width.
    #[error(
        "{}: dataset `{dataset}` has {found} columns and `{of}` has {expected}; both describe the same space",
        .file.display()
    )]
    Width {
        /// The file.
        file: PathBuf,
        /// The path inside the file.
        dataset: String,
        /// Its columns.
        found: usize,
        /// The dataset that it is held against.
        of: String,
        /// That one's columns.
        expected: usize,
    },
    /// A NaN or an infinity.
    #[error(
        "{}: dataset `{dataset}`, row {row}, column {column} is {value:?}; expected a finite number: drop or repair this row",
        .file.display()
    )]
    NotFinite {
        /// The file.
        file: PathBuf,
        /// The path inside the file.
        dataset: String,
        /// The row, from 0.
        row: usize,
        /// The column, from 0.
        column: usize,
        /// What is there.
        value: f32,
    },
    /// Data that were read from the file before, and are not what they were.
    #[error("{}: the file is not what it was when this began; leave it alone while a run reads from it", .file.display())]
    Changed {
        /// The file.
        file: PathBuf,
    },
    /// No thread to read with.
    #[error(
        "no thread can be started to read the data with; look at the system's limits, such as `ulimit -u`"
    )]
    Threads {
        /// What the operating system says.
        source: std::io::Error,
    },
    /// The columns were read but hold no valid transitions.
    #[error("{}: the file gives no valid transitions", .file.display())]
    Transitions {
        /// The file.
        file: PathBuf,
        /// Why.
        source: TransitionsError,
    },
    /// A folder without the file that is looked for in it.
    #[error("{}: this folder holds no `main_data.hdf5` or `data/main_data.hdf5`, as Minari's folders do, and no `meta/info.json`, as LeRobot's do; name the HDF5 file itself", .folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
    },
    /// A format that is not read at all.
    #[error("{}: the data are stored as {format}, which is not read; write them as HDF5, in Minari with `data_format=\"hdf5\"`, or as an `.npz` of `observations`, `actions` and `terminals`", .path.display())]
    Storage {
        /// The file or folder.
        path: PathBuf,
        /// The format.
        format: String,
    },
    /// A dataset in tables, for a build that does not read them.
    #[error(
        "{}: the data are stored as {format}, which this build does not read; build yarak with `cargo build --release --features parquet`, or \
         write them as HDF5, in Minari with `data_format=\"hdf5\"`",
        .path.display()
    )]
    Tables {
        /// The file or folder.
        path: PathBuf,
        /// The format.
        format: String,
    },
    /// One table of a dataset.
    #[error(
        "{}: this is one table of a dataset; name the dataset's folder, where Minari has `data/metadata.json` and LeRobot `meta/info.json`",
        .path.display()
    )]
    OneTable {
        /// The file.
        path: PathBuf,
    },
    /// Compressed pictures, which are not read.
    #[error("{}: `{dataset}` holds {what}, which are not read; {remedy}", .file.display())]
    Image {
        /// The file.
        file: PathBuf,
        /// The path inside the file.
        dataset: String,
        /// What it holds.
        what: String,
        /// What to do instead.
        remedy: &'static str,
    },
    /// Metadata that are no metadata.
    #[error("{}: {place} cannot be read: {cause}; write it again, or take it away to read the data without it", .file.display())]
    Metadata {
        /// The file.
        file: PathBuf,
        /// What of it.
        place: String,
        /// Why.
        cause: String,
    },
    /// Another number of something than the file declares.
    #[error("{}: {declared} {what} are declared and {found} are there; the file was not written to its end, or its metadata are another file's", .file.display())]
    Count {
        /// The file.
        file: PathBuf,
        /// Episodes or steps.
        what: &'static str,
        /// How many are declared.
        declared: u64,
        /// How many there are.
        found: u64,
    },
    /// An episode missing among the others.
    #[error("{}: `{episode}` is not there although later ones are; every episode must be in the file", .file.display())]
    Gap {
        /// The file.
        file: PathBuf,
        /// The episode's name.
        episode: String,
    },
    /// What looks like an episode under a name that no episode has.
    #[error(
        "{}: `{name}` looks like an episode, and its name is not `{word}` and a number; rename it to `{word}0`, `{word}1` and so on, or \
         move it to another file",
        .file.display()
    )]
    EpisodeName {
        /// The file.
        file: PathBuf,
        /// Its path inside the file.
        name: String,
        /// What the names of episodes begin with.
        word: String,
    },
    /// Two episodes of one number, where a layout has one.
    #[error("{}: `{first}` and `{second}` have the same number; give each episode a number of its own", .file.display())]
    SameNumber {
        /// The file.
        file: PathBuf,
        /// One episode.
        first: String,
        /// The other.
        second: String,
    },
    /// An end in the middle of an episode.
    #[error("{}: dataset `{dataset}` is true at row {row} of {rows}, and the episode goes on after it; an episode ends at its last row: split it there", .file.display())]
    EndInside {
        /// The file.
        file: PathBuf,
        /// The path inside the file.
        dataset: String,
        /// The row, from 0.
        row: usize,
        /// The episode's rows.
        rows: usize,
    },
    /// A name that is asked for and is not in the file.
    #[error("{}: there is no {what} `{name}`; the file has {found}", .file.display())]
    Unknown {
        /// The file.
        file: PathBuf,
        /// What kind of name.
        what: &'static str,
        /// The name.
        name: String,
        /// The names that there are.
        found: String,
    },
    /// A filter key that lists nothing.
    #[error("{}: the filter key `{key}` lists no demonstration; choose another, or write the names into `mask/{key}`", .file.display())]
    EmptyFilter {
        /// The file.
        file: PathBuf,
        /// The filter key.
        key: String,
        /// Whether it is the one to hold out by, and not the one to train on.
        is_validation: bool,
    },
    /// An episode that is trained on and held out.
    #[error("{}: `{episode}` is in both `{training}` and `{held_out}`; what is trained on cannot be validated on", .file.display())]
    Overlap {
        /// The file.
        file: PathBuf,
        /// The episode.
        episode: String,
        /// The filter key to train on.
        training: String,
        /// The filter key to hold out.
        held_out: String,
    },
    /// Something asked for that this layout does not have.
    #[error("{}: `{setting}` means nothing for the {layout} layout, {remedy}", .file.display())]
    Setting {
        /// The file.
        file: PathBuf,
        /// The setting's name.
        setting: &'static str,
        /// The layout.
        layout: Layout,
        /// What to do instead.
        remedy: &'static str,
    },
    /// An observation that was chosen twice.
    #[error("{}: `observations` chooses `{name}` twice; name it once", .file.display())]
    Twice {
        /// The file.
        file: PathBuf,
        /// Its name.
        name: String,
    },
    /// Ends that do not say of which kind they are.
    #[error(
        "{}: `{dataset}` does not say which episodes are over for good and which were cut off: call it `terminals` where the task ends there, \
         or `timeouts` where it would go on",
        .file.display()
    )]
    Dones {
        /// The file.
        file: PathBuf,
        /// The dataset.
        dataset: String,
    },
    /// D4RL's own rule, on a file that does not say when episodes were cut off.
    #[error(
        "{}: D4RL's rule needs `timeouts`, which the file does not have, or the environment's step limit: give `max_episode_steps`, such as 1000",
        .file.display()
    )]
    NoStepLimit {
        /// The file.
        file: PathBuf,
    },
    /// Discrete actions, of several kinds at once or outside their range.
    #[error("{}: dataset `{dataset}` holds {found}; expected {expected}", .file.display())]
    DiscreteActions {
        /// The file.
        file: PathBuf,
        /// The path inside the file.
        dataset: String,
        /// What it holds.
        found: String,
        /// What was expected there.
        expected: String,
    },
}
