//! `yarak sweep`: many runs of one scene, which end the same whoever brings them to their end.
//!
//! `YARAK_KILLS=30 cargo test --release --test program killed_sweeps -- --nocapture` kills so many times and prints what it did.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::room::{ROOT, Room, YARAK, learned, named, reports};

/// Trials that take a moment each.
const SWEEP: &str = r#"Sweep(
    scene: "tiny.ron",
    set: ["steps=80", "Td3Bc.minibatch.batch_size=8", "Evaluation.every=20", "Evaluation.episodes=1", "Checkpoints.every=10"],
    seeds: [SEEDS],
    space: {
        "Td3Bc.alpha": LogUniform(0.1, 20.0),
        ["Td3Bc.actor.optimizer.learning_rate", "Td3Bc.critic.optimizer.learning_rate"]: Choice([Constant(1e-3), Constant(1e-2)]),
    },
    samples: SAMPLES,
    scheduler: SCHEDULER,
)"#;

/// A room with a sweep of so many samples in it, made in the folder `sweep`.
fn room(scheduler: &str, samples: usize, seeds: &str) -> Room {
    let room = Room::new();
    let text = SWEEP.replace("SCHEDULER", scheduler);
    let text = text.replace("SAMPLES", &samples.to_string());
    room.write("sweep.ron", &text.replace("SEEDS", seeds));
    room.yarak("sweep new sweep.ron --dir sweep").ends_with(0);
    room
}

fn table(room: &Room, dir: &str) -> String {
    room.yarak(&format!("sweep table {dir} --json"))
        .result()
        .to_owned()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn killed_sweeps_end_with_the_table_of_the_one_that_nobody_killed() {
    let kills = std::env::var("YARAK_KILLS").ok();
    let kills: u64 = kills.map_or(4, |kills| kills.parse().unwrap());
    let room = room("Asha(first: 20, factor: 2, workers: 3)", 4, "0");
    room.yarak("sweep new sweep.ron --dir whole").ends_with(0);
    let began = Instant::now();
    room.yarak("sweep run whole --jobs 1").ends_with(0);
    let whole = began.elapsed();
    let (mut of_drivers, mut of_trials) = (0, 0);
    for kill in 0..kills {
        let mut driver = room.start("sweep run sweep");
        // Moments that are spread over the sweep, whatever this machine's speed, and leave some of it for the next.
        let share = (0.5 + 0.618 * kill as f64).fract();
        std::thread::sleep(
            whole.mul_f64(2.0 * share / (kills + 1) as f64) + Duration::from_millis(20),
        );
        if kill % 2 == 0 {
            of_trials += kill_trials(&room.path("sweep"));
        }
        if driver.try_wait().unwrap().is_none() {
            driver.kill().unwrap();
            of_drivers += 1;
        }
        driver.wait().unwrap();
        // What the driver started may still be at it: the next one lets it end.
    }
    // A driver that was killed leaves its trials to themselves.
    room.yarak("sweep run sweep").ends_with(0);
    println!("{of_drivers} drivers and {of_trials} trials were killed");
    assert_eq!(table(&room, "whole"), table(&room, "sweep"));
    let rows = json(&table(&room, "sweep"));
    let states: Vec<&str> = rows
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["state"].as_str().unwrap())
        .collect();
    assert!(states.contains(&"done"), "{states:?}");
    assert!(
        states.iter().all(|it| ["done", "stopped"].contains(it)),
        "{states:?}"
    );
}

/// Kills the processes that hold trials, as far as there are any, and says how many.
fn kill_trials(sweep: &Path) -> usize {
    let mut count = 0;
    for entry in fs::read_dir(sweep.join("trials"))
        .into_iter()
        .flatten()
        .flatten()
    {
        let lock = fs::read_to_string(entry.path().join(".lock")).unwrap_or_default();
        let held = File::open(entry.path().join(".lock")).is_ok_and(|it| it.try_lock().is_err());
        let process = lock
            .strip_prefix("process ")
            .and_then(|it| it.split(' ').next());
        if let (Some(process), true) = (process, held) {
            let killed = Command::new("kill")
                .args(["-KILL", process])
                .output()
                .unwrap();
            count += usize::from(killed.status.success());
        }
    }
    count
}

