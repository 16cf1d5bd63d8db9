"""Environments whose process is stopped or hangs without a word, for tests/environments/trust.rs: `gymnasium:stopped_worlds:InStep-v0`
and so on. Each process writes its number to the file that PROCESSES names. Where AT_IMPORT is set, it stops while it is imported.
"""
import ctypes
import os
import signal

import gymnasium as gym
import numpy as np
from gymnasium import spaces


def stop():
    os.kill(os.getpid(), signal.SIGSTOP)


with open(os.environ["PROCESSES"], "a") as log:
    print(os.getpid(), file=log)
if "AT_IMPORT" in os.environ:
    stop()


class World(gym.Env):
    observation_space = spaces.Box(-1.0, 1.0, (1,), np.float32)
    action_space = spaces.Box(-1.0, 1.0, (1,), np.float32)
    steps = 0

    def reset(self, *, seed=None, options=None):
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self.steps += 1
        if self.steps == 20:
            self.at_step()
        return np.zeros(1, np.float32), 0.0, self.steps % 10 == 0, False, {}

    def at_step(self):
        with open(os.environ["PROCESSES"] + ".reached", "w"):
            pass


class InStep(World):
    def at_step(self):
        super().at_step()
        stop()


class InReset(World):
    def reset(self, *, seed=None, options=None):
        self.at_step()
        stop()
        return super().reset(seed=seed)


class InC(World):
    """Holds the interpreter's lock: no line of Python runs any more."""

    def at_step(self):
        super().at_step()
        ctypes.PyDLL(None).sleep(1000)


class InClose(World):
    def close(self):
        stop()


for world in (World, InStep, InReset, InC, InClose):
    gym.register(f"{world.__name__}-v0", entry_point=world)
