//! `cargo bench`: the workloads that `yarak bench` measures, TD3+BC's step among them. `benches/README.md` compares them.

use std::ffi::OsString;

use bevy_app::AppExit;

fn main() -> AppExit {
    // Cargo adds `--bench`, which says nothing new here.
    let asked = std::env::args_os()
        .skip(1)
        .filter(|argument| argument != "--bench");
    let command = ["yarak", "bench"].map(OsString::from);
    yarak::cli::run_with(|_| {}, command.into_iter().chain(asked))
}
