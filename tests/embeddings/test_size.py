"""Pictures of another size than the Card's: encoder and representation agree, or it is said."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import jaxtyping
import numpy as np
import pytest
import safetensors.torch
import torch

from dolorimeter.chain import Stream
from dolorimeter.embeddings import Encoder, agreement, embed
from dolorimeter.errors import ConfigError, SignalError
from dolorimeter.experiment import plan_embedding
from dolorimeter.models import create_model
from dolorimeter.models.painformer import PainFormer
from dolorimeter.representations import Waveform

TNT = "tnt_s_patch16_224"


def pictures(side: int, count: int = 2) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (count, 3, side, side), dtype=np.uint8)


def test_the_card_s_size_is_what_no_size_means() -> None:
    assert Encoder("painformer").digest == Encoder("painformer", size=224).digest
    assert Encoder("painformer", size=64).digest != Encoder("painformer").digest
    assert Encoder("painformer", size=64).input.shape == (3, 64, 64)
    assert Encoder("painformer").input.shape == (3, 224, 224)


def test_painformer_interpolates_its_spectral_weights() -> None:
    encoder = Encoder("painformer", size=64)
    x = pictures(64)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        plain = PainFormer(0).eval()
    mean, std = (torch.tensor(v).reshape(3, 1, 1) for v in (encoder.input.mean, encoder.input.std))
    with torch.no_grad():
        wanted = plain((torch.from_numpy(x) / 255 - mean) / std).numpy()
    np.testing.assert_allclose(embed(encoder, [x]), wanted, rtol=1e-4, atol=1e-5)


@pytest.fixture
def _traceable() -> Iterator[None]:
    """Sides are tensors while a network is written to a file, which shape checks do not know."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", before)


@pytest.mark.long
@pytest.mark.usefixtures("_traceable")
def test_the_exported_network_is_of_that_size() -> None:
    pytest.importorskip("onnxruntime")
    assert agreement(Encoder("painformer", size=64, runtime="onnx"), pictures(64)).cosine > 0.99999


@pytest.mark.parametrize(
    ("name", "size", "message"),
    [
        ("painformer", 50, "size is 50, and painformer takes no such pictures .*multiples of 32"),
        (TNT, 50, "size is 50, and tnt_s_patch16_224 takes no such .*a multiple of 16"),
        (TNT, 0, "size is 0, expected a whole number of pixels"),
    ],
)
def test_sizes_that_no_network_takes(name: str, size: int, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Encoder(name, size=size)


@pytest.mark.long
def test_weights_of_another_size_are_refused_by_name(tmp_path: Path) -> None:
    small = create_model(TNT, num_classes=0, image_size=32)
    path = tmp_path / "tnt.safetensors"
    safetensors.torch.save_file(small.state_dict(), path)
    assert Encoder(TNT, str(path), size=32).build() is not None
    with pytest.raises(ConfigError, match=r"patch_pos \(1, 5, 384\) \(expected \(1, 17, 384\)\)"):
        Encoder(TNT, str(path), size=64).build()
    with pytest.raises(ConfigError, match="size = 64: are they for that size"):
        Encoder(TNT, str(path), size=64).build()


def test_weights_trained_at_another_size_are_remarked(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    path.with_name("w.safetensors.json").write_text('{"trained_on": {}, "size": 64}')
    said = " ".join(Encoder("painformer", str(path)).remarks)
    assert "trained on pictures of 64 pixels, and are given pictures of 224" in said
    assert not Encoder("painformer", str(path), size=64).remarks


def test_a_stream_s_representation_and_encoder_agree_or_it_is_refused() -> None:
    with pytest.raises(
        ConfigError,
        match=r"stream 'eda': waveform gives pictures of 224 × 224, and the encoder painformer "
        r"takes 64 × 64\. Give both the same size",
    ):
        Stream("eda", (), Waveform("eda"), encoder=Encoder("painformer", size=64))
    Stream("eda", (), Waveform("eda", size=64), encoder=Encoder("painformer", size=64))


def test_a_representation_that_says_no_size_takes_the_encoder_s() -> None:
    plan, _ = plan_embedding(
        ["biovid"], modality="eda", duration=5.5, encoder={"name": "painformer", "size": 64}
    )
    (stream,) = plan.chain().streams
    assert stream.representation.size == 64
    with pytest.raises(ConfigError, match="gives pictures of 32 × 32"):
        plan_embedding(
            ["biovid"], modality="eda", duration=5.5,
            encoder={"name": "painformer", "size": 64},
            overrides={"streams.0.representation.size": 32},
        )  # fmt: skip


def test_pictures_of_the_card_s_size_are_refused_then() -> None:
    with pytest.raises(SignalError, match=r"expected \(picture, 3, 64, 64\)"):
        embed(Encoder("painformer", size=64), [pictures(224)])
