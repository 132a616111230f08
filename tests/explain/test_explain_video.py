"""A model and a video in, an explanation and its files out."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from dolorimeter import explain
from dolorimeter.chain import Pipeline, Stream
from dolorimeter.embeddings import Encoder
from dolorimeter.errors import ConfigError, RecordingError
from dolorimeter.estimators import NetworkClassifier, TemperatureCalibrated, notes_of
from dolorimeter.explain import _checks, explain_model
from dolorimeter.explain.regions import FACE, OUTSIDE
from dolorimeter.predictor import Predictor
from dolorimeter.preprocessing.faces import FaceTracking
from dolorimeter.representations import FaceFrames, Raw
from dolorimeter.video import read_frames
from dolorimeter.windows import WindowSpec

FRAMES = 4
SMALL = {"depth": 2, "width": 24, "heads": 2, "inner_width": 4, "inner_heads": 2}
TEMPORAL = {"width": 16, "queries": 4, "heads": 2, "depth": 1, "hidden": 16}


def chain(tracked: Any, *, encoder: Encoder | None = None, blind: bool = False) -> Pipeline:
    step = tracked(blind)
    frames = FaceFrames(frame_rate=10.0)
    stream = Stream("face", (step,), frames, encoder=encoder)
    return Pipeline(WindowSpec(duration=FRAMES / 10.0), (stream,))


def predictor(estimator: Any, chain: Pipeline | None, **more: Any) -> Predictor:
    return Predictor(
        estimator=estimator,
        chain=chain,
        target_kind="classifier",
        classes=("BL", "PA4"),
        dataset={},
        trained_on={},
        title="a small model",
        **more,
    )


@pytest.fixture(scope="module")
def joint() -> NetworkClassifier:
    """End to end, so small that a pass takes milliseconds."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, size=(6, FRAMES, 3, 224, 224), dtype=np.uint8)
    return NetworkClassifier(
        "full_transformer_end_to_end",
        module_args={"frame_args": SMALL, "temporal_args": TEMPORAL},
        epochs=2,
        batch_size=6,
        learning_rate=1e-2,
        early_stopping=False,
    ).fit(x, np.array([0, 1] * 3))


