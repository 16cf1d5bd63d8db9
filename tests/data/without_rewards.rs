//! Demonstrations without rewards or ends: behavior cloning learns from them, and who needs what is missing says so.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use bevy_app::{App, PreStartup};
use yarak::data::check::Kind;
use yarak::data::convert::{ConvertError, Target, convert};
use yarak::data::{
    AppLearnsFromExt, Data, Dataset, DatasetFile, EpisodeEnd, LearnsFrom, ObservationColumn,
    Reading, Recorded, Summary, Transitions,
};
use yarak::schedule::{SchedulePlugin, take_failure};

use crate::made::{Finished, Made, noise};

/// Three episodes of 10 steps in each layout, with rewards and ends where they are asked for.
fn files(rewards: bool, ends: bool) -> Vec<Finished> {
    let (episodes, steps) = (3, 10);
    let mut d4rl = Made::new();
    let rows = episodes * steps;
    let timeouts: Vec<u8> = (0..rows)
        .map(|row| u8::from(row % steps == steps - 1))
        .collect();
    d4rl.put("observations", &[rows, 2], &noise(1, 2 * rows))
        .put("actions", &[rows, 1], &noise(2, rows))
        .column("timeouts", &timeouts);
    if rewards {
        d4rl.column("rewards", &noise(3, rows));
    }
    if ends {
        d4rl.column("terminals", &vec![0_u8; rows]);
    }
    let [mut minari, mut robomimic, mut d3rlpy] = [(); 3].map(|()| Made::new());
    d3rlpy.column("num_episodes", &[episodes as i64]);
    for number in 0..episodes {
        let observations = noise(number as u64, 2 * steps + 2);
        let actions = noise(10 + number as u64, steps);
        let (demo, episode) = (format!("data/demo_{number}"), format!("episode_{number}"));
        minari
            .put(
                &format!("{episode}/observations"),
                &[steps + 1, 2],
                &observations,
            )
            .put(&format!("{episode}/actions"), &[steps, 1], &actions);
        robomimic
            .put(
                &format!("{demo}/obs/x"),
                &[steps, 2],
                &observations[..2 * steps],
            )
            .put(&format!("{demo}/actions"), &[steps, 1], &actions)
            // What a simulator keeps next to them may be groups.
            .put(
                &format!("{demo}/states/robot/joints"),
                &[steps, 1],
                &actions,
            );
        d3rlpy
            .put(
                &format!("observations_{number}"),
                &[steps, 2],
                &observations[..2 * steps],
            )
            .put(&format!("actions_{number}"), &[steps, 1], &actions);
        if rewards {
            let earned = noise(20 + number as u64, steps);
            minari.column(&format!("{episode}/rewards"), &earned);
            robomimic.column(&format!("{demo}/rewards"), &earned);
            d3rlpy.column(&format!("rewards_{number}"), &earned);
        }
        if ends {
            let never = vec![0_u8; steps];
            minari.column(&format!("{episode}/terminations"), &never);
            minari.column(&format!("{episode}/truncations"), &never);
            robomimic.column(&format!("{demo}/dones"), &never);
            d3rlpy.column(&format!("terminated_{number}"), &[0_u8]);
        }
    }
    [d4rl, minari, robomimic, d3rlpy].map(Made::finish).into()
}

const CASES: [(bool, bool); 4] = [(true, true), (true, false), (false, true), (false, false)];

#[test]
fn transitions_know_what_was_recorded_in_every_layout() {
    for (rewards, ends) in CASES {
        for file in files(rewards, ends) {
            let transitions = file.read();
            assert_eq!(transitions.recorded(), Recorded { rewards, ends });
            assert_eq!(transitions.episodes().len(), 3);
            assert!(transitions.terminated().iter().all(|it| !it));
            assert_eq!(transitions.reward().iter().all(|it| *it == 0.0), !rewards);
            let is_all = rewards && ends;
            assert_eq!(file.finding(Kind::NotRecorded).is_none(), is_all);
            let summary = Summary::read(&file.path).unwrap().to_string();
            assert_eq!(summary.contains("not recorded"), !is_all, "{summary}");
            assert_eq!(summary.contains("return"), rewards, "{summary}");
        }
    }
}

#[test]
fn rewards_that_some_episodes_lack_are_named() {
    let mut made = Made::new();
    for name in ["demo_0", "demo_1"] {
        crate::made::demonstration(&mut made, name, 4, 0.1);
    }
    made.put("data/demo_2/obs/a", &[4, 2], &noise(1, 8))
        .put("data/demo_2/next_obs/a", &[4, 2], &noise(1, 8))
        .put("data/demo_2/actions", &[4, 1], &noise(1, 4))
        .column("data/demo_2/dones", &[0_u8; 4]);
    let refusal = made.finish().refusal();
    assert!(refusal.contains("`data/demo_2/rewards`"), "{refusal}");
}

#[test]
fn what_demonstrations_end_with_can_be_said_where_it_was_not_recorded() {
    use yarak::data::Dones;
    let files = files(true, false);
    for (dones, end) in [
        (Dones::EndOfDemonstration, EpisodeEnd::Truncated),
        (Dones::Both, EpisodeEnd::Terminated),
    ] {
        let reading = Reading {
            dones,
            ..Reading::default()
        };
        let file = DatasetFile::open(&files[2].path, &reading).unwrap();
        assert!(file.recorded().ends);
        assert!(file.episodes().iter().all(|episode| episode.end == end));
    }
}

