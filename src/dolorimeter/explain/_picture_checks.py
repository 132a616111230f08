"""Occlusion, randomised layers and deletion curves of the pictures of a window."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn

from dolorimeter.explain import maps as look
from dolorimeter.explain._painformer import Case, log_odds
from dolorimeter.explain._question import Counter
from dolorimeter.explain._seen import PictureExplanation
from dolorimeter.explain.maps import StreamMaps
from dolorimeter.explain.sanity import (
    DESTROYED,
    FEWEST_ORDERS,
    LEVEL,
    Curves,
    Maps,
    Sanity,
    blurred,
    curves_of,
    layers_of,
    sanity_check,
    scores_wanted,
)
from dolorimeter.models.painformer import REDUCTION

POINTS = (0.03, 0.15, 0.5, 0.85, 0.97)
"""Of the curves."""
CASCADES = 4
"""49 patches of a smooth map are few: one shuffle alone correlates by chance too often."""
CHUNK = 4
BLUR = 10 / 224
"""Of a face's side: what `blurred` takes for one of 224 pixels."""
NEARLY_EVEN = 1.1
"""A map whose highest patch is below so many times the mean says nearly nothing."""

GROUPS = (
    ("classifier", ("network",)),
    ("class block", ("encoder.post_network", "encoder.norm4")),
    ("stage 4", ("encoder.block4", "encoder.patch_embed4", "encoder.norm3")),
    ("stage 3, blocks 12–7", tuple(f"encoder.block3.{i}" for i in range(6, 12))),
    (
        "stage 3, blocks 6–1",
        (*(f"encoder.block3.{i}" for i in range(6)), "encoder.patch_embed3", "encoder.norm2"),
    ),
    ("stage 2", ("encoder.block2", "encoder.patch_embed2", "encoder.norm1")),
    ("stage 1", ("encoder.block1",)),
    ("stem", ("encoder.patch_embed1",)),
)
"""Layers from the top."""
UPPER = 3
"""The first so many groups lie above what `Third` keeps."""


@dataclass(frozen=True)
class Occluded:
    """A stream's watched pictures with one patch taken out each.

    Parameters
    ----------
    third : Third
        Of ``picture · patch`` pictures, in that order.
    """

    third: look.Third


def checked(explanation: PictureExplanation, case: Case, counter: Counter) -> PictureExplanation:
    """The explanation with occlusion and all checks, stream by stream."""
    target = explanation.classes.index(explanation.class_name)
    counter.total += sum(_work(s, grid_of(case, s.name)) for s in explanation.streams)
    streams, effects, sanity, curves, rows = [], [], {}, {}, []
    for before in explanation.streams:
        effect = whole_effects(case, before, counter)
        effects.append(_effect_table(before, effect, explanation.classes))
        foremost = np.argsort(-np.abs(effect[:, target]), kind="stable")[: len(before.watched)]
        stream = replace(before, watched=tuple(sorted(int(i) for i in foremost)))
        occluded = occlude(case, stream, counter)
        stream.maps[look.OCCLUSION] = _all_pictures(
            stream, occlusion(case, stream, case.embeddings[stream.name], occluded)
        )
        sanity[stream.name] = randomised(case, stream, target, occluded, counter)
        curves[stream.name] = patch_curves(case, stream, target, counter)
        rows += outcome(stream, target, explanation, sanity[stream.name], curves[stream.name])
        streams.append(stream)
    return replace(
        explanation,
        streams=tuple(streams),
        pictures=pd.concat(effects, ignore_index=True),
        sanity=sanity,
        curves=curves,
        checks=pd.DataFrame(rows),
    )


def grid_of(case: Case, name: str) -> int:
    """Patches along a side of a stream's pictures that are taken out: the tokens of stage 4."""
    return case.shown[name].side // REDUCTION


def _work(stream: StreamMaps, grid: int) -> int:
    watched = len(stream.watched)
    names = len((*look.FREE, *look.BY_GRADIENT, look.OCCLUSION))
    masks = scores_wanted(grid**2 * watched, names, POINTS, FEWEST_ORDERS)
    below = CASCADES * (len(GROUPS) - UPPER)
    return len(stream.labels) + watched * (grid**2 + below + masks)


def without(case: Case, name: str, pictures: UInt8[np.ndarray, "*any 3 side side"]) -> UInt8[
    np.ndarray, "*any 3 side side"
]:  # fmt: skip
    """Pictures with nothing to be seen: the mean colour of a drawing, a blurred face."""
    if case.shown[name].signal:
        mean = pictures.mean(axis=(-2, -1), keepdims=True)
        return np.broadcast_to(np.round(mean).astype(np.uint8), pictures.shape).copy()
    sigma = BLUR * pictures.shape[-1]
    soft = blurred(torch.from_numpy(np.ascontiguousarray(pictures)).float(), sigma)
    return soft.round().clamp(0, 255).byte().numpy()


