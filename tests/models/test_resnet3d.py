"""ResNet3D-18: its size, what its stages see, and that it learns from clips as they are kept."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dolorimeter.errors import ConfigError
from dolorimeter.estimators import NetworkClassifier
from dolorimeter.models import ResNet3D18, create_model


def test_stages_halve_as_published() -> None:
    model = ResNet3D18(2).eval()
    seen: list[tuple[int, ...]] = []
    for stage in model.stages:
        stage.register_forward_hook(lambda _m, _x, out: seen.append(tuple(out.shape[1:])))
    with torch.no_grad():
        assert model(torch.zeros(1, 8, 3, 32, 32)).shape == (1, 2)
    assert seen == [(64, 8, 16, 16), (128, 4, 8, 8), (256, 2, 4, 4), (512, 1, 2, 2)]
    # what torchvision says of r3d_18 with its 400 classes
    assert sum(p.numel() for p in ResNet3D18(400).parameters()) == 33_371_472


def test_order_in_time_matters_and_features_come_without_a_head() -> None:
    torch.manual_seed(0)
    model = create_model("resnet3d_18", num_classes=0).eval()
    x = torch.rand(2, 8, 3, 32, 32)
    with torch.no_grad():
        assert model(x).shape == (2, 512)
        assert not torch.allclose(model(x), model(x.flip(1)))
        torch.testing.assert_close(model(x[1:])[0], model(x)[1], rtol=1e-4, atol=1e-4)
    with pytest.raises(ConfigError, match=r"clips of shape \(3, 8, 32, 32\), expected \(frame"):
        model(x.transpose(1, 2))


@pytest.mark.long
def test_everything_in_it_learns_from_clips_as_they_are_kept() -> None:
    torch.manual_seed(0)
    model = ResNet3D18(2).train()
    draw = torch.Generator().manual_seed(0)
    torch.nn.functional.cross_entropy(
        model(torch.rand(2, 4, 3, 16, 16, generator=draw)), torch.tensor([0, 1])
    ).backward()
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())
    clips = np.random.default_rng(0).integers(0, 255, (4, 4, 3, 16, 16), dtype=np.uint8)
    fitted = NetworkClassifier(
        "resnet3d_18", epochs=1, batch_size=4, learning_rate_drops=(), early_stopping=False,
        threads=1,
    ).fit(clips, [0, 1, 0, 1])  # fmt: skip
    scaled = (clips / np.float32(255) - np.float32(0.5)) / np.float32(0.5)
    network = ResNet3D18(2).eval()
    network.load_state_dict({n: torch.tensor(v) for n, v in fitted.weights_.items()})
    with torch.no_grad():
        wanted = network(torch.from_numpy(scaled.astype(np.float32))).softmax(1).numpy()
    np.testing.assert_allclose(fitted.predict_proba(clips), wanted, atol=1e-4)
