"""A run of yarak as a trial of Ray Tune."""

import json
import math
import os
import shutil
from pathlib import Path
from typing import Any

import ray
from ray.tune import Trainable
from ray.tune.result import DONE, SHOULD_CHECKPOINT

from . import process

_KEYS = {"scene", "steps", "every", "set", "runs", "yarak"}


class YarakRun(Trainable):
    """A run, brought `every` steps further by each step of the trial.

    The trial's `config`:

    - `scene`: the scene's file, an absolute path
    - `steps`: the step at which the trial is done
    - `every`: steps between two results; where the scene reports at these steps, each result has the row of its own step
    - `set`: settings by path, as `yarak train --set` has them: `{"Td3Bc.alpha": tune.loguniform(0.1, 20.0), "seed": 1}`; a
      string is RON, as in `"Constant(1e-3)"`
    - `runs`: a folder on a disk that all nodes share, an absolute path. With it a checkpoint is a pointer into the run's
      folder; without it the run lies on its node, and a checkpoint is a copy of its files
    - `yarak`: the program, `yarak` if not given

    A result has `step` and all metrics of the run's last report up to there. There is a checkpoint after each result. A trial that
    is restored goes on exactly; one that is given another trial's checkpoint, or its own with other settings, is a fork
    (`yarak train --fork`), for which the run that it begins with must still have that checkpoint (`Checkpoints.keep`).
    """

    def setup(self, config: dict[str, Any]) -> None:
        """Looks through the settings; nothing is started yet."""
        unknown = config.keys() - _KEYS
        if unknown:
            raise ValueError(f"config: unknown keys {sorted(unknown)}; settings of the scene belong into `set`")
        for key in ("steps", "every"):
            value = config.get(key)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"config: `{key}` must be a whole number of steps from 1, not {value!r}")
        self._steps, self._every = config["steps"], config["every"]
        self._scene = _absolute(config, "scene")
        self._yarak = str(config.get("yarak", "yarak"))
        self._set = {path: _ron(path, value) for path, value in sorted(config.get("set", {}).items())}
        if "steps" in self._set:
            raise ValueError("config: `steps` belongs beside `set`, not into it")
        self._is_shared = "runs" in config
        self._folder = _absolute(config, "runs") / self.trial_id if self._is_shared else Path(self.logdir) / "runs"
        self._run = self._folder / "run"
        self._parent: Path | None = None
        self._reached = 0

    def step(self) -> dict[str, Any]:
        """Brings the run to its next result; does nothing where it is there already."""
        target = min(self._reached + self._every, self._steps)
        process.wait_until_free(self._run)
        ended = process.run(self._command(target))
        if ended.returncode != 0:
            raise RuntimeError(
                f"yarak ended with status {ended.returncode} on the way to step {target} of {self._run}:\n{process.last_words(ended)}"
            )
        self._reached = target
        row = self._last_row(target)
        return {**row, "step": target, SHOULD_CHECKPOINT: True, DONE: target >= self._steps}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Writes where the run is, and where no disk is shared, its files, but for older checkpoints."""
        place = Path(checkpoint_dir)
        pointer = {
            "run": str(self._run),
            "step": self._reached,
            "checkpoint": (self._run / "checkpoints" / "latest").read_text().strip(),
            "set": self._set,
        }
        if not self._is_shared:
            shutil.copytree(self._run, place / "run", ignore=_left_out)
        (place / "yarak.json").write_text(json.dumps(pointer))

    def load_checkpoint(self, checkpoint_dir: str) -> None:
        """Goes on with the trial's own run, or begins a fork of the one that it is given."""
        place = Path(checkpoint_dir)
        pointer = json.loads((place / "yarak.json").read_text())
        run = Path(pointer["run"])
        is_copied = (place / "run").is_dir()
        if is_copied:
            run = self._new_folder("copy")
            shutil.copytree(place / "run", run)
        elif not run.is_dir():
            raise FileNotFoundError(f"{run}: the run of this checkpoint is not there; is the disk shared by all nodes?")
        self._reached = pointer["step"]
        if pointer["set"] == self._set and (is_copied or run.parent == self._folder):
            self._run, self._parent = run, None
            return
        self._parent = run / "checkpoints" / pointer["checkpoint"]
        if not self._parent.is_dir():
            raise FileNotFoundError(f"{self._parent}: the checkpoint to be forked is not there any more; keep more of them with `Checkpoints.keep`")
        self._run = self._new_folder("fork")

    def _command(self, target: int) -> list[str]:
        cores = ray.get_runtime_context().get_assigned_resources().get("CPU", 1)
        command = [self._yarak, "train", str(self._scene), "--run", str(self._run), "--resume", "auto"]
        command += ["--threads", str(max(1, int(cores)))]
        # The parent's checkpoint may be gone when the fork has some of its own.
        if self._parent is not None and not (self._run / "checkpoints" / "latest").exists():
            command += ["--fork", str(self._parent)]
        for path, value in self._set.items():
            command += ["--set", f"{path}={value}"]
        return command + ["--steps", str(target)]

    def _last_row(self, target: int) -> dict[str, float]:
        """The metrics of the report that ends a step; none where the scene has not reported yet."""
        last: dict[str, float] = {}
        metrics = self._run / "metrics.jsonl"
        # A scene that reports nothing has no file.
        for line in metrics.read_text().splitlines() if metrics.exists() else []:
            row = json.loads(line)
            last = {name: math.nan if value is None else value for name, value in row.items()}
            # With several environments a round ends with the last step of those that are taken together.
            if row["step"] >= target:
                break
        return last

    def _new_folder(self, name: str) -> Path:
        """A folder of this trial that no run was in before."""
        number = 0
        while (self._folder / f"{name}_{number}").exists():
            number += 1
        return self._folder / f"{name}_{number}"


def _absolute(config: dict[str, Any], key: str) -> Path:
    """A path that means the same to every worker."""
    value = config.get(key)
    if not isinstance(value, (str, os.PathLike)) or not Path(value).is_absolute():
        raise ValueError(f"config: `{key}` must be an absolute path, not {value!r}: workers run in folders of their own")
    return Path(value)


def _ron(path: str, value: Any) -> str:
    """A value as a scene has it."""
    if hasattr(value, "item"):  # A number of NumPy's, as searchers draw them.
        value = value.item()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)) and math.isfinite(value):
        return repr(value)
    if isinstance(value, str):
        return value
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_ron(path, item) for item in value)}]"
    raise ValueError(f"config: `set` has no value for {path!r} that a scene can have: {value!r}; write it as RON in a string")


def _left_out(folder: str, names: list[str]) -> set[str]:
    """What a copy of a run needs not have: locks, and checkpoints that are neither the latest nor the best."""
    place = Path(folder)
    kept = {(place / pointer).read_text().strip() for pointer in ("latest", "best") if (place / pointer).is_file()}
    return {name for name in names if name == ".lock" or (name.startswith("step_") and name not in kept)}
