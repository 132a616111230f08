"""Sources: what they give, how they lose it, and what they refuse."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dolorimeter.chain import LiveChain, Pipeline, Stream
from dolorimeter.errors import ConfigError, MonitorError
from dolorimeter.monitor.face_lane import FaceLane
from dolorimeter.monitor.gate import Gate, Silence
from dolorimeter.monitor.session import Session
from dolorimeter.monitor.sources import (
    Begins,
    Camera,
    Chunk,
    Item,
    Lost,
    LslSource,
    Picture,
    Replay,
    Source,
    Synthetic,
    VideoBegins,
    open_sources,
)
from dolorimeter.monitor.sources.lsl import LslQuery
from dolorimeter.predictor import Predictor
from dolorimeter.preprocessing import FaceTracking
from dolorimeter.representations import FaceActivity, Features
from dolorimeter.types import Recording, Signal, Video
from dolorimeter.video import VideoWriter, read_frames
from dolorimeter.windows import WindowSpec


def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    """Wait for what another thread does; fail when it never comes."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come in time"
        time.sleep(0.01)


def joined(items: list[Item], name: str) -> np.ndarray:
    chunks = [i.values for i in items if isinstance(i, Chunk) and i.modality == name]
    return np.concatenate([np.zeros((1, 0)), *chunks], axis=1)


@given(st.lists(st.floats(0.0, 30.0), min_size=1, max_size=12))
def test_a_replay_gives_each_sample_once_and_none_before_its_time(times: list[float]) -> None:
    eda = Signal(np.arange(700.0)[None], 32.0, "S", True, "conductance", start=2.0)
    source = Replay(Recording("made", "s", "r", signals={"eda": eda}))
    assert source.start == 2.0
    source.open(("eda", "ecg"), 2.0)
    items: list[Item] = []
    for now in sorted(times):
        items += source.read(now)
        seen = (
            joined(items, "eda") if any(isinstance(i, Chunk) for i in items) else np.zeros((1, 0))
        )
        assert np.array_equal(seen[0], np.arange(seen.shape[1]))
        assert 2.0 + seen.shape[1] / 32.0 <= max(now, 2.0) + 1e-5
        assert seen.shape[1] >= min(700, int((now - 2.0) * 32.0))
    items += source.read(1e6)
    assert joined(items, "eda").shape[1] == 700
    assert isinstance(items[0], Begins)
    assert isinstance(items[-1], Lost)
    assert items[-1].for_good
    assert source.read(2e6) == []


def test_the_synthetic_body_goes_on_from_block_to_block() -> None:
    fast, slow = Synthetic(5), Synthetic(5)
    wanted = ("ecg", "eda", "emg_trapezius", "face")
    fast.open(wanted, 0.0)
    slow.open(wanted, 0.0)
    at_once = list(fast.read(45.0))
    piecewise = [item for now in np.arange(0.1, 45.01, 0.1) for item in slow.read(float(now))]
    for name in wanted[:3]:
        one, many = joined(at_once, name), joined(piecewise, name)
        assert np.array_equal(one[:, : many.shape[1]], many)
    eda = joined(at_once, "eda")[0]
    steps = np.abs(np.diff(eda))
    borders = [round(20.0 * 512) - 1, round(40.0 * 512) - 1]
    assert steps[borders].max() < steps.max()
    assert 1e-6 < eda.min() < eda.max() < 20e-6
    ecg = joined(at_once, "ecg")[0]
    beats = np.flatnonzero((ecg[1:-1] > 6e-4) & (ecg[1:-1] >= ecg[:-2]) & (ecg[1:-1] > ecg[2:]))
    rhythm = np.diff(beats[np.concatenate([[True], np.diff(beats) > 100])]) / 512
    assert 0.6 < rhythm.min() < rhythm.max() < 1.1  # no beat is lost or doubled at a border
    assert fast.lookalike
    with pytest.raises(MonitorError, match=r"makes eda, ecg, .*; the model reads fnirs"):
        Synthetic().open(("fnirs",), 0.0)


