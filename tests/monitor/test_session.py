"""A session in simulated time: what it says, and what it says when things go wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline

from dolorimeter.chain import Pipeline, QualityGate, Stream
from dolorimeter.errors import ConfigError, MonitorError, StorageError
from dolorimeter.estimators import ConformalClassifier, TemperatureCalibrated
from dolorimeter.monitor.feed import Feed, Keeper
from dolorimeter.monitor.judgement import Alert, Judge
from dolorimeter.monitor.nouns import Estimate, ModalityState, RawChunk, SessionInfo
from dolorimeter.monitor.session import Session, Settings
from dolorimeter.monitor.sources import Begins, Chunk, Item, Lost, Replay, Synthetic
from dolorimeter.predictor import Predictor
from dolorimeter.preprocessing import Bandpass, Lowpass, Notch, Resample
from dolorimeter.registry import DATASETS
from dolorimeter.representations import Features
from dolorimeter.types import Recording, Signal
from dolorimeter.windows import WindowSpec

DURATION = 4.0
RATES = {"eda": 32.0, "ecg": 250.0}


def body(seconds: float = 60.0, seed: int = 3) -> Recording:
    """A made-up body whose two signals are good from end to end."""
    source = Synthetic(seed, sampling_rate=250.0)
    source.open(tuple(RATES), 0.0)
    chunks: dict[str, list[np.ndarray]] = {name: [] for name in RATES}
    for item in source.read(seconds):
        if isinstance(item, Chunk):
            chunks[item.modality].append(item.values)
    ecg = np.concatenate(chunks["ecg"], axis=1)
    eda = np.concatenate(chunks["eda"], axis=1)
    at = np.round(np.arange(round(seconds * 32)) * 250 / 32).astype(int)
    signals = {
        "eda": Signal(eda[:, at], 32.0, "S", True, "conductance"),
        "ecg": Signal(ecg, 250.0, "V", True, "voltage"),
    }
    return Recording("made", "s1", "r1", signals=signals)


def chain(standardise: str = "none") -> Pipeline:
    only = {"modalities": ("ecg",)}
    ecg = (
        Bandpass(low=0.5, high=40.0, **only),
        Notch(frequency=50.0, **only),
        Resample(sampling_rate=200.0, **only),
    )
    return Pipeline(
        WindowSpec(duration=DURATION),
        (
            Stream("eda", (Lowpass(cut=5.0, modalities=("eda",)),), Features("eda")),
            Stream("ecg", ecg, Features("ecg")),
        ),
        standardise=standardise,
    )


def forest() -> object:
    fill = SimpleImputer(keep_empty_features=True)
    return make_pipeline(fill, RandomForestClassifier(5, random_state=0))


@pytest.fixture(scope="module")
def whole() -> Recording:
    return body()


@pytest.fixture(scope="module")
def table(whole: Recording) -> tuple[np.ndarray, tuple[str, ...]]:
    sliding = WindowSpec(duration=DURATION, anchor="sliding", step=0.5)
    samples = replace(chain(), windows=sliding).samples([whole])
    assert isinstance(samples.x, np.ndarray)
    return samples.x, samples.feature_names


def predictor(
    table: tuple[np.ndarray, tuple[str, ...]], model: object = None, standardise: str = "none"
) -> Predictor:
    x, names = table
    y = (np.arange(len(x)) // 9) % 3
    model = forest() if model is None else model
    groups = np.arange(len(x)) // 9 % 12
    if isinstance(model, ConformalClassifier | TemperatureCalibrated):
        model.fit(x, y, groups)
    else:
        model.fit(x, y)
    return Predictor(
        model, chain(standardise), "ordinal", ("low", "middle", "high"), {}, {}, names,
        label_source="stimulus", title="made",
    )  # fmt: skip


class Script:
    """A source in simulated time that gives a recording's signals, changed on the way."""

    follows_clock = False
    lookalike = False
    start = 0.0
    title = "script"

    def __init__(
        self, whole: Recording, change: Callable[[Item, float], Sequence[Item]] | None = None
    ) -> None:
        self._replay = Replay(whole)
        self._change = change or (lambda item, now: (item,))
        self.closed = False

    def open(self, wanted: Sequence[str], now: float) -> None:
        self._replay.open(wanted, now)

    def read(self, now: float) -> Sequence[Item]:
        return [found for item in self._replay.read(now) for found in self._change(item, now)]

    def close(self) -> None:
        self.closed = True


