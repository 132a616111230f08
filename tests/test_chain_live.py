"""A recording replayed through a live chain gives what the chain gives of the whole recording."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from torch import Tensor, nn

from dolorimeter.chain import LiveChain, Pipeline, QualityGate, Stream
from dolorimeter.chain._rings import SignalRing
from dolorimeter.embeddings import Encoder
from dolorimeter.errors import ConfigError, SignalError
from dolorimeter.estimators import NetworkClassifier
from dolorimeter.predictor import Predictor
from dolorimeter.preprocessing import (
    Bandpass,
    Envelope,
    FaceTracking,
    Haemoglobin,
    Lowpass,
    Notch,
    OpticalDensity,
    Phasic,
    Resample,
    StandardiseWithinRecording,
)
from dolorimeter.registry import MODELS, Card, InputSpec
from dolorimeter.representations import (
    FaceActivity,
    FaceClip,
    FaceFrames,
    FacePictures,
    Features,
    Raw,
    VideoFrames,
)
from dolorimeter.types import Recording, Signal, Video
from dolorimeter.video import VideoWriter, read_frames
from dolorimeter.windows import WindowSpec

STEP, DURATION = 0.5, 3.0
SECONDS = 14.0
KINDS = {"eda": (64.0, "S", "conductance"), "emg_trapezius": (500.0, "V", "voltage")}
WINDOWS = WindowSpec(duration=DURATION)
OPEN = QualityGate(least_quality=0.0, least_share=0.0, warm_up=0.0)
"""Nothing is gated; the gate has its own tests below and in tests/monitor."""


def recording(seconds: float = SECONDS, late: float = 0.0, gap: bool = True) -> Recording:
    """Two signals of unequal rate that begin and end at different times, one with a gap."""
    rng = np.random.default_rng(7)
    signals = {}
    for name, (rate, unit, quantity) in KINDS.items():
        start = late if name == "emg_trapezius" else 0.0
        count = round((seconds - start - (0.3 if name == "eda" else 0.0)) * rate)
        if name == "eda":
            values = 5e-6 + 1e-7 * rng.standard_normal((1, count)).cumsum(axis=1)
        else:
            values = 2e-5 * rng.standard_normal((1, count))
        if gap and name == "eda":
            values[:, 200:230] = np.nan
        signals[name] = Signal(values, rate, unit, True, quantity, start=start)
    return Recording("made", "s1", "r1", signals=signals)


def chain(standardise: str = "none") -> Pipeline:
    emg = (
        Bandpass(low=20.0, high=200.0, modalities=("emg_trapezius",)),
        Notch(frequency=50.0, modalities=("emg_trapezius",)),
        Resample(sampling_rate=450.0, modalities=("emg_trapezius",)),
    )
    eda = (
        Lowpass(cut=5.0, modalities=("eda",)),
        Resample(sampling_rate=20.0, modalities=("eda",)),
        Lowpass(cut=2.0, mode="window", modalities=("eda",)),
    )
    return Pipeline(
        WINDOWS,
        (
            Stream("eda", eda, Features("eda"), margin=1.0),
            Stream("phasic", (Phasic(),), Features("eda", offset=-0.25)),
            Stream("emg", emg, Features("emg_trapezius")),
        ),
        standardise=standardise,
    )


def replayed(live: LiveChain, whole: Recording, cuts: dict[str, list[int]]) -> dict[float, Any]:
    """Every window that a live chain gives, the signals pushed in these chunks, turn by turn."""
    for name, signal in whole.signals.items():
        live.open(name, signal)
    pieces = {n: np.split(s.values, sorted(cuts[n]), axis=1) for n, s in whole.signals.items()}
    begin = min(s.start for s in whole.signals.values())
    stop = max(s.stop for s in whole.signals.values())
    starts = begin + STEP * np.arange(int((stop - begin - live.duration + 1e-9) / STEP) + 1)
    waiting = starts.tolist()
    found: dict[float, Any] = {}
    while waiting:
        if any(pieces.values()):
            turn = min(pieces, key=lambda n: (not pieces[n], live.stop_of(n) or 0.0))
            live.push(turn, pieces[turn].pop(0))
        for name in pieces:
            if not pieces[name]:
                live.end(name)
        while waiting and not live.waits_for(waiting[0]):
            start = waiting.pop(0)
            with contextlib.suppress(SignalError):  # not covered: offline keeps it out, too
                found[start] = live.samples(start)
    return found


def fitted(of: Pipeline, whole: Recording) -> Predictor:
    """A forest on made-up labels: every split point of a feature is a chance to differ."""
    samples = of.samples([whole])
    y = np.arange(len(samples)) % 3
    model = make_pipeline(
        SimpleImputer(keep_empty_features=True), RandomForestClassifier(25, random_state=0)
    )
    model.fit(samples.x, y)
    names = samples.feature_names
    return Predictor(model, of, "ordinal", ("low", "middle", "high"), {}, {}, names, gate=OPEN)


@st.composite
def cuts(draw: st.DrawFn) -> dict[str, list[int]]:
    """Where each signal is cut into chunks: from single samples to the whole recording."""
    found = {}
    for name, (rate, _, _) in KINDS.items():
        most = round((SECONDS - 1) * rate)
        places = draw(st.lists(st.integers(0, most), max_size=20))
        run = draw(st.integers(0, most - 40))
        found[name] = [*places, *range(run, run + 25 * draw(st.integers(0, 1)))]
    return found


@pytest.mark.long
@pytest.mark.parametrize("standardise", ["none", "running"])
@settings(max_examples=6)
@given(cut=cuts(), late=st.sampled_from([0.0, 0.123, 1.0]))
def test_a_replay_in_any_chunks_gives_the_probabilities_of_predict(
    standardise: str, cut: dict[str, list[int]], late: float
) -> None:
    replay_agrees_with_predict(standardise, cut, late)


@pytest.mark.parametrize("standardise", ["none", "running"])
def test_a_replay_gives_the_probabilities_of_predict(standardise: str) -> None:
    """Single samples, an empty chunk, uneven chunks, and one signal that comes at once."""
    rates = {name: rate for name, (rate, _, _) in KINDS.items()}
    cut = {name: [*range(40, 60), 60, *range(60, int(9 * rates[name]), 97)] for name in rates}
    cut[next(iter(cut))] = []
    replay_agrees_with_predict(standardise, cut, 0.123)


def replay_agrees_with_predict(standardise: str, cut: dict[str, list[int]], late: float) -> None:
    whole = recording(late=late)
    live = LiveChain(chain(standardise), spare=SECONDS)
    predictor = fitted(live.offline(STEP), whole)
    expected = predictor.predict([whole])
    live = LiveChain(chain(standardise), feature_names=predictor.feature_names, spare=SECONDS)
    found = replayed(live, whole, cut)
    assert expected["start"].tolist() == list(found)
    columns = ["p_low", "p_middle", "p_high"]
    for start, row in expected.set_index("start")[columns].iterrows():
        assert isinstance(start, float)
        if np.isnan(row).all():  # the baseline is too short for any feature
            assert np.isnan(found[start].x).all()
            continue
        told = predictor.predict_samples(found[start])
        np.testing.assert_allclose(told[columns].to_numpy()[0], row, rtol=0, atol=1e-6)
    table = live.offline(STEP).samples([whole])
    for at, start in enumerate(table.meta["start"]):
        np.testing.assert_allclose(found[start].x[0], table.x[at], rtol=1e-9, atol=1e-12)
        assert found[start].quality[0] == pytest.approx(table.quality[at], abs=1e-12)


def test_a_network_on_raw_signals_gives_the_same_in_float32() -> None:
    whole = recording(gap=False)
    of = Pipeline(
        WINDOWS,
        (Stream("emg", (Envelope(), Resample(sampling_rate=50.0)), Raw("emg_trapezius")),),
    )
    live = LiveChain(of, spare=SECONDS)
    samples = live.offline(STEP).samples([whole])
    y = np.arange(len(samples)) % 2
    assert isinstance(samples.x, np.ndarray)
    x = (samples.x / samples.x.std()).astype(np.float32)
    network = NetworkClassifier("perceptron", epochs=2, random_state=0)
    network.fit(x, y, np.arange(len(y)) // 4)
    predictor = Predictor(network, live.offline(STEP), "classifier", ("a", "b"), {}, {})
    expected = predictor.predict([whole])[["p_a", "p_b"]].to_numpy()
    whole = replace(whole, signals={"emg_trapezius": whole.signals["emg_trapezius"]})
    found = replayed(live, whole, {"emg_trapezius": list(range(17, 6900, 170))})
    told = np.concatenate(
        [predictor.predict_samples(s)[["p_a", "p_b"]].to_numpy() for s in found.values()]
    )
    np.testing.assert_allclose(told[: len(expected)], expected, rtol=0, atol=1e-5)


def test_a_stream_that_is_missing_counts_as_it_does_offline() -> None:
    whole = recording(late=6.0, gap=False)
    live = LiveChain(chain(), spare=SECONDS)
    table = live.offline(STEP).samples([whole])
    live = LiveChain(chain(), feature_names=table.feature_names, spare=SECONDS)
    found = replayed(live, whole, {"eda": [100], "emg_trapezius": [7, 2000]})
    assert isinstance(table.x, np.ndarray)
    assert np.isnan(table.x[0]).any()
    np.testing.assert_allclose(found[1.0].x[0], table.x[0], rtol=1e-9, atol=1e-12)
    left_out = live.samples(8.0, leave_out=("emg_trapezius",))
    assert isinstance(left_out.x, np.ndarray)
    emg = np.array([name.startswith("emg.") for name in table.feature_names])
    assert np.isnan(left_out.x[0, emg]).all()
    assert np.isfinite(left_out.x[0, ~emg]).any()


@pytest.mark.parametrize(
    ("step", "hint"),
    [
        (Lowpass(cut=5.0, mode="zero_phase"), "lowpass .*mode = 'causal', which lags behind"),
        (StandardiseWithinRecording(mode="recording"), "standardises by what has come so far"),
    ],
)
def test_a_step_over_the_whole_recording_is_refused_with_its_substitute(
    step: Any, hint: str
) -> None:
    with pytest.raises(ConfigError, match=hint):
        LiveChain(Pipeline(WINDOWS, (Stream("eda", (step,), Features("eda")),)))


def test_other_obstacles_are_named_too() -> None:
    eda = Stream("eda", (), Features("eda"))
    with pytest.raises(ConfigError, match=r"'task_windows' \(use 'running'\)"):
        LiveChain(Pipeline(WINDOWS, (eda,), standardise="task_windows"))
    with pytest.raises(ConfigError, match=r"video_frames reads whole frames"):
        LiveChain(Pipeline(WINDOWS, (Stream("t", (), VideoFrames("thermal")),)))


def test_what_does_not_fit_is_refused_in_words() -> None:
    live = LiveChain(chain())
    with pytest.raises(ConfigError, match="does not read 'ecg'; it reads eda, emg_trapezius"):
        live.open("ecg", recording().signals["eda"])
    with pytest.raises(SignalError, match="eda came before it was opened"):
        live.push("eda", np.zeros((1, 4)))
    live.open("eda", recording().signals["eda"])
    with pytest.raises(SignalError, match="2 channels of eda came, after 1 were announced"):
        live.push("eda", np.zeros((2, 4)))
    with pytest.raises(SignalError, match=r"bandpass on emg_trapezius .* at 200 Hz asked of"):
        live.open("emg_trapezius", Signal(np.empty((1, 0)), 100.0, "V", True, "voltage"))
    empty = LiveChain(Pipeline(WINDOWS, (Stream("eda", (), Raw("eda")),)))
    with pytest.raises(SignalError, match="no modality covers"):
        empty.samples(0.0)


def test_haemoglobin_gives_its_two_signals_chunk_by_chunk() -> None:
    rng = np.random.default_rng(0)
    light = 1.0 + 0.1 * rng.random((2, 200))
    channels = ("S1_D1 760", "S1_D1 850")
    signal = Signal(light, 10.0, "V", True, "raw_intensity", channels)
    facts = {"distance S1_D1": 0.03}
    whole = Recording("made", "s1", "r1", signals={"fnirs": signal}, facts=facts)
    steps = (OpticalDensity(), Haemoglobin())
    of = Pipeline(WINDOWS, (Stream("hbo", steps, Features("fnirs_hbo")),))
    live = LiveChain(of, facts=facts)
    live.open("fnirs", signal)
    for piece in np.array_split(light, 13, axis=1):
        live.push("fnirs", piece)
    table = live.offline(STEP).samples([whole])
    assert isinstance(table.x, np.ndarray)
    at = int(np.flatnonzero(table.meta["start"] == 12.5)[0])
    np.testing.assert_allclose(live.samples(12.5).x[0], table.x[at], rtol=1e-9)


def portrait() -> np.ndarray:
    data = resources.files("dolorimeter").joinpath("assets/astronaut.png").read_bytes()
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return np.ascontiguousarray(picture[:400, 20:420, ::-1])


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A look-alike: a face that moves through 3 seconds at 10 frames a second, once away."""
    path = tmp_path_factory.mktemp("clip") / "face.mp4"
    face = portrait()
    with VideoWriter(path, 10.0, (face.shape[1], face.shape[0])) as writer:
        for i in range(30):
            moved = np.roll(face, (i % 7, 2 * (i % 5)), axis=(0, 1))
            writer.write(np.full_like(face, 90) if 16 <= i < 19 else moved)
    return path


