"""Embeddings as a folder: the chain's own numbers, little memory, nothing lost at a kill."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn
from typer.testing import CliRunner

import dolorimeter as dl
from dolorimeter import cli
from dolorimeter.chain import Pipeline, Stored, Stream, load_embeddings, store
from dolorimeter.chain._arrays import HEADER, GrowingArray
from dolorimeter.chain._stored import DESCRIPTION
from dolorimeter.embeddings import Encoder, _engine
from dolorimeter.errors import (
    ConfigError,
    DatasetError,
    RecordingError,
    SignalError,
    StorageError,
    UnknownNameError,
)
from dolorimeter.experiment import EmbeddingPlan, embed, erase_subject, plan_embedding
from dolorimeter.registry import MODELS, Card, InputSpec
from dolorimeter.representations import SpectrogramPSD, VideoFrames, Waveform
from dolorimeter.storage import Cache, locked
from dolorimeter.types import Recording, Signal, Stimulus, Video
from dolorimeter.video import VideoWriter
from dolorimeter.windows import WindowSpec

SIDE = 32
NAME = "tests_thirds"
RATE, SECONDS = 10.0, 2.0
SPEC = WindowSpec(duration=SECONDS, anchor="sliding", inside_stimulus=False)


class Thirds(nn.Module):
    """Mean of each third of the picture: what an embedding is can be reckoned by hand."""

    gives_features = True

    def __init__(self, num_classes: int = 0) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=1).unflatten(2, (2, SIDE // 2)).mean(dim=(1, 3))


@pytest.fixture(scope="module", autouse=True)
def _encoder() -> Iterator[None]:
    """Registered for these tests alone: others walk the registry."""
    MODELS.names()
    spec = InputSpec((3, SIDE, SIDE), mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    MODELS.register(Card(NAME, "For tests.", input=spec))(Thirds)
    yield
    MODELS._entries.pop(NAME)
    MODELS._cards.pop(NAME)


def stream(modality: str, pooling: str = "none") -> Stream:
    drawn = Waveform(modality, size=SIDE)
    return Stream(modality, (), drawn, encoder=Encoder(NAME, batch_size=4), pooling=pooling)


def chain(*modalities: str, pooling: str = "none") -> Pipeline:
    return Pipeline(SPEC, tuple(stream(m, pooling) for m in modalities or ("eda",)))


def signal(seed: int, windows: int = 3, *, channels: int = 1) -> Signal:
    values = np.random.default_rng(seed).normal(size=(channels, round(windows * SECONDS * RATE)))
    return Signal(values.cumsum(axis=1), RATE, "S", True, "conductance")


def cohort(people: int = 3, **more: Signal) -> list[Recording]:
    return [
        Recording(
            "made",
            f"s{i}",
            f"r{i}",
            signals={"eda": signal(i), **more},
            stimuli=(Stimulus(0.0, 2.0, "low"), Stimulus(2.0, 2.0, "high")),
            subject_info={"sex": "f" if i % 2 else "m"},
        )
        for i in range(people)
    ]


def same(found: dl.Samples, wanted: dl.Samples) -> None:
    pd.testing.assert_frame_equal(found.meta, wanted.meta)
    assert found.facts is not None
    assert wanted.facts is not None
    pd.testing.assert_frame_equal(found.facts, wanted.facts)
    for one, other in ((found.x, wanted.x), (found.present, wanted.present)):
        if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
            np.testing.assert_array_equal(one, other)
            continue
        assert one is not None
        assert other is not None
        assert not isinstance(one, np.ndarray)
        assert not isinstance(other, np.ndarray)
        assert list(one) == list(other)
        for name, values in one.items():
            np.testing.assert_array_equal(values, other[name])
    np.testing.assert_array_equal(found.quality, wanted.quality)  # type: ignore[arg-type]  # both have one
    for name in ("feature_names", "feature_units", "exclusions", "target_access", "notes"):
        assert getattr(found, name) == getattr(wanted, name), name
    assert (found.label_source, found.lookalike) == (wanted.label_source, wanted.lookalike)


@pytest.mark.parametrize("pooling", ["none", "add", "concat"])
@pytest.mark.parametrize("modalities", [("eda",), ("eda", "ecg")])
def test_the_folder_holds_the_samples_of_the_chain(
    tmp_path: Path, modalities: tuple[str, ...], pooling: str
) -> None:
    made = chain(*modalities, pooling=pooling)
    given = {"label_source": "stimulus", "lookalike": True}
    recordings = cohort(ecg=signal(9, channels=2))
    store(made, recordings, tmp_path / "out", **given)  # type: ignore[arg-type]  # both take them
    found = load_embeddings(tmp_path / "out")
    same(found, made.samples(recordings, **given))  # type: ignore[arg-type]  # both take them
    assert len(found) == 9
    assert isinstance(found.x, np.ndarray) or isinstance(found.x["eda"], np.memmap)
    assert not (tmp_path / "out" / "parts").exists()


def test_the_folder_says_what_it_holds(tmp_path: Path) -> None:
    store(chain(), cohort(), tmp_path / "out", told={"dataset": "made"}, versions={"torch": "2"})
    told = json.loads((tmp_path / "out" / DESCRIPTION).read_text())
    assert told["streams"][0]["shape"] == [9, 1, 2]
    assert told["streams"][0]["axes"] == ["window", "picture", "feature"]
    assert told["streams"][0]["encoder_digest"] == Encoder(NAME).digest
    assert "randomly initialised" in told["streams"][0]["remarks"][0]
    assert "randomly initialised" in " ".join(told["notes"])
    assert told["asked"]["told"] == {"dataset": "made"}
    assert told["versions"] == {"torch": "2"}
    plain = np.load(tmp_path / "out" / "eda.npy")  # anything that knows the format reads it
    np.testing.assert_array_equal(plain, load_embeddings(tmp_path / "out").x)  # type: ignore[arg-type]  # an array


def test_evaluate_takes_it(tmp_path: Path) -> None:
    store(chain(pooling="add"), cohort(6), tmp_path / "out")
    samples = load_embeddings(tmp_path / "out")
    samples = samples.take(samples.meta["condition"].isin(["low", "high"]).to_numpy())
    y = (samples.meta["condition"] == "high").to_numpy(dtype=int)
    model = make_pipeline(StandardScaler(), LogisticRegression())
    run = dl.evaluate(model, samples, y, dl.leave_one_subject_out(), classes=("low", "high"))
    assert len(run.predictions) == 12
    assert any("randomly initialised" in note for note in run.notes)


# ── what is missing ─────────────────────────────────────────────────────────────────────────────


def test_windows_without_a_picture_are_counted_with_their_reason(tmp_path: Path) -> None:
    holed = signal(0)
    holed.values[0, 25] = np.nan  # in the second of three windows
    empty = Recording("made", "s2", "empty", signals={"eda": signal(2, 0)})
    lacking = Recording("made", "s3", "lacking", signals={"ecg": signal(3)})
    recordings = [replace(cohort()[0], signals={"eda": holed}), *cohort()[1:2], empty, lacking]
    found = store(chain(), recordings, tmp_path / "out")
    samples = load_embeddings(tmp_path / "out")
    assert samples.meta["start"].tolist() == [0.0, 4.0, 0.0, 2.0, 4.0]
    reasons = {(e.recording, e.what): e.reason for e in samples.exclusions}
    assert len(reasons) == len(samples.exclusions) == 3
    assert "holds NaN inside the window" in reasons["r0", "window at 2 s"]
    assert "0 s are left for a window of 2 s" in reasons["empty", "windows"]
    assert "none of eda; it has: ecg" in reasons["lacking", "recording"]
    assert samples.exclusions == found.exclusions
    assert sum(found.description["exclusions"].values()) == 3
    assert np.isfinite(samples.x).all()  # type: ignore[arg-type]  # an array
    assert "NaN" not in " ".join(samples.notes)


def test_a_signal_that_is_too_slow_for_a_spectrogram_costs_no_other(tmp_path: Path) -> None:
    slow, fast = cohort(2)
    values = np.random.default_rng(0).normal(size=(1, 300)).cumsum(axis=1)
    slow = replace(slow, signals={"eda": replace(slow.signals["eda"], sampling_rate=4.0)})
    fast = replace(fast, signals={"eda": Signal(values, 50.0, "S", True, "conductance")})
    drawn = Stream("eda", (), SpectrogramPSD("eda", size=SIDE), encoder=Encoder(NAME))
    store(Pipeline(SPEC, (drawn,)), [slow, fast], tmp_path / "out")
    samples = load_embeddings(tmp_path / "out")
    assert set(samples.meta["recording"]) == {"r1"}
    assert {e.recording for e in samples.exclusions} == {"r0"}
    assert (
        "8 samples at 4 Hz: a spectrogram needs one whole segment" in samples.exclusions[0].reason
    )


def test_a_window_with_one_of_two_streams_stays_and_says_so(tmp_path: Path) -> None:
    first, second, third = cohort(3)
    ecg = signal(7, channels=2)
    recordings = [first, replace(second, signals={**second.signals, "ecg": ecg}), third]
    store(chain("ecg", "eda"), recordings, tmp_path / "out")
    samples = load_embeddings(tmp_path / "out")
    assert not isinstance(samples.x, np.ndarray)
    assert samples.present is not None
    wanted = [False] * 3 + [True] * 3 + [False] * 3
    assert samples.present["ecg"].tolist() == wanted
    assert np.isnan(samples.x["ecg"]).all(axis=(1, 2)).tolist() == [not there for there in wanted]
    assert samples.x["ecg"].shape == (9, 2, 2)  # known only when the second person came
    assert any("NaN in 6 of 9 windows: the recording has no such" in n for n in samples.notes)


def test_a_stream_that_nobody_has_is_said_and_has_no_file(tmp_path: Path) -> None:
    store(chain("ppg", "eda"), cohort(), tmp_path / "out")
    samples = load_embeddings(tmp_path / "out")
    assert isinstance(samples.x, np.ndarray)
    assert samples.notes[0].startswith("stream 'ppg' is in none of 9 windows")
    assert not (tmp_path / "out" / "ppg.npy").exists()


def test_nothing_left_is_an_error_and_the_folder_can_be_used_again(tmp_path: Path) -> None:
    gone = [Recording("made", "s", "r", signals={"eda": signal(0, 0)})]
    with pytest.raises(DatasetError, match="none of 1 recordings gave a window"):
        store(chain(), gone, tmp_path / "out")
    with pytest.raises(StorageError, match="not finished"):
        load_embeddings(tmp_path / "out")
    store(chain(), cohort(), tmp_path / "out")
    assert len(load_embeddings(tmp_path / "out")) == 9


def test_a_file_that_breaks_midway_costs_only_its_own_recording(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Waveform.pictures

    def breaks(self: Waveform, window: dl.Window) -> Iterator[np.ndarray]:
        if window.recording.name == "r1":
            raise RecordingError("r1: cut short")
        yield from whole(self, window)

    monkeypatch.setattr(Waveform, "pictures", breaks)
    recordings = [replace(r, subject="one") for r in cohort()]  # one batch
    store(chain(), recordings, tmp_path / "out")
    samples = load_embeddings(tmp_path / "out")
    assert samples.meta["recording"].unique().tolist() == ["r0", "r2"]
    assert [(e.recording, e.reason) for e in samples.exclusions] == [("r1", "r1: cut short")]


def test_windows_of_other_numbers_of_pictures_are_one_clear_error(tmp_path: Path) -> None:
    recordings = cohort(2)
    recordings[1] = replace(recordings[1], signals={"eda": signal(1, channels=2)})
    with pytest.raises(SignalError, match="'eda': windows have 1 pictures and 2 pictures"):
        store(chain(), recordings, tmp_path / "out")
    store(chain(pooling="add"), recordings, tmp_path / "out")  # pooled they fit
    assert len(load_embeddings(tmp_path / "out")) == 6


# ── interrupted, done before, damaged ───────────────────────────────────────────────────────────


class Counting:
    """Counts pictures that reach the network, and stops before the one of that number."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pictures, self.stop = 0, 10**9
        self.runtime_of = _engine.runtime_of
        monkeypatch.setattr(_engine, "runtime_of", lambda encoder: self.run(encoder))

    def run(self, encoder: Encoder):  # type: ignore[no-untyped-def]  # in place of a runtime
        def call(pictures: np.ndarray) -> np.ndarray:
            if self.pictures + len(pictures) > self.stop:
                raise KeyboardInterrupt
            self.pictures += len(pictures)
            return self.runtime_of(encoder)(pictures)

        return call


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Counting:
    return Counting(monkeypatch)