#[test]
fn a_sweep_goes_by_commands_alone_and_each_says_where_its_trial_is() {
    let room = room("Asha(first: 20, factor: 2)", 2, "0, 1");
    let mut calls = 0;
    loop {
        let lines = room
            .yarak("sweep run sweep --on commands")
            .result()
            .to_owned();
        if lines.is_empty() {
            break;
        }
        for line in lines.lines() {
            let words = line.strip_prefix("yarak ").unwrap();
            let said = json(room.yarak(&format!("{words} --json")).result());
            assert!(
                ["waiting", "ready", "stopped", "done"].contains(&said["state"].as_str().unwrap()),
                "{said}"
            );
            calls += 1;
        }
    }
    // 2 trials to 20 steps, the better one of them to 40 and to 80.
    assert_eq!(calls, 4);
    let rows = json(&table(&room, "sweep"));
    let done = rows
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["state"] == "done")
        .unwrap();
    assert_eq!(
        (done["step"].as_u64(), done["round"].as_u64()),
        (Some(80), Some(3))
    );
    let seeds: Vec<f64> = done["seeds"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it.as_f64().unwrap())
        .collect();
    assert_eq!(done["value"].as_f64().unwrap(), (seeds[0] + seeds[1]) / 2.0);
    // Once more does nothing.
    let before = table(&room, "sweep");
    let again = json(room.yarak("sweep trial sweep 0 --json").result());
    assert_eq!(again["may_go_on"], false);
    assert_eq!(table(&room, "sweep"), before);
    room.yarak("sweep trial sweep 2")
        .refuses(&["no trial 2", "the last is 1"]);

    // The best, by its own command, comes to the same.
    let best = json(room.yarak("sweep best sweep --json").result());
    let command = best["commands"][0].as_str().unwrap().to_owned();
    let ran = Command::new("sh")
        .args(["-c", &command.replacen("yarak", YARAK, 1)])
        .current_dir(room.path(""))
        .output()
        .unwrap();
    assert!(
        ran.status.success(),
        "{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    let alone = room.path("runs/best_of_sweep/seed_0");
    let trial = room.path(&format!(
        "sweep/trials/{:03}/seed_0",
        best["trial"].as_u64().unwrap()
    ));
    assert_eq!(
        learned(&alone, "step_000000080"),
        learned(&trial, "step_000000080")
    );

    // And the page has it.
    let page = room.yarak("sweep report sweep").result().trim().to_owned();
    let page = fs::read_to_string(room.path(&page)).unwrap();
    for part in [
        "The best: trial",
        "Td3Bc.alpha",
        "Importance",
        "polyline",
        "trial 1",
    ] {
        assert!(page.contains(part), "{part} is not in the page");
    }
    assert!(
        room.yarak("sweep table sweep --csv")
            .result()
            .starts_with("trial,state,step,evaluate/return,Td3Bc.alpha,")
    );
    let status = json(room.yarak("sweep status sweep --json").result());
    assert_eq!(status["is_over"], true);
    assert_eq!(status["steps_taken"].as_u64(), Some(2 * (20 + 80)));
}

