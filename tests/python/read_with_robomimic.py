"""Reads files with robomimic's own SequenceDataset, frames of 2 and sequences of 3, and prints every item of each as JSON.

read_with_robomimic.py (PATH OBSERVATION,KEYS DATASET,KEYS FILTER)... (an empty FILTER reads all demonstrations)
"""

import contextlib
import io
import json
import sys
import warnings

warnings.filterwarnings("ignore")
import numpy as np

from read_converted import bits


def read(path, observations, columns, key):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        import robomimic.utils.obs_utils as ObsUtils
        from robomimic.utils.dataset import SequenceDataset

        ObsUtils.initialize_obs_utils_with_obs_specs({"obs": {"low_dim": observations, "rgb": []}})
        asked = dict(
            obs_keys=observations,
            dataset_keys=columns,
            frame_stack=2,
            seq_length=3,
            get_pad_mask=True,
            filter_by_attribute=key or None,
            load_next_obs=True,
        )
        direct = SequenceDataset(path, hdf5_cache_mode=None, **asked)
        cached = SequenceDataset(path, hdf5_cache_mode="low_dim", **asked)
        items = []
        for index in range(len(direct)):
            both = [item(dataset[index], observations, columns) for dataset in (direct, cached)]
            assert both[0] == both[1], index
            items.append(both[0])
        ask_as_trainers_do(path, observations, direct[0]["actions"].shape[-1])
    return items


def ask_as_trainers_do(path, observations, width):
    """What robomimic's trainers ask of a file before they read it. That part of robomimic needs torchvision too."""
    try:
        import robomimic.utils.file_utils as FileUtils
    except ModuleNotFoundError as error:
        sys.__stderr__.write(f"not asked as robomimic's trainers do: {error}\n")
        return
    environment = FileUtils.get_env_metadata_from_dataset(dataset_path=path)
    assert {"env_name", "type", "env_kwargs"} <= set(environment), environment
    shapes = FileUtils.get_shape_metadata_from_dataset(dataset_path=path, all_obs_keys=observations)
    assert shapes["ac_dim"] == width and set(shapes["all_shapes"]) == set(observations), shapes


def item(found, observations, columns):
    rows = len(found["pad_mask"])
    join = lambda group: np.concatenate([np.reshape(found[group][key], (rows, -1)) for key in observations], -1)
    parts = {"obs": join("obs"), "next_obs": join("next_obs"), "pad_mask": found["pad_mask"]}
    return {name: bits(values) for name, values in (parts | {name: found[name] for name in columns}).items()}


if __name__ == "__main__":
    files = zip(*[iter(sys.argv[1:])] * 4)
    print(json.dumps([read(path, keys.split(","), columns.split(","), key) for path, keys, columns, key in files]))