def run(
    predictor: Predictor,
    whole: Recording,
    change: Callable[[Item, float], Sequence[Item]] | None = None,
    *,
    until: float = 30.0,
    tick: float = 0.125,
    **options: object,
) -> tuple[Session, list[Estimate]]:
    """A session over the script, looked at every `tick` seconds of simulated time."""
    options.setdefault("settings", Settings(step=1.0))
    session = Session(predictor, [Script(whole, change)], "s1", **options)
    clock = [0.0]
    session.open(time=lambda: clock[0])
    made: list[Estimate] = []
    while clock[0] < until:
        clock[0] = round(clock[0] + tick, 6)
        made += session.tick(clock[0])
    return session, made


def state(estimate: Estimate, name: str) -> ModalityState:
    return next(m for m in estimate.modalities if m.name == name)


def at(made: Sequence[Estimate], time: float) -> Estimate:
    """The estimate of the newest window that ends by `time`."""
    return [e for e in made if e.start is not None and e.start + DURATION <= time + 1e-9][-1]


@pytest.mark.long
@settings(max_examples=3)
@given(tick=st.floats(0.05, 9.0))
def test_what_a_session_says_at_any_tick_is_what_predict_says(tick: float) -> None:
    session_agrees_with_predict(tick)


def test_what_a_session_says_is_what_predict_says() -> None:
    session_agrees_with_predict(0.7)


def session_agrees_with_predict(tick: float) -> None:
    agrees_with_predict(body(14.0), chain(), tick)


def agrees_with_predict(
    whole: Recording, of: Pipeline, tick: float, step: float = 0.5, **gate: float
) -> list[str]:
    """Every window of a replayed session is that of `predict`; returns the reasons for silence."""
    duration = of.windows.duration
    sliding = WindowSpec(duration=duration, anchor="sliding", step=step)
    samples = replace(of, windows=sliding).samples([whole])
    assert isinstance(samples.x, np.ndarray)
    model = replace(predictor((samples.x, samples.feature_names)), chain=of)
    model = replace(model, gate=QualityGate(**gate))
    offline = replace(model, chain=replace(of, windows=sliding)).predict([whole])
    session = Session(model, [Replay(whole)], "s1", settings=Settings(step=step), speed=0.0)
    clock = [0.0]
    session.open(time=lambda: clock[0])
    made: list[Estimate] = []
    while clock[0] < max(s.stop for s in whole.signals.values()) + 0.5:
        clock[0] += tick
        made += session.tick(clock[0])
    np.testing.assert_allclose([e.start for e in made], offline["start"], atol=1e-9)
    for estimate, (_, row) in zip(made, offline.iterrows(), strict=True):
        assert bool(estimate.abstained) == bool(row["abstained"]), estimate.start
        for name in () if estimate.abstained else ("low", "middle", "high"):
            assert estimate.probabilities[name] == pytest.approx(row[f"p_{name}"], abs=1e-6)
        if estimate.abstained:
            assert offline.loc[row.name, ["p_low", "p_middle", "p_high"]].isna().all()
    assert session.is_over
    assert session.passed_over == 0
    return offline["abstained"].tolist()


def spoilt(seconds: float) -> Recording:
    """A body whose sensors fail in turns: one alone, both together, and each for a while."""
    whole = body(seconds)
    signals = {}
    for name, bad in (("eda", ((5.0, 7.0), (17.0, 25.0))), ("ecg", ((15.0, 22.0),))):
        values = whole.signals[name].values.copy()
        rate = whole.signals[name].sampling_rate
        for start, stop in bad:
            values[:, round(start * rate) : round(stop * rate)] = np.nan if name == "eda" else 0.0
        signals[name] = replace(whole.signals[name], values=values)
    return replace(whole, signals=signals)


