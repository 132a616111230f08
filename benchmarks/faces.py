"""Face tracking: frames a second and peak memory, ours beside MediaPipe's own task API.

    python benchmarks/faces.py --peer /path/to/env/bin/python [--rounds 5] [--minutes 10]

The peer's environment has mediapipe and its opencv; nothing of dolorimeter. Both read the same
clip, written here: 138 frames of 1388 × 1038 at 25 Hz in H.264 (the size of BioVid's videos), from
`faces/WolfgangLanger_Pexels.mp4` of DOLORIMETER_DATA, or else from the portrait, moved. Each is a
process of its own that stays up, so that imports and the loading of networks are not counted, and
both are held to the same processors. Rounds alternate; the ratio is taken within a round.

- ours: `track_face`: decoding, tracking, landmarks, blendshapes, pose, quality (which includes
  the aligned picture of every frame); "and pictures" reads the file again and aligns every frame.
- peer: `cv2.VideoCapture` and `FaceLandmarker.detect_for_video` with blendshapes, not aligned.

On a busy machine frames a second are a matter of how many threads one has; processor time a frame
is given beside.

Memory is the peak resident size of a fresh process that tracks a clip of one minute, and one of
`--minutes`, made by repeating the first without encoding again.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np  # the peer's worker has its own

HEIGHT, WIDTH, RATE, FRAMES = 1038, 1388, 25.0, 138
BUNDLE = Path(__file__).parents[1] / "src/dolorimeter/assets/face_landmarker.task"


def main() -> None:
    """Print one table for speed and one for memory."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--peer", help="Python of an environment with mediapipe")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1, help="of our networks")
    parser.add_argument("--minutes", type=float, default=10.0, help="0: leave memory out")
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        work(*arguments.worker, arguments.threads)
        return
    cores = sorted(os.sched_getaffinity(0))[: arguments.cores]
    os.sched_setaffinity(0, cores)  # inherited by the workers
    heading(cores, arguments.threads)
    with tempfile.TemporaryDirectory() as folder:
        clip = write_clip(Path(folder) / "clip.mp4")
        speed(clip, arguments.peer, arguments.rounds, arguments.threads)
        if arguments.minutes:
            memory(clip, arguments.minutes, arguments.threads)
    print(f"\nload at the end: {load()}")


# --- workers ------------------------------------------------------------------------------------


class Answer(NamedTuple):
    """Of one run: wall and processor seconds, frames, and MiB at the most so far."""

    seconds: float
    busy: float
    count: int
    peak: float


def work(kind: str, clip: str, threads: int) -> None:
    """Run one way of tracking whenever a line comes in, and answer."""
    run = {"ours": ours, "pictures": pictures, "peer": peer}[kind]
    for _ in sys.stdin:
        start, busy = time.perf_counter(), time.process_time()
        count = run(clip, threads)
        print(time.perf_counter() - start, time.process_time() - busy, count, peak(), flush=True)


def ours(clip: str, threads: int = 1) -> int:
    """Decode, track and measure."""
    from dolorimeter.preprocessing import track_face

    track = track_face(clip, threads=threads)
    if track.found.mean() < 0.99:
        raise SystemExit("the face was not found: this is no measurement.")
    return len(track)


def pictures(clip: str, threads: int = 1) -> int:
    """The same, and every aligned picture from a second reading."""
    from dolorimeter.preprocessing import track_face
    from dolorimeter.preprocessing.faces import align
    from dolorimeter.video import read_frames

    track = track_face(clip, threads=threads)
    for frame, transform in zip(read_frames(clip), track.alignment, strict=True):
        align(frame.image, transform)
    return len(track)


def peer(clip: str, _threads: int = 1) -> int:
    """MediaPipe's own way; it chooses its threads itself."""
    import cv2
    import mediapipe
    from mediapipe.tasks.python import BaseOptions, vision

    options = vision.FaceLandmarkerOptions(
        base_options=BaseOptions(model_asset_path=str(BUNDLE)),
        running_mode=vision.RunningMode.VIDEO,
        output_face_blendshapes=True,
    )
    video, count = cv2.VideoCapture(clip), 0
    with vision.FaceLandmarker.create_from_options(options) as landmarker:
        while (read := video.read())[0]:
            picture = cv2.cvtColor(read[1], cv2.COLOR_BGR2RGB)
            image = mediapipe.Image(mediapipe.ImageFormat.SRGB, picture)
            if not landmarker.detect_for_video(image, round(1000 * count / RATE)).face_landmarks:
                raise SystemExit("the face was not found: this is no measurement.")
            count += 1
    return count


