"""Face video of one person of a cohort: their looks, their way to show pain, a file a clip."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from dolorimeter.synthesis.cohort import FACE, Request, Subject
from dolorimeter.synthesis.face_actions import COLUMNS, Course, draw_course, draw_expressiveness
from dolorimeter.synthesis.face_identity import draw_identity
from dolorimeter.synthesis.face_model import FaceModel, face_model
from dolorimeter.synthesis.face_render import Renderer
from dolorimeter.video import VideoWriter

CRF = 23
"""x264's rate factor of the files; its own default."""
FLAGS = ("blink", "talk", "smile", "occluded")
LOOKS, MANNER, CLIP, GRAIN, LOST = range(5)
"""Streams of random numbers of one person's face."""


class FaceVideo:
    """The face of one person, and their clips.

    Parameters
    ----------
    request : Request
    subject : Subject
        With a response ``face`` in the design that their session was drawn by.
    frames : int
        Of a clip.
    frame_rate : float
        Hertz.
    stimulus : float
        Seconds from a clip's start at which its stimulus began.
    """

    def __init__(
        self, request: Request, subject: Subject, frames: int, frame_rate: float, stimulus: float
    ) -> None:
        self._request, self.subject = request, subject
        self._times = np.arange(frames) / frame_rate
        self._rate, self._stimulus = frame_rate, stimulus
        self.identity = draw_identity(
            request.rng(subject.number, FACE, LOOKS), sex=subject.sex, age=subject.age
        )
        self.expressiveness = draw_expressiveness(request.rng(subject.number, FACE, MANNER))

    @cached_property
    def model(self) -> FaceModel:
        """What is precomputed for all clips."""
        return face_model(self.identity, self._request.size)

    def course(self, trial: int, *, moved: bool) -> Course:
        """What the face does in the clip of a trial; the last response is the face's."""
        return draw_course(
            self._times,
            float(self.subject.session.responses[trial, -1]),
            self.expressiveness,
            stimulus=self._stimulus,
            confounders=self._request.confounders,
            moved=moved,
            rng=self._request.rng(self.subject.number, FACE, CLIP, trial),
        )

    def renderer(self, trial: int) -> Renderer:
        """Frames of a trial; ask for them in order: the camera's noise goes on."""
        rng = self._request.rng(self.subject.number, FACE, GRAIN, trial)
        return Renderer(self.model, self._request.noise, rng)

    def missing(self, trial: int) -> bool:
        """Whether the clip's file is not there."""
        rng = self._request.rng(self.subject.number, FACE, LOST, trial)
        return bool(rng.random() < self._request.missing)

    def write(self, path: Path, recording: str, trial: int, *, moved: bool) -> pd.DataFrame:
        """Write one clip, unless it is `missing`; its truth, one row a frame.

        Parameters
        ----------
        recording : str
            Its name in the truth.
        """
        course = self.course(trial, moved=moved)
        if not self.missing(trial):
            renderer = self.renderer(trial)
            width, height = self._request.size
            with VideoWriter(path, self._rate, (height, width), crf=CRF) as file:
                for frame in range(len(self._times)):
                    shown = course.hand if course.columns["occluded"][frame] else None
                    file.write(renderer.frame(course.state(frame), shown))
        return self.truth(course, recording)

    def truth(self, course: Course, recording: str) -> pd.DataFrame:
        """Rows of ``truth/frames.parquet``."""
        columns = {
            name: values > 0 if name in FLAGS else values.astype(np.float32)
            for name, values in course.columns.items()
        }
        names = {"subject": self.subject.name, "recording": recording}
        frame = {"frame": np.arange(len(self._times), dtype=np.int32)}
        return pd.DataFrame({**names, **frame, **{name: columns[name] for name in COLUMNS}})