@pytest.mark.long
@pytest.mark.parametrize("standardise", ["none", "running"])
def test_a_session_and_predict_gate_the_same_windows(standardise: str) -> None:
    """Signals that fail: with a running baseline, what was gated must not enter it either."""
    reasons = agrees_with_predict(spoilt(36.0), chain(standardise), 0.7, 1.0, warm_up=12.0)
    assert any("eda: quality 0" in reason and "ecg: quality 0" in reason for reason in reasons)
    assert reasons.count("") > 8
    assert ("baseline of the subject" in reasons[0]) == (standardise == "running")


@pytest.mark.shared
@pytest.mark.long
@pytest.mark.parametrize("standardise", ["none", "running"])
def test_a_session_and_predict_gate_the_same_windows_of_a_real_wristband(
    standardise: str, data_root: Path
) -> None:
    reader = DATASETS.get("stress_predict")(data_root / "stress_predict")
    whole = reader.recordings()[0].load()
    signals = {
        name: replace(whole.signals[name].crop(whole.signals[name].start + 60, 120.0), start=0.0)
        for name in ("eda", "ppg")
    }
    streams = tuple(Stream(name, (), Features(name)) for name in signals)
    of = Pipeline(WindowSpec(duration=5.5), streams, standardise=standardise)
    recording = Recording("real", "s1", "r1", signals=signals)
    reasons = agrees_with_predict(recording, of, 0.7, least_quality=0.8, least_share=0.6)
    assert 10 < sum(bool(reason) for reason in reasons) < len(reasons)


def test_a_session_is_a_feed_and_says_what_it_is(
    table: tuple[np.ndarray, tuple[str, ...]], whole: Recording
) -> None:
    model = replace(predictor(table), lookalike=True)
    session, made = run(model, whole, until=10.0)
    assert isinstance(session, Feed)
    assert session.info.classes == ("low", "middle", "high")
    assert session.info.levels == (0.0, 2.0)
    assert session.info.lookalike
    assert "The model was trained on levels of a stimulus, not on felt pain." in session.info.notes
    assert "No estimate is a statement that there is no pain." in session.info.notes
    assert len(made) == 7  # windows that end at 4, 5 … 10 s
    number, newest = session.since(4)
    assert (number, len(newest)) == (7, 3)
    assert newest[-1].age_s is not None
    assert newest[-1].age_s <= 1 / 32
    for tail in session.tails(5.0, 200):
        assert len(tail.values) <= 200
        assert -5.0 <= tail.seconds.min() < -4.8
        assert tail.seconds.max() > -0.05
    assert session.face() is None
    session.stop()
    assert not session.running
    assert session.stopped_because == ""


def test_the_newest_window_is_taken_and_the_others_are_counted(
    table: tuple[np.ndarray, tuple[str, ...]], whole: Recording
) -> None:
    session, made = run(predictor(table), whole, until=20.0, tick=3.0)
    assert [e.start for e in made] == [2.0, 5.0, 8.0, 11.0, 14.0, 17.0]
    assert session.passed_over == 2 * 6


def lost_between(first: float, last: float, name: str = "eda", silent: bool = False) -> Callable:
    """Nothing of a signal comes in an interval; its recorder says so, or does not."""
    told = []

    def change(item: Item, now: float) -> Sequence[Item]:
        if item.modality != name or not isinstance(item, Chunk):
            return (item,)
        if first <= now < last:
            if silent or told:
                return ()
            told.append(1)
            return (Lost(name, "the sensor was unplugged"),)
        if now >= last and told:
            told.clear()
            like = Signal(
                np.empty((1, 0)), RATES[name], "S", True, "conductance", start=item.start
            )
            return (Begins(name, like), item)
        return (item,)

    return change


