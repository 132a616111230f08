"""The verb export: networks by name and those of fitted models, with a Card that is true."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn
from typer.testing import CliRunner

from dolorimeter import cli
from dolorimeter.chain import Pipeline, Stream
from dolorimeter.embeddings import Encoder, embed
from dolorimeter.errors import ConfigError, StorageError, UnknownNameError
from dolorimeter.experiment import export
from dolorimeter.predictor import Predictor
from dolorimeter.registry import MODELS, Card, InputSpec
from dolorimeter.representations import Raw, Waveform
from dolorimeter.windows import WindowSpec

NAME = "tnt_s_patch16_224"
SMALL = "tests_small"
SIDE = 32

onnxruntime = pytest.importorskip("onnxruntime")


class Small(nn.Module):
    """One linear layer of the mean colours."""

    gives_features = True

    def __init__(self, num_classes: int = 0) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x.mean(dim=(2, 3)))


@pytest.fixture(scope="module", autouse=True)
def _small() -> Iterator[None]:
    """Registered for these tests alone: others walk the registry."""
    MODELS.names()
    spec = InputSpec((3, SIDE, SIDE), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    MODELS.register(Card(SMALL, "For tests.", input=spec))(Small)
    yield
    MODELS._entries.pop(SMALL)
    MODELS._cards.pop(SMALL)


def pictures(count: int = 3, seed: int = 5) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, 3, SIDE, SIDE), dtype=np.uint8)


def model(folder: Path, *encoders: Encoder | None) -> Path:
    """A fitted model whose streams have these encoders."""
    streams = tuple(
        Stream(f"s{i}", (), Raw("eda"))
        if encoder is None
        else Stream(f"s{i}", (), Waveform("eda", size=SIDE), encoder=encoder, pooling="add")
        for i, encoder in enumerate(encoders)
    )
    fitted = LogisticRegression().fit(np.eye(2), [0, 1])
    Predictor(
        fitted,
        Pipeline(WindowSpec(1.0), streams),
        "classifier",
        ("a", "b"),
        {"name": "biovid", "options": {}, "columns": []},
        {},
    ).save(folder)
    return folder


@pytest.mark.long
def test_the_file_gives_the_numbers_of_pytorch_and_says_so(tmp_path: Path) -> None:
    np.save(tmp_path / "check.npy", pictures())
    told = CliRunner().invoke(
        cli.app,
        [
            "export",
            NAME,
            "--size",
            str(SIDE),
            "--out",
            str(tmp_path / "out"),
            "--json",
            "--pictures",
            str(tmp_path / "check.npy"),
        ],
    )
    assert told.exit_code == 0, told.output
    (row,) = json.loads(told.stdout)
    assert (row["checked with"], row["pictures"]) == ("onnx", 3)
    assert row["cosine, least"] > 0.99999
    session = onnxruntime.InferenceSession(tmp_path / "out" / f"{NAME}.onnx")
    found = session.run(None, {"pictures": pictures(5, seed=6)})[0]
    wanted = embed(Encoder(NAME, size=SIDE), [pictures(5, seed=6)])
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-4)
    card = json.loads((tmp_path / "out" / f"{NAME}.json").read_text())
    assert card["input"]["shape"] == ["picture", 3, SIDE, SIDE]
    assert card["encoder"]["size"] == SIDE
    assert "randomly initialised" in card["remarks"][0]
    assert card["agreement_with_torch_f32"]["onnx"]["cosine"] == row["cosine, least"]


def test_a_model_folder_exports_each_different_encoder(tmp_path: Path) -> None:
    one, other = Encoder(SMALL), Encoder(SMALL, seed=1)
    found = export(model(tmp_path / "model", one, one, None), tmp_path / "single")
    assert list(found) == ["s0"]
    assert (tmp_path / "single" / f"{SMALL}.onnx").is_file()
    found = export(model(tmp_path / "two", one, other), tmp_path / "both")
    assert list(found) == ["s0", "s1"]
    seeds = [
        json.loads((tmp_path / "both" / name / f"{SMALL}.json").read_text())["encoder"]["seed"]
        for name in found
    ]
    assert seeds == [0, 1]


def test_what_cannot_be_exported_is_named(tmp_path: Path) -> None:
    folder = model(tmp_path / "model", Encoder(SMALL))
    with pytest.raises(ConfigError, match=r"seed, weights: the model folder .* says so itself"):
        export(folder, tmp_path / "out", encoder={"weights": "w", "seed": 1})
    with pytest.raises(ConfigError, match="this model has no encoder"):
        export(model(tmp_path / "raw", None), tmp_path / "out")
    with pytest.raises(UnknownNameError, match="did you mean painformer"):
        export("painfomer", tmp_path / "out")
    with pytest.raises(ConfigError, match=r"no predictor\.json here"):
        export(tmp_path, tmp_path / "out")
    with pytest.raises(ConfigError, match="painattnnet is no encoder of pictures"):
        export("painattnnet", tmp_path / "out")
    with pytest.raises(StorageError, match=r"none\.npy: cannot be read as pictures"):
        export(folder, tmp_path / "out", pictures=tmp_path / "none.npy")
    np.save(tmp_path / "float.npy", pictures() / 255)
    with pytest.raises(ConfigError, match=r"holds float64 \(3, 3, 32, 32\), expected uint8"):
        export(folder, tmp_path / "out", pictures=tmp_path / "float.npy")
    assert not (tmp_path / "out").exists()
