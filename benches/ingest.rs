//! `cargo bench --bench ingest -- PATH...`: how long it takes to get each file's transitions into memory, with a warm page cache.
//! One JSON object a file, in seconds. `benches/README.md` says what it is compared with.

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use yarak::data::{DatasetFile, LoadError, Reading};

const REPETITIONS: usize = 7;

fn main() -> ExitCode {
    let paths = std::env::args_os()
        .skip(1)
        .filter(|argument| argument != "--bench");
    let mut status = ExitCode::SUCCESS;
    for path in paths {
        match measure(Path::new(&path)) {
            Ok(line) => println!("{line}"),
            Err(error) => {
                eprintln!("error: {error}");
                status = ExitCode::from(2);
            }
        }
    }
    status
}

fn measure(path: &Path) -> Result<String, LoadError> {
    let mut seconds = Vec::new();
    let (mut found, mut transitions) = (String::new(), 0);
    // The first round only warms the page cache.
    for round in 0..=REPETITIONS {
        let started = Instant::now();
        let dataset_file = DatasetFile::open(path, &Reading::default())?;
        transitions = dataset_file.read()?.len();
        if round > 0 {
            seconds.push(started.elapsed().as_secs_f64());
        }
        found = dataset_file.layout().to_string();
    }
    seconds.sort_by(f64::total_cmp);
    Ok(format!(
        "{{\"name\": \"ingest {found}\", \"file\": {:?}, \"transitions\": {transitions}, \"unit\": \"s\", \"median\": {:.4}, \"min\": {:.4}, \"max\": {:.4}}}",
        path.display().to_string(),
        seconds[seconds.len() / 2],
        seconds[0],
        seconds[seconds.len() - 1],
    ))
}