#[test]
fn an_exploited_trial_is_the_fork_that_one_makes_by_hand() {
    let room = room("Pbt(every: 40, quantile: 0.34, perturb: 1.5)", 3, "7");
    room.yarak("sweep run sweep").ends_with(0);
    let rows = json(&table(&room, "sweep"));
    let forked: Vec<&Value> = rows
        .as_array()
        .unwrap()
        .iter()
        .filter(|it| !it["forked_from"].is_null())
        .collect();
    assert_eq!(forked.len(), 1, "{rows}");
    let child = forked[0];
    let parent = child["forked_from"]["runs"].as_str().unwrap();
    assert_eq!(child["forked_from"]["step"].as_u64(), Some(40));
    let mut arguments: Vec<String> = format!(
        "train sweep/scene.ron --run hand --steps 80 --fork sweep/{parent}/seed_7/checkpoints/step_000000040 --set seed=7"
    )
    .split(' ')
    .map(str::to_owned)
    .collect();
    for (path, value) in child["settings"].as_object().unwrap() {
        arguments.extend([
            "--set".to_owned(),
            format!("{path}={}", value.as_str().unwrap()),
        ]);
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    room.yarak_with(&arguments).ends_with(0);
    let run = format!(
        "sweep/trials/{:03}/fork_1/seed_7",
        child["trial"].as_u64().unwrap()
    );
    let (run, hand) = (room.path(&run), room.path("hand"));
    let last = named(&run, "latest");
    assert_eq!(last, "step_000000080");
    assert_eq!(learned(&run, &last), learned(&hand, &last));
    assert_eq!(reports(&run), reports(&hand));
    let manifest = fs::read_to_string(run.join("manifest.ron")).unwrap();
    assert!(
        manifest.contains("forked_from") && manifest.contains("Td3Bc.alpha"),
        "{manifest}"
    );
}

#[test]
fn two_drivers_and_two_processes_of_a_trial_are_kept_apart() {
    let room = room("All", 1, "0");
    let driver = File::create(room.path("sweep/.lock")).unwrap();
    driver.lock().unwrap();
    room.yarak("sweep run sweep").refuses(&["is at it"]);
    fs::create_dir_all(room.path("sweep/trials/000")).unwrap();
    let trial = File::create(room.path("sweep/trials/000/.lock")).unwrap();
    trial.lock().unwrap();
    let said = room.yarak("sweep trial sweep 0");
    assert!(said.ends_with(75).contains("is at it"), "{}", said.stderr);
    drop((driver, trial));
    room.yarak("sweep run sweep").ends_with(0);
}

#[test]
fn a_full_disk_ends_a_sweep_that_goes_on_once_there_is_room() {
    let room = room("All", 1, "0");
    room.yarak("sweep new sweep.ron --dir whole").ends_with(0);
    room.yarak("sweep run whole").ends_with(0);
    // No file may be longer than 1 KiB, so that a checkpoint cannot be written.
    let limited = format!("ulimit -f 1; exec {YARAK} sweep run sweep");
    let ran = Command::new("bash")
        .args(["-c", &limited])
        .current_dir(room.path(""))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stderr);
    assert_eq!(ran.status.code(), Some(1), "{said}");
    assert!(said.contains("go on with the same command"), "{said}");
    room.yarak("sweep run sweep").ends_with(0);
    assert_eq!(table(&room, "whole"), table(&room, "sweep"));
}

#[test]
fn a_trial_that_failed_for_good_is_named_and_ends_the_sweep_with_1() {
    let room = room("All", 1, "0");
    fs::create_dir_all(room.path("sweep/trials/000")).unwrap();
    let progress = r#"{"reached": [], "failures": [{"message": "error: it diverged\nhelp", "is_final": true}]}"#;
    room.write("sweep/trials/000/progress.json", progress);
    room.write("sweep/trials/000/log.txt", "");
    let ran = room.yarak("sweep run sweep");
    ran.ends_with(1);
    let named = "trial 0 failed: it diverged; see sweep/trials/000/log.txt";
    for said in [
        ran.stdout.as_str(),
        room.yarak("sweep status sweep").result(),
        room.yarak("sweep table sweep").result(),
    ] {
        assert!(said.contains(named), "{said}");
    }
    let status = json(room.yarak("sweep status sweep --json").result());
    assert_eq!(status["failures"][0]["log"], "sweep/trials/000/log.txt");
}

#[test]
fn a_learning_rate_is_drawn_as_a_number() {
    let room = Room::new();
    let text = SWEEP
        .replace("SCHEDULER", "All")
        .replace("SAMPLES", "2")
        .replace("SEEDS", "0");
    let text = text.replace(
        "Choice([Constant(1e-3), Constant(1e-2)])",
        "LogUniform(1e-4, 1e-2)",
    );
    room.write("rates.ron", &text);
    room.yarak("sweep new rates.ron --dir rates").ends_with(0);
    let trials = json(&fs::read_to_string(room.path("rates/trials.json")).unwrap());
    for trial in trials["trials"].as_array().unwrap() {
        let rate: f64 = trial[1]["value"].as_str().unwrap().parse().unwrap();
        assert!((1e-4..=1e-2).contains(&rate), "{trial}");
    }
}