def whole_effects(
    case: Case, stream: StreamMaps, counter: Counter
) -> Float[np.ndarray, "picture class"]:
    """How much each class's log odds fall without a whole picture."""
    name = stream.name
    pictures = case.shown[name].pictures
    encoder = case.parts.encoders[name]
    with torch.no_grad():  # in float32, as what it is compared with
        soft = torch.cat(
            [encoder(case.normalised(name, p[None])) for p in without(case, name, pictures)]
        )
    counter.add(len(pictures))
    return _falls(case, name, list(range(len(pictures))), soft[:, None], case.embeddings[name])[
        :, 0
    ]


def embedded(
    case: Case, name: str, batches: Iterator[UInt8[np.ndarray, "picture 3 side side"]]
) -> Float[Tensor, "picture feature"]:
    """Embeddings for scores that are compared with each other: in bfloat16, without a map.

    Its rounding falls on the map's order and on the random ones alike.
    """
    encoder = case.parts.encoders[name]
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        return torch.cat([encoder(case.normalised(name, b)).float() for b in batches])


def occlude(case: Case, stream: StreamMaps, counter: Counter) -> Occluded:
    """The watched pictures without each of their patches, up to the third stage, in float32."""
    pictures = case.shown[stream.name].pictures[list(stream.watched)]
    soft = without(case, stream.name, pictures)
    grid = grid_of(case, stream.name)
    masks = np.eye(grid**2, dtype=bool).reshape(-1, grid, grid)
    encoder = case.parts.encoders[stream.name]
    known = case.third[stream.name]
    tokens = []
    for picture, empty in zip(pictures, soft, strict=True):
        for first in range(0, len(masks), CHUNK):
            cut = _cut(picture, empty, masks[first : first + CHUNK])
            with torch.no_grad():
                tokens.append(encoder.three_stages(case.normalised(stream.name, cut))[0])
            counter.add(len(cut))
    return Occluded(look.Third(torch.cat(tokens), known.height, known.width, {}))


def occlusion(
    case: Case, stream: StreamMaps, embeddings: Tensor | None, occluded: Occluded
) -> Float[np.ndarray, "class picture row column"]:
    """How much each class's log odds fall without a patch of a watched picture."""
    assert embeddings is not None  # the stream is shown
    encoder = case.parts.encoders[stream.name]
    found = look.embeddings_of(encoder, occluded.third)
    grid = grid_of(case, stream.name)
    found = found.reshape(len(stream.watched), grid**2, -1)
    falls = _falls(case, stream.name, list(stream.watched), found, embeddings)
    return falls.transpose(2, 0, 1).reshape(falls.shape[2], len(found), grid, grid)


def _falls(
    case: Case,
    name: str,
    places: Sequence[int],
    changed: Float[Tensor, "place variant feature"],
    embeddings: Tensor | None,
) -> Float[np.ndarray, "place variant class"]:
    """Log odds before minus after, for variants of single pictures."""
    assert embeddings is not None
    whole = log_odds(case.logits_with(name, embeddings[None]))
    rows = []
    for place, variants in zip(places, changed, strict=True):
        windows = embeddings.repeat(len(variants), 1, 1)
        windows[:, place] = variants
        rows.append(whole - log_odds(case.logits_with(name, windows)))
    return torch.stack(rows).numpy()


def _all_pictures(
    stream: StreamMaps, watched: Float[np.ndarray, "class picture row column"]
) -> Float[np.ndarray, "class pictures row column"]:
    found = np.full((len(watched), len(stream.labels), *watched.shape[2:]), np.nan)
    found[:, list(stream.watched)] = watched
    return found


def randomised(
    case: Case, stream: StreamMaps, target: int, occluded: Occluded, counter: Counter
) -> Sanity:
    """Cascading randomisation of all maps of the watched pictures.

    Other pictures keep the embedding that they had. Occlusion is followed down to stage 4, below
    which each layer would cost a pass a patch.
    """
    name, watched = stream.name, list(stream.watched)
    encoder, network = case.parts.encoders[name], case.parts.network
    pictures = case.normalised(name, case.shown[name].pictures[watched])
    both = nn.ModuleDict({"network": network, "encoder": encoder})
    layers = [
        (title, parameters)
        for (title, _), (_, parameters) in zip(
            GROUPS, layers_of(both, [list(names) for _, names in GROUPS]), strict=True
        )
    ]
    known = look.third_stage(encoder, pictures)

    def maps(random: Sequence[str]) -> Maps:
        deep = len(random) > UPPER
        third = look.third_stage(encoder, pictures) if deep else known
        if deep:
            counter.add(len(watched))
        before = case.embeddings[name]
        assert before is not None  # the stream is shown
        embeddings = before.clone()
        embeddings[watched] = look.embeddings_of(encoder, third)
        gradients = case.gradients(name, embeddings)[[target]][:, watched]
        found = dict(third.maps)
        found |= {k: v[0] for k, v in look.fourth_stage(encoder, third, gradients).items()}
        if not deep:
            found[look.OCCLUSION] = occlusion(case, stream, embeddings, occluded)[target]
        return {k: v.reshape(len(watched), -1) for k, v in found.items()}

    return sanity_check(maps, layers, repeats=CASCADES)


