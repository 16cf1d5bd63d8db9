//! Many runs of one scene with other settings: which, how far each is brought, and what came of it.
//!
//! A sweep is a folder. `file` reads the `Sweep(..)` that describes it, `space` and `draw` make its trials, `plan` says at which steps
//! they are compared; `decide` says which go on from the end of a round, and `asha` which are promoted to the next rung. Everything that a
//! decision rests on is in the trials' own files (`folder`), and it hangs on what they came to and not on when: whoever asks, and whenever,
//! finds the same one. So nobody has to drive a sweep, and one that was killed anywhere ends with the same `table`.
//!
//! `suite` is the other question, several scenes as they are on several datasets and seeds, and one table.
//!
//! What starts processes is `yarak sweep run`, or an engine that exists, for which `engines` writes the files. Nothing here trains.

mod asha;
mod decide;
mod draw;
mod engines;
mod file;
mod folder;
mod importance;
mod page;
mod parallel;
mod plan;
mod progress;
mod space;
mod state;
mod suite;
mod table;

pub(crate) use engines::{Cluster, commands, kubernetes, quoted, ray, slurm};
pub(crate) use file::{Scheduler, SweepFile};
pub(crate) use folder::{SweepError, SweepFolder};
pub(crate) use page::page;
pub(crate) use plan::Plan;
pub(crate) use progress::{Failed, Reached};
pub(crate) use space::{Dimension, Setting};
pub(crate) use state::{Lineage, Standing, State};
pub(crate) use suite::SuiteFile;
pub(crate) use table::Table;