@pytest.mark.parametrize("own", [False, True])
def test_an_interrupted_call_goes_on(tmp_path: Path, counting: Counting, own: bool) -> None:
    cache = None if own else Cache(tmp_path / "cache")
    counting.stop = 7  # of 9: two people are done
    with pytest.raises(KeyboardInterrupt):
        store(chain(), cohort(), tmp_path / "out", cache=cache)
    assert counting.pictures == 6
    assert not list((tmp_path / "out").glob("*.npy*"))
    (tmp_path / "out" / "eda.npy.part").touch()  # as a kill would leave it
    counting.stop = 10**9
    found = store(chain(), cohort(), tmp_path / "out", cache=cache)
    assert counting.pictures == 9
    assert (found.recordings_made, found.recordings_kept) == (1, 2)
    same(load_embeddings(tmp_path / "out"), chain().samples(cohort()))
    names = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert names == sorted(
        [DESCRIPTION, "eda.npy", "exclusions.parquet", "facts.parquet", "meta.parquet"]
    )


def test_the_same_again_touches_nothing(tmp_path: Path, counting: Counting) -> None:
    cache = Cache(tmp_path / "cache")
    store(chain(), cohort(), tmp_path / "out", cache=cache)
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").iterdir()}
    found = store(chain(), cohort(), tmp_path / "out", cache=cache)
    assert (found.recordings_made, found.recordings_kept) == (0, 3)
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "out").iterdir()} == before
    assert counting.pictures == 9
    store(chain(), cohort(), tmp_path / "elsewhere", cache=cache)
    assert counting.pictures == 9
    store(chain(), cohort(4), tmp_path / "out", cache=cache)  # a person more
    assert counting.pictures == 12
    assert len(load_embeddings(tmp_path / "out")) == 12