#[test]
fn rewards_that_were_never_recorded_are_not_written_as_zeros() {
    let folder = tempfile::tempdir().unwrap();
    for file in files(false, true) {
        for target in [Target::D4rl, Target::Robomimic] {
            let to = folder.path().join("out.hdf5");
            let refused = convert(&file.open().unwrap(), &to, target, None, false);
            assert!(
                matches!(
                    refused,
                    Err(ConvertError::NotRecorded {
                        missing: "rewards",
                        ..
                    })
                ),
                "{refused:?}"
            );
            assert!(!to.exists());
        }
    }
}

fn train(folder: &Path, data: &Path, algorithm: &str, more: &str) -> Output {
    let scene = folder.join("scene.ron");
    let small = "encoder: Mlp(hidden_sizes: [8])";
    let networks = match algorithm {
        "Bc" => format!("actor: ({small})"),
        "Iql" => format!("critic: ({small}), actor: ({small}), value: ({small})"),
        _ => format!("critic: ({small}), actor: ({small})"),
    };
    let text = format!(
        "Scene(steps: 20, plugins: [Dataset(path: {data:?}{more}), {algorithm}(minibatch: (batch_size: 8), {networks})])"
    );
    fs::write(&scene, text).unwrap();
    let run = folder.join("run");
    let _ = fs::remove_dir_all(&run);
    Command::new(env!("CARGO_BIN_EXE_yarak"))
        .args([
            "train",
            scene.to_str().unwrap(),
            "--run",
            run.to_str().unwrap(),
        ])
        .output()
        .unwrap()
}

#[test]
fn behavior_cloning_trains_where_others_name_what_they_lack_and_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let names = [
        ["rewards", "terminals"],
        ["rewards", "terminations"],
        ["rewards", "dones"],
        ["rewards_N", "terminated_N"],
    ];
    for (file, [rewards, ends]) in files(false, false).iter().zip(names) {
        for more in ["", ", memory: 0.0000009"] {
            let cloned = train(folder.path(), &file.path, "Bc", more);
            let said = String::from_utf8_lossy(&cloned.stderr).into_owned();
            assert_eq!(cloned.status.code(), Some(0), "{said}");
        }
        for algorithm in ["Td3Bc", "Iql"] {
            let refused = train(folder.path(), &file.path, algorithm, "");
            let said = String::from_utf8_lossy(&refused.stderr).into_owned();
            assert_eq!(refused.status.code(), Some(2), "{said}");
            for word in [
                algorithm,
                &format!("`{rewards}`"),
                &format!("`{ends}`"),
                "take `Bc`",
            ] {
                assert!(said.contains(word), "{word} is not in: {said}");
            }
        }
    }
    // With rewards alone, saying how demonstrations end is enough.
    let file = &files(true, false)[2];
    let refused = train(folder.path(), &file.path, "Td3Bc", "");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("EndOfDemonstration"), "{said}");
    let trained = train(
        folder.path(),
        &file.path,
        "Td3Bc",
        ", dones: EndOfDemonstration",
    );
    let said = String::from_utf8_lossy(&trained.stderr).into_owned();
    assert_eq!(trained.status.code(), Some(0), "{said}");
}

#[test]
fn the_last_rows_of_demonstrations_count_for_who_looks_at_no_next_observation() {
    let mut kept = Vec::new();
    for file in files(true, true) {
        let plain = file.read();
        let reading = Reading {
            unfollowed: true,
            ..Reading::default()
        };
        let opened = DatasetFile::open(&file.path, &reading).unwrap();
        let all = opened.read().unwrap();
        assert_eq!((all.len(), all.episodes().len()), (30, 3));
        let ends = |it: &Transitions| it.episodes().iter().map(|it| it.end).collect::<Vec<_>>();
        assert_eq!(ends(&all), ends(&plain));
        let of_plain = plain.episodes().iter().flat_map(|it| it.rows.clone());
        for (row, of_plain) in (0..30)
            .filter(|row| plain.len() == 30 || row % 10 != 9)
            .zip(of_plain)
        {
            let same = |a: &ObservationColumn, b: &ObservationColumn| {
                assert_eq!(a.row(row), b.row(of_plain));
            };
            same(all.observation(), plain.observation());
            same(all.next_observation(), plain.next_observation());
            assert_eq!(all.action().row(row), plain.action().row(of_plain));
            assert_eq!(all.reward()[row], plain.reward()[of_plain]);
        }
        if plain.len() < 30 {
            for last in [9, 19, 29] {
                let own = all.observation().row(last);
                assert_eq!(all.next_observation().row(last), own);
            }
        }
        // A part of them is the same as that part of all.
        let part = opened.read_rows(5..25).unwrap();
        assert_eq!(*part.observation().row(14), *all.observation().row(19));
        assert_eq!(
            *part.next_observation().row(14),
            *all.next_observation().row(19)
        );
        kept.push(plain.len());
    }
    // Minari has an observation more, so that nothing is left out.
    assert_eq!(kept, [27, 30, 27, 27]);
}

#[test]
fn a_run_that_imitates_learns_from_last_rows_and_one_that_values_does_not() {
    let file = &files(true, true)[2];
    for (learns_from, rows) in [(LearnsFrom::Actions, 30), (LearnsFrom::Rewards, 27)] {
        for memory in [None, Some(0.000_000_6)] {
            let mut app = App::new();
            app.add_plugins((
                SchedulePlugin,
                Dataset {
                    path: file.path.clone(),
                    memory,
                    ..Dataset::default()
                },
            ))
            .learns_from(learns_from);
            app.finish();
            app.world_mut().run_schedule(PreStartup);
            assert_eq!(take_failure(), None);
            let data = app.world().resource::<Data>();
            assert_eq!(data.transitions().is_none(), memory.is_some());
            let episodes = data.episodes();
            assert_eq!(episodes.iter().map(|it| it.rows.len()).sum::<usize>(), rows);
        }
    }
}
