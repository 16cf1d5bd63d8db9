"""A worker of yarak's bridge to Gymnasium: makes environments, and steps and resets them as it is told.

    python worker.py SOCKET NAME COUNT TIME_LIMIT FIRST KWARGS < LIFELINE

TIME_LIMIT 0 is the one that the environment is registered with; FIRST is the number of its first environment in messages; KWARGS are
the keyword arguments of `gymnasium.make`, as JSON. LIFELINE is a pipe through which nothing comes: it closes with yarak.

It talks over a Unix socket of its own, so that nothing that an environment prints can come between. A frame is the length of the
rest as a little-endian u32, a letter, and what the letter asks for:

    from yarak   r  for each environment: its number (u32), whether there is a seed (u8), the seed (u64)
                 s  for each environment: its number (u32), its action as f32
    from here    S  the spaces, as JSON
                 R  for each environment asked: reward (f64), terminated (u8), truncated (u8), the observation as f32
                 E  a sentence and the traceback of an exception, as text
                 X  what the environment does that Gymnasium's interface does not have, and the remedy, as text

An observation is flattened row by row; the parts of a Dict come in the order of their names' bytes, those of a Tuple in their own,
depth first. A choice is one number, counted from 0. An action of a Box is rounded where its numbers are whole ones.
"""
import fcntl
import importlib.machinery
import importlib.util
import io
import json
import os
import signal
import socket
import struct
import sys
import threading
import traceback

FLAT = "<f4"

# Whole numbers beyond are not all distinct as float32.
MOST_CHOICES = 1 << 24


class Refused(Exception):
    """What an environment does that nobody can learn from: reported as a sentence, without a traceback."""


def show(value):
    """A value with its type, on one short line."""
    kind = type(value)
    name = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple) and shape:
        name += f" of shape {shape}"
    try:
        text = " ".join(repr(value).split())
    except Exception:
        text = "a value without a repr"
    return f"{text if len(text) <= 60 else text[:57] + '...'}, of type {name}"


def describe(space, gym):
    """The space as yarak knows it."""
    import numpy as np

    spaces = gym.spaces
    if getattr(space, "shape", None) is not None and 0 in space.shape or getattr(space, "spaces", None) in ({}, ()):
        raise Refused(f"{space} has no element: leave it out, or give it one")
    if isinstance(space, spaces.Box):
        if space.dtype.kind not in "fiub":
            raise Refused(f"a Box of {space.dtype} holds no numbers: give the Box a dtype of numbers, such as np.float32")
        with np.errstate(over="ignore"):
            low, high = (np.asarray(bound, FLAT).ravel() for bound in (space.low, space.high))
        finite = lambda bound: [float(x) if np.isfinite(x) else None for x in bound]
        return {
            "type": "Box",
            "low": finite(low),
            "high": finite(high),
            "shape": list(space.shape),
            "integer": space.dtype.kind in "iub",
        }
    if isinstance(space, (spaces.Discrete, spaces.MultiDiscrete)):
        count = np.asarray(space.n if isinstance(space, spaces.Discrete) else space.nvec, object)
        start = np.asarray(getattr(space, "start", 0), object)
        if np.any(np.maximum(abs(start), abs(start + count)) > MOST_CHOICES):
            raise Refused(f"{space} has numbers beyond {MOST_CHOICES}, which float32 does not tell apart: wrap the environment with others")
    if isinstance(space, spaces.Discrete):
        return {"type": "Discrete", "n": int(space.n), "start": int(space.start)}
    if isinstance(space, spaces.MultiBinary):
        size = int(np.prod(space.shape))
        return {"type": "Box", "low": [0.0] * size, "high": [1.0] * size, "shape": list(space.shape)}
    if isinstance(space, spaces.MultiDiscrete):
        high = (np.asarray(space.nvec, FLAT) - 1).ravel()
        low = [0.0] * len(high)
        return {"type": "Box", "low": low, "high": high.tolist(), "shape": list(space.nvec.shape)}
    if isinstance(space, (spaces.Dict, spaces.Tuple)):
        names = [name for name, _ in parts_of(space, gym)]
        for name in names:
            inside = name.startswith("/") or name.endswith("/") or "//" in name or any(other.startswith(name + "/") for other in names)
            if not name or "\0" in name or inside:
                raise Refused(f"a part of {space} is called {name!r}: wrap the environment so that each has a name of its own")
        parts = [[name, describe(part, gym)] for name, part in parts_of(space, gym)]
        return {"type": "Dict", "parts": parts}
    raise Refused(
        f"its observations are of {show(space)}, which has no fixed number of numbers: wrap the environment so that they are of a Box, "
        "a Discrete, a MultiBinary, a MultiDiscrete, or of a Dict or Tuple of these"
    )


