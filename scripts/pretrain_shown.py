"""Show that pre-training teaches something: the encoder against the random one, on other people.

Run: DOLORIMETER_DATA=… python scripts/pretrain_shown.py [--steps N] [--batch N] [--size PIXELS]
     [--people N] [--windows N] [--out FOLDER]

The tasks are those of experiments/pretrain_open.toml; the faces in it are made here. Both encoders
are then frozen, and a logistic regression reads their 160 numbers, trained on some people of a set
that the pre-training has not met and tested on others. Whichever wins is printed.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from dolorimeter.datasets import open_dataset
from dolorimeter.embeddings import Encoder
from dolorimeter.pretraining import pretrain, read_pretraining
from dolorimeter.representations.signal_pictures import Waveform
from dolorimeter.statistics import interval_over_subjects, paired
from dolorimeter.synthesis.face_identity import draw_identity
from dolorimeter.synthesis.face_model import face_model
from dolorimeter.synthesis.face_render import Renderer
from dolorimeter.types import Window
from dolorimeter.windows import WindowSpec, cut

ROOT = Path(__file__).parent.parent
UNITS = ("au4", "au6", "au9", "au12")
EXPRESSIONS: dict[str, dict[str, float]] = {
    "rest": {},
    "pain": {"au4": 4.0, "au6": 3.5, "au7": 4.0, "au9": 3.0, "au10": 4.0, "closure": 0.6},
    "smile": {"au12": 5.0, "au6": 3.0, "au25": 3.0},
    "frown": {"au4": 4.5},
    "eyes_shut": {"closure": 1.0},
}
FRAME, CROP = (320, 240), (slice(10, 210), slice(60, 260))
FOLDS, PENALTY = 5, 0.1
"""Folds of people, and C of the regression: chosen once, before any result was seen."""


@dataclass(frozen=True)
class Probe:
    """Pictures of other people, and what is asked of them."""

    name: str
    pictures: np.ndarray  # (sample, part, 3, side, side)
    label: np.ndarray
    subject: np.ndarray


def faces(
    number: int, each: int, seed: int
) -> Iterator[tuple[str, str, dict[str, float], np.ndarray]]:
    """Person, expression, state and picture of made-up people."""
    for person in range(number):
        rng = np.random.default_rng([seed, person])
        identity = draw_identity(rng, sex="wm"[person % 2], age=int(rng.integers(20, 70)))
        renderer = Renderer(face_model(identity, FRAME), 0.5, rng)
        for expression, highest in EXPRESSIONS.items():
            for _ in range(each):
                state = {unit: value * rng.uniform(0.5, 1) for unit, value in highest.items()}
                turn = {"yaw": rng.normal(0, 0.1), "roll": rng.normal(0, 0.05)}
                picture = renderer.frame(state | turn)[CROP]
                yield f"{seed}-{person}", expression, state, picture


def write_faces(folder: Path, number: int, each: int, seed: int) -> None:
    """Pictures and a table of labels for the readers."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "labels.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "person", "expression", *UNITS])
        for place, (person, expression, state, picture) in enumerate(faces(number, each, seed)):
            cv2.imwrite(str(folder / f"{place}.png"), picture[..., ::-1])
            units = [round(state.get(unit, 0.0), 3) for unit in UNITS]
            writer.writerow([f"{place}.png", person, expression, *units])


def face_probe(size: int, people: int) -> Probe:
    """The expression of people of another draw, by the same generator."""
    found = list(faces(people, 6, seed=99))
    pictures = [cv2.resize(f[3], (size, size), interpolation=cv2.INTER_AREA) for f in found]
    stacked = np.stack(pictures).transpose(0, 3, 1, 2)[:, None]
    label, subject = ([f[place] for f in found] for place in (1, 0))
    return Probe(
        "expression, look-alikes of another draw", stacked, np.array(label), np.array(subject)
    )


def mimicry_probes(size: int, people: int, windows: int) -> list[Probe]:
    """Signals of oxazepam_fmov: which one is drawn, and which face was seen."""
    names = ("eda", "emg_corrugator", "emg_zygomaticus")
    reader = open_dataset("oxazepam_fmov")
    kinds, seen = [], []
    draw = {name: Waveform(modality=name, size=size) for name in names}
    along = WindowSpec(duration=10.0, anchor="recording", step=20.0)
    after = WindowSpec(duration=6.0, conditions=("angry", "happy"))
    for recording in reader.recordings(reader.subjects()[:people] if people else None):
        loaded = recording.load()
        for window in cut(loaded, along, modalities=names).windows[:windows]:
            kinds += [(drawn(draw[n], window), n, recording.subject) for n in names]
        for window in cut(loaded, after, modalities=names).windows[:windows]:
            assert window.stimulus is not None
            both = [drawn(draw[name], window) for name in names[1:]]
            seen.append((np.concatenate(both), window.stimulus.condition, recording.subject))
    told = (
        ("which signal, oxazepam_fmov", kinds),
        ("angry or happy from EMG, oxazepam_fmov", seen),
    )
    return [
        Probe(name, *(np.stack([row[place] for row in rows]) for place in range(3)))
        for name, rows in told
    ]