def test_a_damaged_cache_entry_is_made_again_and_reported(
    tmp_path: Path, counting: Counting
) -> None:
    cache = Cache(tmp_path / "cache")
    first = store(chain(), cohort(), tmp_path / "out", cache=cache)
    entry = sorted((tmp_path / "cache").rglob("*.npz"))[0]
    content = bytearray(entry.read_bytes())
    content[len(content) // 2] ^= 1
    entry.write_bytes(bytes(content))
    again = store(chain(), cohort(), tmp_path / "other", cache=Cache(tmp_path / "cache"))
    assert counting.pictures == 12
    assert again.damaged == (f"cache entry {entry.stem[:12]}…",)
    assert not first.damaged
    same(load_embeddings(tmp_path / "other"), load_embeddings(tmp_path / "out"))
    fine = store(chain(), cohort(), tmp_path / "third", cache=Cache(tmp_path / "cache"))
    assert not fine.damaged


@pytest.mark.parametrize("name", ["eda.npy", "meta.parquet", DESCRIPTION])
def test_a_damaged_file_is_refused_and_made_again(
    tmp_path: Path, counting: Counting, name: str
) -> None:
    cache = Cache(tmp_path / "cache")
    store(chain(), cohort(), tmp_path / "out", cache=cache)
    path = tmp_path / "out" / name
    whole = path.read_bytes()
    path.write_bytes(whole[:-3])
    with pytest.raises(StorageError, match=name):
        load_embeddings(tmp_path / "out")
    found = store(chain(), cohort(), tmp_path / "out", cache=cache)
    assert found.damaged == (f"{name} is damaged",)
    assert path.read_bytes() == whole
    assert counting.pictures == 9


def test_a_missing_file_is_made_again(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    store(chain(), cohort(), tmp_path / "out", cache=cache)
    (tmp_path / "out" / "eda.npy").unlink()
    with pytest.raises(StorageError, match=r"eda\.npy is missing"):
        load_embeddings(tmp_path / "out")
    assert store(chain(), cohort(), tmp_path / "out", cache=cache).damaged
    load_embeddings(tmp_path / "out")


def test_a_folder_of_other_embeddings_is_refused(tmp_path: Path) -> None:
    store(chain(), cohort(), tmp_path / "out")
    with pytest.raises(ConfigError, match=r"holds other embeddings \(they differ in: chain\)"):
        store(chain(pooling="mean"), cohort(), tmp_path / "out")
    other = Pipeline(SPEC, (replace(stream("eda"), encoder=Encoder(NAME, seed=1, batch_size=4)),))
    with pytest.raises(ConfigError, match="chain, encoders"):
        store(other, cohort(), tmp_path / "out")
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / DESCRIPTION).write_text("{}")
    with pytest.raises(StorageError, match="not the description of embeddings"):
        store(chain(), cohort(), tmp_path / "foreign")
    with pytest.raises(StorageError, match="Expected a folder written by"):
        load_embeddings(tmp_path)


def test_a_stream_without_encoder_is_refused(tmp_path: Path) -> None:
    plain = Pipeline(SPEC, (Stream("eda", (), Waveform("eda", size=SIDE)),))
    with pytest.raises(ConfigError, match="stream 'eda' has no encoder"):
        store(plain, cohort(), tmp_path / "out")


def test_stream_names_that_no_file_can_have(tmp_path: Path) -> None:
    streams = tuple(replace(stream("eda"), name=name) for name in ("a/b", "a:b"))
    store(Pipeline(SPEC, streams), cohort(1), tmp_path / "out")
    assert sorted(p.name for p in (tmp_path / "out").glob("*.npy")) == ["a_b-1.npy", "a_b.npy"]
    assert set(load_embeddings(tmp_path / "out").x) == {"a/b", "a:b"}


@pytest.mark.long
def test_a_killed_process_loses_only_what_was_under_way(tmp_path: Path) -> None:
    root = tmp_path / "clips"
    for number in range(12):
        with VideoWriter(root / f"clip{number}.mp4", RATE, (SIDE, SIDE)) as writer:
            for frame in range(10):
                writer.write(np.full((SIDE, SIDE, 3), 9 * number + frame, dtype=np.uint8))
    words = ["embed", str(root), "--encoder", "tnt_s_patch16_224", "--size", str(SIDE), *WHOLE]
    words += ["--out", str(tmp_path / "out"), "--batch-size", "1"]
    command = [sys.executable, "-c", "from dolorimeter.cli import main; main()", *words]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        process.kill()
        assert line.startswith("embed 1/12"), line
    with pytest.raises(StorageError, match="not finished"):
        load_embeddings(tmp_path / "out")
    told = verb(*words[1:])
    kept, made = told["kept"], told["made"]
    assert isinstance(kept, int)
    assert isinstance(made, int)
    assert kept >= 1
    assert made >= 1
    assert kept + made == 12
    plan, files = plan_embedding(
        [root],
        representation="video_frames",
        encoder={"name": "tnt_s_patch16_224", "size": SIDE, "batch_size": 1},
        overrides={"streams.0.representation.size": SIDE},
    )
    embed(plan, None, tmp_path / "whole", files=files, cache=False)
    same(load_embeddings(tmp_path / "out"), load_embeddings(tmp_path / "whole"))


def test_batches_of_a_cluster_come_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = []

    @contextmanager
    def cluster(backend: str, workers: int) -> Iterator[None]:
        started.append((backend, workers))
        yield

    monkeypatch.setattr("dolorimeter.chain._chain.cluster", cluster)
    monkeypatch.setattr("dolorimeter.chain._chain.CLUSTER_BATCHES", 1)
    store(chain(), cohort(5), tmp_path / "out", workers=2, backend="threading")
    assert started == [("threading", 2)]
    same(load_embeddings(tmp_path / "out"), chain().samples(cohort(5)))


# ── the growing file ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", [np.float32, np.float16])
def test_a_growing_array_is_what_numpy_would_write(tmp_path: Path, kind: type) -> None:
    rows = np.random.default_rng(0).normal(size=(5, 2, 3)).astype(kind)
    with GrowingArray(tmp_path / "a.npy") as file:
        file.blank(2)
        file.append(rows[:1])
        file.append(rows[1:])
        file.blank(1)
        assert not (tmp_path / "a.npy").exists()
        file.finish()
    blank = np.full((1, 2, 3), np.nan, kind)
    found = np.load(tmp_path / "a.npy")
    assert found.dtype == kind
    np.testing.assert_array_equal(found, np.concatenate([blank, blank, rows, blank]))
    assert (tmp_path / "a.npy").stat().st_size == HEADER + found.nbytes
    assert not (tmp_path / "a.npy.part").exists()


def test_a_growing_array_that_is_given_up_leaves_nothing(tmp_path: Path) -> None:
    with GrowingArray(tmp_path / "a.npy") as file:
        file.append(np.zeros((1, 2), np.float32))
    with GrowingArray(tmp_path / "b.npy") as file:
        file.blank(3)
        file.finish()
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"a\.npy: cannot be written"):
        GrowingArray(tmp_path / "file" / "a.npy")


