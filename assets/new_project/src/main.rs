//! The whole command line of yarak, whose scenes may name the algorithm of this project.

mod gentle_td3;

use gentle_td3::GentleTd3;
use yarak::prelude::*;

fn main() -> AppExit {
    yarak::cli::run(|app| {
        app.register_for_scenes::<GentleTd3>();
    })
}
