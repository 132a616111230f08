"""Recordings that break an assumption: a file that goes away, a modality, unit or event less."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from dolorimeter.chain import Pipeline, Stream
from dolorimeter.errors import DatasetError, FileReadError, RecordingError, SignalError
from dolorimeter.preprocessing import Bandpass, BaselineCorrect
from dolorimeter.representations import Features, Raw
from dolorimeter.storage import Cache
from dolorimeter.types import LazySignals, Rating, Recording, Signal, Stimulus
from dolorimeter.windows import WindowSpec

RATE = 100.0
SPEC = WindowSpec(duration=1.0)
RAW = (Stream("eda", (), Raw("eda")), Stream("ecg", (), Raw("ecg")))


def recording(
    subject: str,
    names: tuple[str, ...] = ("eda", "ecg"),
    *,
    gap: slice | None = None,
    unit: str = "S",
    rate: float = RATE,
    stimuli: tuple[Stimulus, ...] = (Stimulus(0.0, 1.0, "rest"), Stimulus(1.5, 1.0, "pain")),
    ratings: tuple[Rating, ...] = (),
) -> Recording:
    """Four seconds in memory, two stimuli."""
    signals = {}
    for i, name in enumerate(names):
        values = np.sin(np.arange(int(4 * rate)) / 7 + i)[None] * 1e-6 + 5e-6
        if gap is not None:
            values[:, gap] = np.nan
        kind = (unit, "conductance") if name == "eda" else ("V", "voltage")
        signals[name] = Signal(values, rate, kind[0], True, kind[1])
    return Recording("made", subject, subject, signals=signals, stimuli=stimuli, ratings=ratings)


def _read(path: Path) -> Mapping[str, Signal]:
    """The reader of a format: one number per line."""
    try:
        values = np.array([float(line) for line in path.read_text().split()])
    except OSError as error:
        raise RecordingError(f"{path}: cannot be read ({error.strerror}).") from error
    except ValueError as error:
        raise RecordingError(f"{path}: not numbers ({error}).") from error
    return {"eda": Signal(values[None], RATE, "S", True, "conductance")}


def _raw_read(path: Path) -> Mapping[str, Signal]:
    """A reader of a user, who lets errors of the system pass."""
    return {"eda": Signal(np.loadtxt(path)[None], RATE, "S", True, "conductance")}


def files(folder: Path, read: Callable[[Path], Mapping[str, Signal]]) -> list[Recording]:
    """Three subjects with one file each."""
    recordings = []
    for s in range(3):
        path = folder / f"s{s}.txt"
        values = 5e-6 + 1e-7 * np.sin(np.arange(400) / (9 + s))
        path.write_text("\n".join(f"{v:.12f}" for v in values))
        recordings.append(
            Recording(
                "made",
                f"s{s}",
                path.stem,
                signals=LazySignals(["eda"], partial(read, path)),
                stimuli=(Stimulus(0.0, 1.0, "rest"), Stimulus(1.5, 1.0, "pain")),
                sources=(path,),
            )
        )
    return recordings


# ── read errors ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("read", [_read, _raw_read])
def test_a_file_that_vanishes_stops_the_run_and_leaves_the_cache_clean(
    tmp_path: Path, read: Callable[[Path], Mapping[str, Signal]]
) -> None:
    recordings = files(tmp_path, read)
    chain, cache = Pipeline(SPEC, RAW[:1]), Cache(tmp_path / "cache")
    away = tmp_path / "s1.txt"
    away.rename(tmp_path / "away")
    with pytest.raises(FileReadError, match=r"s1\.txt.*run the same command"):
        chain.samples(recordings, cache=cache)
    (tmp_path / "away").rename(away)
    again = chain.samples(recordings, cache=cache)
    assert len(again) == 6
    assert again.exclusions == ()
    assert len(chain.samples(recordings, cache=cache)) == 6


def test_a_file_that_vanishes_after_its_digest_was_taken_stops_the_run(tmp_path: Path) -> None:
    recordings = files(tmp_path, _read)
    chain, cache = Pipeline(SPEC, RAW[:1]), Cache(tmp_path / "cache")
    batches = chain.batches(recordings)
    keys = chain.keys(batches, cache)
    assert None not in keys
    content = (tmp_path / "s2.txt").read_text()
    (tmp_path / "s2.txt").unlink()
    with pytest.raises(FileReadError, match=r"s2\.txt"):
        list(chain.parts(batches, keys, cache=cache))
    (tmp_path / "s2.txt").write_text(content)
    assert len(chain.samples(recordings, cache=cache)) == 6


def test_a_file_that_shrinks_while_it_is_read_is_not_cached(tmp_path: Path) -> None:
    recordings = files(tmp_path, _read)
    path = tmp_path / "s1.txt"
    lines = path.read_text().split()

    def shrinking(path: Path) -> Mapping[str, Signal]:
        path.write_text("\n".join(lines[:300]))
        return _read(path)

    signals = LazySignals(["eda"], partial(shrinking, path))
    recordings[1] = replace(recordings[1], signals=signals)
    chain, cache = Pipeline(SPEC, RAW[:1]), Cache(tmp_path / "cache")
    with pytest.raises(FileReadError, match=r"s1\.txt: changed or disappeared"):
        chain.samples(recordings, cache=cache)


@pytest.mark.parametrize("number", [5, 13, 116])  # EIO, EACCES, ESTALE
def test_an_error_of_the_system_behind_a_recording_error_is_no_exclusion(
    tmp_path: Path, number: int
) -> None:
    def refused(path: Path) -> Mapping[str, Signal]:
        try:
            raise OSError(number, "refused", str(path))
        except OSError as error:
            raise RecordingError(f"{path}: the library gave up.") from error

    recordings = files(tmp_path, refused)
    with pytest.raises(FileReadError, match="refused"):
        Pipeline(SPEC, RAW[:1]).samples(recordings)


def test_a_read_that_succeeds_at_the_second_attempt_counts(tmp_path: Path) -> None:
    attempts: list[Path] = []

    def once(path: Path) -> Mapping[str, Signal]:
        attempts.append(path)
        if len(attempts) == 1:
            raise OSError(116, "stale file handle", str(path))
        return _read(path)

    samples = Pipeline(SPEC, RAW[:1]).samples(files(tmp_path, once))
    assert len(samples) == 6
    assert samples.exclusions == ()


def test_faulty_content_stays_an_exclusion_and_is_cached(tmp_path: Path) -> None:
    recordings = files(tmp_path, _read)
    (tmp_path / "s1.txt").write_text("not numbers")
    chain, cache = Pipeline(SPEC, RAW[:1]), Cache(tmp_path / "cache")
    for _ in range(2):
        samples = chain.samples(recordings, cache=cache)
        assert [(e.subject, e.what) for e in samples.exclusions] == [("s1", "recording")]
        assert "not numbers" in samples.exclusions[0].reason


# ── one subject differs ─────────────────────────────────────────────────────────────────────────


def test_a_subject_without_one_of_two_raw_streams_is_marked_absent() -> None:
    cohort = [recording("p1"), recording("p2", ("ecg",)), recording("p3")]
    samples = Pipeline(SPEC, RAW).samples(cohort)
    assert isinstance(samples.x, Mapping)
    assert samples.present is not None
    assert samples.present["eda"].tolist() == [True, True, False, False, True, True]
    assert samples.x["eda"].shape == samples.x["ecg"].shape == (6, 1, 100)
    assert np.isnan(samples.x["eda"][2:4]).all()
    assert any("no eda" in note for note in samples.notes)
    for order in ([1, 0, 2], [0, 2, 1]):
        same = Pipeline(SPEC, RAW).samples([cohort[i] for i in order])
        assert isinstance(same.x, Mapping)
        assert same.x["eda"].shape == (6, 1, 100)


def test_a_raw_stream_that_nobody_has_is_named() -> None:
    with pytest.raises(DatasetError, match="stream 'eda': no recording has the signal"):
        Pipeline(SPEC, RAW).samples([recording(s, ("ecg",)) for s in "ab"])


@pytest.mark.parametrize("representation", [Features("eda"), Raw("eda")])
def test_a_window_without_baseline_is_excluded_and_listed(representation: Features | Raw) -> None:
    step = BaselineCorrect(mode="window", duration=0.3, modalities=("eda",))
    chain = Pipeline(SPEC, (Stream("eda", (step,), representation),))
    samples = chain.samples([recording("p1"), recording("p2", gap=slice(150, 185))])
    assert samples.meta["subject"].tolist() == ["p1", "p1", "p2"]
    ((subject, what),) = [(e.subject, e.what) for e in samples.exclusions]
    assert (subject, what) == ("p2", "window at 1.5 s")


@pytest.mark.parametrize(
    ("odd", "reason"),
    [
        ({"unit": "kOhm"}, "kOhm"),
        ({"rate": 50.0}, "1 × (1, 50)"),
        ({"unit": "a.u."}, "a.u."),
    ],
)
@pytest.mark.parametrize("place", [0, 1, 3])
def test_one_subject_in_another_form_is_excluded_and_the_others_go_on(
    odd: dict[str, object], reason: str, place: int
) -> None:
    cohort = [recording(f"p{i}") for i in range(3)]
    cohort.insert(place, recording("odd", **odd))  # type: ignore[arg-type]
    samples = Pipeline(SPEC, RAW[:1]).samples(cohort)
    assert sorted(set(samples.subjects)) == ["p0", "p1", "p2"]
    (fault,) = samples.exclusions
    assert (fault.subject, fault.what) == ("odd", "recording")
    assert reason in fault.reason


def test_without_a_majority_no_form_is_chosen() -> None:
    with pytest.raises(SignalError, match="recordings differ"):
        Pipeline(SPEC, RAW[:1]).samples([recording("p1"), recording("p2", rate=50.0)])


def test_a_gap_of_one_subject_does_not_end_the_run_of_the_others() -> None:
    stream = Stream("ecg", (Bandpass(low=1.0, high=40.0, modalities=("ecg",)),), Features("ecg"))
    cohort = [recording("p1"), recording("p2", gap=slice(150, 185)), recording("p3")]
    samples = Pipeline(SPEC, (stream,)).samples(cohort)
    without = Pipeline(SPEC, (stream,)).samples([cohort[0], cohort[2]])
    assert isinstance(samples.x, np.ndarray)
    assert isinstance(without.x, np.ndarray)
    others = np.isin(samples.subjects, ["p1", "p3"])
    assert np.array_equal(samples.x[others], without.x, equal_nan=True)


@pytest.mark.parametrize("unit", ["kOhm", "a.u."])
def test_a_unit_that_features_refuse_costs_one_subject(unit: str) -> None:
    cohort = [recording("p1"), recording("odd", unit=unit), recording("p3")]
    samples = Pipeline(SPEC, (Stream("eda", (), Features("eda")),)).samples(cohort)
    assert set(samples.subjects) == {"p1", "p3"}
    assert [e.subject for e in samples.exclusions] == ["odd"]


def test_recordings_without_stimuli_are_listed() -> None:
    cohort = [recording("p1"), recording("p2", stimuli=())]
    for spec in (SPEC, replace(SPEC, conditions=("rest", "pain"))):
        samples = Pipeline(spec, RAW[1:]).samples(cohort)
        assert set(samples.subjects) == {"p1"}
        assert [(e.subject, e.recording) for e in samples.exclusions] == [("p2", "p2")]
        assert "no stimulus is stated" in samples.exclusions[0].reason


# ── ratings ─────────────────────────────────────────────────────────────────────────────────────


def ratings_of(*ratings: Rating, stimuli: tuple[Stimulus, ...] | None = None,
               spec: WindowSpec = SPEC) -> tuple[list[float], tuple[str, ...]]:  # fmt: skip
    """Rating of each window, and the notes."""
    one = recording("p1", ratings=ratings)
    if stimuli is not None:
        one = replace(one, stimuli=stimuli)
    samples = Pipeline(spec, RAW[1:]).samples([one])
    return samples.meta["rating_vas"].tolist(), samples.notes


def vas(value: float, onset: float | None = None) -> Rating:
    return Rating("vas", value, "self_report", onset)


def test_a_rating_belongs_to_the_stimulus_it_was_given_in() -> None:
    assert ratings_of(vas(2.0, 0.5), vas(9.0, 2.0))[0] == [2.0, 9.0]
    assert ratings_of(vas(9.0, 2.0), vas(2.0, 0.5))[0] == [2.0, 9.0]


def test_a_rating_after_a_stimulus_belongs_to_the_one_before() -> None:
    assert ratings_of(vas(2.0, 1.2), vas(9.0, 3.5))[0] == [2.0, 9.0]


@pytest.mark.parametrize("onset", [-5.0, 99.0])
def test_a_rating_outside_the_recording_belongs_to_no_stimulus(onset: float) -> None:
    values, notes = ratings_of(vas(2.0, 0.5), vas(9.0, onset))
    assert values[0] == 2.0
    assert np.isnan(values[1])
    assert any("rating_vas: a rating lies outside the recording" in note for note in notes)


def test_a_stimulus_without_rating_has_none() -> None:
    values, notes = ratings_of(vas(9.0, 2.0))
    assert np.isnan(values[0])
    assert values[1] == 9.0
    assert any("no rating belongs to the window" in note for note in notes)


def test_a_rating_without_onset_belongs_to_the_recording() -> None:
    assert ratings_of(vas(3.0))[0] == [3.0, 3.0]
    assert ratings_of(vas(3.0), vas(3.0))[0] == [3.0, 3.0]


@pytest.mark.parametrize(
    "ratings", [(vas(3.0), vas(4.0)), (vas(3.0), vas(4.0, 0.5)), (vas(1.0, 0.2), vas(2.0, 0.4))]
)
def test_ratings_that_compete_are_nan_with_a_reason(ratings: tuple[Rating, ...]) -> None:
    values, notes = ratings_of(*ratings)
    assert np.isnan(values).all()
    assert any(note.startswith("rating_vas: ") for note in notes)


def test_of_several_ratings_of_a_stimulus_the_one_inside_the_window_counts() -> None:
    spec = WindowSpec(duration=1.0, anchor="sliding")
    long = (Stimulus(0.0, 4.0, "pain"),)
    rated = [vas(float(i), i + 0.5) for i in range(4)]
    assert ratings_of(*rated, stimuli=long, spec=spec)[0] == [0.0, 1.0, 2.0, 3.0]
    assert ratings_of(rated[2], stimuli=long, spec=spec)[0] == [2.0] * 4


def test_windows_without_stimulus_have_the_rating_inside_them() -> None:
    spec = WindowSpec(duration=2.0, anchor="recording", step=2.0)
    assert ratings_of(vas(1.0, 1.0), vas(5.0, 3.0), stimuli=(), spec=spec)[0] == [1.0, 5.0]
