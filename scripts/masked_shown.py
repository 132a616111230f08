"""Show what masked pre-training teaches: signals against straight lines, clips against a mean.

Run: python scripts/masked_shown.py signals [--steps N] [--people N] [--out FOLDER]
     python scripts/masked_shown.py video [--steps N] [--people N] [--held N] [--out FOLDER]

``signals``: an autoencoder learns from one half of the people of oxazepam_fmov. On the other half
its error across gaps stands beside that of straight lines, and its frozen features beside random
ones and hand-made ones, each read by a logistic regression; then the halves change places.
``video``: a Tiny encoder learns from look-alike faces made here, a clip each. On other identities
the error on hidden patches stands beside that of the training clips' mean picture. Whatever wins
is printed. The last ``--held`` of ``--people`` identities are painted only: with fewer people than
were made, nothing is seen of the last ones, and settings can be chosen without them.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from dolorimeter.chain import Pipeline, Stream
from dolorimeter.datasets import open_dataset
from dolorimeter.estimators import NetworkClassifier
from dolorimeter.models import SignalAutoencoder, SignalMAEEncoder, VideoAutoencoder, create_model
from dolorimeter.models.video_mae import from_patches, masked_patches, patches
from dolorimeter.pretraining import (
    MaskedSignal,
    MaskedVideo,
    pretrain,
    read_pretraining,
    tube_mask,
)
from dolorimeter.pretraining._clips import Clips
from dolorimeter.pretraining._signal_rows import SignalRows
from dolorimeter.pretraining.masked_signal import errors_by_channel, hidden_of
from dolorimeter.representations import Features, Raw
from dolorimeter.statistics import interval_over_subjects, paired
from dolorimeter.synthesis import synthesise
from dolorimeter.windows import WindowSpec

ROOT = Path(__file__).parent.parent
FOLDS, PENALTY = 5, 0.1
"""Folds of people, and C of the regression: chosen once, before any result was seen."""
RAW = ("eda", "emg_corrugator", "emg_zygomaticus")
"""Signals that the hand-made features are of."""
SIGNALS = ("eda", "emg_corrugator_rectified", "emg_zygomaticus_rectified")
ASKED = WindowSpec(duration=6.0, conditions=("angry", "happy"))
TRIVIAL = 0.01
"""Squared error of a line that is off by a twentieth of the range from -1 to 1."""
MASKS = 5
"""Masks of each held-out clip."""
IDENTITIES = 320
"""Look-alikes that are made, a clip each: what is asked is how well others are painted, so many
identities teach more than many clips of few. With 58 the network learned them by heart."""


def signals(given: argparse.Namespace) -> None:
    """Two halves of people: each is learned from once, and tested on once."""
    reader = open_dataset("oxazepam_fmov")
    people = list(reader.subjects())
    people = people[: given.people] if given.people else people
    halves = people[0::2], people[1::2]
    gaps: list[list[tuple[float, float, int]]] = []
    probes: list[dict[str, np.ndarray]] = []
    for number, (learned, other) in enumerate((halves, halves[::-1])):
        config = told("pretrain_masked_signals_open.toml", given, subjects=learned)
        assert isinstance(config, MaskedSignal)
        found = pretrain(config, given.out / f"signals-{number}", progress=shown)
        print(f"\r{len(learned)} people learned from, {config.steps} steps;", *found.remarks[-1:])
        module = signal_autoencoder(config, given.out / f"signals-{number}" / "checkpoint.pt")
        rows = SignalRows(changed(config, subjects=other))
        masks = [
            hidden_of(config, row, np.random.default_rng([1, i]))
            for i, row in enumerate(rows.samples)
        ]
        gaps.append(errors_by_channel(module, rows.samples, masks))
        probes.append(probe(config, module.encoder, other, found.weights, given))
    print("\nHidden samples of people not learned from, mean squared error (window at -1…1):\n")
    for line in gap_table(gaps):
        print(line)
    print("\nAngry or happy, 6 s after the clip's start, people not learned from:\n")
    for line in probe_table(probes):
        print(line)


def told(name: str, given: argparse.Namespace, **data: Any) -> Any:
    """The experiment of that file, with the steps and people that were asked for."""
    config = read_pretraining(
        ROOT / "experiments" / name,
        ({"steps": given.steps, "warm_up": given.steps // 15} if given.steps else {}),
    )
    return changed(config, **data)


def changed(config: Any, **data: Any) -> Any:
    """The same with other people or another folder."""
    data = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
    return replace(config, datasets=tuple(replace(d, **data) for d in config.datasets))


def signal_autoencoder(config: MaskedSignal, checkpoint: Path) -> SignalAutoencoder:
    """Encoder and decoder as the run left them."""
    module = bare(config)
    state = torch.load(checkpoint, weights_only=True)["module"]
    module.load_state_dict(state)
    return module.eval()


def bare(config: MaskedSignal, seed: int = 0) -> SignalAutoencoder:
    """Random weights."""
    torch.manual_seed(seed)
    sizes: dict[str, Any] = {
        name: getattr(config, name) for name in ("heads", "hidden", "layers", "dropout")
    }
    shape = (len(config.channel_names), 192)
    scaling = "train_robust" if config.scaling == "train_robust" else "none"
    inner = SignalMAEEncoder(input_shape=shape, scaling=scaling, width=config.width, **sizes)
    return SignalAutoencoder(inner, **sizes).eval()


def probe(
    config: MaskedSignal,
    trained: SignalMAEEncoder,
    people: Sequence[str],
    weights: Path,
    given: argparse.Namespace,
) -> dict[str, np.ndarray]:
    """Balanced accuracy of each person, by what is known of a window."""
    recordings = list(open_dataset("oxazepam_fmov").recordings(tuple(people)))
    raw = [
        Stream(
            name, (), Raw(name, sampling_rate=config.sampling_rate, standardise="window_minmax")
        )
        for name in SIGNALS
    ]
    made = [
        Stream(name, (), Features(name)) for name in ("eda", "emg_corrugator", "emg_zygomaticus")
    ]
    windows = Pipeline(ASKED, tuple(raw)).samples(recordings)
    hand = Pipeline(ASKED, tuple(made)).samples(recordings)
    y = (windows.meta["condition"] == "happy").to_numpy(dtype=int)
    assert (windows.meta["start"].to_numpy() == hand.meta["start"].to_numpy()).all()
    assert not isinstance(windows.x, np.ndarray)
    x = np.concatenate([windows.x[name] for name in SIGNALS], axis=1).astype(np.float32)
    subject = windows.subjects.astype(str)
    random = bare(config, seed=1).encoder
    found = {
        "hand-made features": by_subject(np.asarray(hand.x), y, subject),
        "frozen, random": by_subject(features(random, x), y, subject),
        "frozen, pre-trained": by_subject(features(trained, x), y, subject),
    }
    if given.epochs:
        for name, path in (
            ("HPA, random encoder", ""),
            ("HPA, pre-trained encoder", str(weights)),
        ):
            found[name] = network_by_subject(config, x, y, subject, path, given.epochs)
    return found


def features(encoder: SignalMAEEncoder, x: np.ndarray) -> np.ndarray:
    """Mean and deviation of each number of the tokens over time."""
    with torch.inference_mode():
        tokens = encoder.tokens(torch.from_numpy(x))
        return torch.cat((tokens.mean(dim=1), tokens.std(dim=1)), dim=1).numpy()


def by_subject(x: np.ndarray, y: np.ndarray, subject: np.ndarray) -> np.ndarray:
    """Balanced accuracy of each person, by a regression that was fitted on others."""
    guess = np.empty_like(y)
    for train, test in GroupKFold(FOLDS).split(x, groups=subject):
        model = make_pipeline(
            SimpleImputer(keep_empty_features=True),
            StandardScaler(),
            LogisticRegression(C=PENALTY, max_iter=2000),
        )
        guess[test] = model.fit(x[train], y[train]).predict(x[test])
    return balanced(guess == y, y, subject)


def network_by_subject(
    config: MaskedSignal, x: np.ndarray, y: np.ndarray, subject: np.ndarray, path: str, epochs: int
) -> np.ndarray:
    """The same by hybrid positional attention on the encoder's tokens, trained along."""
    guess = np.empty_like(y)
    arguments = {
        "signals": x.shape[1:],
        "signal_encoder": "signal_mae",
        "signal_args": {"width": config.width, "heads": config.heads, "hidden": config.hidden},
        "signal_weights": path,
    }
    flat = x.reshape(len(x), -1)
    for train, test in GroupKFold(3).split(flat, groups=subject):
        model = NetworkClassifier(
            "dual_stream", module_args=arguments, epochs=epochs, batch_size=16,
            early_stopping=False, patience=None, learning_rate=1e-3, learning_rate_drops=(),
        )  # fmt: skip
        guess[test] = model.fit(flat[train], y[train]).predict(flat[test])
    return balanced(guess == y, y, subject)


