//! Where a run leaves its files.

use std::path::PathBuf;

use bevy_ecs::prelude::*;

/// The folder of the run. The command line inserts it; an app of your own that wants files does so too.
#[derive(Resource, Clone, Debug)]
pub struct RunDirectory {
    /// An existing folder.
    pub path: PathBuf,
    /// The step that the run goes on from; 0 for a fresh one.
    pub resumed_from: u64,
}