def test_sources_are_named_in_words(tmp_path: Path) -> None:
    opened = open_sources(["synthetic:seed=3", "camera:rtsp://u:secret@ward/1"], dataset="biovid")
    assert all(isinstance(source, Source) for source in opened.sources)
    assert opened.sources[0].title.startswith("synthetic (seed 3)")
    assert opened.sources[1].title == "camera rtsp://…@ward/1"
    assert opened.speed == 1.0
    for text, message in (
        ("radio", "expected one of synthetic, replay, lsl, camera"),
        ("synthetic:seed=x", "'x' is no whole number"),
        ("synthetic:mood=3", "takes no 'mood'; it takes: seed"),
        ("replay", "expected a file or folder"),
        (f"replay:{tmp_path},speed=-1", "expected a number up to 1000, or free"),
        (f"replay:{tmp_path},nonsense", "'nonsense' is no KEY=VALUE"),
    ):
        with pytest.raises(ConfigError, match=message):
            open_sources([text], dataset="biovid")


def test_replays_of_one_session_have_one_speed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Recording("made", "s", "r")
    monkeypatch.setattr("dolorimeter.monitor.sources._words.recordings_of", lambda *_: ([made], 0))
    texts = [f"replay:{tmp_path},speed=2", f"replay:{tmp_path}"]
    with pytest.raises(ConfigError, match=r"speeds 1, 2 .* which has one clock"):
        open_sources(texts, dataset="biovid")
    assert open_sources(texts[:1] * 2, dataset="biovid").speed == 2.0


class Film:
    """A camera whose frames are told in advance; None is a read that fails."""

    def __init__(self, frames: list[np.ndarray | None]) -> None:
        self.frames, self.released = iter(frames), False

    def read(self) -> tuple[bool, np.ndarray | None]:
        time.sleep(0.005)
        image = next(self.frames, None)
        return image is not None, image

    def release(self) -> None:
        self.released = True

    def get(self, what: int) -> float:
        return 30.0


def test_a_camera_gives_its_newest_frames_says_it_is_gone_and_comes_back() -> None:
    blue = np.zeros((4, 6, 3), np.uint8)
    blue[:, :, 0] = 255  # OpenCV's order: blue first
    films = [Film([blue] * 40), Film([blue] * 400)]
    opened = iter([films[0], None, films[1]])
    camera = Camera("0", opened=lambda where: next(opened))
    camera.open(("face",), 10.0)
    until(lambda: films[0].released)
    time.sleep(0.02)
    items = list(camera.read(0.0))
    pictures = [item for item in items if isinstance(item, Picture)]
    assert len(pictures) <= 2  # of 40: the newest, never the oldest buffered
    assert camera.passed >= 30
    assert pictures[-1].image[0, 0].tolist() == [0, 0, 255]  # RGB
    assert isinstance(items[0], VideoBegins)
    assert items[0].frame_rate == 30.0
    assert items[1] == Lost("face", "the camera gives no picture")
    until(lambda: any(isinstance(item, VideoBegins) for item in camera.read(0.0)), 4.0)
    camera.close()
    assert films[1].released
    with pytest.raises(MonitorError, match="cannot be opened: it is not there, busy"):
        Camera("7", opened=lambda where: None).open(("face",), 0.0)
    with pytest.raises(MonitorError, match="the camera gives face; the model reads eda"):
        Camera("0").open(("eda",), 0.0)


