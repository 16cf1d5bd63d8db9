//! `yarak eval --video`: a video of an episode, and what prevents it.

use std::fs;

use crate::room::yarak;

#[test]
fn an_episode_is_filmed_as_it_is_scored_and_no_file_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let run = path("run");
    let few = [
        "--steps",
        "4",
        "--set",
        "Evaluation.episodes=1",
        "--run",
        &run,
    ];
    yarak(&[&["train", "scenes/pendulum_td3_bc.ron"][..], &few].concat()).result();

    let video = path("video.gif");
    let eval = ["eval", &run, "--episodes", "2", "--seed", "3", "--json"];
    let plain = yarak(&eval);
    let filmed = yarak(&[&eval[..], &["--video", &video]].concat());
    let said: serde_json::Value = serde_json::from_str(filmed.result()).unwrap();
    assert_eq!(said["video"], video);
    let without: serde_json::Value = serde_json::from_str(plain.result()).unwrap();
    assert_eq!(
        said["returns"], without["returns"],
        "watching changes nothing"
    );
    let bytes = fs::read(&video).unwrap();
    assert!(bytes.starts_with(b"GIF89a") && bytes.len() > 10_000 && bytes.len() < 300_000);

    let refused = |more: &[&str], word: &str| {
        let told = yarak(&[&["eval", &run, "--episodes", "1"][..], more].concat());
        told.refuses(&[word]);
    };
    refused(&["--video", &video], "there is something already");
    assert_eq!(fs::read(&video).unwrap(), bytes);
    refused(&["--video", &path("video.mp4")], "ends in .gif");
    yarak(&[
        "eval",
        &run,
        "--episodes",
        "1",
        "--seed",
        "9",
        "--video",
        &video,
        "--force",
    ])
    .result();
    assert_ne!(fs::read(&video).unwrap(), bytes);
}
