//! The program `yarak`: the command line of the library, with its own plugins.

use bevy_app::AppExit;

fn main() -> AppExit {
    yarak::cli::run(|_| {})
}
