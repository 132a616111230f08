"""A model that reads pictures through PainFormer, and a recording, in; maps and checks out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from scipy import special

from dolorimeter.chain import Pipeline, Stream
from dolorimeter.embeddings import Encoder
from dolorimeter.errors import ConfigError, RecordingError
from dolorimeter.estimators import FusionClassifier, NetworkClassifier, TemperatureCalibrated
from dolorimeter.explain import _picture_checks, _window, explain_model
from dolorimeter.explain._painformer import Case, case_of, log_odds, parts_of, stream_maps
from dolorimeter.explain._picture_checks import coarse
from dolorimeter.explain._question import Counter
from dolorimeter.explain.maps import BY_GRADIENT, FREE, OCCLUSION, StreamMaps
from dolorimeter.explain.regions import FACE, OUTSIDE
from dolorimeter.models import painformer
from dolorimeter.predictor import Predictor
from dolorimeter.representations import FaceFrames, Raw, SpectrogramPSD, Waveform
from dolorimeter.signals.pictures import SIZE, spectrogram_extent, spectrogram_pictures
from dolorimeter.types import Recording, Signal, Stimulus, Video, Window
from dolorimeter.windows import WindowSpec

RATE, SECONDS = 64.0, 4.0
MIXER = {"mixer_args": {"latents": 4, "width": 16, "heads": 2, "head_width": 8, "factor": 2}}
SIDE, GRID = 128, 4
"""Pictures so small that a check asks for seconds, in as many patches a side."""
ENCODER = Encoder("painformer", size=SIDE)


@pytest.fixture(autouse=True, scope="module")
def _fewer_blocks() -> Iterator[None]:
    """Build PainFormer with as few blocks as its randomised groups of layers need."""
    with pytest.MonkeyPatch.context() as patch:
        for name, most in (("_gating", 1), ("_attending", 7)):
            whole = getattr(painformer, name)
            patch.setattr(painformer, name, partial(_with_fewer, whole, most))
        yield


def _with_fewer(whole: Callable[..., Any], most: int, depth: int, **sizes: int) -> Any:
    return whole(min(depth, most), **sizes)


def network(**more: Any) -> NetworkClassifier:
    return NetworkClassifier(
        "embedding_mixer",
        module_args=MIXER,
        epochs=2,
        batch_size=8,
        learning_rate=1e-2,
        early_stopping=False,
        **more,
    )


def embeddings(*shape: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(12, *shape, 160)).astype(np.float32), np.array([0, 1] * 6)


@pytest.fixture(scope="module")
def mixer() -> NetworkClassifier:
    return network().fit(*embeddings())


@pytest.fixture(scope="module")
def fusion() -> FusionClassifier:
    x, y = embeddings(2)
    plain = network().set_params(module="embedding_fusion")
    return FusionClassifier(plain, fusion="fusion_2").fit({"eda": x[:, :1], "ecg": x[:, 1:]}, y)


def recording(**signals: np.ndarray) -> Recording:
    return Recording(
        "made",
        "s1",
        "one",
        signals={
            name: Signal(np.atleast_2d(values), RATE, "1", True, "other")
            for name, values in signals.items()
        },
        stimuli=(Stimulus(0.0, SECONDS, "PA4", 4),),
    )


def wave(seed: int = 0, channels: int = 1, seconds: float = SECONDS) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.cumsum(rng.normal(size=(channels, int(seconds * RATE))), axis=1)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Gives a path at which the reader finds the recordings it is given."""

    def give(*recordings: Recording) -> Path:
        path = tmp_path / "one.csv"
        path.touch()
        monkeypatch.setattr(
            _window, "recordings_of", lambda name, path, options: (list(recordings), ())
        )
        return path

    return give


def stream(name: str = "eda", pooling: str = "none", **more: Any) -> Stream:
    shown = more.pop("representation", Waveform(name, size=SIDE))
    return Stream(name, (), shown, encoder=more.get("encoder", ENCODER), pooling=pooling)