def patch_curves(
    case: Case, stream: StreamMaps, target: int, counter: Counter
) -> dict[str, Curves]:
    """Patches of the watched pictures taken out in the order of each map and in random orders."""
    name, watched = stream.name, list(stream.watched)
    before = case.embeddings[name]
    assert before is not None  # the stream is shown
    pictures = case.shown[name].pictures[watched]
    soft = without(case, name, pictures)
    grid = grid_of(case, name)

    def score(out: Bool[np.ndarray, "mask item"]) -> Float[np.ndarray, " mask"]:
        grids = out.reshape(len(out), len(watched), grid, grid)

        def batches() -> Iterator[UInt8[np.ndarray, "picture 3 side side"]]:
            for of_masks in grids:
                yield np.concatenate(
                    [_cut(p, s, g[None]) for p, s, g in zip(pictures, soft, of_masks, strict=True)]
                )
                counter.add(len(pictures))

        found = embedded(case, name, _joined(batches())).reshape(len(out), len(watched), -1)
        windows = before.repeat(len(out), 1, 1)
        windows[:, watched] = found
        return case.logits_with(name, windows).softmax(dim=1)[:, target].numpy()

    orders = {k: coarse(v[target][watched], grid).flatten() for k, v in stream.maps.items()}
    return curves_of(score, orders, shares=POINTS)


def _joined(
    batches: Iterator[UInt8[np.ndarray, "picture 3 side side"]],
) -> Iterator[UInt8[np.ndarray, "picture 3 side side"]]:
    """Batches of at least `CHUNK` pictures."""
    held: list[np.ndarray] = []
    for batch in batches:
        held.append(batch)
        if sum(map(len, held)) >= CHUNK:
            yield np.concatenate(held)
            held = []
    if held:
        yield np.concatenate(held)


def coarse(
    maps: Float[np.ndarray, "picture row column"], grid: int
) -> Float[np.ndarray, "picture grid grid"]:
    """Maps on the grid of patches that are taken out: sums over what lies in a patch."""
    step = maps.shape[1] // grid
    return maps.reshape(len(maps), grid, step, grid, step).sum(axis=(2, 4))


def _cut(
    picture: UInt8[np.ndarray, "3 side side"],
    empty: UInt8[np.ndarray, "3 side side"],
    masks: Bool[np.ndarray, "mask row column"],
) -> UInt8[np.ndarray, "mask 3 side side"]:
    wide = masks.repeat(REDUCTION, axis=1).repeat(REDUCTION, axis=2)
    return np.where(wide[:, None], empty, picture)


def outcome(
    stream: StreamMaps,
    target: int,
    explanation: PictureExplanation,
    sanity: Sanity,
    curves: dict[str, Curves],
) -> list[dict[str, object]]:
    """A row a map: how far from even it is, whether it survives, whether its order is better."""
    last = sanity.table[list(stream.maps)].ffill().iloc[-1]
    rows: list[dict[str, object]] = []
    for name, maps in stream.maps.items():
        values = np.clip(maps[target][list(stream.watched)], 0, None)
        peak = float(values.max() / values.mean()) if values.mean() > 0 else 0.0
        p = curves[name].table().set_index("curve")["p"]
        destroyed = bool(abs(last[name]) < DESTROYED)
        better = bool((p <= LEVEL).any())
        rows.append(
            {
                "stream": stream.name,
                "map": name,
                "highest": peak,
                "with_random_layers": float(last[name]),
                "deletion_p": float(p["deletion"]),
                "insertion_p": float(p["insertion"]),
                "passed": peak > 1 and destroyed and better,
                "verdict": _verdict(peak, destroyed, better, explanation.class_name),
            }
        )
    return rows


def _verdict(peak: float, destroyed: bool, better: bool, class_name: str) -> str:
    if peak == 0:
        return f"empty: nothing in it speaks for {class_name}"
    if peak <= 1 + 1e-9:
        return "the same everywhere: it shows nothing"
    faults = [] if destroyed else ["survives random layers, so it shows the picture"]
    faults += [] if better else ["its order is no better than random ones"]
    even = ["nearly even"] if peak < NEARLY_EVEN else []
    return "; ".join([*(faults or ["passes both checks"]), *even])


def _effect_table(
    stream: StreamMaps, effects: Float[np.ndarray, "picture class"], classes: Sequence[str]
) -> pd.DataFrame:
    table = pd.DataFrame(
        {"stream": stream.name, "picture": list(stream.labels), "time": stream.times}
    )
    for name, effect in zip(classes, effects.T, strict=True):
        table[f"fall_of_log_odds_{name}"] = effect
    return table
