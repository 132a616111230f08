"""The chain: rows follow windows, nothing is lost, the cache changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dolorimeter.chain import Pipeline, Stream, build, encoder_of
from dolorimeter.errors import ConfigError, DatasetError, RecordingError
from dolorimeter.preprocessing import Bandpass, Lowpass
from dolorimeter.registry import PREPROCESSING, REPRESENTATIONS, Registry
from dolorimeter.representations import Features, Raw
from dolorimeter.storage import Cache
from dolorimeter.types import Exclusion, LazySignals, Recording, Signal, Stimulus
from dolorimeter.windows import WindowSpec

RATE = 100.0
SPEC = WindowSpec(duration=5.0)
EDA = Stream("eda", (), Features("eda"))
ECG = Stream("ecg", (), Features("ecg"))


def _read(path: Path, seed: int, names: tuple[str, ...]) -> dict[str, Signal]:
    if path.read_bytes() == b"broken":
        raise RecordingError(f"{path}: broken, expected numbers. Fetch it again.")
    rng = np.random.default_rng(seed)
    units = {"eda": ("S", "conductance", 1e-6), "ecg": ("V", "voltage", 1e-3)}
    return {
        n: Signal(
            units[n][2] * (5 + rng.normal(size=(1, 500)).cumsum(axis=1)),
            RATE,
            units[n][0],
            True,
            units[n][1],
        )
        for n in names
    }


def cohort(
    folder: Path, subjects: int = 3, clips: int = 4, names: tuple[str, ...] = ("eda", "ecg")
) -> list[Recording]:
    """Clips of 5 s, one stimulus each, alternately BL1 and PA4, with a file behind each."""
    folder.mkdir(exist_ok=True)
    found = []
    for s in range(subjects):
        for c in range(clips):
            path = folder / f"s{s}-{c}.csv"
            path.write_text(f"{s} {c}")
            condition, level = (("BL1", 0), ("PA4", 4))[c % 2]
            found.append(
                Recording(
                    "made",
                    f"s{s}",
                    path.stem,
                    signals=LazySignals(names, partial(_read, path, 10 * s + c, names)),
                    stimuli=(Stimulus(None, None, condition, level),),
                    subject_info={"sex": "wm"[s % 2]},
                    sources=(path,),
                    facts={"clip_index": float(c)},
                )
            )
    return found


def test_rows_follow_the_recordings(tmp_path: Path) -> None:
    recordings = cohort(tmp_path)
    samples = Pipeline(SPEC, (EDA, ECG)).samples(recordings, label_source="stimulus")
    assert samples.meta["recording"].tolist() == [r.name for r in recordings]
    assert samples.meta["condition"].tolist() == ["BL1", "PA4"] * 6
    assert samples.meta["sex"].tolist() == ["w"] * 4 + ["m"] * 4 + ["w"] * 4
    assert samples.label_source == "stimulus"
    assert isinstance(samples.x, np.ndarray)
    one = Pipeline(SPEC, (ECG,)).samples(recordings[5:6])
    assert samples.feature_names[-len(one.feature_names) :] == tuple(
        f"ecg.{n}" for n in one.feature_names
    )
    assert isinstance(one.x, np.ndarray)
    own = samples.x[5, -one.x.shape[1] :]
    assert np.array_equal(own, one.x[0], equal_nan=True)
    assert samples.facts is not None
    assert samples.facts["clip_index"].tolist() == [0, 1, 2, 3] * 3


def test_the_cache_changes_nothing_and_sees_a_changed_file(tmp_path: Path) -> None:
    recordings = cohort(tmp_path / "data")
    chain, cache = Pipeline(SPEC, (EDA,)), Cache(tmp_path / "samples")
    fresh = chain.samples(recordings)
    first, second = (chain.samples(recordings, cache=cache) for _ in range(2))
    for other in (first, second):
        assert isinstance(other.x, np.ndarray)
        assert isinstance(fresh.x, np.ndarray)
        assert np.array_equal(other.x, fresh.x, equal_nan=True)
        pd.testing.assert_frame_equal(other.meta, fresh.meta)
        assert other.facts is not None
        assert fresh.facts is not None
        pd.testing.assert_frame_equal(other.facts, fresh.facts)
        assert other.notes == fresh.notes
    recordings[0].sources[0].write_bytes(b"broken")
    changed = chain.samples(recordings, cache=cache)
    assert len(changed) == len(fresh) - 1


@pytest.mark.long
def test_two_processes_give_the_same(tmp_path: Path) -> None:
    recordings = cohort(tmp_path)
    chain = Pipeline(SPEC, (EDA, ECG))
    one, two = chain.samples(recordings), chain.samples(recordings, workers=2)
    assert isinstance(one.x, np.ndarray)
    assert isinstance(two.x, np.ndarray)
    assert np.array_equal(one.x, two.x, equal_nan=True)
    assert one.notes == two.notes


def test_a_broken_file_is_kept_out_and_counted(tmp_path: Path) -> None:
    recordings = cohort(tmp_path)
    recordings[2].sources[0].write_bytes(b"broken")
    samples = Pipeline(SPEC, (EDA,)).samples(
        recordings, exclusions=[Exclusion("s9", "s9-0", "file", "missing")]
    )
    assert len(samples) == len(recordings) - 1
    assert [(e.subject, e.recording) for e in samples.exclusions] == [
        ("s9", "s9-0"),
        ("s0", "s0-2"),
    ]
    assert "broken, expected numbers" in samples.exclusions[1].reason


def test_a_missing_modality_is_marked_not_dropped(tmp_path: Path) -> None:
    recordings = cohort(tmp_path / "both", 1) + cohort(tmp_path / "one", 1, names=("eda",))
    samples = Pipeline(SPEC, (EDA, ECG)).samples(recordings)
    assert samples.present is not None
    assert samples.present["ecg"].tolist() == [True] * 4 + [False] * 4
    assert samples.present["eda"].all()


def test_nothing_left_says_why(tmp_path: Path) -> None:
    chain = Pipeline(WindowSpec(duration=9.0), (EDA,))
    with pytest.raises(
        DatasetError, match=r"none of 12 recordings gave a window \(12 exclusions\)"
    ):
        chain.samples(cohort(tmp_path))


def test_raw_streams_keep_their_shape_and_several_their_names(tmp_path: Path) -> None:
    recordings = cohort(tmp_path)
    raw = Stream("raw", (), Raw("eda", unit="uS"))
    one = Pipeline(SPEC, (raw,)).samples(recordings)
    assert isinstance(one.x, np.ndarray)
    assert one.x.shape == (12, 1, 500)
    assert 0.1 < abs(one.x.mean()) < 100
    two = Pipeline(SPEC, (raw, ECG)).samples(recordings)
    assert isinstance(two.x, dict)
    assert set(two.x) == {"raw", "ecg"}


def test_what_a_step_has_to_say_stands_in_the_notes(tmp_path: Path) -> None:
    band = {"low": 0.5, "high": 0.49 * RATE}
    told = f"bandpass 0.5–{0.49 * RATE:g} Hz of eda was a high-pass at 0.5 Hz"
    for mode in ("zero_phase", "window"):
        step = Bandpass(**band, mode=mode, modalities=["eda"])
        chain = Pipeline(SPEC, (Stream("eda", (step,), Raw("eda")),))
        samples = chain.samples(cohort(tmp_path / mode))
        (note,) = [note for note in samples.notes if note.startswith(told)]
        assert note.endswith("(windows: 12)")


def test_standardising_within_subject_is_declared(tmp_path: Path) -> None:
    samples = Pipeline(SPEC, (EDA,), standardise="task_windows").samples(cohort(tmp_path))
    assert samples.target_access == "unlabelled_target"
    with pytest.raises(ConfigError, match="standardise is 'z', expected none, all_recording"):
        Pipeline(SPEC, (EDA,), standardise="z").samples(cohort(tmp_path))


def test_a_declared_baseline_is_the_reference(tmp_path: Path) -> None:
    recordings = cohort(tmp_path, clips=8)
    plain = Pipeline(SPEC, (EDA,)).samples(recordings)
    chain = Pipeline(SPEC, (EDA,), standardise="declared_baseline", baseline=("BL1",))
    samples = chain.samples(recordings)
    assert samples.target_access == "labelled_reference"
    assert isinstance(plain.x, np.ndarray)
    assert isinstance(samples.x, np.ndarray)
    own = (samples.subjects == "s0") & (samples.meta["condition"] == "BL1").to_numpy()
    column = int(np.flatnonzero(np.isfinite(plain.x).all(axis=0))[0])
    assert samples.x[own, column].mean() == pytest.approx(0.0, abs=1e-9)
    other = (samples.subjects == "s0") & ~own
    reference = plain.x[own, column]
    wanted = (plain.x[other, column] - reference.mean()) / reference.std()
    assert samples.x[other, column] == pytest.approx(wanted)


def test_running_follows_time_and_never_names_that_hold_the_condition(tmp_path: Path) -> None:
    """BioVid's names sort by level: in their order every baseline clip would come first."""
    recordings = cohort(tmp_path, subjects=1, clips=8)
    told = [
        replace(r, name=f"{r.stimuli[0].condition}-{i}", facts={"clip_index": float(i)})
        for i, r in enumerate(recordings)
    ]
    samples = Pipeline(SPEC, (EDA,), standardise="running").samples(told)
    assert isinstance(samples.x, np.ndarray)
    unknown = np.isnan(samples.x).all(axis=1)
    # three clips must come before; the second one has no contact with the skin and does not count
    assert samples.meta["recording"][unknown].tolist() == ["BL1-0", "PA4-1", "BL1-2", "PA4-3"]
    with pytest.raises(ConfigError, match="'running' needs to know in what order"):
        Pipeline(SPEC, (EDA,), standardise="running").samples([replace(r, facts={}) for r in told])