def test_a_drivers_fault_is_a_camera_that_is_gone() -> None:
    class Cursed(Film):
        def read(self) -> tuple[bool, np.ndarray | None]:
            raise cv2.error("select() timeout")

        def release(self) -> None:
            raise cv2.error("no such device")

    good = Film([np.zeros((4, 6, 3), np.uint8)] * 400)
    opened = iter([Cursed([]), good])
    camera = Camera("0", opened=lambda where: next(opened))
    camera.open(("face",), 0.0)
    items: list[Item] = []
    until(lambda: items.extend(camera.read(0.0)) or any(isinstance(i, Picture) for i in items))
    camera.close()
    assert [type(i) for i in items[:3]] == [VideoBegins, Lost, VideoBegins]
    assert "the camera gives no picture: " in items[1].reason
    assert "select() timeout" in items[1].reason


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A look-alike clip: a face for 2 s, then nobody for 2 s, 10 frames a second."""
    data = resources.files("dolorimeter").joinpath("assets/astronaut.png").read_bytes()
    face = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert face is not None
    face = np.ascontiguousarray(face[:400, 20:420, ::-1])
    path = tmp_path_factory.mktemp("clip") / "face.mp4"
    with VideoWriter(path, 10.0, (400, 400)) as writer:
        for i in range(40):
            writer.write(np.roll(face, i % 5, axis=0) if i < 20 else np.full_like(face, 90))
    return path


class Prior:
    """A model that says the same whatever comes; it knows nothing of missing values."""

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        return np.tile([0.25, 0.75], (len(x), 1))


def face_model() -> Predictor:
    face = Stream("face", (FaceTracking(stride=2),), FaceActivity(min_valid=0.2))
    eda = Stream("eda", (), Features("eda"))
    chain = Pipeline(WindowSpec(duration=1.0), (face, eda))
    return Predictor(Prior(), chain, "classifier", ("low", "high"), {}, {}, title="face")


def test_a_face_that_goes_is_named_and_the_model_goes_on_without(clip: Path) -> None:
    rng = np.random.default_rng(0)
    values = 4e-6 + 1e-8 * rng.standard_normal((1, 128))
    eda = Signal(values, 32.0, "S", True, "conductance")
    whole = Recording("made", "s", "r", signals={"eda": eda}, videos={"face": Video(clip, 10.0)})
    session = Session(face_model(), [Replay(whole)], "s", speed=0.0)
    clock = [0.0]
    session.open(time=lambda: clock[0])
    made = []
    while clock[0] < 4.2:
        clock[0] += 0.25
        made += session.tick(clock[0])
        view = session.face()
        assert view is not None
        if 0.5 < clock[0] < 1.9:
            assert view.box is not None
            assert 0 < view.box[0] < view.box[2] < 1
            assert view.points.shape == (478, 2)
            assert set(view.cues) >= {"brow_lowerer", "eyes_closed"}
    states = {e.start: next(m for m in e.modalities if m.name == "face") for e in made}
    assert states[0.5].present
    assert states[0.5].reasons == ()
    assert not states[2.5].present
    assert states[2.5].reasons == ("no face for 2 s",)
    assert [e.abstained for e in made] == [""] * len(made)
    assert any("the interval is wider" in r for r in made[-1].remarks)
    view = session.face()
    assert view is not None
    assert view.box is None


def test_a_window_without_a_frame_has_no_quality(clip: Path) -> None:
    live = LiveChain(Pipeline(WindowSpec(duration=1.0), (face_model().chain.streams[0],)))
    live.open_video("face", frame_rate=10.0)
    with read_frames(clip) as frames:
        for frame in frames:
            live.push_frame("face", frame.image, frame.time + 5.0)
            if frame.index == 2:
                break
    live.end("face")
    window = live.window(4.0)
    told = Gate().look(live, "face", window, 5.3, Silence())
    assert (told.quality, told.present) == (0.0, False)
    assert told.reasons == ("no face yet in this window",)


def test_a_file_stands_in_for_a_camera_beside_a_synthetic_body(clip: Path) -> None:
    session = Session(face_model(), [Synthetic(1), Camera(str(clip))], "s").start()
    until(lambda: session.since(0)[0] >= 2, 20.0)
    until(lambda: session.face() is not None)
    session.stop()
    assert session.stopped_because == ""
    assert {m.name for m in session.since(0)[1][-1].modalities} == {"eda", "face"}


def test_the_tracker_takes_the_newest_frame_when_it_is_too_slow() -> None:
    class Slow:
        def __init__(self) -> None:
            self.looked: list[float] = []
            self.rows: list[object] = []
            self.busy, self.may_go_on = threading.Event(), threading.Event()

        def is_due(self, modality: str) -> bool:
            return True

        def track(self, modality: str, image: np.ndarray, at: float) -> float:
            self.busy.set()
            assert self.may_go_on.wait(60)
            self.looked.append(at)
            return at

        def push_face(self, modality: str, row: object, image: object) -> None:
            self.rows.append(row)

        push_frame = push_face

    slow = Slow()
    lane = FaceLane(slow, "face", beside=True)  # type: ignore[arg-type]
    for number in range(20):
        lane.push(Picture("face", float(number), np.zeros((2, 2, 3), np.uint8)))
        assert slow.busy.wait(60)
    slow.may_go_on.set()
    lane.finish()
    lane.close()
    assert slow.looked == [0.0, 18.0, 19.0]  # two frames may wait
    assert lane.passed == 17
    assert slow.rows == slow.looked


def test_frames_between_the_strides_take_nobodys_place(clip: Path) -> None:
    """A burst of frames, as a session finds it after a network has computed for a while."""
    live = LiveChain(Pipeline(WindowSpec(duration=1.0), (face_model().chain.streams[0],)))
    live.open_video("face", frame_rate=10.0)
    lane = FaceLane(live, "face", beside=True)
    with read_frames(clip) as frames:
        for frame in list(itertools.islice(frames, 4)):
            lane.push(Picture("face", frame.time, frame.image))
    until(lambda: lane._idle.is_set() and not lane._waiting, 20.0)
    lane.finish()
    lane.close()
    assert lane.passed == 0
    ring = live.face("face")
    assert ring is not None
    track = ring.track(clip)
    assert track is not None
    assert track.times == pytest.approx([0.0, 0.2])  # a stride of 2 at 10 Hz


def test_a_frame_that_cannot_be_looked_at_costs_itself_alone() -> None:
    class Moody:
        def __init__(self) -> None:
            self.rows: list[object] = []

        def is_due(self, modality: str) -> bool:
            return True

        def track(self, modality: str, image: np.ndarray, at: float) -> object:
            if at == 1.0:
                raise cv2.error("bad size")
            return at

        def push_face(self, modality: str, row: object, image: object) -> None:
            self.rows.append(row)

        push_frame = push_face

    moody = Moody()
    lane = FaceLane(moody, "face", beside=True)  # type: ignore[arg-type]
    faults = []
    for number in range(4):
        lane.push(Picture("face", float(number), np.zeros((2, 2, 3), np.uint8)))
        try:
            lane.finish()
        except cv2.error as error:
            faults.append(str(error))
    lane.collect()
    lane.close()
    assert moody.rows == [0.0, 2.0, 3.0]
    assert len(faults) == 1


def test_the_newest_frame_can_be_asked_for_and_goes_with_the_session(clip: Path) -> None:
    whole = Recording("made", "s", "r", videos={"face": Video(clip, 10.0)})
    session = Session(face_model(), [Replay(whole)], "s", speed=0.0)
    clock = [0.0]
    session.open(time=lambda: clock[0])
    assert session.frame() is None
    clock[0] = 1.0
    session.tick(clock[0])
    frame = session.frame()
    assert frame is not None
    assert (frame.shape, frame.dtype) == ((400, 400, 3), np.uint8)
    clock[0] = 2.5
    session.tick(clock[0])
    newer = session.frame()
    assert newer is not None
    assert abs(int(newer.mean()) - 90) < 3  # nobody is there by then
    session.stop()
    assert session.frame() is None


# ── Lab Streaming Layer, on loopback ────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def lsl(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    pylsl = pytest.importorskip("pylsl", reason="pylsl or liblsl is not installed here")
    pylsl.set_config_content(
        "[lab]\nKnownPeers = {127.0.0.1}\nSessionID = dolorimeter-tests\n"
        "[multicast]\nResolveScope = machine\n[ports]\nIPv6 = disable\n"
    )
    return pylsl


class Recorder(threading.Thread):
    """An outlet of two channels that pushes 100 samples a second, with a label and unit each."""

    def __init__(
        self, pylsl: object, name: str, units: tuple[str, str], identifier: str | None = None
    ) -> None:
        super().__init__(daemon=True)
        identifier = f"id-{name}" if identifier is None else identifier
        info = pylsl.StreamInfo(name, "Physio", 2, 100.0, pylsl.cf_double64, identifier)
        channels = info.desc().append_child("channels")
        for label, unit in zip(("GSR", "Mood"), units, strict=True):
            channel = channels.append_child("channel")
            channel.append_child_value("label", label)
            channel.append_child_value("unit", unit)
        self.outlet: object | None = pylsl.StreamOutlet(info, chunk_size=10)
        self.end = threading.Event()
        self.sent = 0

    def run(self) -> None:
        begin = time.monotonic()
        while not self.end.wait(0.02):
            while self.sent < (time.monotonic() - begin) * 100:
                self.outlet.push_sample([4.0 + 0.001 * self.sent, 0.5])
                self.sent += 1
        self.outlet = None


@pytest.mark.long
def test_lsl_gives_signals_with_their_units_and_names_what_it_cannot_use(lsl: object) -> None:
    recorder = Recorder(lsl, "Wrist", ("microsiemens", "smiles"))
    recorder.start()
    source = LslSource(LslQuery(name="Wrist"))
    items: list[Item] = []
    try:
        source.open(("eda", "ecg"), 50.0)
        until(lambda: bool(items.extend(source.read(0.0))) or len(items) > 8)
    finally:
        source.close()
        recorder.end.set()
    assert source.title == "LSL: 'Wrist' (eda)"
    assert isinstance(items[0], Begins)
    assert items[0].like.unit == "S"
    assert items[0].like.sampling_rate == 100.0
    values = joined(items, "eda")[0]
    assert np.allclose(np.diff(values), 1e-9, rtol=1e-6)  # microsiemens became siemens
    chunks = [item for item in items if isinstance(item, Chunk)]
    assert 49.0 < chunks[0].start < 56.0  # on the session's clock
    for one, two in itertools.pairwise(chunks):
        assert two.start == pytest.approx(one.start + one.values.shape[1] / 100.0, abs=0.03)


@pytest.mark.long
def test_lsl_refuses_a_unit_that_is_none_of_the_modality(lsl: object) -> None:
    recorder = Recorder(lsl, "Odd", ("kilograms", "smiles"))
    recorder.start()
    try:
        source = LslSource(LslQuery(name="Odd"), resolve=1.0)
        with pytest.raises(MonitorError, match=r"'GSR' of stream 'Odd' is in 'kilograms', which"):
            source.open(("eda",), 0.0)
        stated = LslSource(LslQuery("Odd", channels={"eda": "Mood"}, units={"eda": "uS"}))
        stated.open(("eda",), 0.0)
        assert stated.title == "LSL: 'Odd' (eda)"
        stated.close()
        nothing = LslSource(LslQuery(name="Nobody"), resolve=0.5)
        with pytest.raises(MonitorError, match="no LSL stream with eda was found"):
            nothing.open(("eda",), 0.0)
    finally:
        recorder.end.set()


@pytest.mark.long
def test_lsl_a_recorder_that_is_started_again_is_found_again(lsl: object) -> None:
    first = Recorder(lsl, "Again", ("uS", ""))
    first.start()
    source = LslSource(LslQuery(name="Again"))
    items: list[Item] = []
    try:
        source.open(("eda",), 0.0)
        until(lambda: bool(items.extend(source.read(0.0))) or len(items) > 3)
        first.end.set()
        first.join()
        time.sleep(0.3)
        items.clear()
        second = Recorder(lsl, "Again", ("uS", ""))
        second.start()
        until(lambda: bool(items.extend(source.read(0.0))) or len(items) > 3, 15.0)
        second.end.set()
    finally:
        source.close()
    assert joined(items, "eda").shape[1] > 10


class GoneError(RuntimeError):
    """As pylsl's LostError."""