def test_a_stream_that_is_lost_is_named_and_comes_back(
    table: tuple[np.ndarray, tuple[str, ...]], whole: Recording
) -> None:
    _, made = run(predictor(table), whole, lost_between(10.0, 20.0), until=30.0)
    during = at(made, 15.0)
    assert state(during, "eda").reasons == ("the sensor was unplugged",)
    assert not state(during, "eda").present
    assert state(during, "ecg").present
    assert during.abstained == ""  # the model goes on with the ECG
    assert during.lower is not None
    before = at(made, 9.9)
    assert before.upper is not None
    assert during.upper is not None
    assert during.upper - during.lower >= before.upper - before.lower
    assert any("the interval is wider" in remark for remark in during.remarks)
    remarks = [r for e in made for r in e.remarks]
    assert "eda: the sensor was unplugged" in remarks
    assert "eda is back" in remarks
    assert state(at(made, 22.0), "eda").reasons == ("back, but not for a whole window yet",)
    assert state(at(made, 29.0), "eda").present


def test_silence_is_noticed_without_being_told_and_the_age_grows(
    table: tuple[np.ndarray, tuple[str, ...]], whole: Recording
) -> None:
    change = lost_between(10.0, 14.0, silent=True)
    _, made = run(predictor(table), whole, change, until=25.0)
    late = at(made, 12.9)
    assert state(late, "eda").reasons == ("no data for 3 s",)
    assert state(late, "eda").age_s == pytest.approx(3.6, abs=0.6)
    assert any("4.0 s of eda are missing" in r for e in made for r in e.remarks)
    assert state(at(made, 16.0), "eda").quality < 0.6
    assert state(at(made, 24.0), "eda").present


def changed(name: str, how: Callable[[np.ndarray], np.ndarray], first: float = 0.0) -> Callable:
    def change(item: Item, now: float) -> Sequence[Item]:
        if isinstance(item, Chunk) and item.modality == name and now > first:
            return (replace(item, values=how(item.values)),)
        return (item,)

    return change


@pytest.mark.parametrize(
    ("name", "how", "reason"),
    [
        ("eda", lambda v: np.full_like(v, 4e-6), "flat"),
        ("eda", lambda v: v * 1e6, "no contact with the skin"),  # microsiemens said to be siemens
        ("ecg", lambda v: v * 1e6, "the unit is wrong"),  # microvolts said to be volts
        ("ecg", lambda v: np.clip(v, -4e-5, 4e-5), "clipped"),
        ("ecg", lambda v: np.full_like(v, np.nan), "missing"),
    ],
)
def test_a_bad_signal_is_left_out_with_the_reason(
    table: tuple[np.ndarray, tuple[str, ...]],
    whole: Recording,
    name: str,
    how: Callable[[np.ndarray], np.ndarray],
    reason: str,
) -> None:
    model = predictor(table)
    session, made = run(model, whole, changed(name, how, first=8.0), until=16.0)
    assert state(at(made, 8.0), name).present
    told = state(made[-1], name)
    assert not told.present
    assert reason in " ".join(told.reasons)
    assert made[-1].abstained == ""
    assert made[-1].start is not None
    row = model.predict_samples(session._live.samples(made[-1].start, (name,))).iloc[0]
    for level, probability in made[-1].probabilities.items():
        assert probability == pytest.approx(row[f"p_{level}"])  # the bad one was not looked at
    assert made[-1].coverage is None


@pytest.mark.long
def test_a_burst_of_nan_costs_its_windows_and_nothing_else(
    table: tuple[np.ndarray, tuple[str, ...]], whole: Recording
) -> None:
    def burst(item: Item, now: float) -> Sequence[Item]:
        if isinstance(item, Chunk) and item.modality == "ecg" and 10.0 < now <= 10.3:
            return (replace(item, values=np.full_like(item.values, np.nan)),)
        return (item,)

    _, made = run(predictor(table), whole, burst, until=20.0)
    inside = state(at(made, 11.0), "ecg")
    assert inside.reasons[-1] == "samples are missing, no number can be computed"
    assert not inside.present
    clean, _ = run(predictor(table), whole, until=20.0)
    assert at(made, 20.0).probabilities == pytest.approx(at(clean.since(0)[1], 20.0).probabilities)