def predictor(estimator: Any, *streams: Stream, **more: Any) -> Predictor:
    return Predictor(
        estimator=estimator,
        chain=Pipeline(WindowSpec(duration=SECONDS), streams) if streams else None,
        target_kind="classifier",
        classes=("BL", "PA4"),
        dataset={"name": "made", "options": {}},
        trained_on={},
        title="a small model",
        **more,
    )


def case_and_maps(mixer: NetworkClassifier) -> tuple[Case, list[StreamMaps]]:
    """A drawn wave as the checks find it."""
    parts = parts_of(predictor(mixer, stream(pooling="add")))
    windows, _ = Pipeline(WindowSpec(duration=SECONDS), parts.streams).stream_windows(
        recording(eda=wave())
    )
    case, missing = case_of(parts, windows[0], Counter(None, 1))
    assert not missing
    return case, [stream_maps(case, "eda", 4)]


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checks with as few points and cascades as they take."""
    monkeypatch.setattr(_picture_checks, "POINTS", (0.5,))
    monkeypatch.setattr(_picture_checks, "CASCADES", 1)


@pytest.mark.long
@pytest.mark.usefixtures("few")
def test_one_channel_is_explained_checked_and_written(
    mixer: NetworkClassifier, file: Any, tmp_path: Path
) -> None:
    told: list[tuple[int, int]] = []
    found = explain_model(
        predictor(mixer, stream(pooling="add"), lookalike=True),
        str(file(recording(eda=wave()))),
        str(tmp_path / "out"),
        class_name="PA4",
        progress=lambda done, total: told.append((done, total)),
    )
    (only,) = found.streams
    assert list(only.maps) == [*FREE, *BY_GRADIENT, OCCLUSION]
    assert only.maps["attention 3"].shape == (2, 1, 2 * GRID, 2 * GRID)
    assert only.maps[OCCLUSION].shape == (2, 1, GRID, GRID)
    for name in FREE:
        assert only.maps[name].sum(axis=(2, 3)) == pytest.approx(np.ones((2, 1)), abs=1e-5)
    # with two classes what speaks for the one speaks against the other
    assert only.maps[OCCLUSION][0] == pytest.approx(-only.maps[OCCLUSION][1], abs=1e-9)
    assert list(found.checks["map"]) == list(only.maps)
    assert (found.checks["deletion_p"] >= 0.05).all()
    assert found.checks["passed"].equals(found.checks["verdict"].str.startswith("passes both"))
    table = found.sanity["eda"].table
    assert list(table["layer"])[:4] == ["none", "classifier", "class block", "stage 4"]
    assert (table.loc[table["layer"] == "classifier", list(FREE)] == 1).all(axis=None)
    assert table[OCCLUSION].isna().sum() == 5  # not followed below stage 4
    assert found.cautions[0].startswith("Look-alike")
    assert found.cautions[1].startswith("Randomly initialised encoder")
    assert told[-1][0] == told[-1][1]
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    names = {p.name for p in (tmp_path / "out").iterdir()}
    assert names == {
        "eda-BL.png", "eda-PA4.png", "seconds.csv", "pictures.csv", "checks.csv", "sanity.csv",
        "curves.csv", "explanation.json",
    }  # fmt: skip
    written = json.loads((tmp_path / "out" / "explanation.json").read_text(encoding="utf-8"))
    assert written["warning"] == "Research software, not a medical device."
    assert np.shape(written["streams"][0]["maps"][OCCLUSION]["PA4"]) == (1, GRID, GRID)
    assert cv2.imread(str(tmp_path / "out" / "eda-PA4.png")).shape[0] > 500
    seconds = pd.read_csv(tmp_path / "out" / "seconds.csv")
    of_one = seconds[(seconds["map"] == "attention 3")]
    assert len(of_one) == 2 * GRID
    assert of_one["share"].sum() == pytest.approx(1, abs=1e-5)
    assert (of_one["start"].min(), of_one["stop"].max()) == (0, SECONDS)


@pytest.mark.long
def test_probabilities_are_those_of_predict(
    mixer: NetworkClassifier, fusion: FusionClassifier, file: Any
) -> None:
    one = predictor(mixer, stream(pooling="add"))
    both = predictor(fusion, stream(), stream("ecg"))
    calibrated = TemperatureCalibrated(fusion)
    calibrated.estimator_, calibrated.classes_, calibrated.temperature_ = (
        fusion, fusion.classes_, 3.0,
    )  # fmt: skip
    for model in (one, both, predictor(calibrated, stream(), stream("ecg"))):
        given = recording(eda=wave(1), ecg=wave(2))
        found = explain_model(model, file(given), checks=False)
        rows = model.predict([given])
        assert found.probabilities == pytest.approx(
            rows[["p_BL", "p_PA4"]].to_numpy(dtype=float)[0], abs=1e-5
        )
        assert found.class_name == found.classes[int(found.probabilities.argmax())]
        assert found.checks.empty
        assert OCCLUSION not in found.streams[0].maps


def test_a_missing_stream_is_named_and_the_other_explained(
    fusion: FusionClassifier, file: Any
) -> None:
    model = predictor(fusion, stream(), stream("ecg"))
    found = explain_model(model, file(recording(eda=wave())), checks=False)
    assert [s.name for s in found.streams] == ["eda"]
    assert "Stream 'ecg' is missing: the recording has no such signal." in found.remarks
    gap = wave()
    gap[0, 40] = np.nan
    found = explain_model(model, file(recording(eda=gap, ecg=wave())), checks=False)
    assert list(found.missing) == ["eda"]
    assert "holds NaN" in found.missing["eda"]
    rows = model.predict([recording(eda=gap, ecg=wave())])
    assert found.probabilities[1] == pytest.approx(float(rows["p_PA4"].iloc[0]), abs=1e-5)
    with pytest.raises(RecordingError, match=r"eda: .*holds NaN.*There is nothing to explain"):
        explain_model(model, file(recording(eda=gap)), checks=False)


def test_a_missing_signal_in_a_pooled_table_keeps_its_place(file: Any) -> None:
    x, y = embeddings(2)
    fitted = network().fit(x.reshape(12, -1), y)
    model = predictor(fitted, stream(pooling="add"), stream("ecg", pooling="mean"))
    given = recording(ecg=wave())
    found = explain_model(model, file(given), checks=False)
    rows = model.predict([given])
    assert found.probabilities[1] == pytest.approx(float(rows["p_PA4"].iloc[0]), abs=1e-5)


def test_channels_are_pictures_and_spectrograms_have_hertz(file: Any) -> None:
    fitted = network().fit(*embeddings(3))
    shown = SpectrogramPSD("emg", size=SIDE)
    model = predictor(fitted, stream("emg", representation=shown))
    found = explain_model(model, file(recording(emg=wave(channels=3))), checks=False)
    (only,) = found.streams
    assert only.labels == ("emg_1", "emg_2", "emg_3")
    table = found.frequencies
    assert (table["low"].min(), table["high"].max()) == (0, 33)
    one = table[(table["picture"] == "emg_2") & (table["map"] == "rollout 4")]
    assert one["share"].sum() == pytest.approx(1, abs=1e-5)
    rows = only.maps["rollout 4"][0, 1].sum(axis=1)[::-1]  # frequency goes upwards
    assert one["share"].to_numpy() == pytest.approx(rows, abs=1e-6)
    assert one["low"].is_monotonic_increasing


def test_a_tone_burst_lies_where_the_axes_say() -> None:
    """Known truth of the axes: 20 Hz between 2.0 and 2.5 s."""
    time = np.arange(int(SECONDS * RATE)) / RATE
    values = np.where((time > 2.0) & (time < 2.5), np.sin(2 * np.pi * 20 * time), 0.0)
    values = values + 1e-3 * np.random.default_rng(0).normal(size=len(time))
    picture = spectrogram_pictures(values[None], RATE, "psd")[0].astype(float)
    left, right, low, high = spectrogram_extent(len(values), RATE)
    bright = picture[0] + picture[1] - picture[2]  # yellow is the most
    row, column = np.unravel_index(bright.argmax(), bright.shape)
    assert left + (column + 0.5) / SIZE * (right - left) == pytest.approx(2.25, abs=0.2)
    assert low + (SIZE - row - 0.5) / SIZE * (high - low) == pytest.approx(20, abs=1.5)


def face_stream(tracked: Any, pooling: str = "none") -> Stream:
    shown = FaceFrames(frame_rate=10.0, size=SIDE)
    return Stream("face", (tracked(False),), shown, encoder=ENCODER, pooling=pooling)


@pytest.mark.long
@pytest.mark.usefixtures("few")
def test_frames_of_a_face_have_regions_and_are_checked_where_they_matter(
    video: Path, tracked: Any, tmp_path: Path
) -> None:
    fitted = network().fit(*embeddings(4))
    model = predictor(fitted, face_stream(tracked))
    model = replace(model, chain=replace(model.chain, windows=WindowSpec(duration=0.4)))
    found = explain_model(model, video, tmp_path / "out", class_name="PA4", frames=4)
    (only,) = found.streams
    assert only.labels == ("0.00 s", "0.10 s", "0.20 s", "0.30 s")
    assert only.maps["rollout 4"].shape == (2, 4, GRID, GRID)
    # the picture without which the log odds fall or rise most is the one that is checked
    (watched,) = only.watched
    effects = found.pictures["fall_of_log_odds_PA4"]
    assert watched == int(effects.abs().argmax())
    sharp, soft = (embedded_face(tracked, video, blur) for blur in (False, True))
    windows = np.stack(
        [sharp, *(np.where(np.eye(4)[i][:, None] == 1, soft, sharp) for i in range(4))]
    )
    odds = special.logit(fitted.predict_proba(windows.astype(np.float32))[:, 1])
    assert effects.to_numpy() == pytest.approx(odds[0] - odds[1:], abs=1e-4)
    asked = np.isfinite(only.maps[OCCLUSION]).all(axis=(0, 2, 3))
    assert np.flatnonzero(asked).tolist() == [watched]
    assert found.pictures["time"].tolist() == pytest.approx([0, 0.1, 0.2, 0.3])
    table = found.regions[found.regions["map"] == "rollout 3"].set_index("region")
    track = tracked(False)(Recording("", "", "", videos={"face": Video(video)})).faces["face"]
    hull = cv2.convexHull(track.aligned_landmarks[0, :, :2].astype(np.float32))
    share = cv2.contourArea(hull) / 224**2
    assert table.loc[FACE, "area_share"] == pytest.approx(share, abs=0.02)
    assert table.loc[[FACE, OUTSIDE], "relevance_share"].sum() == pytest.approx(1)
    assert set(found.regions.loc[found.regions["map"] == OCCLUSION, "class"]) <= {"BL", "PA4"}
    assert found.seconds.empty
    assert found.probabilities == pytest.approx(fitted.predict_proba(sharp[None])[0], abs=1e-5)
    assert "A remark of the track." in found.remarks
    assert cv2.imread(str(tmp_path / "out" / "face-BL.png")).shape[0] > 500
    assert (tmp_path / "out" / "regions.csv").is_file()


def embedded_face(tracked: Any, video: Path, blur: bool) -> np.ndarray:
    """The frames, sharp or blurred, through the encoder by hand."""
    stream = face_stream(tracked)
    given = tracked(False)(Recording("", "", "", videos={"face": Video(video)}, stimuli=()))
    pictures = np.concatenate(list(stream.representation.pictures(Window(given, 0.0, 0.4))))
    if blur:
        sigma = 10 * SIDE / 224
        turned = [
            cv2.GaussianBlur(p.astype(float), (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
            for p in pictures.transpose(0, 2, 3, 1)
        ]
        pictures = np.stack(turned).transpose(0, 3, 1, 2).round()
    spec = ENCODER.input
    mean, std = (np.array(v).reshape(3, 1, 1) for v in (spec.mean, spec.std))
    x = torch.from_numpy((pictures / 255 - mean) / std).float()
    with torch.no_grad():
        return np.asarray(ENCODER.build()(x))


def test_a_face_beside_a_signal_in_a_fusion(video: Path, tracked: Any, file: Any) -> None:
    x, y = embeddings(5)
    plain = network().set_params(module="embedding_fusion")
    fitted = FusionClassifier(plain, fusion="fusion_2").fit({"eda": x[:, :1], "face": x[:, 1:]}, y)
    model = predictor(fitted, stream(), face_stream(tracked))
    model = replace(model, chain=replace(model.chain, windows=WindowSpec(duration=0.4)))
    given = replace(recording(eda=wave()), videos={"face": Video(video)})
    found = explain_model(model, file(given), checks=False)
    rows = model.predict([given])
    assert found.probabilities[1] == pytest.approx(float(rows["p_PA4"].iloc[0]), abs=1e-5)
    assert [(s.name, s.signal, len(s.labels)) for s in found.streams] == [
        ("eda", True, 1), ("face", False, 4),
    ]  # fmt: skip
    assert set(found.seconds["stream"]) == {"eda"}
    assert set(found.regions["stream"]) == {"face"}
    alone = explain_model(model, file(recording(eda=wave())), checks=False)
    assert list(alone.missing) == ["face"]
    assert alone.regions.empty


def test_gradients_are_those_of_finite_differences(fusion: FusionClassifier) -> None:
    parts = parts_of(predictor(fusion, stream(), stream("ecg")))
    parts = replace(parts, network=parts.network.double())
    x = {name: torch.randn(1, 1, 160, dtype=torch.float64) for name in ("eda", "ecg")}
    leaf = x["eda"].clone().requires_grad_()
    odds = log_odds(parts.logits(x | {"eda": leaf}))[0, 1]
    (gradient,) = torch.autograd.grad(odds, leaf)
    step = torch.zeros_like(leaf)
    step[0, 0, 7] = 1e-5
    up, down = (log_odds(parts.logits(x | {"eda": x["eda"] + s}))[0, 1] for s in (step, -step))
    assert float((up - down) / 2e-5) == pytest.approx(float(gradient[0, 0, 7]), rel=1e-4)


def test_log_odds_of_two_classes_are_opposite_and_of_more_against_all_others() -> None:
    logits = torch.tensor([[0.3, 1.0, -2.0]], dtype=torch.float64)
    p = logits.softmax(dim=1)
    assert torch.allclose(log_odds(logits), (p / (1 - p)).log())


def test_windows_are_counted_over_recordings(mixer: NetworkClassifier, file: Any) -> None:
    model = predictor(mixer, stream(pooling="add"))
    path = file(recording(eda=wave(1)), replace(recording(eda=wave(2)), name="two"))
    first, second = (
        explain_model(model, path, window=n, checks=False).streams[0].maps["rollout 3"]
        for n in (1, 2)
    )
    assert not np.array_equal(first, second)
    with pytest.raises(RecordingError, match=r"window 3 asked for, and it has 2"):
        explain_model(model, path, window=3, checks=False)
    with pytest.raises(ConfigError, match="window is 0"):
        explain_model(model, path, window=0, checks=False)


def test_questions_that_have_no_answer(mixer: NetworkClassifier, file: Any) -> None:
    model = predictor(mixer, stream(pooling="add"))
    path = file(recording(eda=wave()))
    with pytest.raises(ConfigError, match="no class 'PA5'; it has: BL, PA4"):
        explain_model(model, path, class_name="PA5")
    with pytest.raises(RecordingError, match="no such file"):
        explain_model(model, path.with_name("none.csv"))
    with pytest.raises(RecordingError, match="The model reads windows of 4 s"):
        explain_model(model, file(recording(eda=wave(seconds=2.0))))


def test_other_models_are_told_what_can_be_explained(
    mixer: NetworkClassifier, tmp_path: Path
) -> None:
    cases = [
        (predictor(mixer), "it reads a feature table"),
        (predictor(mixer, Stream("eda", (), Raw("eda"))), "stream 'eda' has no encoder"),
        (
            predictor(
                mixer,
                stream(encoder=Encoder("tnt_s_patch16_224"), representation=Waveform("eda")),
            ),
            "stream 'eda' has the encoder tnt_s_patch16_224",
        ),
        (
            predictor(
                mixer,
                stream(
                    encoder=Encoder("painformer", size=96),
                    representation=Waveform("eda", size=96),
                ),
            ),
            "stream 'eda' has pictures of 96 pixels, and maps need 128 or more",
        ),
    ]
    for model, what in cases:
        with pytest.raises(ConfigError, match=what) as caught:
            explain_model(model, tmp_path)
        assert "'a small model' cannot be explained" in str(caught.value)
        assert "embedding_mixer" in str(caught.value)
        assert "full_transformer" in str(caught.value)


@pytest.mark.long
@pytest.mark.usefixtures("few")
def test_a_network_that_ignores_its_input_has_empty_maps(
    file: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(  # nothing is asked of them
        _picture_checks,
        "embedded",
        lambda _c, _n, batches: torch.zeros(sum(map(len, batches)), 160),
    )
    fitted = network().fit(*embeddings())
    fitted.weights_["mixer.fc.weight"] = np.zeros_like(fitted.weights_["mixer.fc.weight"])
    model = predictor(fitted, stream(pooling="add"))
    found = explain_model(model, file(recording(eda=wave())), class_name="PA4")
    of_class = found.checks.set_index("map")
    for name in (*BY_GRADIENT, OCCLUSION):
        assert of_class.loc[name, "verdict"] == "empty: nothing in it speaks for PA4"
        assert not of_class.loc[name, "passed"]
    assert not of_class["passed"].any()  # no order can be better where nothing changes


def test_patches_lie_where_their_number_says_and_bfloat16_embeds_as_float32_does(
    mixer: NetworkClassifier,
) -> None:
    case, (only,) = case_and_maps(mixer)
    picture = case.shown["eda"].pictures
    soft = _picture_checks.without(case, "eda", picture)
    assert np.ptp(soft, axis=(2, 3)).max() == 0
    mask = np.zeros((1, GRID, GRID), dtype=bool)
    mask[0, 1, 2] = True
    cut = _picture_checks._cut(picture[0], soft[0], mask)
    rows, columns = np.nonzero((cut[0] != picture[0]).any(axis=0))
    assert 32 <= rows.min() <= rows.max() < 64
    assert 64 <= columns.min() <= columns.max() < 96
    half = _picture_checks.embedded(case, "eda", iter([np.concatenate([picture, cut])]))
    whole = case.embeddings["eda"]
    assert whole is not None
    assert float(torch.cosine_similarity(half[:1], whole)) > 0.999
    assert not torch.equal(half[0], half[1])
    # occlusion asks the model itself: a pass with that patch gone, in float32
    occluded = _picture_checks.occlude(case, only, Counter(None, 1))
    found = _picture_checks.occlusion(case, only, whole, occluded)
    with torch.no_grad():
        without = case.parts.encoders["eda"](case.normalised("eda", cut))
    fall = log_odds(case.logits_with("eda", whole[None])) - log_odds(
        case.logits_with("eda", without[None])
    )
    assert found[:, 0, 1, 2] == pytest.approx(fall[0].numpy(), abs=1e-5)
    fine = np.arange(64.0).reshape(1, 8, 8)
    assert coarse(fine, GRID)[0, 1, 2] == fine[0, 2:4, 4:6].sum()
