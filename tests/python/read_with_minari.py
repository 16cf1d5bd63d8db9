"""Loads a dataset's folder with Minari's own loader and prints actions, infos and metadata as JSON: read_with_minari.py PATH"""

import json
import os
import sys
import warnings

warnings.filterwarnings("ignore")
import numpy as np

from read_converted import bits


def main(path):
    root, name = os.path.split(os.path.abspath(path))
    os.environ["MINARI_DATASETS_PATH"] = root
    import minari
    from gymnasium import spaces

    dataset = minari.load_dataset(name)
    episodes = list(dataset.iterate_episodes())
    space = dataset.action_space
    for episode in episodes:
        assert len(episode.observations) == len(episode.actions) + 1 == len(episode) + 1
        assert all(dataset.observation_space.contains(row) for row in episode.observations)
        assert all(space.contains(row) for row in episode.actions), (space, episode.actions)
        assert all(len(values) == len(episode) + 1 for values in (episode.infos or {}).values())
    join = lambda part: np.concatenate([part(episode) for episode in episodes])
    names = sorted(episodes[0].infos or {})
    # Sampling and filtering build new views of the same file.
    assert len(dataset.filter_episodes(lambda episode: len(episode) > 1)) == sum(len(e) > 1 for e in episodes)
    print(
        json.dumps(
            {
                "steps": int(dataset.total_steps),
                "actions": bits(join(lambda e: e.actions)),
                "action_space": f"Discrete {space.n} {space.start}" if isinstance(space, spaces.Discrete) else "Box",
                "infos": {name: bits(join(lambda e: e.infos[name][:-1])) for name in names},
                "environment": dataset.env_spec.id if dataset.env_spec else None,
                "algorithm_name": dataset.storage.metadata.get("algorithm_name"),
            }
        )
    )


if __name__ == "__main__":
    main(sys.argv[1])
