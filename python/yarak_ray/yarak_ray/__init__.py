"""Runs of yarak as trials of Ray Tune, and sweeps of yarak on a Ray cluster.

`YarakRun` is for Tune's own searchers and schedulers. `python -m yarak_ray DIR` brings a sweep that yarak decides itself to its end
(`sweep.py`). Both only start `yarak`, which must be installed on every node, like this package.
"""

from .trainable import YarakRun

__all__ = ["YarakRun"]
