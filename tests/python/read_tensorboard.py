"""Prints the scalars that TensorBoard sees in a folder, as JSON: {tag: [[step, wall time, value], ...]}.

TensorBoard reads event files in two ways, one for scripts and one for its own pages, which forget what a resumed run
cut by different rules; a folder that they see differently ends this with an error.

Usage: python read_tensorboard.py FOLDER     (needs the package `tensorboard`)
"""

import json
import sys

from tensorboard.backend.event_processing import event_accumulator, plugin_event_accumulator
from tensorboard.util import tensor_util

EVERY_POINT = 0

scripts = event_accumulator.EventAccumulator(sys.argv[1], size_guidance={"scalars": EVERY_POINT})
scripts.Reload()
seen = {
    tag: [[point.step, point.wall_time, point.value] for point in scripts.Scalars(tag)]
    for tag in scripts.Tags()["scalars"]
}

pages = plugin_event_accumulator.EventAccumulator(sys.argv[1], size_guidance={"tensors": EVERY_POINT})
pages.Reload()
shown = {
    tag: [
        [point.step, point.wall_time, tensor_util.make_ndarray(point.tensor_proto).item()]
        for point in pages.Tensors(tag)
    ]
    for tag in pages.Tags()["tensors"]
}
if shown != seen:
    sys.exit(f"a script sees {seen},\nTensorBoard's pages show {shown}")

json.dump(seen, sys.stdout)