def balanced(right: np.ndarray, y: np.ndarray, subject: np.ndarray) -> np.ndarray:
    """Balanced accuracy of each person."""
    return np.array(
        [
            np.mean([right[own & (y == k)].mean() for k in np.unique(y[own])])
            for own in (subject == who for who in np.unique(subject))
        ]
    )


def gap_table(gaps: Sequence[Sequence[tuple[float, float, int]]]) -> Iterator[str]:
    """A line a signal, and who is nearer."""
    yield "| signal | hidden samples | autoencoder | straight line | verdict |"
    yield "|---|---|---|---|---|"
    for name, *halves in zip(SIGNALS, *gaps, strict=True):
        count = sum(n for _, _, n in halves)
        network, line = (sum(h[place] * h[2] for h in halves) / count for place in (0, 1))
        verdict = f"{1 - network / line:.0%} below the line"
        if network >= line:
            verdict = f"the line is {network / line:.1f} times nearer"
        if line < TRIVIAL:
            verdict += "; trivial: the line is off by less than a twentieth of the range"
        yield f"| {name} | {count:,} | {network:.5f} | {line:.5f} | {verdict} |"


def probe_table(probes: Sequence[dict[str, np.ndarray]]) -> Iterator[str]:
    """A line a kind of features: mean over people, interval, paired difference to random ones."""
    yield "| features | people | balanced accuracy (95 %) | over frozen random (95 %) | p |"
    yield "|---|---|---|---|---|"
    joined = {name: np.concatenate([each[name] for each in probes]) for name in probes[0]}
    for name, scores in joined.items():
        low, high = interval_over_subjects(scores)
        gap = paired(scores, joined["frozen, random"])
        difference = f"{gap.difference:+.3f} ({gap.low:+.3f} to {gap.high:+.3f})"
        if name == "frozen, random":
            difference, p = "", ""
        else:
            p = f"{gap.permutation_p:.3f}"
        yield (
            f"| {name} | {len(scores)} | {scores.mean():.3f} ({low:.3f}–{high:.3f}) | "
            f"{difference} | {p} |"
        )


