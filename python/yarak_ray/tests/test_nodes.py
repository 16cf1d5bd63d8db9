"""Nodes that are lost and added while trials run."""

import time
from concurrent.futures import ThreadPoolExecutor

from conftest import YARAK, learned, rows, yarak
from ray import tune

from yarak_ray import YarakRun

SEEDS = [1, 2]


def steps_of_seconds(scene, folder) -> int:
    """So many steps that a trial is under way for some seconds, whatever this machine and build of yarak are."""
    began = time.monotonic()
    yarak("train", scene, "--run", folder, "--steps", 200)
    rate = 200 / (time.monotonic() - began)
    return min(max(int(8 * rate) // 200 * 200, 400), 40_000)


def wait_for_a_report_of_each(runs):
    """Waits until each trial has ended a report and is on its way to the next."""
    end = time.monotonic() + 60
    while len(list(runs.glob("*/run/metrics.jsonl"))) < len(SEEDS):
        assert time.monotonic() < end, "the trials do not begin"
        time.sleep(0.02)


def test_trials_of_a_lost_node_end_with_the_weights_of_undisturbed_runs(cluster, scene, tmp_path):
    runs = tmp_path / "runs"
    steps = steps_of_seconds(scene, tmp_path / "measured")
    config = {
        "scene": str(scene),
        "steps": steps,
        "every": steps // 2,
        "runs": str(runs),
        "yarak": YARAK,
        "set": {"seed": tune.grid_search(SEEDS)},
    }
    tuner = tune.Tuner(
        tune.with_resources(YarakRun, {"cpu": 1}),
        param_space=config,
        run_config=tune.RunConfig(
            storage_path=str(tmp_path / "tune"),
            failure_config=tune.FailureConfig(max_failures=3),
            verbose=0,
        ),
    )
    with ThreadPoolExecutor() as pool:
        tuning = pool.submit(tuner.fit)
        wait_for_a_report_of_each(runs)
        cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)
        at_the_loss = [len(rows(run)) for run in runs.glob("*/run")]
        cluster.add_node(num_cpus=1)
        results = tuning.result()
    assert not results.errors
    assert all(count < steps // 100 for count in at_the_loss), at_the_loss
    trials = results._experiment_analysis.trials
    assert sum(trial.num_failures for trial in trials) >= 1, "no trial was lost"
    for trial in trials:
        seed = trial.config["set"]["seed"]
        whole = tmp_path / f"seed_{seed}"
        yarak("train", scene, "--run", whole, "--steps", steps, "--set", f"seed={seed}")
        run = runs / trial.trial_id / "run"
        assert learned(run) == learned(whole)
        assert rows(run) == rows(whole)
        assert [row["step"] for row in rows(run)] == list(range(100, steps + 1, 100))
        assert trial.last_result["step"] == steps
        assert trial.last_result["evaluate/return"] == rows(whole)[-1]["evaluate/return"]
