"""Print what the Python package `safetensors` finds in a checkpoint's tensor file, as one JSON object.

    python read_checkpoint.py checkpoints/step_000020000/actor.safetensors

Values are printed as the bits of each float32, so that the reader can compare them exactly, NaN included.
"""

import json
import sys

import numpy as np
from safetensors import safe_open

with safe_open(sys.argv[1], framework="np") as file:
    step = file.metadata()["step"]
    tensors = {}
    for name in file.keys():
        tensor = file.get_tensor(name)
        assert tensor.dtype == np.float32, (name, tensor.dtype)
        bits = np.frombuffer(tensor.tobytes(), dtype=np.uint32)
        tensors[name] = {"shape": list(tensor.shape), "bits": bits.tolist()}

json.dump({"step": step, "tensors": tensors}, sys.stdout)
