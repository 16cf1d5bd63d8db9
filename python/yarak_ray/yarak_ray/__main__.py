"""Brings a sweep to its end on a Ray cluster: `python -m yarak_ray DIR`.

yarak decides which trials go on; here they are only started, each as a task of Ray's, on any node, and again where a node is lost. The
sweep's folder lies on a disk that all nodes share. Any number of these, killed at any time, come to the same table.
"""

import argparse
import json
import os
import shlex
import sys
import time

import ray

from . import process

# Ends of one trial's process without a result before it is given up, beside those that the sweep itself counts.
_MOST_CRASHES = 3

# Exit statuses of `yarak sweep trial` that are no crash: done, failed for good (the sweep knows), interrupted and saved.
_TAKEN_UP = (0, 2, 130)

# Another process is at the trial.
_BUSY = 75


def main() -> int:
    """Runs until no trial may go on; 0 where the sweep is over."""
    arguments = argparse.ArgumentParser(prog="python -m yarak_ray", description=__doc__.splitlines()[0])
    arguments.add_argument("dir", help="the sweep's folder, on a disk that all nodes share")
    arguments.add_argument("--cpus", type=int, default=1, help="cores of a trial")
    arguments.add_argument("--memory", type=float, default=1.0, help="memory of a trial, in GiB")
    arguments.add_argument("--address", help="the cluster's address; that of RAY_ADDRESS, or a new one on this machine, if not given")
    arguments.add_argument("--yarak", default="yarak", help="the program")
    given = arguments.parse_args()
    ray.init(address=given.address, log_to_driver=False)
    return run_sweep(given.yarak, os.path.abspath(given.dir), given.cpus, given.memory)


def run_sweep(yarak: str, folder: str, cpus: int, memory: float) -> int:
    """Starts every trial that may go on, until there is none; gives the exit status."""
    task = ray.remote(num_cpus=cpus, memory=int(memory * 2**30), max_retries=-1)(_bring_on)
    running: dict[ray.ObjectRef, str] = {}
    crashes: dict[str, int] = {}
    while True:
        for command in _ready(yarak, folder):
            trial = command[-1]
            if trial not in running.values() and crashes.get(trial, 0) < _MOST_CRASHES:
                running[task.remote([yarak, *command[1:], "--threads", str(cpus)])] = trial
        if not running:
            break
        [ended], _ = ray.wait(list(running), num_returns=1)
        trial = running.pop(ended)
        status, words = ray.get(ended)
        if status == _BUSY:
            time.sleep(0.5)
        elif status not in _TAKEN_UP:
            crashes[trial] = crashes.get(trial, 0) + 1
            print(f"trial {trial} ended with status {status}:\n{words}", file=sys.stderr)
    state = json.loads(_printed([yarak, "sweep", "status", folder, "--json"]))
    print(_printed([yarak, "sweep", "status", folder]), end="")
    return 0 if state["is_over"] else 1


def _bring_on(command: list[str]) -> tuple[int, str]:
    """One trial to the end of its round: the exit status, and the last it said."""
    ended = process.run(command)
    return ended.returncode, process.last_words(ended)


def _ready(yarak: str, folder: str) -> list[list[str]]:
    """The commands of the trials that may go on now."""
    lines = _printed([yarak, "sweep", "run", folder, "--on", "commands"])
    return [shlex.split(line) for line in lines.splitlines()]


def _printed(command: list[str]) -> str:
    ended = process.run(command)
    if ended.returncode != 0:
        sys.exit(process.last_words(ended))
    return ended.stdout


if __name__ == "__main__":
    sys.exit(main())
