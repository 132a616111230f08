"""Small sets of made-up pictures, a small encoder, and runs in processes of their own."""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w

HERE = Path(__file__).parent
RUN = f"""
import sys
from pathlib import Path

sys.path.insert(0, {str(HERE)!r})
import tiny_encoder
tiny_encoder.register()
from dolorimeter.pretraining import pretrain, read_pretraining

if __name__ == "__main__":
    from accelerate import PartialState

    pretrain(read_pretraining(Path(sys.argv[1])), sys.argv[2])
    PartialState().wait_for_everyone()  # a process that leaves first takes the store with it
    PartialState().destroy_process_group()
"""


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Equal bits need an equal number of threads, whatever a test before has set."""
    from dolorimeter.training import threads

    with threads(1):
        yield


@pytest.fixture(scope="module", autouse=True)
def _tiny_encoder() -> Iterator[None]:
    """Models of the names ``tiny_encoder`` and ``tiny_dropout``."""
    spec = importlib.util.spec_from_file_location("tiny_encoder", HERE / "tiny_encoder.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["tiny_encoder"] = module
    spec.loader.exec_module(module)
    module.register()
    yield
    module.forget()


def make_up(rows: int, seed: int, size: int = 32) -> dict[str, np.ndarray]:
    """Arrays of a shard: pictures whose brightness depends on the labels, and who is shown."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(3, size=rows)
    level = rng.normal(size=(rows, 2))
    pictures = rng.integers(0, 100, size=(rows, size, size, 3))
    pictures += (50 * kind)[:, None, None, None]
    return {
        "pictures": pictures.astype(np.uint8),
        "kind": np.array(["eda", "ecg", "emg"])[kind],
        "bright": (kind == 2).astype(float),
        "odd": np.where(np.arange(rows) % 5 == 0, np.nan, np.arange(rows) % 2),
        "valence": level[:, 0] + kind,
        "arousal": level[:, 1],
        "who": np.array([f"p{i}" for i in rng.integers(6, size=rows)]),
    }


@pytest.fixture(scope="session")
def shards(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Pattern of two archives of 30 pictures of six people."""
    folder = tmp_path_factory.mktemp("shards")
    for number in range(2):
        np.savez(folder / f"made-{number}.npz", **make_up(30, number))  # type: ignore[arg-type]
    return str(folder / "made-*.npz")


@pytest.fixture(scope="session")
def made_up() -> Callable[[int, int], dict[str, np.ndarray]]:
    """Arrays of a shard of so many rows, from a seed."""
    return make_up


@pytest.fixture(scope="session")
def four_tasks(shards: str) -> list[dict[str, Any]]:
    """One of every kind of label, the continuous one with both losses, of the same people."""
    common = {
        "reader": "npz_shards",
        "options": {"shards": [shards], "identity": "who"},
        "person_namespace": "made",
    }
    several = ["valence", "arousal"]
    tasks: list[dict[str, Any]] = [
        {"name": "kind", "label": "class", "columns": ["kind"]},
        {"name": "signs", "label": "multi_label", "columns": ["bright", "odd"], "weight": 0.7},
        {"name": "squared", "label": "continuous", "columns": several},
        {"name": "agreeing", "label": "continuous", "columns": several, "loss": "concordance"},
    ]
    return [common | task for task in tasks]


@pytest.fixture(scope="session")
def small() -> Callable[..., dict[str, Any]]:
    """Settings of a short run of the small encoder."""

    def settings(**values: Any) -> dict[str, Any]:
        return {
            "encoder": {"name": "tiny_encoder"},
            "steps": 4,
            "size": 32,
            "batch_size": 9,
            "learning_rate": 1e-2,
            "warm_up": 1,
            "workers": 0,
            "seed": 3,
        } | values

    return settings


def environment(processes: int, rank: int, port: int) -> dict[str, str]:
    """What ``torchrun`` would set."""
    return {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": str(processes),
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "ACCELERATE_USE_CPU": "1",
    }


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., list[subprocess.Popen[bytes]]]:
    """Start a pre-training in processes of its own, into a folder."""
    script = tmp_path / "run.py"
    script.write_text(RUN)

    def launch(
        values: Mapping[str, Any], out: Path, processes: int = 1
    ) -> list[subprocess.Popen[bytes]]:
        toml = out.with_suffix(".toml")
        toml.write_text(tomli_w.dumps(values))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        return [
            subprocess.Popen(
                [sys.executable, script, toml, out], env=environment(processes, rank, port)
            )
            for rank in range(processes)
        ]

    return launch