def video(given: argparse.Namespace) -> None:
    """Make faces, learn from some identities, paint others."""
    faces = given.out / "faces"
    if not faces.exists():
        synthesise(
            "biovid", faces, seed=6, subjects=IDENTITIES, per_condition=1, conditions=("PA4",),
            modalities=("video",), size=(224, 224),
        )  # fmt: skip
    people = list(open_dataset("biovid", faces, part="A").subjects())[: given.people or None]
    learned, held = people[: -given.held], people[-given.held :]
    config = told("pretrain_masked_video_lookalike.toml", given, root=str(faces), subjects=learned)
    assert isinstance(config, MaskedVideo)
    begun, worked = time.perf_counter(), time.process_time()
    found = pretrain(config, given.out / "video", progress=shown)
    print(
        f"\r{config.steps} steps of {config.batch_size} clips in "
        f"{time.perf_counter() - begun:,.0f} s ({time.process_time() - worked:,.0f} s of "
        "processor).", *found.remarks,
    )  # fmt: skip
    module = video_autoencoder(config, given.out / "video" / "checkpoint.pt")
    own = Clips(config, 16, 224)
    rows, _ = own.listing.split(config.validation, config.seed)
    mean = np.mean([own.clip(r, None).mean(axis=0) for r in rows.tolist()], axis=0)
    other = Clips(changed(config, subjects=held), 16, 224)
    errors: dict[str, list[tuple[float, float, float]]] = {who: [] for who in held}
    strips: dict[str, np.ndarray] = {}
    for row, (_, who) in enumerate(other.listing.people):
        clip = torch.from_numpy(other.clip(row, None)).permute(1, 0, 2, 3)[None]
        for draw in range(MASKS):
            hidden = torch.from_numpy(
                tube_mask((8, 14, 14), config.ratio, np.random.default_rng([row, draw]))
            )[None]
            errors[who].append(compared(module, clip, hidden, mean))
        strips.setdefault(who, painted(module, clip, hidden))
    print(
        f"\n{found.tasks[0].trained_people} identities learned from, "
        f"{found.tasks[0].validated_people} watched, {len(held)} others painted: "
        f"{len(other.windows)} clips, {MASKS} masks each.\n"
    )
    for line in video_table(np.array([np.mean(each, axis=0) for each in errors.values()])):
        print(line)
    path = given.out / "strip.png"
    cv2.imwrite(str(path), np.concatenate(list(strips.values())[:3], axis=1)[..., ::-1])
    print(f"\nInput, mask, output of three identities: {path}")