def parts_of(space, gym):
    if isinstance(space, gym.spaces.Dict):
        return sorted(space.spaces.items(), key=lambda part: part[0].encode())
    return [(f"_index_{index}", part) for index, part in enumerate(space.spaces)]


def flattener(space, gym):
    """A function from an observation to its numbers."""
    import numpy as np

    spaces = gym.spaces
    if isinstance(space, (spaces.Discrete, spaces.MultiDiscrete)):
        start = np.asarray(getattr(space, "start", 0))
        count = np.asarray(space.n if isinstance(space, spaces.Discrete) else space.nvec)

        def choices(value):
            array = np.asarray(value)
            if array.dtype.kind not in "fiub" or array.size != count.size:
                fine = False
            else:
                array = array.reshape(count.shape) - start
                fine = np.all((array >= 0) & (array < count) & (array % 1 == 0))
            if not fine:
                raise Refused(f"an observation is {show(value)}, which is not in its space, {space}: return one of its whole numbers")
            return array.astype(FLAT).ravel()

        return choices
    if isinstance(space, (spaces.Dict, spaces.Tuple)):
        is_dict = isinstance(space, spaces.Dict)
        parts = [
            (name if is_dict else int(name.removeprefix("_index_")), flattener(part, gym))
            for name, part in parts_of(space, gym)
        ]

        def all_parts(value):
            try:
                values = [value[key] for key, _ in parts]
            except (KeyError, IndexError, TypeError):
                raise Refused(f"an observation is {show(value)}, and lacks parts of its space, {space}: return all of them") from None
            return np.concatenate([flatten(part) for part, (_, flatten) in zip(values, parts)])

        return all_parts
    shape = space.shape
    whole = space.dtype.kind in "iub"

    def box(value):
        try:
            array = np.asarray(value)
        except ValueError:
            array = np.asarray(None)
        if array.dtype.kind not in "fiub":
            raise Refused(f"an observation is {show(value)}, where its space is {space}: return an array of numbers of that shape")
        if array.shape != shape:
            raise Refused(
                f"an observation has shape {array.shape} where its space has {shape}; it is {show(value)}: return an array of that shape"
            )
        if whole and array.dtype != space.dtype:
            with np.errstate(invalid="ignore"):
                fits = np.all(array == array.astype(space.dtype))
            if not fits:
                raise Refused(
                    f"an observation is {show(value)}, which has numbers that are no {space.dtype}, as its space has them: return an array "
                    f"of {space.dtype}, or give the space another dtype"
                )
        with np.errstate(over="ignore"):
            flat = array.astype(FLAT).ravel()
        if array.dtype != flat.dtype and array.dtype.kind == "f":
            beyond = np.isfinite(array.ravel()) & ~np.isfinite(flat)
            if beyond.any():
                at = int(beyond.argmax())
                raise Refused(f"observation[{at}] is {float(array.ravel()[at])!r}, beyond what float32 holds: scale the observation")
        return flat

    return box


