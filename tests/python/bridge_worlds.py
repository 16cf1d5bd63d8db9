"""Environments that go wrong, each in its own way, for tests/environments/gymnasium_bridge.rs: `gymnasium:bridge_worlds:Raises-v0` and so on.

Each is a walk on a line. What goes wrong does so in the 30th step of the environment, unless SOUND is in the environment variables.
"""
import os
import signal
import sys
import time

import gymnasium as gym
import numpy as np
from gymnasium import spaces


class Walk(gym.Env):
    """A walk on a line from a seeded start."""

    observation_space = spaces.Box(-100.0, 100.0, (1,), np.float32)
    action_space = spaces.Box(-1.0, 1.0, (1,), np.float32)
    steps = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place = float(self.np_random.uniform(-1, 1))
        return self.see(), {}

    def step(self, action):
        self.steps += 1
        if self.steps == 30 and "SOUND" not in os.environ:
            self.go_wrong()
        self.place += float(action[0])
        return self.see(), -abs(self.place), abs(self.place) > 3, False, {}

    def see(self):
        return np.array([self.place], np.float32)

    def go_wrong(self):
        pass


class Raises(Walk):
    def go_wrong(self):
        raise ValueError("the sensor came loose")


class Kills(Walk):
    def go_wrong(self):
        os.kill(os.getpid(), signal.SIGKILL)


class Hangs(Walk):
    def go_wrong(self):
        time.sleep(1000)


class Exits(Walk):
    def go_wrong(self):
        sys.exit("enough")


class Poisons(Walk):
    def go_wrong(self):
        self.place = float("nan")


class Talks(Walk):
    """Prints, to standard output, in every way that there is."""

    def step(self, action):
        print("CHATTER", flush=True)
        sys.stdout.buffer.write(b"CHATTER \x00\xff\n")
        sys.stdout.flush()
        os.write(1, b"CHATTER from below\n")
        os.system("echo CHATTER from a child")
        return super().step(action)


class RaisesInTheSecond(Walk):
    """Goes wrong where it was seeded with 1."""

    def reset(self, *, seed=None, options=None):
        self.is_second = getattr(self, "is_second", False) or seed == 1
        return super().reset(seed=seed)

    def go_wrong(self):
        if self.is_second:
            raise ValueError("the second one")


class RaisesAtReset(Walk):
    resets = 0

    def reset(self, **options):
        self.resets += 1
        if self.resets == 2 and "SOUND" not in os.environ:
            raise RuntimeError("the door is locked")
        return super().reset(**options)


class Parts(Walk):
    """A dictionary whose parts tell their places."""

    observation_space = spaces.Dict(
        {
            "b": spaces.Box(-1000, 1000, (2, 2), np.float64),
            "a": spaces.Discrete(5, start=3),
            "c": spaces.Tuple([spaces.MultiBinary(2)] + [spaces.Discrete(20)] * 10),
            "B": spaces.Box(0, 255, (1,), np.uint8),
            "d": spaces.Dict({"z": spaces.MultiDiscrete([3, 4]), "y": spaces.Discrete(2)}),
        }
    )
    action_space = spaces.Discrete(3, start=-1)

    def see(self):
        return {
            "a": np.int64(7),
            "b": np.array([[10.0, 11.0], [12.0, 13.0]]),
            "c": (np.array([0, 1], np.int8),) + tuple(range(2, 12)),
            "d": {"y": 1, "z": np.array([2, 3])},
            "B": np.array([200], np.uint8),
        }

    def step(self, action):
        return self.see(), float(action), False, False, {}


for name, world in list(globals().items()):
    if isinstance(world, type) and issubclass(world, Walk):
        # A policy that stays where it is would be evaluated for ever.
        gym.register(f"{name}-v0", world, max_episode_steps=50)
