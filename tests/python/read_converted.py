"""Reads a converted dataset with the tools that people have and prints what they read, as JSON.

read_converted.py d4rl|robomimic|minari PATH. d4rl and robomimic with h5py, as those projects' loaders do; minari with minari.
"""

import json
import sys

import numpy as np


def bits(values):
    """A sum over the bit patterns, each weighted with its place, so that no bit and no order may differ."""
    values = np.ascontiguousarray(values, dtype=np.float32).reshape(-1)
    patterns = values.view("<u4").astype(np.uint64)
    places = np.arange(1, len(patterns) + 1, dtype=np.uint64)
    return str(int((patterns * places).sum(dtype=np.uint64)))


def d4rl(path):
    import h5py

    with h5py.File(path) as file:
        data = {name: file[name][()] for name in file}
    assert data["terminals"].dtype == bool and data["timeouts"].dtype == bool
    ends = data["terminals"] | data["timeouts"]
    lengths = np.diff(np.concatenate([[-1], np.flatnonzero(ends)]))
    assert lengths.sum() == len(ends)
    columns = [data[name] for name in ("observations", "actions", "rewards", "next_observations")]
    return lengths, columns, data["terminals"]


def robomimic(path):
    """As robomimic's SequenceDataset: demonstrations by number, lengths from `num_samples`."""
    import h5py

    with h5py.File(path) as file:
        data = file["data"]
        names = sorted(data.keys(), key=lambda name: int(name[5:]))
        demos = [data[name] for name in names]
        lengths = [demo.attrs["num_samples"] for demo in demos]
        assert data.attrs["total"] == sum(lengths)
        environment = json.loads(data.attrs["env_args"])
        assert set(environment) == {"env_name", "env_version", "type", "env_kwargs"}
        keys = ("obs/flat", "actions", "rewards", "next_obs/flat", "dones")
        for demo, length in zip(demos, lengths):
            assert all(len(demo[key]) == length for key in keys)
        *columns, dones = [np.concatenate([demo[key][()] for demo in demos]) for key in keys]
    return lengths, columns, dones.astype(bool)


def minari(path):
    """Through Minari's own loader, by the dataset's path and by its name."""
    import os

    root, name = os.path.split(os.path.abspath(path))
    os.environ["MINARI_DATASETS_PATH"] = root
    import minari as tool

    dataset = tool.load_dataset(name)
    assert dataset.spec.dataset_id == name
    episodes = list(dataset.iterate_episodes())
    assert [episode.id for episode in episodes] == list(range(dataset.total_episodes))
    lengths = [len(episode) for episode in episodes]
    assert dataset.total_steps == sum(lengths)
    for episode in episodes:
        assert len(episode.observations) == len(episode.actions) + 1
        assert episode.terminations.dtype == bool and episode.truncations.dtype == bool
        assert not episode.terminations[:-1].any() and not episode.truncations[:-1].any()
        assert dataset.observation_space.contains(episode.observations[0])
        assert dataset.action_space.contains(episode.actions[0])
    join = lambda part: np.concatenate([part(episode) for episode in episodes])
    columns = [
        join(lambda e: e.observations[:-1]),
        join(lambda e: e.actions),
        join(lambda e: e.rewards),
        join(lambda e: e.observations[1:]),
    ]
    return lengths, columns, join(lambda e: e.terminations)


if __name__ == "__main__":
    lengths, columns, terminals = {"d4rl": d4rl, "robomimic": robomimic, "minari": minari}[sys.argv[1]](sys.argv[2])
    print(
        json.dumps(
            {
                "lengths": [int(length) for length in lengths],
                "bits": [bits(column) for column in columns],
                "terminals": [int(row) for row in np.flatnonzero(terminals)],
            }
        )
    )