def test_without_any_modality_it_abstains_and_names_each(
    table: tuple[np.ndarray, tuple[str, ...]], whole: Recording
) -> None:
    def flat(item: Item, now: float) -> Sequence[Item]:
        if isinstance(item, Chunk) and now > 6.0:
            return (replace(item, values=np.full_like(item.values, 4e-6)),)
        return (item,)

    _, made = run(predictor(table), whole, flat, until=14.0)
    assert made[-1].abstained == "ecg: flat; eda: flat"
    assert made[-1].expected_level is None
    assert made[-1].probabilities == {}


@pytest.mark.long
def test_a_clock_that_jumps_is_not_believed(
    table: tuple[np.ndarray, tuple[str, ...]], whole: Recording
) -> None:
    def jump(item: Item, now: float) -> Sequence[Item]:
        if isinstance(item, Chunk) and item.modality == "eda" and now > 10.0:
            return (replace(item, start=item.start + 3600.0 * (1 if now < 15.0 else -1)),)
        return (item,)

    _, made = run(predictor(table), whole, jump, until=20.0)
    clean, _ = run(predictor(table), whole, until=20.0)
    remarks = [r for e in made for r in e.remarks]
    assert sum("clock of eda jumped by +3600.0 s" in r for r in remarks) == 1
    assert sum("clock of eda jumped by -7200.0 s" in r for r in remarks) == 1
    assert made[-1].probabilities == pytest.approx(clean.since(0)[1][-1].probabilities)


def test_half_the_rate_is_named(
    table: tuple[np.ndarray, tuple[str, ...]], whole: Recording
) -> None:
    def half(item: Item, now: float) -> Sequence[Item]:
        if isinstance(item, Chunk) and item.modality == "ecg":
            return (replace(item, values=item.values[:, ::2]),)
        return (item,)

    _, made = run(predictor(table), whole, half, until=20.0)
    told = state(made[-1], "ecg")
    assert not told.present
    (reason,) = told.reasons
    assert reason.startswith("arrives at 12")
    assert reason.endswith(" Hz, announced 250 Hz")


@pytest.mark.long
def test_a_slow_recorder_clock_is_followed(
    table: tuple[np.ndarray, tuple[str, ...]], whole: Recording
) -> None:
    def slow(item: Item, now: float) -> Sequence[Item]:
        if isinstance(item, Chunk) and item.modality == "ecg":
            return (replace(item, start=item.start * 1.002),)
        return (item,)

    session, made = run(predictor(table), whole, slow, until=40.0)
    assert [r for e in made for r in e.remarks] == []
    held = session._live.signal("ecg")
    assert held is not None
    assert held.stop == pytest.approx(40.0 * 1.002, abs=0.03)


def test_what_cannot_be_used_is_refused_by_name_and_the_rest_goes_on(
    table: tuple[np.ndarray, tuple[str, ...]], whole: Recording
) -> None:
    def unknown(item: Item, now: float) -> Sequence[Item]:
        if isinstance(item, Begins) and item.modality == "ecg":
            odd = Signal(np.empty((1, 0)), 60.0, "V", True, "voltage", start=item.like.start)
            return (Begins("ppg", item.like), Begins("ecg", odd))
        return (item,)

    _, made = run(predictor(table), whole, unknown, until=8.0)
    remarks = [r for e in made for r in e.remarks]
    assert any("the model does not read 'ppg'" in r for r in remarks)
    assert any("ecg cannot be used: bandpass on ecg" in r for r in remarks)
    assert made[-1].abstained == ""
    assert not state(made[-1], "ecg").present


def test_two_channels_where_one_was_announced(
    table: tuple[np.ndarray, tuple[str, ...]], whole: Recording
) -> None:
    change = changed("eda", lambda v: np.repeat(v, 2, axis=0), first=6.0)
    _, made = run(predictor(table), whole, change, until=12.0)
    assert any("2 channels of eda came, after 1" in r for e in made for r in e.remarks)
    assert state(made[-1], "ecg").present