class Streams:
    """As much of pylsl as is used, for streams that come and go when the test says so."""

    proc_clocksync = proc_dejitter = proc_monotonize = proc_threadsafe = 1
    util = SimpleNamespace(LostError=GoneError, TimeoutError=TimeoutError)

    def __init__(self) -> None:
        self.units: list[str] = ["microsiemens"]
        self.label = "GSR"
        self.rate = 100.0
        self.answers = True
        self.flags: list[int] = []

    def local_clock(self) -> float:
        return time.monotonic()

    def resolve_streams(self, seconds: float) -> list[object]:
        return [self.stream(self.units[-1])]

    def resolve_byprop(self, *given: object) -> list[object]:
        return self.resolve_streams(0.0)

    def stream(self, unit: str) -> object:
        channel = SimpleNamespace(
            child_value=lambda key: {"label": self.label, "unit": unit}[key],
            next_sibling=lambda name: channel,
        )
        node = SimpleNamespace(child=lambda name: node if name == "channels" else channel)
        return SimpleNamespace(
            name=lambda: "Wrist", type=lambda: "Physio", uid=lambda: "u", source_id=lambda: "",
            channel_count=lambda: 1, nominal_srate=lambda: self.rate, desc=lambda: node, unit=unit,
        )  # fmt: skip

    def StreamInlet(  # noqa: N802 - as pylsl names it
        self, info: object, *, processing_flags: int = 0, **_: object
    ) -> object:
        self.flags.append(processing_flags)

        def pull_chunk(timeout: float, max_samples: int) -> tuple[list[list[float]], list[float]]:
            time.sleep(0.02)
            if info.unit != self.units[-1]:
                raise GoneError
            return [[4.0], [4.0]], [time.monotonic(), time.monotonic() + 0.01]

        def described(timeout: float) -> object:
            if not self.answers:
                raise TimeoutError
            return info

        return SimpleNamespace(pull_chunk=pull_chunk, info=described)