def reader(space, gym):
    """A function from an action's bytes to what the environment takes, and how many numbers those are."""
    import numpy as np

    spaces = gym.spaces
    if isinstance(space, spaces.Discrete):
        return lambda data: int(space.start) + int(np.frombuffer(data, FLAT)[0]), 1
    if isinstance(space, spaces.Box):
        whole = space.dtype.kind in "iub"
        with np.errstate(over="ignore"):
            low, high = (np.asarray(bound, FLAT) for bound in (space.low, space.high))
        if not whole and np.array_equal(low, space.low) and np.array_equal(high, space.high):
            plain = lambda data: np.frombuffer(data, FLAT).astype(space.dtype).reshape(space.shape)
            return plain, int(np.prod(space.shape))

        def box(data):
            value = np.frombuffer(data, FLAT).reshape(space.shape)
            # A bound as float32 may lie a little beyond the space's own.
            at_low, at_high = (value <= low, value >= high) if whole else (value == low, value == high)
            with np.errstate(invalid="ignore"):
                taken = np.asarray(np.rint(value) if whole else value).astype(space.dtype)
            taken[at_low] = space.low[at_low]
            taken[at_high] = space.high[at_high]
            return taken

        return box, int(np.prod(space.shape))
    if isinstance(space, spaces.MultiDiscrete):
        number = int(np.prod(space.nvec))
        remedy = f"wrap the environment so that one Discrete({number}) stands for all of them, or choose a Box"
    elif isinstance(space, spaces.MultiBinary):
        number = 2 ** int(np.prod(space.shape))
        remedy = f"wrap the environment so that one Discrete({number}) stands for all of them, or choose a Box"
    else:
        remedy = "wrap the environment so that they are of one of these"
    raise Refused(f"its actions are of {space}, and what learns here acts in one Box or one Discrete: {remedy}")


def reward_of(value):
    """A reward as one number; an array of one is taken, as Gymnasium's own vector environments take it."""
    import numpy as np

    kind = type(value)
    if kind is float or kind is int:
        fine = True
    elif isinstance(value, (str, bytes, bytearray)) or value is None:
        fine = False
    else:
        fine = np.size(value) == 1
    if fine:
        try:
            return float(value) if np.ndim(value) == 0 else float(np.asarray(value).reshape(-1)[0])
        except (TypeError, ValueError):
            pass
        except OverflowError:
            raise Refused(f"a reward is {show(value)}, beyond what float64 holds: scale it") from None
    raise Refused(f"a reward is {show(value)}: a reward is one number, so return a float, such as float(reward)")


def flag_of(value, name):
    """`terminated` or `truncated`."""
    import numpy as np

    if value is True or value is False:
        return value
    if isinstance(value, (bool, int, np.bool_, np.integer, np.ndarray)) and np.size(value) == 1:
        flag = np.asarray(value).reshape(-1)[0]
        if flag == 0 or flag == 1:
            return bool(flag)
    raise Refused(f"`{name}` is {show(value)}: it is True or False, so return a bool, such as bool({name})")


def begun(answer):
    """The first observation of what `reset` returned."""
    if isinstance(answer, tuple) and len(answer) == 2 and isinstance(answer[1], dict):
        return answer[0]
    raise Refused(
        f"`reset` returned {show(answer)}: it returns (observation, info), where info is a dict, as in `return observation, {{}}`; "
        "an environment of the old Gym returns the observation alone"
    )


NO_SUCCESS_KNOWN = 2


def success_of(info):
    """`success` or `is_success` of an info, as 0 or 1, and `NO_SUCCESS_KNOWN` where it says neither."""
    if isinstance(info, dict) and ("success" in info or "is_success" in info):
        import numpy as np

        for name in ("success", "is_success"):
            if name in info and np.size(info[name]) == 1:
                flag = np.asarray(info[name]).reshape(-1)[0]
                if flag == 0 or flag == 1:
                    return int(flag)
    return NO_SUCCESS_KNOWN


def stepped(answer):
    """What `step` returned: observation, reward, terminated, truncated, info."""
    if isinstance(answer, tuple) and len(answer) == 5:
        return answer
    many = f"{len(answer)} values" if isinstance(answer, tuple) else show(answer)
    raise Refused(
        f"`step` returned {many}: it returns (observation, reward, terminated, truncated, info); an environment of the old Gym returns "
        "(observation, reward, done, info)"
    )


class Gone(Exception):
    """Whoever started this has closed the socket, or has gone."""


def end_with(lifeline):
    """Ends this process when yarak has gone, however it went. One that is stopped or hangs in C runs no Python any more, so where
    the kernel can end it (Linux), the kernel does."""
    if hasattr(fcntl, "F_SETSIG"):
        fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | fcntl.FASYNC)

    def wait():
        os.read(lifeline, 1)
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


class Unheard(io.FileIO):
    """What an environment prints is lost where nobody listens any more, which is no failure of the environment."""

    def write(self, data):
        try:
            return super().write(data)
        except OSError:
            return len(data)


