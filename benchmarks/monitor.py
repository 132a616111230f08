"""How old the newest sample is when its estimate is there: live sessions on two cores.

    python benchmarks/monitor.py [--seconds 30] [--stride 2] [--soak MINUTES] [--sessions 20]
        [--encoder painformer --stride 4 8 --runtime openvino --precision bf16]

Sources are made up and run with the clock on the wall: four signals at 512 Hz (skin conductance,
ECG, two muscles) and a camera of 25 frames a second at 640 × 480 (a portrait that moves). Latency
is from the end of the window, which is the time of its newest sample, to the finished estimate.
The models are fitted on made-up labels: what they say means nothing, how long they take does.
There is no peer: no open system streams a pain model with a quality gate.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path

import cv2
import numpy as np

from dolorimeter.chain import Pipeline, Stream
from dolorimeter.embeddings import Encoder
from dolorimeter.monitor.session import Session
from dolorimeter.monitor.sources import Chunk, Item, Picture, Synthetic, VideoBegins
from dolorimeter.predictor import Predictor
from dolorimeter.preprocessing import Bandpass, FaceTracking, Lowpass, Notch
from dolorimeter.registry import ESTIMATORS
from dolorimeter.representations import FaceActivity, FaceFrames, Features
from dolorimeter.types import Recording, Signal
from dolorimeter.windows import WindowSpec

SIGNALS = ("eda", "ecg", "emg_trapezius", "emg_corrugator")
RATE, FRAME_RATE, DURATION, STEP = 512.0, 25.0, 5.5, 0.5
SETTLE = 60.0
"""Seconds after which memory counts."""


class MovingPortrait:
    """A camera that never ends."""

    follows_clock = True
    lookalike = True
    start = 0.0
    title = "a portrait that moves, 640 × 480, 25 frames a second"

    def __init__(self) -> None:
        data = resources.files("dolorimeter").joinpath("assets/astronaut.png").read_bytes()
        face = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        assert face is not None
        frame = cv2.resize(face[:384, :512, ::-1], (640, 480))
        self._frames = [
            np.ascontiguousarray(np.roll(frame, (i % 7, 2 * (i % 11)), axis=(0, 1)))
            for i in range(77)
        ]
        self._sent = 0

    def open(self, wanted: Sequence[str], now: float) -> None:  # noqa: ARG002 - it has a face
        """Begin."""
        self._begin = now

    def read(self, now: float) -> list[Item]:
        """The frames since the last call."""
        items: list[Item] = [] if self._sent else [VideoBegins("face", self._begin, FRAME_RATE)]
        while self._begin + self._sent / FRAME_RATE <= now:
            at = self._begin + self._sent / FRAME_RATE
            items.append(Picture("face", at, self._frames[self._sent % len(self._frames)]))
            self._sent += 1
        return items

    def close(self) -> None:
        """Nothing to close."""


def streams(stride: int) -> tuple[Stream, ...]:
    """The signals, filtered as they come, and at a stride above 0 the face."""
    steps = {
        "eda": (Lowpass(cut=5.0, modalities=("eda",)),),
        "ecg": (
            Bandpass(low=0.5, high=40.0, modalities=("ecg",)),
            Notch(frequency=50.0, modalities=("ecg",)),
        ),
    }
    found = [Stream(name, steps.get(name, ()), Features(name)) for name in SIGNALS]
    if stride:
        found.append(Stream("face", (FaceTracking(stride=stride),), FaceActivity()))
    return tuple(found)


def picture_model(name: str, stride: int, runtime: str, precision: str) -> Predictor:
    """Signals, and the pictures of a face through a frozen encoder with random weights."""
    encoder = Encoder(name, runtime=runtime, precision=precision, threads=1)
    frames = FaceFrames(frame_rate=FRAME_RATE, stride=stride)
    steps = (FaceTracking(stride=stride),)
    face = Stream("face", steps, frames, 0.0, encoder, "mean")
    chain = Pipeline(WindowSpec(duration=DURATION), (*streams(0), face))
    known = model("random_forest")
    names = (*known.feature_names, *(f"face.{name}_{i + 1}" for i in range(encoder.width)))
    x = np.random.default_rng(0).random((100, len(names)))
    estimator = ESTIMATORS.get("random_forest")()
    estimator.fit(x, np.arange(100) % 5)
    return Predictor(estimator, chain, "ordinal", known.classes, {}, {}, names, title=name)


def model(kind: str, stride: int = 0) -> Predictor:
    """A model of five levels, fitted on made-up labels of the synthetic body."""
    source = Synthetic(1)
    source.open(SIGNALS, 0.0)
    parts: dict[str, list[np.ndarray]] = {name: [] for name in SIGNALS}
    for item in source.read(60.0):
        if isinstance(item, Chunk):
            parts[item.modality].append(item.values)
    units = {name: ("S", "conductance") if name == "eda" else ("V", "voltage") for name in SIGNALS}
    signals = {
        name: Signal(np.concatenate(p, axis=1), RATE, units[name][0], True, units[name][1])
        for name, p in parts.items()
    }
    sliding = WindowSpec(duration=DURATION, anchor="sliding", step=STEP)
    samples = Pipeline(sliding, streams(0)).samples([Recording("made", "s", "r", signals=signals)])
    x, names = np.asarray(samples.x), samples.feature_names
    if stride:
        face = FaceActivity()
        x = np.hstack([x, np.random.default_rng(0).random((len(x), len(face.names)))])
        names = (*names, *(f"face.{name}" for name in face.names))
    estimator = ESTIMATORS.get(kind)()
    estimator.fit(x, np.arange(len(x)) % 5)
    chain = Pipeline(WindowSpec(duration=DURATION), streams(stride))
    classes = ("BL", "PA1", "PA2", "PA3", "PA4")
    return Predictor(estimator, chain, "ordinal", classes, {}, {}, names, title=kind)


def run(label: str, predictor: Predictor, seconds: float, count: int = 1) -> None:
    """Sessions side by side for some seconds, and what came of them."""
    faces = "face" in predictor.chain.sources if predictor.chain else False
    sessions = [
        Session(predictor, [Synthetic(i), *([MovingPortrait()] if faces else [])], f"s{i}")
        for i in range(count)
    ]
    begin, used = time.perf_counter(), time.process_time()
    for session in sessions:
        session.start()
    memory = []
    while (passed := time.perf_counter() - begin) < seconds:
        time.sleep(1.0)
        if passed > min(SETTLE, seconds / 3):
            memory.append(resident())
    cores = (time.process_time() - used) / (time.perf_counter() - begin)
    for session in sessions:
        session.stop()
    latencies, made, wanted, silent = [], 0, 0, 0
    for session in sessions:
        found = session.since(0)[1]
        made += session.since(0)[0]
        wanted += session.since(0)[0] + session.passed_over
        silent += sum(bool(estimate.abstained) for estimate in found)
        latencies += [1000 * e.latency_s for e in found if e.latency_s is not None]
    if not latencies or not memory:
        print(f"{label}: {made} estimates in {seconds:g} s: too slow, or the process was stopped")
        return
    p50, p95, p99 = np.percentile(latencies, [50, 95, 99])
    print(
        f"{label}: latency p50 {p50:.0f}, p95 {p95:.0f}, p99 {p99:.0f} ms; "
        f"{made:,} of {wanted:,} estimates, {silent} abstained; {cores:.2f} cores; memory "
        f"{memory[0]:.0f} MB, {memory[-1] / memory[0] - 1:+.1%} by the end, highest "
        f"{max(memory) / memory[0] - 1:+.1%}"
    )
    passed_frames = sum(session.passed_frames for session in sessions)
    if faces:
        print(f"    frames not looked at because newer ones came: {passed_frames}")


def resident() -> float:
    """Megabytes of this process in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--stride", type=int, nargs="*", default=[1, 2, 4])
    parser.add_argument("--soak", type=float, default=0.0, metavar="MINUTES")
    parser.add_argument("--sessions", type=int, default=0)
    parser.add_argument("--encoder", default="", help="Of pictures: painformer, tnt_s …")
    parser.add_argument("--runtime", default="torch", help="Of the encoder: torch, onnx, openvino")
    parser.add_argument("--precision", default="f32", help="Of the encoder: f32, bf16")
    given = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    print(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {platform.machine()}, {cores} cores")
    if given.soak:
        run(
            f"soak of {given.soak:g} min, 4 signals and a face at stride 2",
            model("logistic_regression", 2),
            60 * given.soak,
        )
        return
    if given.encoder:
        for stride in given.stride:
            seer = picture_model(given.encoder, stride, given.runtime, given.precision)
            how = f"{given.encoder}, {given.runtime} {given.precision}"
            run(f"4 signals and pictures of a face at stride {stride}, {how}", seer, given.seconds)
        return
    if given.sessions:
        label = f"{given.sessions} sessions of 4 signals"
        run(label, model("logistic_regression"), given.seconds, given.sessions)
        return
    for kind in ("logistic_regression", "random_forest"):
        run(f"4 signals, {kind}", model(kind), given.seconds)
    for stride in given.stride:
        label = f"4 signals and a face at stride {stride}, random_forest"
        run(label, model("random_forest", stride), given.seconds)


if __name__ == "__main__":
    main()