def video_table(errors: np.ndarray) -> Iterator[str]:
    """A line a way to paint, from the errors (identity, way) of held-out people."""
    yield "| painted by | mean squared error on hidden patches (pixels at -1…1) | least–most |"
    yield "|---|---|---|"
    names = (
        "the network", "the mean picture of the training clips",
        "the mean colour of the clip's visible patches",
    )  # fmt: skip
    for name, each in zip(names, errors.T, strict=True):
        yield f"| {name} | {each.mean():.4f} | {each.min():.4f}–{each.max():.4f} |"
    network, picture, _ = errors.T
    below = 1 - network / picture
    yield ""
    yield (
        f"The network is {1 - network.mean() / picture.mean():.0%} below the mean picture "
        f"({below.min():.0%} to {below.max():.0%} by identity)."
    )


def video_autoencoder(config: MaskedVideo, checkpoint: Path) -> VideoAutoencoder:
    """Encoder and decoder as the run left them."""
    encoder = create_model(config.encoder.name)
    module = VideoAutoencoder(
        encoder, depth=config.decoder_depth, width=config.decoder_width,
        heads=config.decoder_heads,
    )  # fmt: skip
    state = torch.load(checkpoint, weights_only=True)["module"]
    prefix = "autoencoder."
    module.load_state_dict(
        {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
    )
    return module.eval()


def compared(
    module: VideoAutoencoder, clip: torch.Tensor, hidden: torch.Tensor, mean: np.ndarray
) -> tuple[float, float, float]:
    """Errors on the hidden patches: the network's, the mean picture's, the clip's own mean's."""
    cut = patches(clip.float() / 127.5 - 1)
    still = torch.from_numpy(mean).float()[None, :, None].expand(clip.shape) / 127.5 - 1
    real = masked_patches(cut, hidden)
    with torch.inference_mode():
        guesses = (module.painted(cut, hidden), masked_patches(patches(still), hidden))
    colour = cut[:, ~hidden[0]].reshape(-1, 3, 2 * 16 * 16).mean(dim=(0, 2))
    level = colour.repeat_interleave(2 * 16 * 16).expand_as(real)
    first, second, third = (float((g - real).square().mean()) for g in (*guesses, level))
    return first, second, third


def painted(module: VideoAutoencoder, clip: torch.Tensor, hidden: torch.Tensor) -> np.ndarray:
    """Two moments of a clip: as it is, as the network sees it, as it paints it."""
    cut = patches(clip.float() / 127.5 - 1)
    with torch.inference_mode():
        full = cut.clone()
        full[hidden] = module.painted(cut, hidden).flatten(0, 1)
    seen = torch.where(hidden[..., None], torch.zeros_like(cut), cut)
    rows = []
    for one in (cut, seen, full):
        frames = from_patches(one, 16, 224)[0, :, 2::8]  # (3, 2, side, side)
        flat = ((frames + 1) * 127.5).clamp(0, 255).byte().numpy().transpose(1, 2, 3, 0)
        rows.append(np.concatenate(list(flat), axis=1))
    return np.concatenate(rows)


def shown(done: int, total: int) -> None:
    """Steps, on one line."""
    print(f"\r{done}/{total}", end="", flush=True)


def main() -> None:
    """Run one of the two."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("signals", "video"))
    parser.add_argument("--steps", type=int, default=0, help="0: as the experiment says")
    parser.add_argument("--people", type=int, default=0, help="0: all")
    parser.add_argument("--held", type=int, default=16, help="identities that are painted only")
    parser.add_argument("--epochs", type=int, default=8, help="of the HPA networks; 0: none")
    parser.add_argument("--out", type=Path, default=ROOT / ".demo" / "masked")
    given = parser.parse_args()
    begun = time.perf_counter()
    {"signals": signals, "video": video}[given.what](given)
    print(f"\n{time.perf_counter() - begun:,.0f} s in all, {torch.get_num_threads()} thread(s)")


if __name__ == "__main__":
    main()
