"""A session without sensors or model: known numbers, and a sensor that can be pulled."""

from __future__ import annotations

import math
import threading
from collections import deque
from datetime import datetime, timedelta

import numpy as np

from dolorimeter.monitor.feed import Attach, Keeper
from dolorimeter.monitor.nouns import (
    Estimate,
    FaceView,
    ModalityState,
    SessionInfo,
    Tail,
    new_id,
    now,
)

STEP_S = 0.25


class FakeSession:
    """Satisfies `Feed`; its level goes up and down with a period of 40 s."""

    def __init__(self, subject: str, attach: Attach, *, backlog: int = 0) -> None:
        self.info = SessionInfo(
            id=new_id(),
            subject=subject,
            started=now() - timedelta(seconds=backlog * STEP_S),
            model="forest on look-alikes",
            model_digest="0123abcd" * 8,
            classes=("BL1", "PA4"),
            levels=(0.0, 1.0),
            sources=("synthetic (seed 1)",),
            lookalike=True,
        )
        self.pulled: set[str] = set()
        self.running, self.stopped_because = True, ""
        self._keeper: Keeper = attach(self.info)
        self._kept: deque[Estimate] = deque(maxlen=4000)
        self._count = 0
        self._stop = threading.Event()
        for i in range(backlog):
            self._step(self.info.started + timedelta(seconds=i * STEP_S))
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()
        self.running = False

    def fail(self, why: str) -> None:
        """End as a session does whose source is gone for good."""
        self._stop.set()
        self._thread.join()
        self.running, self.stopped_because = False, why

    def since(self, number: int) -> tuple[int, tuple[Estimate, ...]]:
        new = max(0, self._count - number)
        return self._count, tuple(self._kept)[-new:] if new else ()

    def tails(self, seconds: float, points: int) -> tuple[Tail, ...]:
        ages = np.linspace(-seconds, 0.0, points)
        clock = ages + (now() - self.info.started).total_seconds()
        eda = 4e-6 + 1e-6 * np.sin(clock / 3)
        ecg = 1e-3 * np.exp(-(((clock % 0.85) - 0.2) ** 2) / 0.0004)
        for name, values in (("eda", eda), ("ecg", ecg)):
            if name in self.pulled:
                values[ages > -3.0] = np.nan
        return (
            Tail("eda", "S", ages, eda, self._state("eda")),
            Tail("ecg", "V", ages, ecg, self._state("ecg")),
        )

    def face(self) -> FaceView | None:
        turn = np.linspace(0, 2 * math.pi, 60)
        points = np.stack([0.5 + 0.12 * np.cos(turn), 0.5 + 0.2 * np.sin(turn)], axis=1)
        gone = "face" in self.pulled
        return FaceView(
            aspect=4 / 3,
            box=None if gone else (0.35, 0.25, 0.65, 0.75),
            points=points[:0] if gone else points,
            cues={"brow_lowerer": 0.25, "eyes_closed": 0.75},
            state=self._state("face"),
        )

    def frame(self) -> np.ndarray | None:
        if "face" in self.pulled:
            return None
        ramp = np.linspace(0, 255, 640).astype(np.uint8)
        return np.stack([np.tile(ramp, (480, 1)), *np.zeros((2, 480, 640), np.uint8)], axis=2)

    def _state(self, name: str) -> ModalityState:
        if name not in self.pulled:
            return ModalityState(name, 0.9, 0.05, present=True)
        return ModalityState(name, 0.0, 3.0, present=False, reasons=(f"no {name} for 3 s",))

    def _run(self) -> None:
        while not self._stop.wait(STEP_S):
            self._step(now())

    def _step(self, time: datetime) -> None:
        states = tuple(self._state(name) for name in ("eda", "ecg", "face"))
        p = 0.5 + 0.4 * math.sin(2 * math.pi * (time - self.info.started).total_seconds() / 40)
        if len(self.pulled) == 3:
            estimate = Estimate(
                time, self.info.id, abstained="no sensor is left", modalities=states
            )
        else:
            wide = 0.1 + 0.1 * len(self.pulled)
            estimate = Estimate(
                time,
                self.info.id,
                probabilities={"BL1": 1 - p, "PA4": p},
                expected_level=p,
                lower=max(0.0, p - wide),
                upper=min(1.0, p + wide),
                coverage=0.9,
                coverage_kind="conformal",
                modalities=states,
                latency_s=0.012,
            )
        self._kept.append(estimate)
        self._count += 1
        self._keeper(estimate)
