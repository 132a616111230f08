"""Baselines on clips, and on clips and signals: sizes as published, gaps, what they learn from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from dolorimeter.errors import ConfigError
from dolorimeter.estimators import NetworkClassifier, load_estimator, notes_of, save_estimator
from dolorimeter.models import create_model
from dolorimeter.models.e2e_mer import E2EMER, MEAN, STD, ResNet50
from dolorimeter.models.mte_mer import MTEMER
from dolorimeter.models.vggface_rnn import CHANNELS, DENSE, Backbone, VGGFaceRNN
from dolorimeter.models.video_mae import VideoMAEEncoder, ViT3D
from dolorimeter.registry import ESTIMATORS, MODELS

VGG = {"channels": (4, 4, 8, 8, 8), "dense": 12, "hidden": 6}
E2E = {"blocks": (1, 1, 1, 1), "widths": (4, 4, 4, 4), "hidden": 6, "dropout": 0.0}
MTE = {"word": 10, "hidden": (4, 6), "layers": 1, "samples": 4}
CLIP, TOKENS, SIGNALS = (4, 3, 32, 32), (4, 5), (2, 40)


def count(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_sizes_are_those_published() -> None:
    with torch.device("meta"):
        vgg, resnet = Backbone(224, CHANNELS, DENSE), ResNet50()
        small = ViT3D(0, input_shape=(16, 3, 224, 224))
    assert count(vgg) + 4097 * 1000 == 138_357_544  # Simonyan and Zisserman: 138 M
    assert count(vgg) + 4097 * 2622 == 145_002_878  # with the people of VGG-Face
    assert count(resnet) + 2049 * 1000 == 25_557_032  # what torchvision says of resnet50
    assert count(small) == 21_879_936  # the article's encoder
    assert [n for n, _ in vgg.named_parameters()][::2] == [
        "conv1_1.weight", "conv1_2.weight", "conv2_1.weight", "conv2_2.weight", "conv3_1.weight",
        "conv3_2.weight", "conv3_3.weight", "conv4_1.weight", "conv4_2.weight", "conv4_3.weight",
        "conv5_1.weight", "conv5_2.weight", "conv5_3.weight", "fc6.weight", "fc7.weight",
    ]  # fmt: skip


def test_the_3d_vit_is_the_encoder_with_frames_first() -> None:
    torch.manual_seed(0)
    model = ViT3D(3, input_shape=CLIP, size="tiny", depth=2).eval()
    x = torch.randn(2, *CLIP)
    with torch.no_grad():
        tokens = model.encoder.tokens(x.permute(0, 2, 1, 3, 4))
        torch.testing.assert_close(model(x), model.head(tokens.mean(1)))
        assert model.attention(x).shape == (2, 3, 8, 8)
        assert not torch.allclose(model(x), model(x.flip(1)))
    with pytest.raises(ConfigError, match=r"\(clip, 3, 4, 32, 32\)"):
        model(x.transpose(1, 2))
    with pytest.raises(ConfigError, match=r"input_shape is \(3, 16, 32, 32\)"):
        ViT3D(input_shape=(3, 16, 32, 32))
    with pytest.raises(ConfigError, match="size is 'huge'"):
        ViT3D(size="huge")


def test_the_3d_vit_goes_on_from_a_pre_trained_encoder(tmp_path: Path) -> None:
    torch.manual_seed(1)
    encoder = VideoMAEEncoder(frames=4, image_size=32, depth=1, width=192, heads=3)
    path = tmp_path / "encoder.safetensors"
    safetensors.torch.save_file(encoder.state_dict(), path)
    arguments = {"input_shape": CLIP, "size": "tiny", "depth": 1}
    model = create_model("vit3d", encoder_weights=str(path), **arguments)
    for name, value in encoder.state_dict().items():
        assert torch.equal(model.encoder.state_dict()[name], value)  # type: ignore[union-attr]
    assert model.notes == ()
    assert create_model("vit3d", **arguments).notes == ("the 3-D ViT was trained from scratch",)
    clips = np.random.default_rng(0).integers(0, 255, (4, *CLIP), dtype=np.uint8)
    fitted = NetworkClassifier(
        "vit3d", module_args={"size": "tiny", "depth": 1, "encoder_weights": str(path)}, epochs=1,
        batch_size=4, learning_rate=1e-9, learning_rate_drops=(), early_stopping=False, threads=1,
    ).fit(clips, [0, 1, 0, 1])  # fmt: skip
    kept = fitted.weights_["encoder.blocks.0.attn.proj.weight"]
    np.testing.assert_allclose(kept, encoder.blocks[0].attn.proj.weight.detach(), atol=1e-6)
    path.unlink()  # the file is not needed again
    assert fitted.predict_proba(clips).shape == (4, 2)


def test_vggface_reads_frames_by_themselves_and_then_in_order(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = VGGFaceRNN(2, input_shape=CLIP, **VGG).eval()
    x = 50 * torch.randn(2, *CLIP)
    with torch.no_grad():
        frames = torch.stack([model.backbone(x[:, i]) for i in range(4)], dim=1)
        wanted = model.out(model.rnn(frames)[0].mean(1))
        torch.testing.assert_close(model(x), wanted)
        assert not torch.allclose(model(x), model(x.flip(1)))
    assert model.notes == (
        "the VGG-16 backbone was randomly initialised (no backbone_weights) and trained along",
    )
    path = tmp_path / "vgg.safetensors"
    other = Backbone(32, VGG["channels"], VGG["dense"])  # type: ignore[arg-type]
    safetensors.torch.save_file(other.state_dict() | {"fc8.weight": torch.zeros(3, 12)}, path)
    loaded = VGGFaceRNN(
        2, input_shape=CLIP, backbone_weights=str(path), backbone_without=("fc8.weight",),
        frozen_backbone=True, **VGG,
    )  # fmt: skip
    assert torch.equal(loaded.backbone.fc6.weight, other.fc6.weight)
    assert not any(p.requires_grad for p in loaded.backbone.parameters())
    assert not loaded.train().backbone.training
    with pytest.raises(ConfigError, match=r"unexpected: fc8\.weight"):
        VGGFaceRNN(2, input_shape=CLIP, backbone_weights=str(path), **VGG)
    with pytest.raises(ConfigError, match="a multiple of 32"):
        VGGFaceRNN(2, input_shape=(4, 3, 48, 48))
    with pytest.raises(ConfigError, match=r"clips of shape \(3, 4, 32, 32\)"):
        model(x.transpose(1, 2))


def test_vggface_is_given_its_published_mean() -> None:
    spec = MODELS.card("vggface_rnn").input
    assert spec is not None
    grey = np.full((1, 2, 3, 32, 32), 128, dtype=np.uint8)
    fitted = NetworkClassifier(
        "vggface_rnn", module_args=VGG, epochs=1, batch_size=2, learning_rate_drops=(),
        early_stopping=False, threads=1,
    ).fit(np.concatenate([grey, grey + 9]), [0, 1])  # fmt: skip
    network = fitted.network()
    x = 128 - torch.tensor([129.1863, 104.7624, 93.5940])[:, None, None].expand(1, 2, 3, 32, 32)
    with torch.no_grad():
        wanted = network(x).softmax(1).numpy()
    np.testing.assert_allclose(fitted.predict_proba(grey), wanted, atol=1e-4)


@pytest.mark.parametrize("name", ["vit3d", "vggface_rnn", "e2e_mer", "mte_mer"])
def test_everything_in_it_learns(name: str) -> None:
    torch.manual_seed(0)
    if name in ("vit3d", "vggface_rnn"):
        more: dict[str, Any] = VGG if name == "vggface_rnn" else {"size": "tiny", "depth": 1}
        model, x = create_model(name, input_shape=CLIP, **more), torch.randn(6, *CLIP)
    else:
        video, more = (CLIP, E2E) if name == "e2e_mer" else (TOKENS, MTE)
        model = create_model(name, video=video, signals=SIGNALS, **more)
        x = torch.rand(6, int(np.prod(video) + np.prod(SIGNALS))) * 50
    loss = torch.nn.functional.cross_entropy(model.train()(x), torch.tensor([0, 1] * 3))
    loss.backward()
    dead = {n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()}
    # the state that is read has gone one step backward: nothing came before it
    unused = {f"{side}_stream.lstm.weight_hh_l0_reverse" for side in ("video", "signal")}
    assert dead == (unused if name == "mte_mer" else set())
    other = create_model(name, **(
        {"input_shape": CLIP} if name in ("vit3d", "vggface_rnn") else
        {"video": video, "signals": SIGNALS}
    ), **more)  # fmt: skip
    other.load_state_dict(model.state_dict())
    with torch.no_grad():
        assert torch.equal(other.eval()(x), model.eval()(x))


def e2e(**changes: Any) -> E2EMER:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"video": CLIP, "signals": SIGNALS} | E2E | changes
    return E2EMER(2, **sizes).eval()


def mte(**changes: Any) -> MTEMER:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"video": TOKENS, "signals": SIGNALS} | MTE | changes
    return MTEMER(2, **sizes).eval()


@pytest.mark.parametrize(("build", "video"), [(e2e, CLIP), (mte, TOKENS)])
def test_a_side_that_is_missing_says_nothing(build: Any, video: tuple[int, ...]) -> None:
    model, size = build(prior=[0.9, 0.1]), int(np.prod(video))
    x = 30 * torch.rand(3, size + 80)
    x[1, :size] = float("nan")
    x[2] = float("nan")
    with torch.no_grad():
        both = model(x)
        torch.testing.assert_close(model(x[1:2])[0], both[1], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(both[2].softmax(0), torch.tensor([0.9, 0.1]))
        less = x[:1].clone()
        less[0, size:] = float("nan")
        assert model(less).isfinite().all()
        assert not torch.allclose(model(less)[0], both[0])
        with pytest.raises(ConfigError, match=f"expected rows of {size + 80:,} numbers"):
            model(x[:, 1:])
    with pytest.raises(ConfigError, match="needs video, signals, or both"):
        build(video=(), signals=())
    with pytest.raises(ConfigError, match="video is"):
        build(video=(3,))
    assert build(video=(), steps=4)(x[:, size:]).shape == (3, 2) if build is e2e else True


def test_a_step_of_e2e_reads_its_frame_and_its_samples() -> None:
    """One side at a time, against layers called by hand."""
    model = e2e()
    x = torch.rand(2, int(np.prod(CLIP)) + 80) * 100
    with torch.no_grad():
        clips = x[:, : int(np.prod(CLIP))].reshape(2, *CLIP) / 255
        mean, std = (torch.tensor(v)[:, None, None] for v in (MEAN, STD))
        frames = torch.stack([model.frames((clips[:, i] - mean) / std) for i in range(4)], 1)
        signals = x[:, -80:].reshape(2, 2, 40)
        steps = []
        for i in range(4):
            own = torch.nn.functional.pad(signals[..., 10 * i : 10 * i + 10], (9, 10))
            out = torch.relu(model.conv1(own)).reshape(2, 40, 5, 2).amax(3)
            out = torch.relu(model.conv2(torch.nn.functional.pad(out, (19, 20))))
            steps.append(out.reshape(2, 4, 10, 5).amax(2).flatten(1))
        states, _ = model.lstm(torch.cat([frames, torch.stack(steps, 1)], dim=2))
        torch.testing.assert_close(model(x), model.out(states.mean(1)), rtol=1e-4, atol=1e-5)


def test_mte_adds_weighted_products_with_mapped_class_vectors() -> None:
    model = mte()
    with torch.no_grad():
        model.weights.copy_(torch.tensor([0.3, 0.1]))
        x = torch.rand(2, 20 + 80)
        scores = []
        steps = x[:, 20:].reshape(2, 2, 10, 4).mean(3).mT
        for stream, given in ((model.video_stream, x[:, :20].reshape(2, *TOKENS)),
                              (model.signal_stream, steps)):  # fmt: skip
            out, _ = stream.lstm(given)
            half = out.shape[2] // 2
            last = out[:, -1, :half] + out[:, -1, half:]
            scores.append(last @ stream.map(model.words).T / half**0.5)
        torch.testing.assert_close(model(x), 0.75 * scores[0] + 0.25 * scores[1])


def streams(people: int = 4, each: int = 6) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """A bright lower half of the face and a burst, each in half of the windows of pain."""
    rng = np.random.default_rng(0)
    y = np.tile([0, 1], people * each // 2)
    x = {
        "face": rng.integers(0, 90, (len(y), *CLIP), dtype=np.uint8),
        "eda": rng.normal(size=(len(y), 1, 40)).astype(np.float32),
    }
    x["face"][y == 1, :, :, 16:] += 120
    x["eda"][y == 1, :, 20:] += 3
    x["face"][0] = 0  # no face was found
    return x, y


def test_clips_and_signals_reach_e2e_through_the_estimator(tmp_path: Path) -> None:
    x, y = streams()
    settings = {
        "module": "e2e_mer", "module_args": E2E, "epochs": 12, "batch_size": 8,
        "learning_rate": 1e-2, "early_stopping": False, "threads": 1, "optimiser": "adam",
    }  # fmt: skip
    model = ESTIMATORS.get("dual_stream")(network=settings).fit(x, y)
    assert model.network_.module_args["video"] == list(CLIP)
    assert any("ResNet-50 was randomly initialised" in note for note in notes_of(model))
    losses = [epoch["training_loss"] for epoch in model.network_.history_]
    assert losses[-1] < 0.5 < losses[0]  # log 2 is to know nothing
    blind = {"face": np.zeros_like(x["face"]), "eda": x["eda"]}
    np.testing.assert_array_equal(
        model.predict_proba(blind), model.predict_proba({"eda": x["eda"]})
    )
    np.testing.assert_array_equal(model.predict_proba(blind)[0], model.predict_proba(x)[0])
    save_estimator(model, tmp_path)
    np.testing.assert_array_equal(
        load_estimator(tmp_path).predict_proba(x), model.predict_proba(x)
    )
    with pytest.raises(ConfigError, match=r"video is \(4, 3, 32, 32\), expected \(token, feature"):
        ESTIMATORS.get("dual_stream")(network={"early_stopping": False}).fit(x, y)


def test_tokens_and_signals_reach_mte_through_the_estimator() -> None:
    x, y = streams()
    x["face"] = x["face"].mean((2, 3, 4))[..., None].repeat(5, axis=2).astype(np.float32)
    settings = {
        "module": "mte_mer", "module_args": MTE, "epochs": 10, "batch_size": 12,
        "learning_rate": 2e-2, "early_stopping": False, "threads": 1,
    }  # fmt: skip
    model = ESTIMATORS.get("dual_stream")(network=settings).fit(x, y)
    assert (model.predict(x) == y).mean() > 0.8