def test_a_running_baseline_is_learned_before_anything_is_said(
    table: tuple[np.ndarray, tuple[str, ...]], whole: Recording
) -> None:
    model = replace(predictor(table, standardise="running"), gate=QualityGate(warm_up=15.0))
    _, made = run(model, whole, until=25.0)
    # windows of 4 s that follow each other: before the one from 6 s only one has ended
    assert at(made, 10.0).abstained == "the baseline of the subject is too short: 4 of 15 s"
    assert at(made, 19.0).abstained == "the baseline of the subject is too short: 12 of 15 s"
    assert at(made, 20.0).abstained == ""


def test_the_interval_is_conformal_where_the_model_is_and_says_for_whom(
    table: tuple[np.ndarray, tuple[str, ...]], whole: Recording
) -> None:
    model = predictor(table, ConformalClassifier(forest(), coverage=0.8, n_splits=3))
    session, made = run(model, whole, until=12.0)
    spoken = [e for e in made if not e.abstained]
    assert spoken
    assert {e.coverage_kind for e in spoken} == {"conformal"}
    assert {e.coverage for e in spoken} == {0.8}
    assert any("people like those the model was trained on" in n for n in session.info.notes)
    sets = model.predict_samples  # the set's ends are the interval's
    assert callable(sets)
    calibrated = predictor(table, TemperatureCalibrated(forest(), n_splits=3))
    _, made = run(calibrated, whole, until=6.0)
    assert made[-1].coverage_kind == "calibrated"


def test_a_regressor_needs_its_levels_and_gives_a_number(
    table: tuple[np.ndarray, tuple[str, ...]], whole: Recording
) -> None:
    x, names = table
    ridge = make_pipeline(SimpleImputer(keep_empty_features=True), Ridge())
    ridge.fit(x, np.linspace(0, 10, len(x)))
    model = Predictor(ridge, chain(), "regressor", (), {}, {}, names, title="vas")
    with pytest.raises(ConfigError, match="'vas' predicts a number: give its lowest"):
        Judge(model)
    _, made = run(model, whole, until=6.0, settings=Settings(step=1.0, levels=(0.0, 10.0)))
    assert made[-1].expected_level is not None
    assert made[-1].probabilities == {}


def test_the_alert_has_a_delay_and_a_hysteresis() -> None:
    alert = Alert(threshold=1.0, hysteresis=0.2, delay=2.0)

    def told(levels: Sequence[float | None]) -> Iterator[bool]:
        for number, level in enumerate(levels):
            yield alert.update(level, float(number))

    levels = [
        0.0,
        1.1,
        1.2,
        0.9,
        1.1,
        1.1,
        1.1,
        0.9,
        0.9,
        0.9,
        None,
        0.7,
        0.7,
        None,
        0.7,
        0.7,
        0.7,
    ]
    on = [False] * 6 + [True] * 10 + [False]
    assert list(told(levels)) == on
    with pytest.raises(ConfigError, match="expected both at least 0"):
        Alert(1.0, delay=-1.0)


def test_a_source_that_is_not_there_closes_those_that_are(
    table: tuple[np.ndarray, tuple[str, ...]], whole: Recording
) -> None:
    good = Script(whole)
    empty = Replay(Recording("made", "s1", "r2", signals={"ppg": whole.signals["ecg"]}))
    session = Session(predictor(table), [good, empty], "s1")
    with pytest.raises(MonitorError, match="has none of ecg, eda, which the model reads"):
        session.open()
    assert good.closed


def test_a_session_runs_in_its_thread_and_ends_with_the_recording(
    table: tuple[np.ndarray, tuple[str, ...]], whole: Recording
) -> None:
    kept: list[Estimate] = []

    class Keep:
        keep_signals = True
        samples = 0

        def __call__(self, estimate: Estimate) -> None:
            kept.append(estimate)

        def add_signal(self, chunk: object) -> None:
            self.samples += len(chunk.samples)

    keeper = Keep()

    def attach(info: SessionInfo) -> Keep:
        assert info.sources == ("replay of r1 (made)",)
        return keeper

    short = replace(
        whole,
        signals={
            name: replace(signal, values=signal.values[:, : round(12 * signal.sampling_rate)])
            for name, signal in whole.signals.items()
        },
    )
    session = Session(predictor(table), [Replay(short)], "s1", speed=0.0).start(attach)
    session.wait(60.0)
    assert not session.running
    assert session.stopped_because == "the recording is over"
    assert len(kept) == 17  # windows of 4 s each half second of 12
    assert keeper.samples == sum(s.values.size for s in short.signals.values())