#[test]
fn everything_that_is_wrong_with_a_sweep_is_found_before_it_begins() {
    let room = Room::new();
    let refused = |change: &dyn Fn(String) -> String, parts: &[&str]| {
        let text = SWEEP
            .replace("SCHEDULER", "All")
            .replace("SAMPLES", "2")
            .replace("SEEDS", "0");
        room.write("wrong.ron", &change(text));
        room.yarak("sweep new wrong.ron --dir wrong").refuses(parts);
        assert!(!room.path("wrong").exists());
    };
    let with = |from: &'static str, to: &'static str| {
        move |text: String| {
            assert!(text.contains(from));
            text.replace(from, to)
        }
    };
    refused(
        &with("LogUniform(0.1, 20.0)", "Uniform(-1.0, 20.0)"),
        &["wrong.ron:6:24", "Td3Bc.alpha", "with -1.0", "at least 0"],
    );
    refused(
        &with("Td3Bc.alpha", "Td3Bc.alhpa"),
        &["wrong.ron:6:24", "alpha"],
    );
    refused(
        &with("Constant(1e-2)", "Constant(fast)"),
        &["wrong.ron:7:", "Constant(fast)"],
    );
    refused(
        &with("\"steps=80\"", "\"step=80\""),
        &["wrong.ron:3:10", "set", "steps"],
    );
    refused(
        &with("tiny.ron", "none.ron"),
        &["wrong.ron:2:12", "there is no scene"],
    );
    refused(
        &with("scheduler: All", "scheduler: All, budget: Some(100)"),
        &["budget", "160 steps"],
    );
    refused(
        &with("scheduler: All", "objective: (metric: \"evaluate/retrun\")"),
        &["objective.metric", "evaluate/return"],
    );
    let pbt = |text: String| {
        let text = text.replace("All", "Pbt(every: 40, quantile: 0.5, perturb: 1.2)");
        text.replace("Td3Bc.alpha\": Log", "Dataset.validation\": ")
    };
    let pbt = |text: String| pbt(text).replace("Uniform(0.1, 20.0)", "Uniform(0.1, 0.5)");
    refused(&pbt, &["Dataset.validation", "`Pbt` forks trials"]);
    let pbt = |text: String| {
        let text = text.replace("All", "Pbt(every: 40, quantile: 0.5, perturb: 1.2)");
        let text = text.replace("Td3Bc.alpha", "Td3Bc.actor.encoder.hidden_sizes.0");
        text.replace("LogUniform(0.1, 20.0)", "Int(8, 16)")
    };
    refused(&pbt, &["wrong.ron:6:", "the shape of a network"]);
    let endless = |text: String| {
        let text = text.replace("All", "Median(every: 1)");
        text.replace("steps=80", "steps=1_000_000_000_000")
    };
    refused(&endless, &["scheduler", "take 100000000 or more"]);
}

#[test]
fn the_command_for_ray_has_what_a_trial_needs() {
    let room = room("All", 1, "0");
    assert_eq!(
        room.yarak("sweep run sweep --on ray").result(),
        "python -m yarak_ray sweep --cpus 1 --memory 1\n"
    );
}

#[test]
fn files_for_slurm_and_kubernetes_are_written_and_run_nothing() {
    let room = room("Asha(first: 20, factor: 2, workers: 3)", 4, "0");
    let slurm = room.yarak("sweep run sweep --on slurm");
    assert_eq!(slurm.result(), "sweep/slurm/workers.sh\n");
    let script = fs::read_to_string(room.path("sweep/slurm/workers.sh")).unwrap();
    for part in [
        "#SBATCH --array=0-2\n",
        "--requeue\n",
        "--signal=TERM@60\n",
        "srun yarak sweep work sweep --threads 1\n",
    ] {
        assert!(script.contains(part), "{part} is not in\n{script}");
    }
    let words = "sweep run sweep --on kubernetes --image registry/yarak:1 --claim data";
    let kubernetes = room.yarak(words);
    assert_eq!(kubernetes.result(), "sweep/kubernetes/workers.yaml\n");
    let job = fs::read_to_string(room.path("sweep/kubernetes/workers.yaml")).unwrap();
    for part in [
        "  completions: 3\n",
        "  completionMode: Indexed\n",
        "    - action: FailIndex\n      onExitCodes: { containerName: worker, operator: In, values: [2] }\n",
        "DisruptionTarget",
        "command: [\"yarak\", \"sweep\", \"work\", \"sweep\", \"--threads\", \"1\"]\n",
        "        image: \"registry/yarak:1\"\n",
        "claimName: \"data\"",
    ] {
        assert!(job.contains(part), "{part} is not in\n{job}");
    }
    assert!(!room.path("sweep/trials").exists(), "nothing was run");
    room.yarak("sweep run sweep --on kubernetes")
        .refuses(&["--image"]);
}