@pytest.fixture(scope="module")
def temporal() -> NetworkClassifier:
    x = np.random.default_rng(0).normal(size=(8, FRAMES, 384)).astype(np.float32)
    return NetworkClassifier(
        "full_transformer", module_args=TEMPORAL, epochs=2, batch_size=8, early_stopping=False
    ).fit(x, np.array([0, 1] * 4))


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checks with as few points as they take."""
    for name, value in (("PATCH_SHARES", (0.1, 0.9)), ("FRAME_ORDERS", 19)):
        monkeypatch.setattr(_checks, name, value)


@pytest.mark.long
@pytest.mark.usefixtures("few")
def test_everything_is_there_and_written(
    joint: NetworkClassifier, video: Path, tracked: Any, tmp_path: Path
) -> None:
    told: list[tuple[int, int]] = []
    assert "randomly initialised" in notes_of(joint)[0]  # said in every report of it
    found = explain_model(
        predictor(joint, chain(tracked), lookalike=True),
        video,
        tmp_path / "out",
        class_name="PA4",
        frames=3,
        progress=lambda done, total: told.append((done, total)),
    )
    assert found.frames.shape == (2, FRAMES)
    assert found.patches.shape == (2, FRAMES, 14, 14)
    assert found.times == pytest.approx([0, 0.1, 0.2, 0.3])
    assert found.probabilities.sum() == pytest.approx(1)
    assert found.sanity is not None
    assert list(found.sanity.table["layer"]) == [
        "none", "classifier", "self-attention 1", "cross-attention", "frame projection",
        "encoder blocks 2–1", "encoder input",
    ]  # fmt: skip
    areas = found.curve_areas
    assert list(zip(areas["items"], areas["curve"], strict=True)) == [
        ("patches", "deletion"), ("patches", "insertion"),
        ("frames", "deletion"), ("frames", "insertion"),
    ]  # fmt: skip
    assert (areas["p"] >= 0.05).all()
    assert found.attention.sum() == pytest.approx(1)
    assert np.isfinite(found.effects).all()
    assert found.sanity.verdict in found.remarks
    told_off = [r for r in found.remarks if "no better than random" in r]
    assert len(told_off) == 2 - areas.groupby("items")["better"].any().sum()
    assert found.cautions == ("Look-alike data: made faces, no finding about people.",)
    assert "A remark of the track." in found.remarks
    assert told[-1][0] == told[-1][1]
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert {p.name for p in (tmp_path / "out").iterdir()} == set(explain.FILES)
    model = predictor(joint, chain(tracked), lookalike=True)
    explain_model(model, video, tmp_path / "out", class_name="BL", frames=3, checks=False)
    left = {p.name for p in (tmp_path / "out").iterdir()}
    assert left == set(explain.FILES) - {"sanity.csv", "curves.csv"}  # they were of another map


@pytest.mark.long
@pytest.mark.usefixtures("few")
def test_files_say_what_the_explanation_says(
    joint: NetworkClassifier, video: Path, tracked: Any, tmp_path: Path
) -> None:
    found = explain_model(predictor(joint, chain(tracked)), video, tmp_path, frames=2)
    told = json.loads((tmp_path / "explanation.json").read_text(encoding="utf-8"))
    assert told["model"] == "a small model"
    assert told["video"] == "portrait.mp4"
    assert told["warning"] == "Research software, not a medical device."
    assert told["probabilities"]["PA4"] == pytest.approx(float(found.probabilities[1]))
    assert told["frame_relevance"]["BL"] == pytest.approx(found.frames[0].tolist())
    assert np.shape(told["patch_relevance"]["PA4"]) == (FRAMES, 14, 14)
    assert told["sanity"]["passed"] is found.sanity.passed
    assert len(told["curves"]) == 4
    frames = pd.read_csv(tmp_path / "frames.csv")
    assert list(frames) == ["time", "relevance_BL", "relevance_PA4", "attention", "effect"]
    assert frames["effect"].tolist() == pytest.approx(found.effects.tolist())
    regions = pd.read_csv(tmp_path / "regions.csv")
    assert set(regions["class"]) <= {"BL", "PA4"}
    assert len(told["regions"]) == len(regions) == len(found.regions)
    assert set(pd.read_csv(tmp_path / "curves.csv")["items"]) == {"patches", "frames"}
    assert len(pd.read_csv(tmp_path / "sanity.csv")) == len(found.sanity.table)
    picture = cv2.imread(str(tmp_path / "relevance.png"))
    assert picture.shape[0] > 500
    shown = list(read_frames(tmp_path / "relevance.mp4"))
    assert len(shown) == FRAMES
    assert shown[0].image.shape[1] == 448


@pytest.mark.long
def test_an_encoder_without_weights_is_named_under_the_picture(
    temporal: NetworkClassifier, video: Path, tracked: Any
) -> None:
    encoder = Encoder("tnt_s_patch16_224", seed=3)
    model = predictor(temporal, chain(tracked, encoder=encoder))
    found = explain_model(model, video, checks=False)
    assert found.cautions == (
        "Randomly initialised encoder: nothing was learnt about places in a face.",
    )
    assert any("randomly initialised (seed 3)" in remark for remark in found.remarks)
    assert found.sanity is None
    assert found.curves == ()
    assert np.isnan(found.effects).all()
    assert found.class_name == found.classes[int(found.probabilities.argmax())]
    from dolorimeter.explain._model import clip_of, parts_of
    from dolorimeter.explain._window import Asked, window_of

    parts = parts_of(model)
    streams, _ = window_of(model, Asked(video))
    clip = clip_of(parts, streams["face"], video)
    x = np.stack([encoder.build()(parts.normalised(clip.faces)).numpy()])
    assert found.probabilities == pytest.approx(temporal.predict_proba(x)[0], abs=1e-5)


def test_regions_lie_where_the_face_is(
    joint: NetworkClassifier, video: Path, tracked: Any
) -> None:
    found = explain_model(predictor(joint, chain(tracked)), video, checks=False)
    table = found.regions[found.regions["class"] == found.class_name].set_index("region")
    assert 0.2 < table.loc[FACE, "area_share"] < 0.6
    assert table.loc[[FACE, OUTSIDE], "relevance_share"].sum() == pytest.approx(1)
    assert set(found.regions_by_frame["frame"]) == set(range(FRAMES))


def test_a_calibrated_model_is_explained_by_its_network_and_says_its_own_probabilities(
    joint: NetworkClassifier, video: Path, tracked: Any
) -> None:
    calibrated = TemperatureCalibrated(joint)
    calibrated.estimator_ = joint
    calibrated.classes_ = joint.classes_
    calibrated.predict_proba = lambda x: np.array([[0.25, 0.75]])
    found = explain_model(predictor(calibrated, chain(tracked)), video, checks=False)
    plain = explain_model(predictor(joint, chain(tracked)), video, checks=False)
    assert found.probabilities.tolist() == [0.25, 0.75]
    assert found.class_name == "PA4"
    assert np.array_equal(found.patches, plain.patches)


def test_a_folder_of_a_model_that_tracks_faces_is_explained(
    joint: NetworkClassifier, video: Path, tmp_path: Path
) -> None:
    stream = Stream("face", (FaceTracking(),), FaceFrames(frame_rate=10.0))
    predictor(joint, Pipeline(WindowSpec(duration=FRAMES / 10.0), (stream,))).save(
        tmp_path / "model"
    )
    found = explain_model(tmp_path / "model", video, checks=False)
    assert found.patches.shape == (2, FRAMES, 14, 14)
    assert not found.regions.empty
    assert found.model == "a small model"


def test_a_lookalike_is_known_by_the_mark_of_its_root(
    joint: NetworkClassifier, video: Path, tracked: Any, tmp_path: Path
) -> None:
    (tmp_path / "root" / "video").mkdir(parents=True)
    (tmp_path / "root" / "LOOKALIKE.json").write_text("{}")
    copy = tmp_path / "root" / "video" / "one.mp4"
    copy.write_bytes(video.read_bytes())
    found = explain_model(predictor(joint, chain(tracked)), copy, checks=False)
    assert found.cautions[0].startswith("Look-alike data")


def test_nothing_is_written_unless_asked(
    joint: NetworkClassifier, video: Path, tracked: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    explain_model(predictor(joint, chain(tracked)), video, checks=False)
    assert sorted(tmp_path.rglob("*")) == before


def test_other_models_are_refused_by_name(
    joint: NetworkClassifier, temporal: NetworkClassifier, video: Path, tracked: Any
) -> None:
    known = "What can be explained: relevance over a face: the classifier 'full_transformer'"
    cases = [
        (predictor(joint, None), "it reads a feature table"),
        (
            predictor(joint, Pipeline(WindowSpec(1.0), (Stream("eda", (), Raw("eda")),))),
            "it reads raw, no pictures",
        ),
        (
            predictor(make_pipeline(FunctionTransformer(), joint), chain(tracked)),
            "1 steps before its network",
        ),
        (predictor(FunctionTransformer(), chain(tracked)), "its classifier is FunctionTransf"),
        (predictor(temporal, chain(tracked)), "it is full_transformer with pooling 'none'"),
    ]
    for model, what in cases:
        with pytest.raises(ConfigError, match=f"'a small model' cannot be explained: {what}"):
            explain_model(model, video)
        with pytest.raises(ConfigError, match=known):
            explain_model(model, video)


def test_bad_questions_are_refused(joint: NetworkClassifier, video: Path, tracked: Any) -> None:
    model = predictor(joint, chain(tracked))
    with pytest.raises(ConfigError, match="no class 'PA5'; it has: BL, PA4"):
        explain_model(model, video, class_name="PA5")
    with pytest.raises(ConfigError, match="frames is 0"):
        explain_model(model, video, frames=0)
    long = replace(model.chain, windows=WindowSpec(duration=3.0))
    with pytest.raises(RecordingError, match=r"portrait.mp4: .*The model reads windows of 3 s"):
        explain_model(replace(model, chain=long), video)
    with pytest.raises(RecordingError, match="nothing to explain"):
        explain_model(predictor(joint, chain(tracked, blind=True)), video)