def test_a_modality_that_was_refused_holds_no_end_up(
    table: tuple[np.ndarray, tuple[str, ...]], whole: Recording
) -> None:
    """A replay whose ECG no filter can take is over when its EDA is."""
    slow = replace(whole.signals["ecg"], values=np.zeros((1, 720)), sampling_rate=60.0)
    eda = replace(whole.signals["eda"], values=whole.signals["eda"].values[:, : 12 * 32])
    part = replace(whole, signals={"eda": eda, "ecg": slow})
    session = Session(predictor(table), [Replay(part)], "s1", speed=0.0).start()
    session.wait(30.0)
    assert session.stopped_because == "the recording is over"
    told = state(session.since(0)[1][-1], "ecg")
    assert "bandpass on ecg" in told.reasons[0]


def test_a_store_that_refuses_lets_the_sources_go(
    table: tuple[np.ndarray, tuple[str, ...]], whole: Recording
) -> None:
    script = Script(whole)

    def attach(info: SessionInfo) -> Keeper:
        raise StorageError("locked by another program.")

    with pytest.raises(StorageError, match="locked by another program"):
        Session(predictor(table), [script], "s1").open(attach)
    assert script.closed


class Moody:
    """A model that fails on its second window, in two lines as scikit-learn does."""

    def __init__(self, error: Exception) -> None:
        self.error, self.asked = error, 0

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        self.asked += 1
        if self.asked == 2:
            raise self.error
        return np.tile([0.2, 0.3, 0.5], (len(x), 1))


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ValueError("Input X contains NaN.\nMoody does not accept it."), "NaN. Moody does not"),
        (ZeroDivisionError("by zero"), "a fault of dolorimeter: ZeroDivisionError: by zero"),
    ],
)
def test_a_fault_costs_its_window_and_is_named(
    table: tuple[np.ndarray, tuple[str, ...]], whole: Recording, error: Exception, told: str
) -> None:
    model = Predictor(
        Moody(error), chain(), "ordinal", ("low", "middle", "high"), {}, {}, table[1]
    )
    _, made = run(model, whole, until=8.0)
    assert [bool(e.abstained) for e in made] == [False, True, False, False, False]
    assert told in made[1].abstained


@pytest.mark.parametrize(
    "value", [np.nan, *(pytest.param(v, marks=pytest.mark.long) for v in (np.inf, 1e300))]
)
def test_times_that_are_none_are_not_believed(
    table: tuple[np.ndarray, tuple[str, ...]], whole: Recording, value: float
) -> None:
    def odd(item: Item, now: float) -> Sequence[Item]:
        if isinstance(item, Chunk) and item.modality == "eda" and 8.0 < now < 9.0:
            return (replace(item, start=value),)
        return (item,)

    _, made = run(predictor(table), whole, odd, until=14.0)
    clean, _ = run(predictor(table), whole, until=14.0)
    remarks = [r for e in made for r in e.remarks]
    assert any("placed by their number" in r for r in remarks)
    assert made[-1].probabilities == pytest.approx(clean.since(0)[1][-1].probabilities)
    assert all(len(e.remarks) < 16 for e in made)