def test_lsl_a_recorder_that_comes_back_is_looked_at_anew(
    lsl: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dolorimeter.monitor.sources.lsl.AGAIN", 0.05)
    source, streams = LslSource(), Streams()
    source._pylsl = streams
    items: list[Item] = []

    def heard(what: Callable[[Item], bool]) -> Item:
        found: list[Item] = []

        def look() -> bool:
            items.extend(source.read(0.0))
            found.extend(item for item in items if what(item))
            return bool(found)

        until(look)
        items.clear()
        return found[0]

    source.open(("eda",), 0.0)
    chunk = heard(lambda item: isinstance(item, Chunk))
    assert chunk.values == pytest.approx(4e-6)
    streams.units.append("kilograms")
    assert heard(lambda item: isinstance(item, Lost) and bool(item.modality)) == Lost(
        "eda", "stream 'Wrist' is gone"
    )
    if not items:
        reason = "in 'kilograms', which is none of eda"
        until(lambda: bool(items.extend(source.read(0.0))) or bool(items))
        assert all(isinstance(item, Lost) and reason in item.reason for item in items)
    streams.units.append("S")
    chunk = heard(lambda item: isinstance(item, Chunk))
    assert chunk.values == pytest.approx(4.0)  # not divided by a million, as before
    assert set(streams.flags) == {1}  # its clock is put on this machine's, as at first
    source.close()


@pytest.mark.parametrize("unit", ["", "a.u.", "counts"])
@pytest.mark.parametrize(("label", "modality"), [("PPG", "ppg"), ("RESP", "resp")])
def test_lsl_pulse_and_respiration_have_arbitrary_units(
    lsl: object, label: str, modality: str, unit: str
) -> None:
    source, streams = LslSource(), Streams()
    source._pylsl, streams.label = streams, label
    streams.units.append(unit)
    source.open((modality,), 0.0)
    chunks: list[Item] = []
    until(lambda: bool(chunks.extend(source.read(0.0))) or bool(chunks))
    (chunk,) = [item for item in chunks if isinstance(item, Chunk)][:1]
    assert chunk.modality == modality
    assert chunk.values[0, 0] == 4.0
    source.close()


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"rate": 1e9}, "announces 1e\\+09 Hz: eda needs a regular rate of at most 100000 Hz"),
        ({"rate": 0.0}, "announces 0 Hz: eda needs a regular rate"),
        ({"answers": False}, "stream 'Wrist' does not describe itself within 5 s"),
    ],
)
def test_lsl_streams_that_cannot_be_used_are_named(
    lsl: object, fault: dict[str, object], message: str
) -> None:
    source, streams = LslSource(), Streams()
    vars(streams).update(fault)
    source._pylsl = streams
    with pytest.raises(MonitorError, match=message):
        source.open(("eda",), 0.0)