def peak() -> float:
    """Peak resident size of this process in MiB."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


class Worker:
    """A process that runs one way on demand."""

    def __init__(self, kind: str, clip: Path, threads: int, python: str = sys.executable) -> None:
        command = [python, __file__, "--threads", str(threads), "--worker", kind, str(clip)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            text=True,
        )  # fmt: skip

    def __call__(self) -> Answer:
        """Run once."""
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline().split()
        if not answer:
            sys.exit(f"benchmarks/faces.py: a worker has failed ({self._process.args}).")
        return Answer(float(answer[0]), float(answer[1]), int(answer[2]), float(answer[3]))

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


# --- tables -------------------------------------------------------------------------------------


def speed(clip: Path, peer_python: str | None, rounds: int, threads: int) -> None:
    """Frames a second of each way, in alternating rounds after one that is not counted."""
    workers = {
        "ours": Worker("ours", clip, threads),
        "ours, and pictures": Worker("pictures", clip, threads),
    }
    if peer_python:
        workers["MediaPipe task API"] = Worker("peer", clip, threads, peer_python)
    answers: dict[str, list[Answer]] = {name: [] for name in workers}
    for i in range(rounds + 1):
        for name in list(workers) if i % 2 else list(workers)[::-1]:
            answer = workers[name]()
            answers[name] += [answer] if i else []
    for worker in workers.values():
        worker.close()
    print("\n| way | frames/s | times the peer | processor ms a frame |\n|---|---|---|---|")
    rates = {name: [a.count / a.seconds for a in found] for name, found in answers.items()}
    theirs = rates.get("MediaPipe task API")
    for name, found in rates.items():
        ratio = spread([a / b for a, b in zip(found, theirs, strict=True)], 2) if theirs else "–"
        busy = spread([1e3 * a.busy / a.count for a in answers[name]])
        print(f"| {name} | {spread(found)} | {ratio} | {busy} |")
    print(f"\nMedian (range) of {rounds} rounds of {FRAMES} frames, {WIDTH} × {HEIGHT}")


def memory(clip: Path, minutes: float, threads: int) -> None:
    """Peak memory of a short and a long clip, each in a process of its own."""
    print("\n| clip | frames | peak MiB |\n|---|---|---|")
    peaks = []
    for length in (1.0, minutes):
        long = clip.with_name("long.mp4")
        repeat(clip, long, round(60 * length * RATE / FRAMES))
        worker = Worker("ours", long, threads)
        answer = worker()
        worker.close()
        peaks.append(answer.peak)
        print(f"| {length:g} min | {answer.count} | {answer.peak:.0f} |")
    print(f"\n{minutes:g} minutes take {peaks[1] / peaks[0]:.2f} times the memory of one")


def spread(values: list[float], digits: int = 1) -> str:
    """Median and range."""
    middle, low, high = statistics.median(values), min(values), max(values)
    return f"{middle:.{digits}f} ({low:.{digits}f}–{high:.{digits}f})"


def heading(cores: list[int], threads: int) -> None:
    """What it runs on."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [ln for ln in info.read_text().splitlines() if ln.startswith("model name")]
        cpu = names[0].partition(":")[2].strip() if names else cpu
    packages = ("ai-edge-litert", "av", "opencv-python-headless", "numpy")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
    print(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC · {cpu}, held to processors {cores}")
    print(f"threads of our networks: {threads}, decoding beside · load: {load()}")
    print(f"Python {platform.python_version()}, {versions}")


def load() -> str:
    """Load average over 1, 5 and 15 minutes."""
    return " ".join(f"{value:.2f}" for value in os.getloadavg())


# --- the clip -----------------------------------------------------------------------------------


def write_clip(path: Path) -> Path:
    """138 frames of a face at the size of BioVid's videos."""
    from dolorimeter.video import VideoWriter

    with VideoWriter(path, RATE, (HEIGHT, WIDTH)) as writer:
        for frame in frames():
            writer.write(frame)
    return path


def frames() -> Iterator[np.ndarray]:
    """Pictures of a real face, or of the portrait moved about."""
    import cv2
    import numpy as np

    from dolorimeter.video import read_frames

    root = os.environ.get("DOLORIMETER_DATA", "")
    source = Path(root) / "faces" / "WolfgangLanger_Pexels.mp4"
    if root and source.is_file():
        print(f"clip: {source.name}, enlarged and padded")
        for frame in read_frames(source):
            if frame.index == FRAMES:
                return
            stage = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
            enlarged = cv2.resize(frame.image, (WIDTH, 780), interpolation=cv2.INTER_CUBIC)
            stage[129:909] = enlarged
            yield stage
        return
    print("clip: the portrait, moved")
    portrait = cv2.imread(str(BUNDLE.with_name("astronaut.png")))[:, :, ::-1]
    for i in range(FRAMES):
        turn = cv2.getRotationMatrix2D((220, 200), 8 * np.sin(i / 20), 1.9)
        turn[:, 2] += (WIDTH / 2 - 220 + 60 * np.sin(i / 15), HEIGHT / 2 - 250)
        yield cv2.warpAffine(portrait, turn, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REPLICATE)


def repeat(clip: Path, path: Path, times: int) -> None:
    """The clip so many times in a row, packets copied."""
    import av

    with av.open(str(path), "w") as out:
        stream = None
        for i in range(times):
            with av.open(str(clip)) as container:
                video = container.streams.video[0]
                stream = stream or out.add_stream_from_template(video)
                shift = round(i * FRAMES / RATE / video.time_base)
                for packet in container.demux(video):
                    if packet.dts is None:
                        continue
                    packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                    packet.stream = stream
                    out.mux(packet)


if __name__ == "__main__":
    main()