#[cfg(unix)]
#[test]
fn workers_as_slurm_starts_them_end_with_the_table_of_one_machine() {
    let room = room("Asha(first: 20, factor: 2, workers: 3)", 4, "0");
    room.yarak("sweep new sweep.ron --dir whole").ends_with(0);
    room.yarak("sweep run whole --jobs 1").ends_with(0);
    room.yarak("sweep run sweep --on slurm").ends_with(0);
    // What a node of the cluster has. The job that is ended in its first step is queued again, which here is starting it once more.
    let program = |name: &str, text: &str| {
        use std::os::unix::fs::PermissionsExt;
        room.write(&format!("bin/{name}"), text);
        let executable = fs::Permissions::from_mode(0o755);
        fs::set_permissions(room.path(&format!("bin/{name}")), executable).unwrap();
    };
    fs::create_dir_all(room.path("bin")).unwrap();
    program("yarak", &format!("#!/bin/sh\nexec {YARAK} \"$@\"\n"));
    program(
        "srun",
        "#!/bin/sh\n\"$@\" & child=$!\nif mkdir interrupted 2>/dev/null; then sleep 0.2; kill $child; fi\nwait $child\n",
    );
    program(
        "scontrol",
        "#!/bin/sh\necho \"$@\" >> requeued\nSLURM_ARRAY_TASK_ID=${2#*_} exec bash sweep/slurm/workers.sh\n",
    );
    let path = std::env::var("PATH").unwrap();
    let workers: Vec<_> = (0..2)
        .map(|worker| {
            Command::new("bash")
                .arg("sweep/slurm/workers.sh")
                .current_dir(room.path(""))
                .env("PATH", format!("{}:{path}", room.path("bin").display()))
                .envs([
                    ("SLURM_ARRAY_JOB_ID", "7"),
                    ("SLURM_ARRAY_TASK_ID", &*format!("{worker}")),
                ])
                .spawn()
                .unwrap()
        })
        .collect();
    let ends = workers.into_iter().map(|mut it| it.wait().unwrap().code());
    let ends: Vec<_> = ends.collect();
    // The one that was ended says so, if it was not through before.
    assert!(
        ends.iter().all(|it| [Some(0), Some(130)].contains(it)),
        "{ends:?}"
    );
    let requeued = fs::read_to_string(room.path("requeued")).unwrap_or_default();
    assert_eq!(
        requeued.lines().count(),
        ends.iter().filter(|it| **it == Some(130)).count()
    );
    assert!(
        requeued.is_empty() || requeued.starts_with("requeue 7_"),
        "{requeued}"
    );
    assert_eq!(table(&room, "whole"), table(&room, "sweep"));
    // Nothing is left to do.
    room.yarak("sweep work sweep").ends_with(0);
}

#[test]
fn a_run_that_goes_on_on_another_kind_of_processor_says_so_once() {
    let room = Room::new();
    room.yarak("train tiny.ron --run run --steps 50")
        .ends_with(0);
    let path = room.path("run/manifest.ron");
    let manifest = fs::read_to_string(&path).unwrap();
    let (before, after) = manifest.split_once("features: [").unwrap();
    let (_, after) = after.split_once(']').unwrap();
    fs::write(&path, format!("{before}features: [\"sse9\"]{after}")).unwrap();
    for (steps, is_said) in [(75, true), (100, false)] {
        let said = room.yarak(&format!(
            "train tiny.ron --run run --steps {steps} --resume auto"
        ));
        assert_eq!(
            said.ends_with(0).contains("sse9"),
            is_said,
            "{}",
            said.stderr
        );
    }
}

#[test]
fn the_sweep_that_comes_along_is_good() {
    let room = Room::new();
    let sweep = format!("{ROOT}/scenes/sweeps/pendulum_td3_bc.ron");
    let dir = room.path("sweep");
    let said = crate::room::yarak(&["sweep", "new", &sweep, "--dir", dir.to_str().unwrap()]);
    // 32 trials to 250 steps, 16 of them to 500, 8 to 1000, 4 to 2000; or all but one more each time.
    let said = said.result();
    assert!(
        said.contains(
            "32 trials of up to 2000 steps in 4 rounds, 20000 to 59750 steps together (64000 with"
        ),
        "{said}"
    );
}
