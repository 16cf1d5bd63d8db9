"""Environments with odd spaces and odd answers, for tests/environments/odd_worlds.rs: `gymnasium:odd_worlds:Mixed-v0` and so on.

Every action that one gets goes to the file that ACTIONS names, every seed to the one that SEEDS names.
"""
import os
import time

import gymnasium as gym
import numpy as np
from gymnasium import spaces

F = np.float32
INF = np.inf


def note(variable, what):
    if variable in os.environ:
        with open(os.environ[variable], "a") as log:
            print(what, file=log)


class World(gym.Env):
    """Ten steps an episode, a reward of 1 a step. An action that the space does not contain is an error."""

    observation_space = spaces.Box(-1, 1, (2,), F)
    action_space = spaces.Box(-1, 1, (1,), F)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if seed is not None:
            note("SEEDS", seed)
        self.t = 0
        return self.see(), {}

    def see(self):
        return self.np_random.uniform(-1, 1, 2).astype(F)

    def step(self, action):
        if not self.action_space.contains(action):
            raise ValueError(f"{action!r} is not in {self.action_space}")
        note("ACTIONS", np.asarray(action).ravel().tolist())
        self.t += 1
        return self.see(), self.reward(), self.t >= 10, False, {}

    def reward(self):
        return 1.0


def acting_in(space):
    return type("Acting", (World,), {"action_space": space})


def answering(reward):
    return type("Answering", (World,), {"reward": lambda self: reward})


class NeverEnds(World):
    def step(self, action):
        return self.see(), 0.0, False, False, {}


class Sleeps(World):
    def step(self, action):
        time.sleep(1000)


class OldReset(World):
    def reset(self, seed=None, options=None):
        return np.zeros(2, F)


class OldStep(World):
    def step(self, action):
        return self.see(), 1.0, True, {}


class NoFlag(World):
    def step(self, action):
        return self.see(), 1.0, None, False, {}


class SeesNothing(World):
    def see(self):
        return None


class SeesTooFar(World):
    def see(self):
        return np.array([0.0, 1e300])


def showing(space, value):
    """A world that shows `value` where it says `space`."""

    class Showing(World):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.observation_space = space

        def see(self):
            return value

    return Showing


def succeeding(info):
    """A world that says `info(t)` of its step t, which is not the last word on success: the task goes on."""

    def step(self, action):
        observation, reward, terminated, truncated, _ = World.step(self, action)
        return observation, reward, terminated, truncated, info(self.t)

    return type("Succeeding", (World,), {"step": step})


class Sized(World):
    def __init__(self, size, name="none", parts=()):
        self.size = size
        note("ACTIONS", [size, name, list(parts)])


worlds = {
    "Mixed": acting_in(spaces.Box(np.array([100, 0, 0.5], F), np.array([200, 10, 0.5], F))),
    "Infinite": acting_in(spaces.Box(-INF, INF, (2,), F)),
    "HalfInfinite": acting_in(spaces.Box(np.array([-1, 0], F), np.array([1, INF], F))),
    "Doubles": acting_in(spaces.Box(-0.1, 0.1, (2,), np.float64)),
    "Scalar": acting_in(spaces.Box(0.0, 3.0, (), np.float64)),
    "Symmetric": acting_in(spaces.Box(-2, 2, (1,), np.int32)),
    "Bit": acting_in(spaces.Box(0, 1, (2,), np.int64)),
    "Wide": acting_in(spaces.Box(0, np.iinfo(np.int32).max, (1,), np.int32)),
    "FromFive": acting_in(spaces.Discrete(3, start=5)),
    "MultiDiscrete": acting_in(spaces.MultiDiscrete([3, 2])),
    "MultiBinary": acting_in(spaces.MultiBinary(3)),
    "RewardArray": answering(np.array([1.0], F)),
    "RewardPair": answering(np.array([1.0, 2.0], F)),
    "RewardNone": answering(None),
    "RewardText": answering("1.0"),
    "RewardHuge": answering(1e300),
    "NeverEnds": NeverEnds,
    "Sleeps": Sleeps,
    "OldReset": OldReset,
    "OldStep": OldStep,
    "NoFlag": NoFlag,
    "SeesNothing": SeesNothing,
    "SeesTooFar": SeesTooFar,
    "SeesBetween": showing(gym.spaces.Discrete(4), 1.5),
    "SeesBeyond": showing(gym.spaces.MultiDiscrete([4, 2]), np.array([1, 2])),
    "SeesHalfBytes": showing(gym.spaces.Box(0, 255, (2,), np.uint8), np.array([0.5, 1.0])),
    "SeesNoBytes": showing(gym.spaces.Box(0, 255, (2,), np.uint8), np.array([300, 1])),
    "LacksAPart": showing(gym.spaces.Dict(a=gym.spaces.Discrete(2), b=gym.spaces.Discrete(2)), {"a": 1}),
    "LacksAPlace": showing(gym.spaces.Tuple([gym.spaces.Discrete(2), gym.spaces.Discrete(2)]), (1,)),
    "SeesNoElement": showing(gym.spaces.Box(0.0, 1.0, (0,)), np.zeros(0)),
    "SeesNoPart": showing(gym.spaces.Dict({}), {}),
    "NamelessPart": showing(gym.spaces.Dict({"": gym.spaces.Discrete(2)}), {"": 1}),
    "ManyChoices": acting_in(spaces.Discrete(2**32)),
    "FarChoices": acting_in(spaces.Discrete(3, start=2**60)),
    "Walker": showing(
        spaces.Dict({"walker/pos": spaces.Box(-1, 1, (2,), F), "walker/vel": spaces.Box(-1, 1, (2, 1), F), "x": spaces.Box(-1, 1, (), F)}),
        {"walker/pos": np.array([0.5, -0.5], F), "walker/vel": np.array([[0.25], [0.75]], F), "x": np.array(1.0, F)},
    ),
    "Sized": Sized,
    "Succeeds": succeeding(lambda t: {"is_success": t == 4}),
    "SucceedsArray": succeeding(lambda t: {"success": np.array([t >= 4], F)}),
    "Fails": succeeding(lambda t: {"success": False}),
    "SuccessOdd": succeeding(lambda t: {"success": "yes"}),
    "Plain": World,
}
for name, world in worlds.items():
    gym.register(f"{name}-v0", world, disable_env_checker=True)
