//! Names of metrics that settings ask for: a slip is refused with the nearest name, and nothing is watched that never comes.

use std::fs;
use std::path::Path;

use crate::room::{ROOT, Told, yarak};

/// Trains behavior cloning on the packaged data for some steps, with more plugins.
fn train(folder: &Path, steps: u64, more: &str) -> Told {
    let scene = folder.join("scene.ron");
    let data = Path::new(ROOT).join("assets/pendulum-medium-expert.hdf5");
    let text = format!(
        "Scene(steps: {steps}, plugins: [\
            Dataset(path: {data:?}, validation: 0.1), \
            Bc(minibatch: (batch_size: 8), actor: (encoder: Mlp(hidden_sizes: [8]))), \
            Reports(every: 100), {more}])"
    );
    fs::write(&scene, text).unwrap();
    let run = folder.join("run");
    let _ = fs::remove_dir_all(&run);
    yarak(&[
        "train",
        scene.to_str().unwrap(),
        "--run",
        run.to_str().unwrap(),
    ])
}

#[test]
fn a_slip_in_the_name_of_the_best_metric_ends_the_run_with_the_nearest_name() {
    let folder = tempfile::tempdir().unwrap();
    let told = train(
        folder.path(),
        2_000,
        r#"Checkpoints(every: 1000, best: "actor/los", goal: Smallest)"#,
    );
    let message = told.ends_with(2);
    for part in [
        "`Checkpoints.best`",
        "`actor/los`",
        "did you mean `actor/loss`?",
    ] {
        assert!(message.contains(part), "{message}");
    }
    // It was found at the first report, not at the end.
    assert!(!folder.path().join("run/checkpoints/latest").exists());
}

#[test]
fn a_slip_in_what_validation_records_is_found_at_the_first_validation() {
    let folder = tempfile::tempdir().unwrap();
    let told = train(
        folder.path(),
        2_000,
        r#"Validation(every: 300), EarlyStopping(metric: "validate/actor/lost", goal: Smallest)"#,
    );
    let message = told.ends_with(2);
    for part in [
        "`EarlyStopping.metric`",
        "did you mean `validate/actor/loss`",
    ] {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn names_that_are_right_keep_the_best_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    for best in ["actor/loss", "validate/actor/loss", "loss"] {
        let more = format!(
            "Validation(every: 200), Checkpoints(every: 200, best: {best:?}, goal: Smallest)"
        );
        train(folder.path(), 400, &more).result();
        assert!(
            folder.path().join("run/checkpoints/best").exists(),
            "{best}"
        );
    }
}

#[test]
fn a_run_that_is_too_short_to_know_warns_of_what_never_came() {
    let folder = tempfile::tempdir().unwrap();
    let told = train(
        folder.path(),
        20,
        r#"Checkpoints(every: 20, best: "task/solved")"#,
    );
    let message = told.ends_with(0);
    assert!(
        message.contains("warning: `Checkpoints.best` names `task/solved`"),
        "{message}"
    );
}

#[test]
fn a_picture_of_a_metric_that_is_misspelt_names_the_nearest() {
    let folder = tempfile::tempdir().unwrap();
    train(folder.path(), 200, "").result();
    let run = folder.path().join("run");
    let told = yarak(&["report", run.to_str().unwrap(), "--metric", "actor/los"]);
    told.refuses(&["no metric `actor/los`", "did you mean `actor/loss`?"]);
}
