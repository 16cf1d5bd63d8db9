"""Checkpoints of single trials: restored, copied, forked; and what is refused."""

import pytest
import ray
from conftest import YARAK, learned, rows, yarak

from yarak_ray import YarakRun
from yarak_ray.trainable import _ron

STEPS = 60


def trial(scene, runs=None, **settings):
    """A trial in an actor, as Tune has it."""
    config = {"scene": str(scene), "steps": STEPS, "every": 20, "yarak": YARAK, "set": {"Evaluation.every": 20, **settings}}
    if runs is not None:
        config["runs"] = str(runs)
    return ray.remote(YarakRun).options(num_cpus=1).remote(config=config)


def whole(scene, run, *more):
    """The same run in one go."""
    yarak("train", scene, "--run", run, "--steps", STEPS, "--set", "Evaluation.every=20", *more)
    return run


def do(call):
    return ray.get(call)


def test_a_restored_trial_goes_on_exactly_and_repeats_nothing(one_node, scene, tmp_path):
    runs = tmp_path / "runs"
    first = trial(scene, runs)
    do(first.train.remote())
    do(first.save.remote(str(tmp_path / "saved")))
    # Tune does not hear of this result any more.
    lost = do(first.train.remote())
    ray.kill(first)
    second = trial(scene, runs)
    do(second.restore.remote(str(tmp_path / "saved")))
    again = do(second.train.remote())
    assert again["step"] == 40 and again["evaluate/return"] == lost["evaluate/return"]
    last = do(second.train.remote())
    assert last["done"] and last["step"] == STEPS
    run = runs / "default" / "run"
    assert learned(run) == learned(whole(scene, tmp_path / "whole"))
    assert rows(run) == rows(tmp_path / "whole")
    ray.kill(second)


def test_a_copied_run_goes_on_exactly_on_another_disk(one_node, scene, tmp_path):
    first = trial(scene)
    do(first.train.remote())
    do(first.train.remote())
    do(first.save.remote(str(tmp_path / "saved")))
    ray.kill(first)
    assert len(list((tmp_path / "saved" / "run" / "checkpoints").glob("step_*"))) <= 2
    second = trial(scene)
    do(second.restore.remote(str(tmp_path / "saved")))
    do(second.train.remote())
    do(second.save.remote(str(tmp_path / "end")))
    ray.kill(second)
    run = tmp_path / "end" / "run"
    assert learned(run) == learned(whole(scene, tmp_path / "whole"))
    assert rows(run) == rows(tmp_path / "whole")


def test_another_trials_checkpoint_with_other_settings_is_a_fork(one_node, scene, tmp_path):
    parent = trial(scene, tmp_path / "parents")
    do(parent.train.remote())
    do(parent.save.remote(str(tmp_path / "saved")))
    ray.kill(parent)
    child = trial(scene, tmp_path / "children", **{"Td3Bc.alpha": 7.5})
    do(child.restore.remote(str(tmp_path / "saved")))
    do(child.train.remote())
    do(child.train.remote())
    ray.kill(child)
    at = tmp_path / "parents" / "default" / "run" / "checkpoints" / "step_000000020"
    by_hand = whole(scene, tmp_path / "fork", "--set", "Td3Bc.alpha=7.5", "--fork", at)
    assert learned(tmp_path / "children" / "default" / "fork_0") == learned(by_hand)


def test_a_failed_run_says_why(one_node, scene, tmp_path):
    bad = trial(scene, tmp_path / "runs", **{"Td3Bc.nothing": 1})
    with pytest.raises(Exception, match="nothing"):
        do(bad.train.remote())
    ray.kill(bad)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"scene": "tiny.ron"}, "absolute path"),
        ({"every": 0}, "`every` must be"),
        ({"alpha": 1.0}, r"unknown keys \['alpha'\]"),
        ({"set": {"steps": 3}}, "beside `set`"),
        ({"set": {"Td3Bc.alpha": float("nan")}}, "Td3Bc.alpha"),
    ],
)
def test_a_wrong_config_is_refused_by_name(change, words):
    config = {"scene": "/a/tiny.ron", "steps": STEPS, "every": 20, **change}
    with pytest.raises(ValueError, match=words):
        YarakRun(config=config)


def test_values_are_written_as_a_scene_has_them():
    numpy = pytest.importorskip("numpy")
    values = [True, 3, 2.5, numpy.float64(0.5), [8, 8], "Constant(1e-3)"]
    assert [_ron("a", value) for value in values] == ["true", "3", "2.5", "0.5", "[8, 8]", "Constant(1e-3)"]