def test_one_recording_in_another_unit_is_one_exclusion(tmp_path: Path) -> None:
    """All clips of a subject are one batch: a volt among siemens costs the other clips nothing."""
    recordings = cohort(tmp_path, subjects=2, clips=4, names=("eda",))
    wrong = recordings[1].load()
    signals = {"eda": replace(wrong.signals["eda"], unit="V")}
    recordings[1] = replace(recordings[1], signals=signals)
    samples = Pipeline(SPEC, (EDA,)).samples(recordings)
    assert len(samples) == 7
    (lost,) = samples.exclusions
    assert (lost.subject, lost.recording) == (wrong.subject, wrong.name)
    assert "eda is in V, which does not convert to uS" in lost.reason


def test_pulses_that_point_downwards_are_counted(tmp_path: Path) -> None:
    time = np.arange(500) / RATE
    pulse = np.exp(4.0 * np.sin(2 * np.pi * 1.2 * time))[None]
    recordings = [
        replace(r, signals={"ppg": Signal(sign * pulse, RATE, "1", False, "pulse")})
        for r, sign in zip(cohort(tmp_path, 1, 4), (1, -1, -1, 1), strict=True)
    ]
    samples = Pipeline(SPEC, (Stream("ppg", (), Features("ppg")),)).samples(recordings)
    notes = [note for note in samples.notes if "points downwards" in note]
    assert notes == ["ppg: the pulse points downwards; features turn it upright (windows: 2)"]
    assert isinstance(samples.x, np.ndarray)
    np.testing.assert_allclose(samples.x[1:3], samples.x[[0, 0]], rtol=1e-9)