def drawn(representation: Waveform, window: Window) -> np.ndarray:
    """The window's only channel, (1, 3, side, side)."""
    return next(iter(representation.pictures(window)))


def embedded(encoder: Encoder, pictures: np.ndarray) -> np.ndarray:
    """Numbers of each sample, its parts one after another, from pictures of any size."""
    module = encoder.build()
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (encoder.input.mean, encoder.input.std))
    found = []
    with torch.inference_mode():
        for some in torch.split(torch.from_numpy(pictures.reshape(-1, *pictures.shape[2:])), 32):
            found.append(module((some.float() / 255 - mean) / std).numpy())
    return np.concatenate(found).reshape(len(pictures), -1)


def by_subject(probe: Probe, features: np.ndarray) -> np.ndarray:
    """Balanced accuracy of each person, told by a regression that was fitted on others."""
    told = np.empty_like(probe.label)
    people = np.unique(probe.subject)
    for train, test in GroupKFold(min(FOLDS, len(people))).split(features, groups=probe.subject):
        model = make_pipeline(StandardScaler(), LogisticRegression(C=PENALTY, max_iter=2000))
        told[test] = model.fit(features[train], probe.label[train]).predict(features[test])
    right = told == probe.label
    return np.array(
        [
            np.mean([right[own & (probe.label == k)].mean() for k in np.unique(probe.label[own])])
            for own in (probe.subject == who for who in people)
        ]
    )


def table(probes: Sequence[Probe], trained: Encoder, random: Encoder) -> Iterator[str]:
    """A line a probe: mean over people with its 95 % interval, and their paired difference."""
    yield "| probe | people | chance | random | pre-trained | difference | p |"
    yield "|---|---|---|---|---|---|---|"
    for probe in probes:
        first, second = (by_subject(probe, embedded(e, probe.pictures)) for e in (trained, random))
        gap = paired(first, second)
        cells = [
            f"{scores.mean():.3f} ({low:.3f}–{high:.3f})"
            for scores in (second, first)
            for low, high in [interval_over_subjects(scores)]
        ]
        chance = 1 / len(np.unique(probe.label))
        yield (
            f"| {probe.name} | {gap.subjects} | {chance:.2f} | {cells[0]} | {cells[1]} | "
            f"{gap.difference:+.3f} ({gap.low:+.3f}–{gap.high:+.3f}) | {gap.permutation_p:.4f} |"
        )


def arguments() -> argparse.Namespace:
    """Sizes; the defaults take about 35 minutes of one core."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=0)
    parser.add_argument("--batch", type=int, default=0)
    parser.add_argument("--size", type=int, default=0)
    parser.add_argument("--people", type=int, default=0, help="of each probe; 0: all")
    parser.add_argument("--windows", type=int, default=8, help="of each person, in each probe")
    parser.add_argument("--out", type=Path, default=None, help="to go on from, if stopped")
    return parser.parse_args()


def main() -> None:
    """Make faces, pre-train, probe, print."""
    given = arguments()
    wanted = {"steps": given.steps, "batch_size": given.batch, "size": given.size}
    changes = {k: v for k, v in wanted.items() if v}
    if given.steps:
        changes["warm_up"] = given.steps // 12
    config = read_pretraining(ROOT / "experiments" / "pretrain_open.toml", changes)
    if not (ROOT / ".demo/pretrain/faces/labels.csv").exists():
        write_faces(ROOT / ".demo/pretrain/faces", number=60, each=6, seed=1)
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        out = given.out or Path(folder)
        found = pretrain(
            config, out, progress=lambda a, b: print(f"\r{a}/{b}", end="", flush=True)
        )
        print(f"\r{config.steps} steps in {time.perf_counter() - begun:,.0f} s\n")
        log = found.table()
        last = log[(log["part"] == "validation") & (log["step"] == config.steps)]
        print("Other people of the same sets:", last[["task", "rows", "loss", "score"]].to_string(
            index=False), *found.remarks, sep="\n")  # fmt: skip
        trained = Encoder(config.encoder.name, weights=str(found.weights))
        random = Encoder(config.encoder.name, seed=config.seed)
        probes = [
            *mimicry_probes(config.size, given.people, given.windows),
            face_probe(config.size, given.people or 12),
        ]
        print("\nOther sets, balanced accuracy over people (95 % interval):\n")
        for line in table(probes, trained, random):
            print(line)
    print(f"\n{time.perf_counter() - begun:,.0f} s in all, {config.size} × {config.size} pixels")


if __name__ == "__main__":
    main()