@pytest.mark.long
@pytest.mark.parametrize("stride", [1, 2])
def test_a_face_replayed_frame_by_frame_is_the_face_of_the_file(clip: Path, stride: int) -> None:
    eda = Signal(recording().signals["eda"].values[:, :192], 64.0, "S", True, "conductance")
    whole = Recording("made", "s1", "r1", signals={"eda": eda}, videos={"face": Video(clip, 10.0)})
    of = Pipeline(
        WindowSpec(duration=1.0),
        (
            Stream("face", (FaceTracking(stride=stride),), FaceActivity(min_valid=0.2)),
            Stream("eda", (), Features("eda")),
        ),
    )
    live = LiveChain(of)
    table = live.offline(STEP).samples([whole])
    live.open("eda", eda)
    live.open_video("face", frame_rate=10.0)
    found = {}
    with read_frames(clip) as frames:
        for frame in frames:
            live.push(
                "eda", eda.values[:, round(6.4 * frame.index) : round(6.4 * frame.index + 6.4)]
            )
            live.push_frame("face", frame.image, frame.time)
            while len(found) < 4 and not live.waits_for(len(found) * STEP):
                found[len(found) * STEP] = live.samples(len(found) * STEP)
    assert isinstance(table.x, np.ndarray)
    assert len(found) == 4
    for start, samples in found.items():
        at = int(np.flatnonzero(table.meta["start"] == start)[0])
        np.testing.assert_allclose(samples.x[0], table.x[at], rtol=1e-6, atol=1e-9)
        assert samples.quality[0] == pytest.approx(table.quality[at], abs=1e-6)


