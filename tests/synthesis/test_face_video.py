"""Face video of look-alike cohorts: files in the published layouts, and the truth beside them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dolorimeter.datasets.ai4pain_2024 import AI4Pain2024
from dolorimeter.datasets.biovid import BioVid
from dolorimeter.errors import ConfigError, DatasetError
from dolorimeter.synthesis import Truth, biovid, synthesise
from dolorimeter.synthesis.cohort import Request, draw_subject
from dolorimeter.synthesis.face_video import FaceVideo
from dolorimeter.video import probe, read_frames

TINY: dict[str, Any] = {"per_condition": 1, "size": (128, 96), "seed": 3}
SMALL: dict[str, Any] = {**TINY, "subjects": 2, "conditions": ["BL1", "PA4"]}


def contents(root: Path) -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("faces") / "out"
    synthesise("biovid", root, modalities=["signals", "video"], movement=0.5, **SMALL)
    return root


@pytest.fixture(scope="module")
def ai4pain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("2024") / "out"
    synthesise("ai4pain_2024", root, modalities=["video"], subjects=1, **TINY)
    return root


@pytest.mark.long
def test_biovid_reads_a_video_with_every_clip(cohort: Path) -> None:
    reader = BioVid(cohort)
    recordings = reader.recordings()
    assert len(recordings) == 4
    for recording in recordings:
        path = recording.videos["face"].path
        assert path.parent.parent == cohort / "PartA" / "video"
        assert path.stem == recording.name
    info = probe(path)
    assert (info.width, info.height, info.frame_rate, info.codec) == (128, 96, 25, "h264")
    assert len(list(read_frames(path))) == 138
    assert not [p for p in reader.check().problems if "usable clips" not in p.what]


@pytest.mark.long
def test_ai4pain_reads_a_video_with_every_segment(ai4pain: Path) -> None:
    recordings = AI4Pain2024(ai4pain).recordings()
    for recording in recordings:
        names = [stimulus.attributes["clip"] for stimulus in recording.stimuli]
        assert sorted(recording.videos) == sorted(names)
    path = next(iter(recordings[0].videos.values())).path
    assert probe(path).frame_rate == 30
    assert len(list(read_frames(path))) == 300
    frames = Truth.load(ai4pain).frames()
    assert set(frames["recording"]) == {"B1", "L1", "H1", "R1"}
    assert len(frames) == 4 * 300


def test_signals_are_the_same_with_video_and_without(cohort: Path, tmp_path: Path) -> None:
    plain = {k: v for k, v in SMALL.items() if k != "size"}
    synthesise("biovid", tmp_path / "plain", movement=0.5, **plain)
    without, with_video = contents(tmp_path / "plain"), contents(cohort)
    signals = {name: digest for name, digest in without.items() if name.startswith("PartA")}
    assert len(signals) == 6
    assert signals.items() <= with_video.items()
    extra = {name for name in with_video if name not in without}
    assert all(name.endswith(".mp4") or name == "truth/frames.parquet" for name in extra)
    assert not {"size", "confounders", "modalities"} & set(
        Truth.load(tmp_path / "plain").parameters
    )
    with pytest.raises(DatasetError, match=r"the cohort has no face video\. Synthesise it with"):
        Truth.load(tmp_path / "plain").frames()


@pytest.mark.long
def test_same_bytes_with_workers_and_a_subset_with_fewer(cohort: Path, tmp_path: Path) -> None:
    both = {"modalities": ["video"], "movement": 0.5}
    synthesise("biovid", tmp_path / "again", workers=2, **both, **SMALL)
    assert contents(tmp_path / "again") == contents(cohort)
    fewer = {**SMALL, "subjects": 1, "conditions": ["PA4"]}
    synthesise("biovid", tmp_path / "few", **both, **fewer)
    videos = {n: d for n, d in contents(tmp_path / "few").items() if n.endswith(".mp4")}
    assert len(videos) == 1
    assert videos.items() <= contents(cohort).items()


def test_truth_has_a_row_for_every_frame(cohort: Path) -> None:
    truth = Truth.load(cohort)
    frames = truth.frames()
    assert len(frames) == 4 * 138
    assert not frames.isna().any().any()
    assert set(frames["recording"]) == set(truth.windows["recording"])
    units = frames[["au4", "au6", "au7", "au9", "au10", "au12", "au25", "au26"]]
    assert units.min().min() >= 0
    assert units.max().max() <= 5
    assert set(frames["au43"]) <= {0.0, 1.0}
    orbit, levator = frames[["au6", "au7"]].max(axis=1), frames[["au9", "au10"]].max(axis=1)
    expected = frames["au4"] + orbit + levator + frames["au43"]
    np.testing.assert_allclose(frames["pspi"], expected, atol=1e-5)
    assert list(truth.frames(["pspi"]).columns) == ["pspi"]
    assert truth.root == cohort
    (cohort / "truth" / "frames.parquet").rename(cohort / "kept")
    (cohort / "truth" / "frames.parquet").write_bytes(b"half")
    with pytest.raises(DatasetError, match=r"frames\.parquet: the truth cannot be read"):
        truth.frames()
    (cohort / "kept").replace(cohort / "truth" / "frames.parquet")


def test_the_face_has_a_bayes_accuracy_of_its_own(cohort: Path) -> None:
    truth = Truth.load(cohort)
    face = truth.bayes_accuracy("BL1", "PA4", modalities=["face"])
    every = truth.bayes_accuracy("BL1", "PA4")
    signals = truth.bayes_accuracy("BL1", "PA4", modalities=["eda", "ecg", "emg_trapezius"])
    assert 0.65 < face < every
    assert signals < every
    assert "response_face" in truth.windows


def test_missing_videos_are_listed_in_the_truth(tmp_path: Path) -> None:
    truth = synthesise(
        "biovid", tmp_path / "o", modalities=["video"], missing=0.6, **{**SMALL, "size": (96, 96)}
    )
    gone = truth.windows.loc[truth.windows["missing_video"], "recording"]
    found = {path.stem for path in (tmp_path / "o").rglob("*.mp4")}
    assert 0 < len(gone) < 4
    assert found == set(truth.windows["recording"]) - set(gone)
    assert len(truth.frames()) == 4 * 138


def courses(effect: float) -> pd.DataFrame:
    """Peaks and means of many windows, drawn and not rendered."""
    request = Request(
        "biovid", "A", 24, 20, biovid.CONDITIONS, effect, 1.0, 0.05, 0.0, 0.0, 1.0, 5,
        ("signals", "video"), (640, 480), 1.0,
    )  # fmt: skip
    latents = biovid.design(request)
    rows = []
    for number in range(request.subjects):
        subject = draw_subject(request, latents, number, biovid.subject_name)
        face = FaceVideo(request, subject, 138, 25.0, biovid.STIMULUS)
        for trial, level in enumerate(subject.session.condition):
            if level in (0, 4):
                columns = face.course(trial, moved=False).columns
                found = {name: float(values.mean()) for name, values in columns.items()}
                rows.append({"level": level, "peak": columns["pspi"].max(), **found})
    return pd.DataFrame(rows)


def auroc(table: pd.DataFrame, name: str) -> float:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(table["level"] == 4, table[name]))


CONFOUNDERS = ("talk", "smile", "occluded", "au12", "au26", "yaw", "pitch", "light")


@pytest.mark.long
def test_pain_shows_in_the_face_and_confounders_do_not_tell_it() -> None:
    """480 windows a class: the standard error of an AUROC without any effect is 0.019."""
    table = courses(1.0)
    assert 0.65 < auroc(table, "peak") < 0.9
    for name in CONFOUNDERS:
        assert abs(auroc(table, name) - 0.5) < 0.075, name
    flat = courses(0.0)
    for name in ("peak", "pain", "pspi", "closure", *CONFOUNDERS):
        assert abs(auroc(flat, name) - 0.5) < 0.075, name


def test_other_kinds_have_no_video(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"unbc_mcmaster: takes no modalities"):
        synthesise("unbc_mcmaster", tmp_path / "o", modalities=["video"])
