"""A worker of yarak's bridge to Gymnasium: makes environments, and steps and resets them as it is told.

    python worker.py SOCKET NAME COUNT TIME_LIMIT FIRST

TIME_LIMIT 0 is the one that the environment is registered with; FIRST is the number of its first environment in messages.

It talks over a Unix socket of its own, so that nothing that an environment prints can come between. A frame is the length of the
rest as a little-endian u32, a letter, and what the letter asks for:

    from yarak   r  for each environment: its number (u32), whether there is a seed (u8), the seed (u64)
                 s  for each environment: its number (u32), its action as f32
    from here    S  the spaces, as JSON
                 R  for each environment asked: reward (f64), terminated (u8), truncated (u8), the observation as f32
                 E  a sentence and the traceback of an exception, as text

An observation is flattened row by row; the parts of a Dict come in the order of their names' bytes, those of a Tuple in their own,
depth first. A choice is one number, counted from 0.
"""
import json
import os
import signal
import socket
import struct
import sys
import traceback

FLAT = "<f4"


def describe(space, gym):
    """The space as yarak knows it."""
    import numpy as np

    spaces = gym.spaces
    if isinstance(space, spaces.Box):
        if space.dtype.kind not in "fiub":
            raise TypeError(f"a Box of {space.dtype} holds no numbers")
        with np.errstate(over="ignore"):
            low, high = (np.asarray(bound, FLAT).ravel() for bound in (space.low, space.high))
        finite = lambda bound: [float(x) if np.isfinite(x) else None for x in bound]
        return {"type": "Box", "low": finite(low), "high": finite(high), "shape": list(space.shape)}
    if isinstance(space, spaces.Discrete):
        return {"type": "Discrete", "n": int(space.n)}
    if isinstance(space, spaces.MultiBinary):
        size = int(np.prod(space.shape))
        return {"type": "Box", "low": [0.0] * size, "high": [1.0] * size, "shape": list(space.shape)}
    if isinstance(space, spaces.MultiDiscrete):
        high = (np.asarray(space.nvec, FLAT) - 1).ravel()
        low = [0.0] * len(high)
        return {"type": "Box", "low": low, "high": high.tolist(), "shape": list(space.nvec.shape)}
    if isinstance(space, (spaces.Dict, spaces.Tuple)):
        parts = [[name, describe(part, gym)] for name, part in parts_of(space, gym)]
        return {"type": "Dict", "parts": parts}
    raise TypeError(f"a space of the kind {type(space).__name__} has no fixed number of numbers")


def parts_of(space, gym):
    if isinstance(space, gym.spaces.Dict):
        return sorted(space.spaces.items(), key=lambda part: part[0].encode())
    return [(f"_index_{index}", part) for index, part in enumerate(space.spaces)]


def flattener(space, gym):
    """A function from an observation to its numbers."""
    import numpy as np

    spaces = gym.spaces
    if isinstance(space, spaces.Discrete):
        return lambda value: np.array([int(value) - int(space.start)], FLAT)
    if isinstance(space, spaces.MultiDiscrete):
        start = getattr(space, "start", 0)
        return lambda value: (np.asarray(value) - start).astype(FLAT).ravel()
    if isinstance(space, (spaces.Dict, spaces.Tuple)):
        is_dict = isinstance(space, spaces.Dict)
        parts = [
            (name if is_dict else int(name.removeprefix("_index_")), flattener(part, gym))
            for name, part in parts_of(space, gym)
        ]
        return lambda value: np.concatenate([flatten(value[key]) for key, flatten in parts])
    shape = space.shape

    def box(value):
        value = np.asarray(value)
        if value.shape != shape:
            raise ValueError(f"an observation has shape {value.shape} where its space has {shape}")
        return value.astype(FLAT).ravel()

    return box


def reader(space, gym):
    """A function from an action's bytes to what the environment takes, and how many numbers those are."""
    import numpy as np

    if isinstance(space, gym.spaces.Discrete):
        return lambda data: int(space.start) + int(np.frombuffer(data, FLAT)[0]), 1
    if isinstance(space, gym.spaces.Box):
        return (
            lambda data: np.frombuffer(data, FLAT).astype(space.dtype).reshape(space.shape),
            int(np.prod(space.shape)),
        )
    raise TypeError(f"actions of the kind {type(space).__name__}; a Box or a Discrete is what can be acted in")


class Link:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)

    def exactly(self, count):
        data = bytearray()
        while len(data) < count:
            part = self.socket.recv(min(count - len(data), 1 << 20))
            if not part:
                # Whoever started this has gone.
                os._exit(0)
            data += part
        return bytes(data)

    def receive(self):
        (length,) = struct.unpack("<I", self.exactly(4))
        frame = self.exactly(length)
        return frame[:1], frame[1:]

    def send(self, letter, data):
        self.socket.sendall(struct.pack("<I", 1 + len(data)) + letter + data)


def main():
    # Ctrl-C is for yarak, which finishes its step and then ends this.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    path, name = sys.argv[1:3]
    count, limit, first_number = map(int, sys.argv[3:6])
    link = Link(path)
    doing = "importing gymnasium"
    try:
        import gymnasium as gym

        doing = f"making {name}"
        options = {"max_episode_steps": limit} if limit else {}
        worlds = [gym.make(name, **options) for _ in range(count)]
        doing = "reading its spaces"
        first = worlds[0]
        spaces = {
            "observation": describe(first.observation_space, gym),
            "action": describe(first.action_space, gym),
        }
        flatten = flattener(first.observation_space, gym)
        read, width = reader(first.action_space, gym)
        link.send(b"S", json.dumps(spaces, allow_nan=False).encode())
        while True:
            letter, asked = link.receive()
            answer = bytearray()
            if letter == b"r":
                for number, seeded, seed in struct.iter_unpack("<IBQ", asked):
                    doing = f"in reset of environment {first_number + number}"
                    observation, _ = worlds[number].reset(seed=seed if seeded else None)
                    answer += struct.pack("<dBB", 0.0, 0, 0) + flatten(observation).tobytes()
            else:
                stride = 4 + 4 * width
                for at in range(0, len(asked), stride):
                    (number,) = struct.unpack_from("<I", asked, at)
                    doing = f"in step of environment {first_number + number}"
                    action = read(asked[at + 4 : at + stride])
                    observation, reward, terminated, truncated, _ = worlds[number].step(action)
                    answer += struct.pack("<dBB", reward, bool(terminated), bool(truncated))
                    answer += flatten(observation).tobytes()
            link.send(b"R", bytes(answer))
    except BaseException as problem:
        if isinstance(problem, SystemExit):
            doing += f" (it called sys.exit({problem.code!r}))"
        link.send(b"E", (doing + "\n" + traceback.format_exc()).encode("utf-8", "replace"))


main()