def settle():
    """What is ours alone is put away: our folder, our file, our standard input, and signals that are for yarak."""
    folder = os.path.dirname(sys.argv[0])
    sys.path[:1] = [entry for entry in sys.path[:1] if entry != folder]
    # Processes that an environment starts with `multiprocessing` would run it again.
    del globals()["__file__"]
    # yarak finishes its step, saves, and then ends this.
    for name in ("SIGINT", "SIGHUP"):
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    lifeline = os.dup(0)
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    end_with(lifeline)
    for name in ("stdout", "stderr"):
        file = getattr(sys, name)
        raw = Unheard(file.fileno(), "w", closefd=False)
        text = io.TextIOWrapper(raw, file.encoding, "backslashreplace", line_buffering=True, write_through=True)
        setattr(sys, name, text)


def look_here_for(name):
    """A module of the user's own, which was allowed by name, may lie in the working directory. It comes after everything else that
    Python knows, and nothing is looked for there unless that module is there and nowhere else."""
    module, colon, _ = name.partition(":")
    first = module.partition(".")[0]
    if not colon or first in sys.modules or importlib.util.find_spec(first) is not None:
        return
    here = os.getcwd()
    if importlib.machinery.PathFinder.find_spec(first, [here]) is not None:
        sys.path.append(here)


class Link:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)

    def exactly(self, count):
        data = bytearray()
        while len(data) < count:
            part = self.socket.recv(min(count - len(data), 1 << 20))
            if not part:
                raise Gone
            data += part
        return bytes(data)

    def receive(self):
        (length,) = struct.unpack("<I", self.exactly(4))
        frame = self.exactly(length)
        return frame[:1], frame[1:]

    def send(self, letter, data):
        self.socket.sendall(struct.pack("<I", 1 + len(data)) + letter + data)


def main():
    settle()
    path, name = sys.argv[1:3]
    count, limit, first_number = map(int, sys.argv[3:6])
    link = Link(path)
    doing = "importing gymnasium"
    worlds = []
    try:
        import gymnasium as gym

        doing = f"making {name}"
        look_here_for(name)
        options = json.loads(sys.argv[6])
        if limit:
            options["max_episode_steps"] = limit
        try:
            worlds = [gym.make(name, **options) for _ in range(count)]
        except TypeError:
            doing += ', whose keyword arguments are those of `kwargs: {"name": value}` in the scene'
            raise
        doing = "reading its spaces"
        first = worlds[0]
        read, width = reader(first.action_space, gym)
        spaces = {
            "observation": describe(first.observation_space, gym),
            "action": describe(first.action_space, gym),
        }
        flatten = flattener(first.observation_space, gym)
        link.send(b"S", json.dumps(spaces, allow_nan=False).encode())
        while True:
            letter, asked = link.receive()
            answer = bytearray()
            if letter == b"r":
                for number, seeded, seed in struct.iter_unpack("<IBQ", asked):
                    doing = f"in reset of environment {first_number + number}"
                    observation = begun(worlds[number].reset(seed=seed if seeded else None))
                    answer += struct.pack("<dBBB", 0.0, 0, 0, NO_SUCCESS_KNOWN) + flatten(observation).tobytes()
            else:
                stride = 4 + 4 * width
                for at in range(0, len(asked), stride):
                    (number,) = struct.unpack_from("<I", asked, at)
                    doing = f"in step of environment {first_number + number}"
                    action = read(asked[at + 4 : at + stride])
                    observation, reward, terminated, truncated, info = stepped(worlds[number].step(action))
                    ends = flag_of(terminated, "terminated"), flag_of(truncated, "truncated")
                    answer += struct.pack("<dBBB", reward_of(reward), *ends, success_of(info))
                    answer += flatten(observation).tobytes()
            link.send(b"R", bytes(answer))
    except Gone:
        for world in worlds:
            world.close()
        os._exit(0)
    except Refused as refusal:
        link.send(b"X", f"{doing}: {refusal}".encode("utf-8", "replace"))
    except BaseException as problem:
        if isinstance(problem, SystemExit):
            doing += f" (it called sys.exit({problem.code!r}))"
        link.send(b"E", (doing + "\n" + traceback.format_exc()).encode("utf-8", "replace"))


main()
