//! Runs that are killed at any moment, again and again, end like the run that nobody killed.
//!
//! `YARAK_KILLS=300 cargo test --release --test program killed_at_random -- --nocapture` kills so many times and prints what it did.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::resume::assert_same_end;
use crate::room::{Room, with_dataset};

/// Runs that take some tenths of a second and save often, each with networks that take a while to write.
fn scenes() -> [(&'static str, String); 3] {
    let common = "Reports(every: 30), Checkpoints(every: 10, keep: 2), TensorBoard(),";
    [
        (
            "offline",
            with_dataset(&format!(
                "Scene(steps: 300, plugins: [
    Dataset(path: \"DATASET\", validation: 0.2),
    Td3Bc(
        minibatch: (batch_size: 16, steps_per_epoch: 60),
        critic: (encoder: Mlp(hidden_sizes: [96, 96])),
        actor: (encoder: Mlp(hidden_sizes: [96, 96])),
    ),
    Evaluation(env: \"Pendulum-v1\", every: 50, episodes: 1),
    Validation(every: 40), {common}
])"
            )),
        ),
        (
            "online",
            format!(
                "Scene(steps: 300, plugins: [
    Environments(env: \"Pendulum-v1\", num_envs: 3, time_limit: Some(20)),
    Replay(capacity: 150),
    Td3(
        minibatch: (batch_size: 8), n_step: 3, off_policy: (learning_starts: 60),
        critic: (encoder: Mlp(hidden_sizes: [96, 96])), actor: (encoder: Mlp(hidden_sizes: [96, 96])),
    ),
    Evaluation(env: \"Pendulum-v1\", every: 100, episodes: 1), {common}
])"
            ),
        ),
        (
            "on_policy",
            format!(
                "Scene(steps: 320, plugins: [
    Environments(env: \"CartPole-v1\", num_envs: 2),
    Ppo(steps: 8, epochs: 2, minibatches: 2, actor: (encoder: Mlp(hidden_sizes: [96, 96])), critic: (encoder: Mlp(hidden_sizes: [96, 96]))),
    Evaluation(env: \"CartPole-v1\", every: 100, episodes: 1), {common}
])"
            ),
        ),
    ]
}

/// SplitMix64, for moments that another run of the test has again.
struct Moments(u64);

impl Moments {
    /// From 0 to 1.
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// What there is of unfinished work in a run's folder.
fn unfinished(run: &Path) -> Vec<String> {
    let entries = [run.to_path_buf(), run.join("checkpoints")];
    let entries = entries
        .iter()
        .flat_map(|folder| fs::read_dir(folder).into_iter().flatten());
    let names = entries
        .flatten()
        .map(|it| it.file_name().to_string_lossy().into_owned());
    names
        .filter(|name| {
            [".writing-", ".pruned-", ".replaced-"]
                .iter()
                .any(|it| name.starts_with(it))
        })
        .collect()
}

#[derive(Default)]
struct Count {
    kills: usize,
    inside_a_save: usize,
    before_the_first: usize,
    runs: usize,
}

/// Kills and resumes runs of a scene until it has killed so many times, and compares each run's end with the undisturbed one's.
fn kill(room: &Room, kills: usize, moments: &mut Moments) -> Count {
    let began = Instant::now();
    room.yarak("train tiny.ron --run whole").ends_with(0);
    let whole = began.elapsed();
    let mut count = Count::default();
    while count.kills < kills {
        let name = format!("killed_{}", count.runs);
        let run = room.path(&name);
        let words = format!("train tiny.ron --run {name} --resume auto");
        loop {
            let mut child = room.start(&words);
            let inside_a_save = moments.next() < 1.0 / 3.0;
            let started = Instant::now();
            let mut moment = whole.mul_f64(1.1 * moments.next());
            let mut is_chosen = !inside_a_save;
            let after = Duration::from_micros((3_000.0 * moments.next()) as u64);
            let finished = loop {
                if let Some(status) = child.try_wait().unwrap() {
                    assert!(status.success(), "{name} failed: {status}");
                    break true;
                }
                // The first save from the moment on, and some time into it.
                if !is_chosen && started.elapsed() > moment.mul_f64(0.5) {
                    let writes = unfinished(&run).iter().any(|it| it.contains("step_"));
                    if writes {
                        (is_chosen, moment) = (true, started.elapsed() + after);
                    }
                }
                if is_chosen && started.elapsed() >= moment && count.kills < kills {
                    child.kill().unwrap();
                    child.wait().unwrap();
                    break false;
                }
                std::thread::sleep(Duration::from_micros(50));
            };
            if finished {
                break;
            }
            count.kills += 1;
            count.inside_a_save += usize::from(!unfinished(&run).is_empty());
            count.before_the_first += usize::from(!run.join("checkpoints/latest").exists());
        }
        count.runs += 1;
        assert_same_end(&room.path("whole"), &run);
        assert_eq!(
            unfinished(&run),
            Vec::<String>::new(),
            "what was torn is cleared"
        );
        assert_no_step_twice(&run);
        fs::remove_dir_all(&run).unwrap();
    }
    count
}

/// The steps of the scalars in an event file: field 2 of each event that has a field 5.
fn steps_of_events(bytes: &[u8]) -> Vec<u64> {
    fn varint(bytes: &[u8], at: &mut usize) -> u64 {
        let mut value = 0;
        for shift in (0..).step_by(7) {
            let byte = bytes[*at];
            *at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        value
    }
    let mut steps = Vec::new();
    let mut rest = bytes;
    while let Some(length) = rest.first_chunk::<8>() {
        let length = u64::from_le_bytes(*length) as usize;
        let Some(message) = rest.get(12..12 + length) else {
            break;
        };
        rest = rest.get(16 + length..).unwrap_or_default();
        let (mut at, mut step, mut is_scalar) = (0, 0, false);
        while at < message.len() {
            let tag = varint(message, &mut at);
            match tag & 7 {
                0 => {
                    let value = varint(message, &mut at);
                    if tag >> 3 == 2 {
                        step = value;
                    }
                }
                1 => at += 8,
                _ => {
                    is_scalar |= tag >> 3 == 5;
                    at += varint(message, &mut at) as usize;
                }
            }
        }
        if is_scalar {
            steps.push(step);
        }
    }
    steps
}

/// Demands that the event files of a run have each of its reports once.
#[track_caller]
fn assert_no_step_twice(run: &Path) {
    let mut steps = Vec::new();
    for entry in fs::read_dir(run).unwrap() {
        let entry = entry.unwrap();
        if entry
            .file_name()
            .to_string_lossy()
            .starts_with("events.out")
        {
            steps.extend(steps_of_events(&fs::read(entry.path()).unwrap()));
        }
    }
    let reported: BTreeSet<u64> = crate::room::reports(run)
        .iter()
        .map(|row| row["step"].as_u64().unwrap())
        .collect();
    steps.sort_unstable();
    assert_eq!(steps, Vec::from_iter(reported), "steps of the events");
}

#[test]
fn runs_killed_at_random_moments_end_like_the_undisturbed_one() {
    let kills = std::env::var("YARAK_KILLS").ok();
    let kills: usize = kills.map_or(9, |kills| kills.parse().unwrap());
    let mut moments = Moments(kills as u64);
    for (kind, scene) in scenes() {
        let room = Room::new();
        room.write("tiny.ron", &scene);
        let began = Instant::now();
        let count = kill(&room, kills.div_ceil(3), &mut moments);
        println!(
            "{kind}: {} kills, {} inside a save or a prune, {} before the first checkpoint, {} runs compared, {:.1} s",
            count.kills,
            count.inside_a_save,
            count.before_the_first,
            count.runs,
            began.elapsed().as_secs_f64()
        );
    }
}