class Colours(nn.Module):
    """Mean of each colour and of its square: float32, and it counts the pictures it has seen."""

    gives_features = True
    seen = 0

    def __init__(self, num_classes: int = 0) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        Colours.seen += len(x)
        return torch.cat([x.mean(dim=(2, 3)), (x**2).mean(dim=(2, 3))], dim=1)


@pytest.fixture
def encoder() -> Iterator[Encoder]:
    """Registered for one test alone: others walk the registry."""
    MODELS.names()
    spec = InputSpec((3, 224, 224), mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    MODELS.register(Card("tests_colours", "For tests.", input=spec))(Colours)
    yield Encoder("tests_colours", batch_size=4)
    MODELS._entries.pop("tests_colours")
    MODELS._cards.pop("tests_colours")


def test_pictures_of_a_live_face_are_those_of_the_file_and_are_embedded_once(
    clip: Path, encoder: Encoder
) -> None:
    whole = Recording("made", "s1", "r1", videos={"face": Video(clip, 10.0)})
    frames = FaceFrames(frame_rate=10.0, stride=2, min_valid=0.2)
    face = Stream("face", (FaceTracking(stride=2),), frames, 0.0, encoder, "none")
    live = LiveChain(Pipeline(WindowSpec(duration=1.0), (face,)))
    table = live.offline(STEP).samples([whole])
    live.open_video("face", frame_rate=10.0)
    Colours.seen = 0
    found = {}
    with read_frames(clip) as file:
        for frame in file:
            live.push_frame("face", frame.image, frame.time)
            while len(found) < 4 and not live.waits_for(len(found) * STEP):
                found[len(found) * STEP] = live.samples(len(found) * STEP).x[0]
    assert isinstance(table.x, np.ndarray)
    starts = table.meta["start"].tolist()
    for start, row in found.items():
        np.testing.assert_allclose(row, table.x[starts.index(start)], rtol=1e-5, atol=1e-5)
    assert Colours.seen < 4 * 5  # four windows of five pictures overlap


@pytest.mark.long
@pytest.mark.parametrize(
    "pictures",
    [
        FaceFrames(frame_rate=10.0, stride=2, min_valid=0.2),
        FaceClip(frame_rate=10.0, frames=3, min_valid=0.2),
        FaceClip(frame_rate=10.0, frames=3, start="random", min_valid=0.2),
        FaceClip(frame_rate=10.0, frames=3, sampling="keyframes", min_valid=0.2),
    ],
)
def test_pictures_are_embedded_while_their_window_is_coming(
    clip: Path, encoder: Encoder, pictures: FacePictures
) -> None:
    whole = Recording("made", "s1", "r1", videos={"face": Video(clip, 10.0)})
    face = Stream("face", (FaceTracking(),), pictures, 0.0, encoder, "none")
    live = LiveChain(Pipeline(WindowSpec(duration=1.0), (face,)))
    table = live.offline(STEP).samples([whole])
    assert isinstance(table.x, np.ndarray)
    assert not live.look_ahead([0.0])  # nothing has come
    live.open_video("face", frame_rate=10.0)
    left, found = [], {}
    with read_frames(clip) as file:
        for frame in file:
            live.push_frame("face", frame.image, frame.time)
            while len(found) < 4 and not live.waits_for(len(found) * STEP):
                Colours.seen = 0
                start = len(found) * STEP
                found[start] = live.samples(start).x[0]
                left.append(Colours.seen)
            Colours.seen = 0
            while live.look_ahead((STEP * np.arange(len(found), len(found) + 3)).tolist()):
                pass
            assert Colours.seen <= 2  # as the frames come, not a window at once
    starts = table.meta["start"].tolist()
    random = getattr(pictures, "start", "") == "random"  # drawn by the recording's name
    for start, row in found.items():
        if not random:
            np.testing.assert_allclose(row, table.x[starts.index(start)], rtol=1e-5, atol=1e-5)
    known = getattr(pictures, "sampling", "strided") == "strided"
    assert max(left) <= (1 if known else 3)


def test_a_ring_gives_the_samples_of_the_whole_and_stays_small() -> None:
    whole = Signal(np.arange(50_000.0)[None], 512.0, "V", True, "voltage", start=0.3)
    ring = SignalRing(whole, 5.0)
    rng = np.random.default_rng(1)
    at = 0
    while at < 50_000:
        size = int(rng.integers(0, 9_000))
        ring.append(whole.values[:, at : at + size])
        at = min(at + size, 50_000)
        if at < 5 * 512:
            continue
        start = 0.3 + at / 512 - 4.7
        mine, theirs = ring.signal().crop(start, 4.4), whole.crop(start, 4.4)
        assert np.array_equal(mine.values, theirs.values)
        assert mine.start == theirs.start
        assert ring.stop == pytest.approx(0.3 + at / 512)
        assert ring.signal().values.size <= 3 * (5 * 512 + 2)
    with pytest.raises(SignalError, match=r"0\.3–1\.3 s asked of a live signal of which"):
        ring.signal().crop(0.3, 1.0)
