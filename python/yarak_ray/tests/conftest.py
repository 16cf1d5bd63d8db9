"""What the tests train, and how they compare what came of it.

`YARAK_BIN` names the program; it is `yarak` if not given.
"""

import hashlib
import json
import os
import subprocess
from pathlib import Path

import pytest

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

import ray
from ray.cluster_utils import Cluster

YARAK = os.environ.get("YARAK_BIN", "yarak")
DATA = Path(__file__).parents[3] / "assets" / "pendulum-medium-expert.hdf5"

SCENE = """Scene(
    name: "tiny",
    steps: 400,
    plugins: [
        Dataset(path: "DATA"),
        Td3Bc(
            minibatch: (batch_size: 16),
            critic: (encoder: Mlp(hidden_sizes: [8, 8])),
            actor: (encoder: Mlp(hidden_sizes: [8, 8])),
        ),
        Evaluation(every: 100, episodes: 1),
        Checkpoints(every: 20, keep: 100),
    ],
)
"""


@pytest.fixture
def scene(tmp_path) -> Path:
    """The file of a scene that trains in a moment."""
    path = tmp_path / "tiny.ron"
    path.write_text(SCENE.replace("DATA", str(DATA)))
    return path


@pytest.fixture
def cluster():
    """A head that runs nothing, and two nodes with a core each."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    cluster.add_node(num_cpus=1)
    cluster.add_node(num_cpus=1)
    ray.init(address=cluster.address, log_to_driver=False)
    yield cluster
    ray.shutdown()
    cluster.shutdown()


@pytest.fixture(scope="module")
def one_node():
    """A Ray of this machine alone."""
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


def yarak(*arguments) -> str:
    """Runs the program; what it printed."""
    ended = subprocess.run([YARAK, *map(str, arguments)], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def learned(run: Path) -> dict[str, str]:
    """The SHA-256 of each tensor file of a run's last checkpoint."""
    last = run / "checkpoints" / (run / "checkpoints" / "latest").read_text().strip()
    sums = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(last.glob("*.safetensors"))}
    assert "actor.safetensors" in sums
    return {"checkpoint": last.name, **sums}


def rows(run: Path) -> list[dict]:
    """A run's metrics without what depends on the clock."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in row.items() if not name.startswith("time/")} for row in lines]