def test_a_driver_that_fails_costs_its_own_modality(
    table: tuple[np.ndarray, tuple[str, ...]], whole: Recording
) -> None:
    class Broken(Script):
        title = "the wrist"

        def read(self, now: float) -> Sequence[Item]:
            if now > 6.0:
                raise OSError("[Errno 19] No such device\n")
            return [i for i in super().read(now) if i.modality == "eda"]

    def only(item: Item, now: float) -> Sequence[Item]:
        return (item,) if item.modality == "ecg" else ()

    sources = [Broken(whole), Script(whole, only)]
    session = Session(predictor(table), sources, "s1", settings=Settings(step=1.0))
    clock = [0.0]
    session.open(time=lambda: clock[0])
    made: list[Estimate] = []
    while clock[0] < 14.0:
        clock[0] += 0.125
        made += session.tick(clock[0])
    assert made[-1].abstained == ""
    assert not state(made[-1], "eda").present
    assert "the wrist: [Errno 19] No such device" in made[-1].remarks


def test_two_sources_of_one_modality_are_not_mixed(
    table: tuple[np.ndarray, tuple[str, ...]], whole: Recording
) -> None:
    other = body(20.0, seed=8)
    sources = [Script(whole), Script(other)]
    session = Session(predictor(table), sources, "s1", settings=Settings(step=1.0))
    clock = [0.0]
    session.open(time=lambda: clock[0])
    made: list[Estimate] = []
    while clock[0] < 10.0:
        clock[0] = round(clock[0] + 0.125, 6)
        made += session.tick(clock[0])
    alone, _ = run(predictor(table), whole, until=10.0)
    assert made[-1].probabilities == pytest.approx(alone.since(0)[1][-1].probabilities)
    assert any("eda comes from script already" in r for e in made for r in e.remarks)


def test_a_reason_of_a_device_may_be_long_and_of_many_lines(
    table: tuple[np.ndarray, tuple[str, ...]], whole: Recording
) -> None:
    def lost(item: Item, now: float) -> Sequence[Item]:
        if isinstance(item, Chunk) and item.modality == "eda" and now > 6.0:
            return (Lost("eda", "a driver\nsays " + "much " * 300),)
        return (item,)

    _, made = run(predictor(table), whole, lost, until=12.0)
    assert state(made[-1], "eda").reasons[0].startswith("a driver says much")


@pytest.mark.parametrize("threshold", [0.0, 2.1, float("nan")])
def test_an_alert_that_is_always_or_never_on_is_refused(
    table: tuple[np.ndarray, tuple[str, ...]], whole: Recording, threshold: float
) -> None:
    with pytest.raises(ConfigError, match=r"alert from level"):
        Session(predictor(table), [Script(whole)], "s1", alert=Alert(threshold))


def test_raw_signals_of_several_channels_have_names_and_times_of_their_own(
    table: tuple[np.ndarray, tuple[str, ...]], whole: Recording
) -> None:
    kept: list[RawChunk] = []

    class Keep:
        keep_signals = True

        def __call__(self, estimate: Estimate) -> None:
            pass

        def add_signal(self, chunk: RawChunk) -> None:
            kept.append(chunk)

    def change(item: Item, now: float) -> Sequence[Item]:
        if item.modality != "eda":
            return (item,)
        if isinstance(item, Begins):
            two = replace(item.like, values=np.empty((2, 0)))
            return (replace(item, like=two),)
        if isinstance(item, Chunk):
            jumped = item.start - (3600.0 if now > 5.0 else 0.0)
            wide = np.vstack([item.values, -item.values])
            return (replace(item, values=wide if now < 9.0 else wide[:1], start=jumped),)
        return (item,)

    session = Session(predictor(table), [Script(whole, change)], "s1")
    clock = [0.0]
    session.open(lambda info: Keep(), time=lambda: clock[0])
    while clock[0] < 10.0:
        clock[0] += 0.125
        session.tick(clock[0])
    assert {c.name for c in kept} == {"eda.1", "eda.2", "ecg"}
    for name in ("eda.1", "eda.2"):
        starts = [c.start for c in kept if c.name == name]
        assert starts == sorted(set(starts))
        values = np.concatenate([c.samples for c in kept if c.name == name])
        sign = 1 if name == "eda.1" else -1
        # what came with another number of channels than announced is not kept
        np.testing.assert_array_equal(values, sign * whole.signals["eda"].values[0, : len(values)])
        assert 32 * 8.8 <= len(values) <= 32 * 9