def test_samples_alone_cannot_be_put_against_a_running_baseline(tmp_path: Path) -> None:
    samples = Pipeline(SPEC, (EDA,)).samples(cohort(tmp_path, 1, 4))
    with pytest.raises(ConfigError, match="made of windows of the recordings"):
        Pipeline(SPEC, (EDA,), "running").standardised(samples)


def test_the_cache_sees_options_and_values_that_are_in_no_file(tmp_path: Path) -> None:
    chain, cache = Pipeline(SPEC, (EDA,)), Cache(tmp_path / "samples")

    def first(signals: Mapping[str, Signal]) -> float:
        recording = replace(cohort(tmp_path / "data", 1, 1)[0], signals=signals)
        x = chain.samples([recording], cache=cache).x
        assert isinstance(x, np.ndarray)
        return float(x[0, 0])

    path = tmp_path / "data" / "s0-0.csv"
    option = [first(LazySignals(("eda",), partial(_read, path, s, ("eda",)))) for s in (0, 1, 0)]
    assert option[0] == option[2] != option[1]
    values = [first(_read(path, s, ("eda",))) for s in (0, 1, 0)]
    assert values == option


def test_a_chain_survives_its_dictionary(tmp_path: Path) -> None:
    stream = Stream(
        "eda", (Lowpass(modalities=("eda",), cut=5.0, mode="causal"),), Features("eda")
    )
    chain = Pipeline(WindowSpec(duration=4.0, conditions=("BL1",)), (stream,), "running")
    again = Pipeline.from_dict(chain.to_dict())
    assert again == chain
    recordings = cohort(tmp_path, 1)
    a, b = chain.samples(recordings), again.samples(recordings)
    assert a.target_access == "unlabelled_target"
    assert isinstance(a.x, np.ndarray)
    assert isinstance(b.x, np.ndarray)
    assert np.array_equal(a.x, b.x, equal_nan=True)


