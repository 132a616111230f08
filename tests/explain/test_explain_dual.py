"""A model of face clips and signals: what is read where, level by level, and by whom it lies."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from dolorimeter import cli
from dolorimeter.chain import Pipeline, Stream
from dolorimeter.embeddings import Encoder
from dolorimeter.errors import ConfigError, DependencyError, RecordingError
from dolorimeter.estimators import DualStreamClassifier, NetworkClassifier
from dolorimeter.explain import (
    AttentionOverTime,
    SidesExplanation,
    _dual,
    _sides,
    _window,
    attention_over_time,
    embedding_map,
    explain_model,
    map_embeddings,
    over_time,
)
from dolorimeter.predictor import Predictor
from dolorimeter.representations import Raw, VideoFrames
from dolorimeter.types import Recording, Signal, Stimulus, Video
from dolorimeter.video import VideoWriter
from dolorimeter.windows import WindowSpec

RATE, SECONDS, SIDE = 16.0, 4.0, 32
ENCODER = Encoder("video_mae_tiny", tokens="time", size=SIDE)
SIZES = {
    "width": 8,
    "hybrid_args": {"width": 8, "heads": 2, "hidden": 16},
    "signal_encoder": "signal_mae",
    "signal_args": {"width": 8, "heads": 2, "hidden": 16, "layers": 1},
}


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds of noise at 4 Hz."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    rng = np.random.default_rng(0)
    with VideoWriter(path, 4.0, (64, 64)) as writer:
        for _ in range(16):
            writer.write(rng.integers(0, 255, (64, 64, 3), dtype=np.uint8))
    return path


@pytest.fixture(scope="module")
def recordings(clip: Path) -> list[Recording]:
    """Three people, rest and pain three times each; with pain comes a burst in the last second."""
    rng = np.random.default_rng(1)
    found = []
    for person in range(3):
        for trial in range(6):
            pain = trial % 2
            eda = rng.normal(size=(1, int(RATE * SECONDS))) + 3 * person
            eda[:, 48:] += 6 * pain
            found.append(
                Recording(
                    "made", f"s{person}", f"s{person}-{trial}",
                    signals={
                        "eda": Signal(eda, RATE, "1", True, "other"),
                        "ecg": Signal(rng.normal(size=eda.shape), RATE, "1", True, "other"),
                    },
                    videos={"face": Video(clip)},
                    stimuli=(Stimulus(0.0, SECONDS, ("BL1", "PA4")[pain], 4 * pain),),
                )
            )  # fmt: skip
    return found


def chain(*names: str) -> Pipeline:
    face = Stream("face", (), VideoFrames("face", frame_rate=4.0, size=SIDE), encoder=ENCODER)
    streams = {"face": face} | {n: Stream(n, (), Raw(n)) for n in ("eda", "ecg")}
    spec = WindowSpec(duration=SECONDS, conditions=("BL1", "PA4"))
    return Pipeline(spec, tuple(streams[name] for name in names))


def fitted(recordings: list[Recording], *names: str, **arguments: Any) -> Predictor:
    made = chain(*names)
    samples = made.samples(recordings)
    network = NetworkClassifier(
        "dual_stream", module_args=SIZES | arguments, epochs=2, batch_size=6, learning_rate=1e-2,
        early_stopping=False, threads=1,
    )  # fmt: skip
    y = (samples.meta["condition"] == "PA4").to_numpy(dtype=int)
    video = "face" if "face" in names else ""
    return Predictor(
        DualStreamClassifier(network, video=video).fit(samples.x, y), made, "classifier",
        ("BL1", "PA4"), {"name": "made", "options": {}}, {"made": ("s0",)}, title="small",
    )  # fmt: skip


@pytest.fixture(scope="module")
def model(recordings: list[Recording]) -> Predictor:
    return fitted(recordings, "face", "eda", "ecg")


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recordings: list[Recording]) -> Path:
    """A path at which the reader finds the recordings."""
    path = tmp_path / "all.csv"
    path.touch()
    for module in (_window, over_time):
        monkeypatch.setattr(module, "recordings_of", lambda *_: (list(recordings), ()))
    return path


@pytest.fixture
def once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Layers randomised a single time."""
    monkeypatch.setattr(_sides, "REPEATS", 1)


def seen_of(model: Predictor, recording: Recording) -> tuple[_dual.Parts, _dual.Seen]:
    parts = _dual.parts_of(model)
    assert model.chain is not None
    return parts, _dual.seen_of(parts, model.chain.stream_windows(recording)[0][0])


