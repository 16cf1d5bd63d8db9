"""A sweep on a cluster."""

import json

from conftest import YARAK, yarak

from yarak_ray.__main__ import run_sweep

SWEEP = """Sweep(
    scene: "tiny.ron",
    set: ["steps=40", "Evaluation.every=20"],
    seeds: [0],
    space: {"Td3Bc.alpha": LogUniform(0.1, 20.0)},
    samples: 3,
    scheduler: Asha(first: 20, factor: 2),
)"""


def test_a_sweep_on_ray_ends_with_the_table_of_one_machine(one_node, scene, tmp_path):
    (tmp_path / "sweep.ron").write_text(SWEEP)
    for place in ("ray", "local"):
        yarak("sweep", "new", tmp_path / "sweep.ron", "--dir", tmp_path / place)
    assert run_sweep(YARAK, str(tmp_path / "ray"), 1, 0.1) == 0
    yarak("sweep", "run", tmp_path / "local")
    tables = []
    for place in ("ray", "local"):
        assert json.loads(yarak("sweep", "status", tmp_path / place, "--json"))["is_over"]
        tables.append(yarak("sweep", "table", tmp_path / place, "--json"))
    assert tables[0] == tables[1]