def test_whole_recording_steps_are_obstacles_live() -> None:
    step = Lowpass(modalities=("eda",), cut=5.0, mode="zero_phase")
    chain = Pipeline(SPEC, (Stream("eda", (step,), Features("eda")),), "task_windows")
    assert len(chain.live_obstacles) == 2
    assert "lowpass" in chain.live_obstacles[0]
    assert Pipeline(SPEC, (EDA,)).live_obstacles == ()


def test_build_names_what_it_does_not_know() -> None:
    with pytest.raises(ConfigError, match="has no argument 'cutt'; did you mean 'cut'"):
        build(PREPROCESSING, {"name": "lowpass", "cutt": 3.0})
    with pytest.raises(ConfigError, match="did you mean features"):
        build(REPRESENTATIONS, {"name": "feature"})
    with pytest.raises(ConfigError, match="needs a name"):
        build(REPRESENTATIONS, {"modality": "eda"})


@pytest.mark.parametrize(
    ("step", "told"),
    [
        ({"name": "bandpass", "low": "x"}, "'bandpass': low is 'x', expected a finite number"),
        ({"name": "lowpass", "cut": float("nan")}, "'lowpass': cut is nan, expected a finite"),
        ({"name": "lowpass", "order": 2.5}, "order is 2.5, expected a whole number"),
        ({"name": "face_track", "stride": [1]}, r"stride is \(1,\), expected a whole number"),
        ({"name": "face_track", "stride": True}, "stride is True, expected a whole number"),
        ({"name": "face_track", "modality": 4}, "modality is 4, expected a text"),
        ({"name": "notch", "modalities": "ecg"}, "modalities is 'ecg', expected a list of texts"),
        ({"name": "notch", "modalities": [1]}, r"is \(1,\), expected a list of texts"),
        ({"name": ["notch"]}, r"name is \['notch'\], expected a text"),
    ],
)
def test_a_step_of_the_wrong_type_is_named_with_what_was_wanted(
    step: dict[str, object], told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        build(PREPROCESSING, step)


@pytest.mark.extra("deep")
def test_values_of_the_right_types_pass() -> None:
    made = build(PREPROCESSING, {"name": "lowpass", "cut": 3.0, "modalities": ["ecg"]})
    assert (made.cut, made.modalities) == (3.0, ("ecg",))
    frames = build(REPRESENTATIONS, {"name": "face_frames", "frame_rate": None, "stride": 2})
    assert (frames.frame_rate, frames.stride) == (None, 2)
    with pytest.raises(ConfigError, match="frame_rate is 'x', expected a finite number"):
        build(REPRESENTATIONS, {"name": "face_frames", "frame_rate": "x"})
    with pytest.raises(ConfigError, match=r"encoder: threads is 1\.5, expected a whole"):
        encoder_of({"name": "tnt_s_patch16_224", "threads": 1.5})


WRONG = ("x", 1.5, -7, True, [1], {"a": 1}, None, float("nan"), [])


@pytest.mark.parametrize("registry", [PREPROCESSING, REPRESENTATIONS], ids=lambda r: r.noun)
def test_no_value_makes_a_stage_fail_without_a_name(registry: Registry[type]) -> None:
    """Every argument of every stage, and values of every type that TOML has."""
    for name in registry.names():
        for argument in fields(registry.get(name)):
            for value in WRONG:
                with suppress(ConfigError):
                    build(registry, {"name": name, argument.name: value})


def test_samples_that_would_fill_the_memory_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dolorimeter.chain._chain.MEMORY", 10_000)
    raw = Pipeline(SPEC, (Stream("eda", (), Raw("eda")),))
    with pytest.raises(ConfigError, match=r"of \d+ of 12 recordings take .* an encoder, fewer"):
        raw.samples(cohort(tmp_path))