@pytest.mark.long
@pytest.mark.usefixtures("once")
def test_one_window_is_explained_and_written(model: Predictor, file: Path, tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    found = explain_model(
        model, file, tmp_path / "out", window=2, class_name="PA4",
        progress=lambda done, total: calls.append((done, total)),
    )  # fmt: skip
    assert isinstance(found, SidesExplanation)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted(_sides.FILES)
    assert calls[-1][0] == calls[-1][1]
    assert list(found.read.curves) == [
        "video encoder", "video encoder, each place by itself", "hybrid attention, video",
        "signal encoder", "hybrid attention, signals", "co-attention, video",
        "co-attention, signals",
    ]  # fmt: skip
    assert found.read.face is not None
    assert found.read.face.shape == (8, 2, 2)
    # each row of an attention map sums to 1, so the mean share is 1
    for name in ("video encoder", "signal encoder", "co-attention, video"):
        assert found.read.curves[name].mean() == pytest.approx(1, rel=1e-5)
    np.testing.assert_allclose(found.read.times["video encoder"], 0.25 + 0.5 * np.arange(8))
    told = json.loads((tmp_path / "out" / "explanation.json").read_text())
    assert told["sanity"]["verdict"] == found.sanity.verdict  # type: ignore[union-attr]
    assert set(found.sanity.table["layer"]) == {  # type: ignore[union-attr]
        "none", "classifier", "co-attention", "hybrid attention and projection",
        "signal encoder", "video encoder",
    }  # fmt: skip
    assert any("Window 2" in remark for remark in found.remarks)
    x = model.chain.samples([over_time.recordings_of("", file, {})[0][1]]).x  # type: ignore[union-attr]
    np.testing.assert_allclose(found.probabilities, model.estimator.predict_proba(x)[0], rtol=1e-3)
    again = explain_model(model, file, tmp_path / "out", checks=False)
    assert not (tmp_path / "out" / "sanity.csv").exists()
    assert isinstance(again, SidesExplanation)
    assert again.sanity is None


def test_attention_is_that_of_the_encoder(model: Predictor, recordings: list[Recording]) -> None:
    parts, seen = seen_of(model, recordings[0])
    assert seen.clip is not None
    read = _dual.read_of(parts, seen)
    pictures = torch.from_numpy(seen.clip).float() / 255 * 2 - 1  # (16, 3, 32, 32)
    with torch.no_grad():
        joint = ENCODER.build().module.attention(pictures.swapaxes(0, 1)[None])[0]
    columns = joint.double().mean((0, 1)).numpy() * 32
    np.testing.assert_allclose(read.face.reshape(-1), columns, rtol=1e-5)  # type: ignore[union-attr]
    np.testing.assert_allclose(
        read.curves["video encoder"], columns.reshape(8, 4).mean(1), rtol=1e-5
    )


def test_an_effect_is_what_hiding_does(model: Predictor, recordings: list[Recording]) -> None:
    parts, seen = seen_of(model, recordings[1])
    effects = _sides.effects_of(parts, seen, ("BL1", "PA4"))
    assert effects["what"].tolist() == (
        ["video"] * 8 + ["all of the video"] + ["signals"] * 8 + ["all of ecg", "all of eda"]
    )
    logits = lambda row: parts.network(row).detach().double().numpy()[0]  # noqa: E731
    whole = logits(seen.row)
    hidden = seen.row.clone()
    width = hidden.shape[1] - 2 * 64
    hidden[0, width + 64 + 48 : width + 64 + 56] = np.nan  # of eda, which comes after ecg
    hidden[0, width + 48 : width + 56] = np.nan
    fall = (whole[1] - whole[0]) - (logits(hidden)[1] - logits(hidden)[0])
    row = effects[(effects["what"] == "signals") & (effects["from"] == 3.0)]
    assert row["to"].item() == 3.5
    assert row["of PA4"].item() == pytest.approx(fall, rel=1e-6)
    assert row["of BL1"].item() == pytest.approx(-fall, rel=1e-6)
    without = model.estimator.predict_proba(
        {"eda": seen.signals["eda"][None], "ecg": seen.signals["ecg"][None]}
    )
    before = model.estimator.network_.predict_proba(seen.row.numpy())
    odds = np.log(before[0, 1] / before[0, 0]) - np.log(without[0, 1] / without[0, 0])
    row = effects[effects["what"] == "all of the video"]
    assert row["of PA4"].item() == pytest.approx(odds, rel=1e-3)


@pytest.mark.long
@pytest.mark.usefixtures("once")
def test_either_side_may_be_missing(
    model: Predictor, recordings: list[Recording], file: Path, monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:  # fmt: skip
    blind = [replace(recordings[0], videos={}), replace(recordings[0], signals={})]
    monkeypatch.setattr(_window, "recordings_of", lambda *_: (blind, ()))
    found = explain_model(model, file, tmp_path / "a", checks=False)
    assert isinstance(found, SidesExplanation)
    assert list(found.read.curves) == ["signal encoder", "hybrid attention, signals"]
    assert list(found.missing) == ["face"]
    assert any(r.startswith("Stream 'face' is missing") for r in found.remarks)
    found = explain_model(model, file, tmp_path / "b", window=2)
    assert isinstance(found, SidesExplanation)
    assert list(found.read.curves)[-1] == "hybrid attention, video"
    assert set(found.missing) == {"eda", "ecg"}
    nothing = [replace(recordings[0], videos={}, signals={"ppg": recordings[0].signals["eda"]})]
    monkeypatch.setattr(_window, "recordings_of", lambda *_: (nothing, ()))
    with pytest.raises(RecordingError, match=r"all\.csv: .*ppg"):
        explain_model(model, file)


@pytest.mark.usefixtures("once")
def test_signals_alone(recordings: list[Recording], file: Path, tmp_path: Path) -> None:
    alone = fitted(recordings, "eda")
    found = explain_model(alone, file, tmp_path / "out")
    assert isinstance(found, SidesExplanation)
    assert found.read.face is None
    assert found.effects["what"].tolist() == ["signals"] * 8 + ["all of eda"]


def test_another_model_is_refused_by_name(model: Predictor, file: Path) -> None:
    other = replace(model, estimator=NetworkClassifier("lstm"))
    with pytest.raises(ConfigError, match="its classifier is NetworkClassifier"):
        attention_over_time(other, [file])
    with pytest.raises(ConfigError, match="standardises within each person"):
        attention_over_time(
            replace(model, chain=replace(model.chain, standardise="all_recording")), [file]
        )
    with pytest.raises(ConfigError, match=r"cannot be explained.*attention of both sides"):
        explain_model(other, file)


@pytest.mark.long
def test_attention_to_signals_with_a_burst_differs_by_level(
    model: Predictor, file: Path, tmp_path: Path
) -> None:
    found = attention_over_time(model, [file], tmp_path / "out", permutations=199)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted(over_time.FILES)
    rows = found.summary.set_index("part")
    assert rows["against"].unique().tolist() == ["BL1"]
    assert rows.loc["hybrid attention, signals", "p"] <= 0.01  # three people, 20 orders each
    # all windows show the same clip: no part of the video encoder can differ
    assert rows.loc["video encoder", "p"] == 1
    assert (rows["p over parts"] >= rows["p"]).all()
    table = pd.read_csv(tmp_path / "out" / "attention.csv")
    assert set(table["level"]) == {"BL1", "PA4"}
    assert found.windows == 18
    assert any(r.startswith("1 of 3 people were in the model's training") for r in found.remarks)


@pytest.mark.long
def test_levels_that_say_nothing_are_no_finding(
    model: Predictor, file: Path, recordings: list[Recording], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same recordings under names that are drawn."""
    rng = np.random.default_rng(4)
    drawn = [
        replace(
            r, stimuli=(replace(r.stimuli[0], condition=("BL1", "PA4")[i], level=4 * int(i)),)
        )
        for r, i in zip(recordings, np.concatenate([rng.permutation(6) % 2 for _ in range(3)]),
                        strict=True)
    ]  # fmt: skip
    monkeypatch.setattr(over_time, "recordings_of", lambda *_: (drawn, ()))
    found = attention_over_time(model, [file], permutations=199)
    assert isinstance(found, AttentionOverTime)
    assert found.summary["p over parts"].min() > 0.05


def test_what_cannot_be_compared_is_named(
    model: Predictor, file: Path, recordings: list[Recording], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match="windows of PA4 alone"):
        attention_over_time(model, [file], levels=["PA4"])
    with pytest.raises(RecordingError, match=r"nowhere\.csv: no such file"):
        attention_over_time(model, ["nowhere.csv"])
    monkeypatch.setattr(over_time, "recordings_of", lambda *_: ([], ()))
    with pytest.raises(RecordingError, match="no window of these levels"):
        attention_over_time(model, [file])


@pytest.mark.long
def test_mean_tokens_of_a_model_by_level_and_by_person(
    model: Predictor, file: Path, tmp_path: Path
) -> None:
    found = embedding_map(model, [file], tmp_path / "out")
    names = ["video encoder", "video side", "signal encoder", "signals side", "joint"]
    assert [one.name for one in found.maps] == names
    assert found.maps[-1].dimensions == 16
    assert len(pd.read_csv(tmp_path / "out" / "embedding_map.csv")) == 5 * 18
    told = json.loads((tmp_path / "out" / "embedding_map.json").read_text())
    assert told["maps"][0]["verdict"] == found.maps[0].verdict
    assert (tmp_path / "out" / "embedding_map.png").stat().st_size > 10_000
    with pytest.raises(ConfigError, match="0 files"):
        embedding_map(model)


@given(st.integers(1, 200), st.integers(1, 40))
def test_means_of_neighbours_keep_the_whole(length: int, bins: int) -> None:
    curve = np.random.default_rng(length).normal(size=length)
    found = _dual.coarse(curve, bins)
    assert len(found) == min(length, bins)
    edges = np.linspace(0, length, len(found) + 1).round()
    assert float(found @ np.diff(edges)) == pytest.approx(curve.sum(), abs=1e-9)
    np.testing.assert_allclose(_dual.coarse(np.ones(length), bins), 1)


def test_identity_and_level_are_told_apart() -> None:
    rng = np.random.default_rng(0)
    subject = np.repeat([f"s{i}" for i in range(5)], 12)
    level = np.tile(["BL1", "PA4"], 30)
    person = 6 * rng.normal(size=(5, 4)).repeat(12, axis=0)
    pain = np.where(level == "PA4", 2.0, 0.0)[:, None] * np.array([1, 0, 0, 0])
    x = person + pain + 0.3 * rng.normal(size=(60, 4))
    found = map_embeddings(x, level.tolist(), subject.tolist())
    assert found.subject_silhouette > 0.5 > found.level_silhouette
    assert found.verdict.startswith("Identity dominates")
    assert found.level_within > 0.5  # what is left once people are taken away
    only = map_embeddings(pain + 0.1 * rng.normal(size=(60, 4)), level.tolist(), subject.tolist())
    assert only.verdict.startswith("Windows lie together by level")
    noise = map_embeddings(rng.normal(size=(60, 4)), level.tolist(), subject.tolist())
    assert noise.verdict.startswith("Windows lie together neither")
    assert "one person only" in map_embeddings(x[:12], level[:12].tolist(), ["s1"] * 12).verdict


def test_tokens_are_averaged_and_missing_windows_left_out() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20, 3, 5))
    level, subject = ["BL1", "PA4"] * 10, ["s1"] * 10 + ["s2"] * 10
    whole = map_embeddings(x, level, subject)
    mean = map_embeddings(x.mean(axis=1), level, subject)
    np.testing.assert_allclose(whole.points, mean.points, atol=1e-12)
    centred = x.mean(axis=1) - x.mean(axis=(0, 1))
    singular = np.linalg.svd(centred, compute_uv=False) ** 2
    np.testing.assert_allclose(whole.explained, singular[:2] / singular.sum(), rtol=1e-10)
    x[3, 1] = np.nan
    less = map_embeddings(x, level, subject)
    assert less.windows == len(less.points) == 19
    same = map_embeddings(np.ones((20, 4)), level, subject)
    assert not same.points.any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "tsne"}, "method is 'tsne', expected one of pca, umap"),
        ({"levels": ["BL1"]}, "20 embeddings, 1 levels and 20 subjects"),
        ({"x": np.full((20, 4), np.nan)}, "0 windows have an embedding, expected 3 or more"),
        ({"x": np.zeros(20)}, r"embeddings of shape \(20,\)"),
    ],
)
def test_a_map_refuses_what_makes_no_sense(change: dict[str, Any], message: str) -> None:
    usual = {
        "x": np.random.default_rng(0).normal(size=(20, 4)),
        "levels": ["BL1", "PA4"] * 10,
        "subjects": ["s1"] * 10 + ["s2"] * 10,
    }
    with pytest.raises(ConfigError, match=message):
        map_embeddings(**(usual | change))


def test_umap_is_asked_for_by_name_where_it_is_not_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(DependencyError, match='pip install "umap-learn"'):
        map_embeddings(np.eye(6), ["a", "b"] * 3, ["s1"] * 6, method="umap")


@pytest.mark.long
def test_from_the_command_line(
    model: Predictor,
    file: Path,
    tmp_path: Path,
    recordings: list[Recording],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    few = [r for r in recordings if r.name[-1] in "01"]
    monkeypatch.setattr(over_time, "recordings_of", lambda *_: (few, ()))
    model.save(tmp_path / "model")
    folder, out = str(tmp_path / "model"), tmp_path / "out"
    for verb, more in (
        ("attention", ["--permutations", "19", "--level", "BL1", "--level", "PA4"]),
        ("embedding-map", []),
    ):
        told = [verb, folder, str(file), "--out", str(out / verb), *more]
        result = CliRunner().invoke(cli.app, told)
        assert result.exit_code == 0, result.output
        assert "Research software, not a medical device." in result.output
    assert "silhouette of people" in result.output
    result = CliRunner().invoke(cli.app, [*told, "--json"])
    assert '"embeddings": "joint"' in result.stdout
    assert len(list(out.iterdir())) == 2
