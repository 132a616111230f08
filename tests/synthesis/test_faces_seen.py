"""What a face tracker sees in made-up faces: that they are faces, whose, and what they do."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from dolorimeter.preprocessing.faces import FaceTracker
from dolorimeter.signals.face import distances, eye_closure
from dolorimeter.synthesis import biovid
from dolorimeter.synthesis.cohort import Request, draw_subject
from dolorimeter.synthesis.face_video import FaceVideo

STRIDE = 12
SIZE = (480, 360)
PROPORTIONS = (
    (234, 454), (93, 323), (172, 397), (149, 378), (10, 168), (168, 152), (168, 2), (2, 0),
    (17, 152), (129, 358), (61, 291), (133, 362),
)  # fmt: skip
"""Pairs of landmarks whose distances, over that of the eyes, tell faces apart."""


@dataclass(frozen=True)
class Seen:
    """Frames looked at: one row each."""

    table: pd.DataFrame
    landmarks: np.ndarray


def videos(people: int) -> list[FaceVideo]:
    """Videos with all confounders, one per person."""
    request = Request(
        "biovid", "A", people, 1, biovid.CONDITIONS, 1.0, 1.0, 0.05, 0.0, 0.0, 1.0, 1,
        ("signals", "video"), SIZE, 1.0,
    )  # fmt: skip
    latents = biovid.design(request)
    drawn = [draw_subject(request, latents, n, biovid.subject_name) for n in range(people)]
    return [FaceVideo(request, one, 138, 25.0, biovid.STIMULUS) for one in drawn]


@pytest.fixture(scope="module", params=[pytest.param(20, marks=pytest.mark.long), 4])
def seen(request: pytest.FixtureRequest) -> Seen:
    """Rest (BL1) and the strongest heat (PA4) of everybody, every twelfth frame."""
    rows, landmarks = [], []
    for number, face in enumerate(videos(request.param)):
        conditions = face.subject.session.condition
        for trial in np.flatnonzero(np.isin(conditions, (0, 4))):
            course = face.course(int(trial), moved=False)
            renderer, tracker = face.renderer(int(trial)), FaceTracker()
            for frame in range(0, 138, STRIDE):
                state = course.state(frame)
                shown = course.hand if state["occluded"] else None
                found = tracker.push(renderer.frame(state, shown), state["time"])
                rows.append({"person": number, "trial": trial, "found": found.found, **state})
                landmarks.append(found.landmarks)
    return Seen(pd.DataFrame(rows), np.array(landmarks, dtype=float))


@pytest.mark.long
def test_there_is_a_face_in_every_identity(seen: Seen) -> None:
    assert seen.table["found"].mean() >= 0.99
    assert seen.table.groupby("person")["found"].mean().min() >= 0.95  # one frame of 24


@pytest.mark.long
def test_proportions_tell_people_apart(seen: Seen) -> None:
    """Leave one clip out: the nearest other clip is the same person's."""
    flat = seen.landmarks[..., :2]
    eyes = np.linalg.norm(flat[:, [33, 133]].mean(1) - flat[:, [263, 362]].mean(1), axis=-1)
    ratios = [np.linalg.norm(flat[:, a] - flat[:, b], axis=-1) / eyes for a, b in PROPORTIONS]
    clips = pd.DataFrame(np.array(ratios).T).groupby([seen.table["person"], seen.table["trial"]])
    table = clips.median()
    person = table.index.get_level_values("person").to_numpy()
    apart = np.linalg.norm(table.to_numpy()[:, None] - table.to_numpy(), axis=-1)
    np.fill_diagonal(apart, np.inf)
    assert (person[apart.argmin(axis=1)] == person).mean() >= 0.95


def within_person(seen: Seen, truth: str, measured: np.ndarray, rows: np.ndarray) -> float:
    """Correlation of both, each less the person's median."""
    pair = pd.DataFrame({"truth": seen.table[truth], "measured": measured})[rows]
    middle = pair.groupby(seen.table["person"][rows]).transform("median")
    return float(np.corrcoef((pair - middle).to_numpy().T)[0, 1])


def test_what_is_done_can_be_measured(seen: Seen) -> None:
    """Landmarks follow the true intensities: without any link a correlation of 0.2 is 1 in 100."""
    table, found = seen.table, distances(seen.landmarks)
    clear = (table["found"] & (table["occluded"] == 0)).to_numpy()
    opened = clear & (table["closure"] < 0.1).to_numpy()
    calm = clear & (table["smile"] == 0).to_numpy() & (table["talk"] == 0).to_numpy()
    closure = eye_closure(seen.landmarks).mean(axis=1)
    assert within_person(seen, "closure", closure, clear) > 0.8
    assert within_person(seen, "au7", closure, opened) > 0.3
    assert within_person(seen, "au4", -found["brow_inner_eye"], opened) > 0.4
    assert within_person(seen, "au10", -found["upper_lip_eye"], calm) > 0.3
    assert within_person(seen, "au12", found["mouth_width"], clear) > 0.4
    assert within_person(seen, "au26", found["mouth_opening"], clear) > 0.4


def test_a_shut_eye_is_seen_shut(seen: Seen) -> None:
    closure = eye_closure(seen.landmarks).mean(axis=1)
    true = seen.table["closure"].to_numpy()
    seen_rows = (seen.table["occluded"] == 0).to_numpy()
    assert np.median(closure[(true > 0.9) & seen_rows]) > 0.8
    assert np.median(closure[(true < 0.05) & seen_rows]) < 0.2
