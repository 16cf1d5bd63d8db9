//! ManiSkill's demonstrations: trajectories with an observation more than actions, at the top of the file.

use yarak::data::convert::{Target, convert};
use yarak::data::{DatasetFile, EpisodeEnd, Layout, Reading};

use crate::made::{Finished, Made, noise};

/// A trajectory of so many steps, whose observation counts up from `from`, and whose flags are as given.
fn trajectory(made: &mut Made, name: &str, from: f32, terminated: &[bool], truncated: &[bool]) {
    let steps = terminated.len();
    let path = |what: &str| format!("{name}/{what}");
    let flags = |flags: &[bool]| flags.iter().map(|flag| u8::from(*flag)).collect::<Vec<_>>();
    let observations: Vec<f32> = (0..=2 * steps + 1).map(|at| from + at as f32).collect();
    made.put(&path("obs"), &[steps + 1, 2], &observations)
        .put(&path("actions"), &[steps, 1], &vec![from; steps])
        .column(&path("rewards"), &vec![0.5_f32; steps])
        .column(&path("terminated"), &flags(terminated))
        .column(&path("truncated"), &flags(truncated))
        .column(&path("success"), &flags(terminated))
        .put(
            &path("env_states/actors/cube"),
            &[steps + 1, 13],
            &noise(1, 13 * (steps + 1)),
        );
}

fn three() -> Finished {
    let mut made = Made::new();
    // By their numbers, which may have gaps.
    trajectory(&mut made, "traj_10", 300.0, &[false; 2], &[false, true]);
    trajectory(
        &mut made,
        "traj_0",
        100.0,
        &[false, false, true],
        &[false; 3],
    );
    // It went on behind a success.
    trajectory(
        &mut made,
        "traj_2",
        200.0,
        &[false, true, false],
        &[false; 3],
    );
    made.finish()
}

#[test]
fn trajectories_are_read_with_the_observation_behind_their_last_action() {
    let file = three();
    let opened = file.open().unwrap();
    assert_eq!((opened.layout(), opened.len()), (Layout::Maniskill, 8));
    let read = opened.read().unwrap();
    let episodes = read.episodes().iter();
    let episodes: Vec<_> = episodes.map(|it| (it.rows.clone(), it.end)).collect();
    assert_eq!(
        episodes,
        [
            (0..3, EpisodeEnd::Terminated),
            (3..5, EpisodeEnd::Terminated),
            (5..6, EpisodeEnd::Unfinished),
            (6..8, EpisodeEnd::Truncated),
        ]
    );
    assert_eq!(*read.observation().row(2), [104.0, 105.0]);
    assert_eq!(*read.next_observation().row(2), [106.0, 107.0]);
    assert_eq!(*read.next_observation().row(7), [304.0, 305.0]);
    assert_eq!(
        read.action().values,
        [100.0, 100.0, 100.0, 200.0, 200.0, 200.0, 300.0, 300.0]
    );
    assert_eq!(read.reward(), [0.5; 8]);
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("columns.hdf5");
    convert(&opened, &to, Target::D4rl, None, false).unwrap();
    let back = yarak::data::load(&to).unwrap();
    assert_eq!(back.next_observation(), read.next_observation());
    assert_eq!(back.terminated(), read.terminated());
}

#[test]
fn groups_of_observations_are_joined_and_chosen_by_name() {
    let mut made = Made::new();
    made.put(
        "traj_0/obs/extra/tcp_pose",
        &[3, 2],
        &[5.0, 6.0, 7.0, 8.0, 9.0, 10.0],
    )
    .put("traj_0/obs/agent/qpos", &[3, 1], &[1.0, 2.0, 3.0])
    .put("traj_0/actions", &[2, 1], &[0.5, -0.5]);
    let file = made.finish();
    let read = file.read();
    assert_eq!(*read.next_observation().row(1), [3.0, 9.0, 10.0]);
    // Nothing says how it ended.
    assert!(!read.recorded().ends && !read.recorded().rewards);
    assert_eq!(read.episodes()[0].end, EpisodeEnd::Unfinished);
    let reading = Reading {
        observations: vec!["extra".to_owned()],
        ..Reading::default()
    };
    let chosen = DatasetFile::open(&file.path, &reading).unwrap();
    assert_eq!(chosen.observation()[0].name, "extra/tcp_pose");
    assert_eq!(chosen.observation().len(), 1);
}

#[test]
fn what_is_no_trajectory_with_observations_is_refused_with_its_name() {
    let refused = |change: &dyn Fn(&mut Made), parts: &[&str]| {
        let mut made = Made::new();
        change(&mut made);
        let said = made.finish().refusal();
        for part in parts {
            assert!(said.contains(part), "{part} is not in: {said}");
        }
    };
    // As ManiSkill hands demonstrations out.
    refused(
        &|made| {
            made.put("traj_0/actions", &[2, 1], &[0.5, -0.5]);
        },
        &["traj_0/obs", "replay_trajectory", "--obs-mode state"],
    );
    refused(
        &|made| {
            made.put("traj_0/obs", &[2, 1], &[1.0, 2.0]).put(
                "traj_0/actions",
                &[2, 1],
                &[0.5, -0.5],
            );
        },
        &["traj_0/obs", "3"],
    );
    refused(
        &|made| {
            trajectory(made, "traj_0", 0.0, &[false; 2], &[false; 2]);
            trajectory(made, "traj_last", 0.0, &[false; 2], &[false; 2]);
        },
        &["traj_last", "traj_"],
    );
    refused(
        &|made| {
            trajectory(made, "traj_0", 0.0, &[false; 2], &[false; 2]);
            made.put("traj_1/obs", &[3, 2], &[0.0; 6])
                .put("traj_1/actions", &[2, 1], &[0.0; 2])
                .column("traj_1/rewards", &[0.0; 2])
                .column("traj_1/truncated", &[0_u8; 2]);
        },
        &["traj_1/terminated"],
    );
}
