//! What there is no memory for is refused before it is taken, with the figure and the setting.

#![cfg(target_os = "linux")]

use std::process::Command;
use std::time::{Duration, Instant};

use crate::room::{Room, YARAK};

/// What the program says of `tiny.ron` with overrides where 16 GB are allowed.
#[track_caller]
fn refused(settings: &[&str]) -> String {
    let room = Room::new();
    let began = Instant::now();
    let settings: Vec<String> = settings.iter().map(|it| format!("--set '{it}'")).collect();
    let settings = settings.join(" ");
    let command = format!("ulimit -v 16000000; exec {YARAK} train tiny.ron {settings}");
    let output = Command::new("sh")
        .args(["-c", &command])
        .current_dir(room.path(""))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(began.elapsed() < Duration::from_secs(20), "{said}");
    assert!(said.contains("this process may take 16.4 GB"), "{said}");
    said
}

#[test]
fn a_batch_and_layers_beyond_what_the_shell_allows_are_refused_with_their_settings() {
    // Two critics of 512 hidden values, with their gradients.
    let wide = "Td3Bc.critic.encoder=Mlp(hidden_sizes: [256, 256])";
    let said = refused(&[wide, "Td3Bc.minibatch.batch_size=9999999"]);
    assert!(
        said.contains("9999999 rows") && said.contains("81.9 GB"),
        "{said}"
    );
    assert!(said.contains("lower `batch_size`"), "{said}");
    let said = refused(&["Td3Bc.critic.encoder=Mlp(hidden_sizes: [65536, 65536])"]);
    assert!(
        said.contains("65536, 65536") && said.contains("`hidden_sizes`"),
        "{said}"
    );
    let said = refused(&[
        "Td3Bc.minibatch.batch_size=9999999",
        "Dataset.frame_stack=100",
    ]);
    assert!(
        said.contains("`batch_size` or `Dataset.frame_stack`"),
        "{said}"
    );
}