# ── the verb ────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two clips of a second, of growing brightness, and one that is no video."""
    folder = tmp_path_factory.mktemp("clips")
    for number in range(2):
        with VideoWriter(folder / f"clip{number}.mp4", RATE, (SIDE, SIDE)) as writer:
            for frame in range(10):
                writer.write(np.full((SIDE, SIDE, 3), 60 * number + 10 * frame, dtype=np.uint8))
    return folder


WHOLE = ("--representation", "video_frames", "--set", f"streams.0.representation.size={SIDE}")


def verb(*arguments: str | Path) -> dict[str, object]:
    result = CliRunner().invoke(cli.app, ["embed", *map(str, arguments), "--json"])
    assert result.exit_code == 0, result.output
    told: dict[str, object] = json.loads(result.stdout)
    return told


def test_clips_by_name(clips: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    paths = [clips / "clip0.mp4", clips / "clip1.mp4"]
    told = verb(*paths, "--encoder", NAME, *WHOLE, "--out", out)
    assert (told["windows"], told["made"], told["kept"]) == (2, 2, 0)
    samples = load_embeddings(out)
    assert isinstance(samples.x, np.ndarray)
    wanted = (60 * np.arange(2)[:, None] + 10 * np.arange(10)) / 255
    np.testing.assert_allclose(samples.x[:, :, 0], wanted, atol=0.02)
    assert samples.meta["subject"].tolist() == ["clip0", "clip1"]
    assert samples.meta["duration"].tolist() == [1.0, 1.0]
    told = verb(*paths, "--encoder", NAME, *WHOLE, "--out", out)
    assert (told["made"], told["kept"]) == (0, 2)
    text = CliRunner().invoke(cli.app, ["embed", *map(str, paths), "--encoder", NAME, *WHOLE,
                                        "--out", str(out)])  # fmt: skip
    assert "randomly initialised" in text.stdout
    assert "2 windows of 1 s" in text.stdout


def test_a_broken_clip_does_not_cost_the_others(clips: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    encoder = ("--encoder", NAME, *WHOLE)
    told = verb(tmp_path / "broken.mp4", clips / "clip0.mp4", *encoder, "--out", tmp_path / "out")
    assert told["windows"] == 1
    (gone,) = load_embeddings(tmp_path / "out").exclusions
    assert (gone.recording, gone.what) == ("broken", "broken.mp4")
    assert "not a video that FFmpeg can read" in gone.reason
    asked, files = plan_embedding(
        [tmp_path / "broken.mp4"], representation="video_frames", encoder={"name": NAME}
    )
    with pytest.raises(RecordingError, match=r"broken\.mp4"):
        embed(asked, None, tmp_path / "none", files=files)


def test_how_it_is_run_does_not_matter_to_the_folder(clips: Path, tmp_path: Path) -> None:
    for size in ("1", "7"):  # pictures at once
        told = verb(
            clips, "--encoder", NAME, *WHOLE, "--out", tmp_path / "out", "--batch-size", size
        )
    assert (told["made"], told["kept"]) == (0, 2)


def test_a_folder_of_clips_and_the_function(clips: Path, tmp_path: Path) -> None:
    verb(clips, "--encoder", NAME, *WHOLE, "--out", tmp_path / "verb", "--no-cache")
    plan, files = plan_embedding(
        [clips],
        representation="video_frames",
        encoder={"name": NAME},
        overrides={"streams.0.representation.size": SIDE},
    )
    found = embed(plan, None, tmp_path / "function", files=files)
    assert isinstance(found, Stored)
    same(load_embeddings(tmp_path / "function"), load_embeddings(tmp_path / "verb"))


TOML = f"""
title = "bright or dark"
task = {{ classes = [["dark"], ["bright"]] }}
windows = {{ duration = 1.0 }}
classifier = {{ name = "logistic_regression" }}
split = {{ name = "leave_one_subject_out" }}
[dataset]
name = "video_files"
[[streams]]
modality = "face"
representation = {{ name = "video_frames", size = {SIDE} }}
encoder = {{ name = "{NAME}", seed = 3 }}
pooling = "mean"
"""


@pytest.fixture
def labelled(clips: Path, tmp_path: Path) -> tuple[Path, Path]:
    """An experiment, and its data: two people, two conditions and one it does not ask about."""
    root = tmp_path / "data"
    root.mkdir()
    rows = ["file,subject,condition"]
    for person in ("p1", "p2"):
        for number, condition in enumerate(("dark", "bright", "other")):
            name = f"{person}-{condition}.mp4"
            (root / name).write_bytes((clips / f"clip{number % 2}.mp4").read_bytes())
            rows.append(f"{name},{person},{condition}")
    (root / "labels.csv").write_text("\n".join(rows))
    (tmp_path / "e.toml").write_text(TOML)
    return tmp_path / "e.toml", root


def test_an_experiment(labelled: tuple[Path, Path], tmp_path: Path) -> None:
    file, root = labelled
    told = verb(file, "--root", root, "--out", tmp_path / "out", "--batch-size", "2")
    assert told["windows"] == 4
    samples = load_embeddings(tmp_path / "out")
    assert isinstance(samples.x, np.ndarray)
    assert samples.x.shape == (4, 2)
    assert set(samples.meta["condition"]) == {"dark", "bright"}
    described = json.loads((tmp_path / "out" / DESCRIPTION).read_text())
    assert (
        described["streams"][0]["encoder"] | {"seed": 3, "batch_size": 2}
        == (described["streams"][0]["encoder"])
    )
    every = verb(file, "--root", root, "--out", tmp_path / "all", "--all-conditions")
    assert every["windows"] == 6
    first = verb(file, "--root", root, "--out", tmp_path / "first", "--subjects", "1")
    assert first["windows"] == 2


def test_a_file_without_a_classifier(labelled: tuple[Path, Path], tmp_path: Path) -> None:
    _, root = labelled
    file = tmp_path / "plan.toml"
    wanted = [line for line in TOML.splitlines() if line.split(" ")[0] not in
              ("title", "task", "classifier", "split")]  # fmt: skip
    file.write_text("\n".join(wanted))
    assert verb(file, "--root", root, "--out", tmp_path / "out")["windows"] == 6


def plan(*sources: str | Path, **words: object) -> EmbeddingPlan:
    return plan_embedding(sources, **words)[0]  # type: ignore[arg-type]  # of a test


def test_words_that_do_not_fit(clips: Path, labelled: tuple[Path, Path], tmp_path: Path) -> None:
    named = {"name": NAME}
    with pytest.raises(UnknownNameError, match="unknown data set 'biowid'; did you mean biovid"):
        plan("biowid", encoder=named)
    with pytest.raises(DatasetError, match=r"none\.mp4: no such file or folder"):
        plan("none.mp4", encoder=named)
    with pytest.raises(ConfigError, match="which signal or video"):
        plan("biovid", encoder=named)
    with pytest.raises(ConfigError, match="how long is a window"):
        plan("biovid", modality="eda", encoder=named)
    with pytest.raises(ConfigError, match="no stream has an encoder"):
        plan(clips)
    with pytest.raises(ConfigError, match=r"--modality: .* says so itself"):
        plan(labelled[0], modality="eda")
    with pytest.raises(ConfigError, match="nothing to embed"):
        plan()
    (tmp_path / "a.csv").touch()
    with pytest.raises(ConfigError, match=r"a\.csv: of which format is it"):
        plan(tmp_path / "a.csv", encoder=named)
    with pytest.raises(ConfigError, match="encoder has no key 'batchsize'"):
        plan(clips, encoder={**named, "batchsize": 3})
    (tmp_path / "bad.toml").write_text(TOML.replace("[[streams]]", "[[strems]]"))
    with pytest.raises(ConfigError, match=r"bad\.toml: unknown key 'strems'; did you mean"):
        plan(tmp_path / "bad.toml")


def test_a_modality_that_nobody_has_is_refused_before_a_file_is_read(
    clips: Path, tmp_path: Path
) -> None:
    asked, files = plan_embedding(
        [clips], modality="thermal", encoder={"name": NAME}, representation="video_frames",
        overrides={"streams.0.representation.size": SIDE},
    )  # fmt: skip
    with pytest.raises(ConfigError, match="none of 2 recordings has thermal; they have: face"):
        embed(asked, None, tmp_path / "out", files=files)
    assert not (tmp_path / "out").exists()


def test_two_files_of_one_name_are_refused(clips: Path, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "clip.mp4").write_bytes((clips / "clip0.mp4").read_bytes())
    asked, files = plan_embedding(
        [tmp_path / "a" / "clip.mp4", tmp_path / "b" / "clip.mp4"],
        encoder={"name": NAME}, representation="video_frames",
        overrides={"streams.0.representation.size": SIDE},
    )  # fmt: skip
    with pytest.raises(ConfigError, match="two of the files are recording 'clip'"):
        embed(asked, None, tmp_path / "out", files=files)


def test_nothing_is_written_into_the_data(labelled: tuple[Path, Path]) -> None:
    file, root = labelled
    with pytest.raises(ConfigError, match="where nothing is ever written"):
        embed(plan(file), root, root / "out")


def test_a_recording_is_only_its_video(clips: Path, tmp_path: Path) -> None:
    """Frames at a stride, from a chain made by hand: the same numbers as from the verb."""
    frames = VideoFrames("face", size=SIDE)
    by_hand = Pipeline(
        replace(SPEC, duration=1.0), (Stream("face", (), frames, encoder=Encoder(NAME)),)
    )
    path = clips / "clip0.mp4"
    recording = Recording("made", "s", "r", videos={"face": Video(path)}, sources=(path,))
    store(by_hand, [recording], tmp_path / "hand")
    verb(path, "--encoder", NAME, *WHOLE, "--out", tmp_path / "verb")
    np.testing.assert_array_equal(
        load_embeddings(tmp_path / "hand").x,  # type: ignore[arg-type]  # arrays
        load_embeddings(tmp_path / "verb").x,  # type: ignore[arg-type]
    )


def test_one_flipped_bit_in_a_folder_is_an_error(tmp_path: Path) -> None:
    out = tmp_path / "out"
    store(chain(), cohort(), out)
    whole = load_embeddings(out)
    files = sorted(out.iterdir())
    assert {path.suffix for path in files} == {".json", ".npy", ".parquet"}
    chance, found = random.Random(0), 0
    for _ in range(100):
        path = chance.choice(files)
        before = path.read_bytes()
        data = bytearray(before)
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        path.write_bytes(bytes(data))
        try:
            again = load_embeddings(out)
            same(again, whole)
            assert (again.notes, again.exclusions) == (whole.notes, whole.exclusions)
        except StorageError:
            found += 1
        path.write_bytes(before)
    assert found > 90
    (out / DESCRIPTION).write_bytes(before[:9] if path.name == DESCRIPTION else b"{")
    made = store(chain(), cohort(), out)
    assert made.damaged == (f"{DESCRIPTION} is damaged",)
    same(load_embeddings(out), whole)


def test_a_subject_is_erased_from_a_folder(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    store(chain(), cohort(), tmp_path / "out", cache=cache, told={"subjects": ["s1", "s2"]})
    whole = load_embeddings(tmp_path / "out")
    erased = erase_subject("s1", [tmp_path])
    assert erased.remaining == ()
    assert erased.cached == 1
    kept = load_embeddings(tmp_path / "out")
    rows = whole.subjects != "s1"
    assert kept.subjects.tolist() == whole.subjects[rows].tolist()
    np.testing.assert_array_equal(np.asarray(kept.x), np.asarray(whole.x)[rows])
    assert "s1" not in (tmp_path / "out" / DESCRIPTION).read_text()


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    said: list[str] = []

    def other() -> None:
        try:
            store(chain(), cohort(1), tmp_path / "out")
        except StorageError as error:
            said.append(str(error))

    with locked(tmp_path / "out", "these embeddings"):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert "is writing there" in said[0]
