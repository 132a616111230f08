"""Checks for rows and subjects that occur twice: copies, mixtures, shared raw samples."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int, UInt64
from scipy.spatial import cKDTree

from dolorimeter.audits.evaluation_under_audit import EvaluationUnderAudit
from dolorimeter.audits.findings import Finding, not_checked, passed, some
from dolorimeter.types import Array

MIN_ROWS = 10
"""Rows below which nothing is concluded."""

MAX_WIDTH = 64
"""Columns compared; wider samples are reduced by random projections."""

TREE_DIMENSIONS = 8
"""Dimensions of the search tree: an orthonormal projection, which never enlarges a distance."""

NEAR = 1e-3
"""Two rows are nearly the same below this share of the typical distance between neighbours."""

ROWS_PER_SUBJECT = 60
"""Rows of a subject whose neighbours are searched, spread evenly over the subject's rows."""

NEIGHBOURS = 24
"""Neighbours examined per row."""

COPY_RATIO = 0.5
"""A row is matched by a row of another subject that is nearer than this share of the distance to
the tenth nearest, or than the share that one in nine hundred independent rows is."""

COPY_CHANCE = 0.1 / 9
"""In d dimensions the share t of the distance to the tenth nearest holds 9 t^d rows on average:
one row in ten is matched by chance, by any of the subjects."""

COPY_SHARE = 0.6
"""Share of a subject's rows that must be matched to different rows of one other subject."""

MIN_MATCHES = 6
"""Matched rows of a subject, at least."""

MIXTURE_ROWS = 3000
"""Rows that are tried as mixtures of two others, spread evenly over the table."""

MIXTURE_EXCESS = 2
"""Mixtures are reported from this multiple of the number that is expected by chance."""

PARALLEL = 1 - 1e-9
"""Cosine from which two directions are parallel."""

DIRECTIONS = 2000
"""Directions between neighbours that are compared to find how often they are parallel."""

ANCHOR = 16
"""Consecutive samples that are hashed to find shared stretches of raw signals."""

ANCHORS = 4
"""Hashes per window: the smallest ones, which overlapping windows have in common."""

EMPTY = np.uint64(2**64 - 1)
"""Hash of a stretch that is flat or has gaps."""

MIN_SIGNAL = 64
"""Samples per window, from which a row counts as a raw signal."""


def near_duplicates(case: EvaluationUnderAudit) -> Iterator[Finding]:
    """Report windows that are the same, or nearly the same, as one on the other side of a fold.

    A row counts only if at least three of its columns have continuous values and it does not have
    the most frequent value there (flat signals and counts are equal by nature). Nearly the same: a
    distance below 1/1,000 of the typical distance to the nearest neighbour.
    """
    check = "near_duplicates"
    if case.columns is None:
        yield not_checked(check, "no samples were passed.")
        return
    z, rows = _comparable(case)
    if len(rows) < MIN_ROWS:
        yield not_checked(check, "too few columns with continuous values to tell windows apart.")
        return
    first, second = _close_pairs(z[rows], case.seed)
    first, second = rows[first], rows[second]
    crossing = case.crossing(first, second)
    pairs = list(zip(first[crossing], second[crossing], strict=True))
    if not pairs:
        yield passed(
            check,
            "recomputed",
            f"{len(rows)} windows compared; none is nearly the same as one on the other side of a "
            f"fold.{case.coverage}",
        )
        return
    names = case.meta["recording"].to_numpy()
    yield Finding(
        check,
        "fault",
        "recomputed",
        some(dict.fromkeys(f"{names[a]} / {names[b]}" for a, b in pairs)),
        f"{len(pairs)} pairs of windows are the same or nearly the same, one in training and one "
        "in test: a copied file, one subject under two names, or overlapping windows.",
    )


def copied_subject(case: EvaluationUnderAudit) -> Iterator[Finding]:
    """Report subjects whose windows are matched, one to one, by those of one other subject.

    Each subject is standardised first, so that a gain and an offset do not hide a copy; of raw
    signals the spectrum is compared, so that a shift in time and resampling do not either. A
    matched window is much nearer to its partner than to its tenth neighbour.
    """
    check = "copied_subject"
    if case.columns is None:
        yield not_checked(check, "no samples were passed.")
        return
    z = _fingerprints(case)
    if z.shape[1] < 3 or _effective_dimensions(z) < 2.5:
        yield not_checked(check, "fewer than three independent columns with continuous values.")
        return
    codes, names = pd.factorize(case.identities)
    limit = min(COPY_RATIO, COPY_CHANCE ** (1 / _effective_dimensions(z)))
    asked, votes = _votes(z, codes, limit, case.seed)
    different = votes.drop_duplicates().groupby(["subject", "other"], as_index=False).size()
    copies = [
        (min(subject, other), max(subject, other))
        for subject, other, count in different.to_numpy(dtype=int).tolist()
        if count >= max(MIN_MATCHES, COPY_SHARE * int(asked[subject]))
    ]
    where = [
        (names[a], names[b])
        for a, b in sorted(set(copies))
        if _in_different_sets(case, codes == a, codes == b)
    ]
    if where:
        yield Finding(
            check,
            "fault",
            "recomputed",
            some(f"{_spelt(case, a)} / {_spelt(case, b)}" for a, b in where),
            f"{len(where)} pairs of subjects are copies of each other (with noise, a gain, an "
            "offset, rounding, resampling or a shift at most), one in training and one in test. "
            "Keep one of each.",
        )
    else:
        yield passed(
            check,
            "recomputed",
            f"the windows of no subject are matched by those of one other subject.{case.coverage}",
        )


def mixed_rows(case: EvaluationUnderAudit) -> Iterator[Finding]:
    """Report rows that lie exactly between two rows on the other side of a fold.

    Over-sampling by mixtures (SMOTE) before the split puts parts of test rows into training rows.
    A row is a mixture if it lies on the segment between two of its neighbours: the cosine between
    the directions to both is −1, to 1e-9. Rows that differ in one feature lie so without
    over-sampling. Mixtures are therefore reported only if their segments span three dimensions,
    and if there are at least twice as many as expected from how often directions between
    neighbours on different lines are parallel.
    """
    check = "mixed_rows"
    if case.columns is None or not case.is_table:
        yield not_checked(check, "no feature table was passed.")
        return
    z, rows = _comparable(case)
    if len(rows) < MIN_ROWS or z.shape[1] < 3:
        yield not_checked(check, "fewer than three columns with continuous values.")
        return
    triples, chance = _mixtures(z[rows], case.seed)
    triples = rows[triples]
    crossing = case.crossing(triples[:, 0], triples[:, 1])
    crossing |= case.crossing(triples[:, 0], triples[:, 2])
    triples = triples[crossing]
    mixed = np.unique(triples[:, 0])
    tried = min(len(rows), MIXTURE_ROWS)
    enough = max(3, 0.005 * tried)
    if len(mixed) < enough:
        yield passed(
            check,
            "recomputed",
            f"{tried} rows tried; none is a mixture of rows on the other side of a fold.",
        )
    elif _rank(z[triples[:, 1]] - z[triples[:, 2]]) < 3:
        yield not_checked(
            check,
            "rows differ in one or two dimensions, where any row can lie between two others.",
        )
    elif len(mixed) < MIXTURE_EXCESS * chance * tried:
        yield not_checked(
            check,
            "rows differ in the same direction so often (as where one feature varies) that about "
            f"{chance:.0%} of them lie between two others by chance.",
        )
    else:
        yield Finding(
            check,
            "fault",
            "recomputed",
            f"{len(mixed)} of {tried} rows, such as row {mixed[0]}",
            "rows are mixtures of two other rows, one of which is on the other side of the fold: "
            "the classes were over-sampled (SMOTE) before the split. Over-sample inside the "
            "estimator.",
        )


def shared_samples(case: EvaluationUnderAudit) -> Iterator[Finding]:
    """Report raw signals that contain the same samples as one on the other side of a fold.

    Overlapping windows of one recording under different names. The whole stretch that two windows
    share must be equal, value by value, at least 16 samples long and not flat.
    """
    check = "shared_samples"
    signal = _raw_signal(case)
    if signal is None:
        yield not_checked(check, "no raw signals were passed.")
        return
    pairs = _candidates(signal)
    pairs = pairs[case.crossing(pairs[:, 0], pairs[:, 1])]
    names = case.meta["recording"].to_numpy()
    where = [
        f"{names[a]} / {names[b]}"
        for a, b, shift in pairs
        if _share(signal[a], signal[b], int(shift))
    ]
    if where:
        yield Finding(
            check,
            "fault",
            "recomputed",
            some(dict.fromkeys(where)),
            f"{len(where)} pairs of windows contain the same samples, one in training and one in "
            "test: overlapping windows, or one recording under two names.",
        )
    else:
        yield passed(
            check,
            "recomputed",
            f"{len(signal)} windows compared; none shares samples with one on the other side of a "
            "fold.",
        )


def _comparable(case: EvaluationUnderAudit) -> tuple[Float[np.ndarray, "row kept"], Array]:
    """Standardised columns (at most `MAX_WIDTH`), and the rows that can be told apart."""
    if "comparable" not in case.memo:
        x = case.columns
        assert x is not None
        z = _standardised(x)
        case.memo["comparable"] = (_reduced(z, case.seed), _rich(x))
    return case.memo["comparable"]


def _standardised(x: Float[np.ndarray, "row column"]) -> Float[np.ndarray, "row kept"]:
    """Columns with mean 0 and std 1 that vary; missing values as the mean."""
    finite = np.isfinite(x)
    count = np.maximum(finite.sum(axis=0), 1)
    mean = np.where(finite, x, 0.0).sum(axis=0) / count
    filled = np.where(finite, x, mean) - mean
    std = np.sqrt((filled**2).mean(axis=0))
    keep = std > 1e-12 * (np.abs(mean) + 1e-300)
    return filled[:, keep] / std[keep]


def _reduced(z: Float[np.ndarray, "row column"], seed: int) -> Float[np.ndarray, "row kept"]:
    if z.shape[1] <= MAX_WIDTH:
        return z
    rng = np.random.default_rng(seed)
    return z @ rng.normal(size=(z.shape[1], MAX_WIDTH)) / np.sqrt(z.shape[1])


def _rich(x: Float[np.ndarray, "row column"]) -> Int[np.ndarray, " rich"]:
    """Rows with continuous, infrequent values in at least three columns.

    Columns are judged on different rows only, so that copies do not make their values frequent.
    """
    keys = pd.util.hash_pandas_object(pd.DataFrame(x), index=False).to_numpy()
    _, once = np.unique(keys, return_index=True)
    rich = np.zeros(len(x), dtype=int)
    for column in x.T:
        values, counts = np.unique(column[once], return_counts=True)
        if len(values) < 0.5 * len(once):
            continue
        frequent = values[counts > max(1, 0.01 * len(once))]
        rich += np.isfinite(column) & ~np.isin(column, frequent)
    with np.errstate(invalid="ignore"):
        constant = np.fmax.reduce(x, axis=1) == np.fmin.reduce(x, axis=1)
    return np.flatnonzero((rich >= 3) & ~constant)


def _projected(z: Float[np.ndarray, "row column"], seed: int) -> Float[np.ndarray, "row few"]:
    """An orthonormal projection to `TREE_DIMENSIONS`: distances never grow."""
    if z.shape[1] <= TREE_DIMENSIONS:
        return z
    rng = np.random.default_rng(seed)
    basis, _ = np.linalg.qr(rng.normal(size=(z.shape[1], TREE_DIMENSIONS)))
    return z @ basis


def _close_pairs(
    z: Float[np.ndarray, "row column"], seed: int
) -> tuple[Int[np.ndarray, " pair"], Int[np.ndarray, " pair"]]:
    """Pairs of rows nearer than `NEAR` of the typical distance to the nearest neighbour.

    Equal rows are found by hashing and represented by one of them in the tree.
    """
    keys = pd.util.hash_pandas_object(pd.DataFrame(z), index=False).to_numpy()
    _, once, place = np.unique(keys, return_index=True, return_inverse=True)
    pairs = [_equal_pairs(place)]
    few = _projected(z[once], seed)
    if len(once) > 1:
        tree = cKDTree(few)
        asked = np.unique(np.linspace(0, len(once) - 1, min(len(once), 2000)).astype(int))
        near = np.asarray(tree.query(few[asked], k=2)[1]).reshape(-1, 2)[:, 1]
        typical = float(np.median(np.linalg.norm(z[once[asked]] - z[once[near]], axis=1)))
        radius = max(NEAR * typical, 1e-9)
        close = tree.query_pairs(radius, output_type="ndarray")
        distance = np.linalg.norm(z[once[close[:, 0]]] - z[once[close[:, 1]]], axis=1)
        pairs.append(once[close[distance < radius]])
    both = np.concatenate(pairs)
    return both[:, 0], both[:, 1]


def _equal_pairs(place: Int[np.ndarray, " row"]) -> Int[np.ndarray, "pair two"]:
    """Pairs of rows in one group: each with the next ten of its group."""
    order = np.argsort(place, kind="stable")
    pairs = [np.empty((0, 2), dtype=int)]
    for step in range(1, min(11, len(order))):
        same = place[order[:-step]] == place[order[step:]]
        pairs.append(np.stack([order[:-step][same], order[step:][same]], axis=1))
    return np.concatenate(pairs)


def _fingerprints(case: EvaluationUnderAudit) -> Float[np.ndarray, "row column"]:
    """What is compared between subjects: features, or spectra of raw signals; per subject z."""
    signal = _raw_signal(case)
    if signal is not None:
        x = _spectra(signal)
    else:
        assert case.columns is not None
        x = case.columns
        few = np.array(
            [len(np.unique(c[np.isfinite(c)])) < 0.5 * len(np.unique(x[:, 0])) for c in x.T]
        )
        x = x[:, ~few & np.array([len(np.unique(c)) >= MIN_ROWS for c in x.T])]
    z = np.zeros_like(x, dtype=float)
    for subject in np.unique(case.identities):
        mine = (case.identities == subject).to_numpy()
        part = np.where(np.isfinite(x[mine]), x[mine], np.nan)
        with np.errstate(all="ignore"):
            count = np.maximum(np.isfinite(part).sum(axis=0), 1)
            mean = np.nansum(part, axis=0) / count
            std = np.sqrt(np.nansum((part - mean) ** 2, axis=0) / count)
        z[mine] = np.nan_to_num((part - mean) / np.where(std > 1e-12, std, np.inf))
    z = z[:, z.std(axis=0) > 0] if z.size else z
    return _reduced(z, case.seed)


def _raw_signal(case: EvaluationUnderAudit) -> Float[np.ndarray, "row time"] | None:
    """The first channel of the first stream of raw signals; None for tables and images."""
    if case.samples is None:
        return None
    x = case.samples.x
    arrays = [x[name] for name in sorted(x)] if isinstance(x, Mapping) else [np.asarray(x)]
    for array in arrays:
        if array.ndim == 3 and array.shape[-1] >= MIN_SIGNAL and array.dtype.kind in "fiu":
            return np.ascontiguousarray(array[:, 0])
    return None


def _spectra(signal: Float[np.ndarray, "row time"]) -> Float[np.ndarray, "row band"]:
    """Log power in 16 bands of the detrended signal, which neither shift nor gain changes much."""
    bands = []
    for start in range(0, len(signal), 2048):
        block = np.nan_to_num(signal[start : start + 2048].astype(float))
        block -= block.mean(axis=1, keepdims=True)
        power = np.abs(np.fft.rfft(block * np.hanning(block.shape[1]), axis=1))[:, 1:] ** 2
        edges = np.unique(np.geomspace(1, power.shape[1], 17).astype(int))
        bands.append(
            np.stack(
                [power[:, a - 1 : b].sum(axis=1) for a, b in itertools.pairwise(edges)],
                axis=1,
            )
        )
    power = np.concatenate(bands)
    return np.log(power + 1e-12 * power.mean() + 1e-300)


def _effective_dimensions(z: Float[np.ndarray, "row column"]) -> float:
    """Participation ratio of the eigenvalues of the covariance."""
    values = np.linalg.eigvalsh(np.cov(z, rowvar=False))
    return float(values.sum() ** 2 / (values**2).sum()) if values.sum() > 0 else 0.0


def _votes(
    z: Float[np.ndarray, "row column"], codes: Array, limit: float, seed: int
) -> tuple[Int[np.ndarray, " subject"], pd.DataFrame]:
    """Rows searched per subject, and their neighbours in other subjects nearer than `limit`.

    `limit` is a share of the distance to the tenth nearest row of other subjects. Columns:
    subject, other, partner (row).
    """
    few = _projected(z, seed)
    chosen = []
    for subject in np.unique(codes):
        mine = np.flatnonzero(codes == subject)
        chosen.append(mine[np.unique(np.linspace(0, len(mine) - 1, ROWS_PER_SUBJECT).astype(int))])
    rows = np.concatenate(chosen)
    k = min(NEIGHBOURS, len(z))
    near = np.asarray(cKDTree(few).query(few[rows], k=k)[1]).reshape(-1, k)
    distance = np.linalg.norm(z[near] - z[rows][:, None], axis=2)
    distance[codes[near] == codes[rows][:, None]] = np.inf
    known = np.isfinite(distance).sum(axis=1)
    tenth = np.sort(distance, axis=1)[np.arange(len(rows)), np.clip(known, 1, 10) - 1]
    close = (distance < limit * tenth[:, None]) & (known >= 5)[:, None]
    place, column = np.nonzero(close)
    partner = near[place, column]
    votes = pd.DataFrame(
        {"subject": codes[rows[place]], "other": codes[partner], "partner": partner}
    )
    return np.bincount(codes[rows]), votes


def _in_different_sets(
    case: EvaluationUnderAudit, first: Bool[np.ndarray, " row"], second: Bool[np.ndarray, " row"]
) -> bool:
    """Whether some fold trains on rows of one subject and tests rows of the other."""
    size = len(first)
    return any(
        ((test[:size] & first).any() and (case.trained_in[fold][:size] & second).any())
        or ((test[:size] & second).any() and (case.trained_in[fold][:size] & first).any())
        for fold, test in case.tested_in.items()
    )


def _spelt(case: EvaluationUnderAudit, name: str) -> str:
    return str(case.meta.loc[(case.identities == name).to_numpy(), "subject"].iloc[0])


def _mixtures(
    z: Float[np.ndarray, "row column"], seed: int
) -> tuple[Int[np.ndarray, "hit three"], float]:
    """Rows that lie on the segment between two of their neighbours: (row, one end, other end).

    Also returns the share of rows that would do so if directions to neighbours were independent.
    """
    few = _projected(z, seed)
    rows = np.unique(np.linspace(0, len(z) - 1, min(len(z), MIXTURE_ROWS)).astype(int))
    k = min(12, len(z))
    near = np.asarray(cKDTree(few).query(few[rows], k=k)[1]).reshape(-1, k)
    hits = [np.empty((0, 3), dtype=int)]
    away = z[near] - z[rows][:, None]
    length = np.linalg.norm(away, axis=2)
    apart = length > 1e-6
    for a in range(k):
        for b in range(a + 1, k):
            # cosine of −1 between the two directions: the row lies between its neighbours
            product = length[:, a] * length[:, b]
            cosine = (away[:, a] * away[:, b]).sum(axis=1)
            between = apart[:, a] & apart[:, b] & (cosine < -PARALLEL * product)
            hits.append(np.stack([rows[between], near[between, a], near[between, b]], axis=1))
    place, column = np.nonzero(apart)
    ends = np.stack([rows[place], near[place, column]], axis=1)
    parallel = _parallel_share(z, ends, seed)
    pairs = k * (k - 1) / 2  # half of the parallel pairs are opposite
    return np.concatenate(hits), min(1.0, pairs * parallel / 2)


def _parallel_share(
    z: Float[np.ndarray, "row column"], ends: Int[np.ndarray, "direction two"], seed: int
) -> float:
    """Share of pairs of directions, from row to row, that are parallel and on different lines."""
    ends = np.random.default_rng(seed).permutation(ends)[:DIRECTIONS]
    start = z[ends[:, 0]]
    unit = z[ends[:, 1]] - start
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    first, second = np.nonzero(np.triu(np.abs(unit @ unit.T) > PARALLEL, k=1))
    offset = start[second] - start[first]
    along = np.abs((offset * unit[first]).sum(axis=1))
    different = along <= PARALLEL * np.linalg.norm(offset, axis=1) - 1e-12
    return float(different.sum()) / max(1.0, len(ends) * (len(ends) - 1) / 2)


def _rank(directions: Float[np.ndarray, "direction column"]) -> int:
    """Dimensions that the directions span, to 1/1,000 of the first."""
    unit = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    squares = np.linalg.eigvalsh(unit.T @ unit)
    return int((squares > 1e-6 * squares[-1]).sum())


def _candidates(signal: Float[np.ndarray, "row time"]) -> Int[np.ndarray, "pair three"]:
    """Pairs of windows with a hash in common, and the shift of the second: (row, row, samples)."""
    anchors = [_anchors(signal[i : i + 1024]) for i in range(0, len(signal), 1024)]
    keys = np.concatenate([a[0] for a in anchors])
    place = np.concatenate([a[1] for a in anchors])
    row = np.repeat(np.arange(len(signal)), keys.shape[1])
    used = keys.ravel() != EMPTY
    keys, place, row = keys.ravel()[used], place.ravel()[used], row[used]
    order = np.lexsort((row, keys))
    keys, place, row = keys[order], place[order], row[order]
    pairs = [np.empty((0, 3), dtype=int)]
    for step in range(1, min(6, len(keys))):
        same = (keys[:-step] == keys[step:]) & (row[:-step] != row[step:])
        shift = place[:-step] - place[step:]
        pairs.append(np.stack([row[:-step], row[step:], shift], axis=1)[same])
    return np.unique(np.concatenate(pairs), axis=0)


def _anchors(
    block: Float[np.ndarray, "row time"],
) -> tuple[UInt64[np.ndarray, "row anchor"], Int[np.ndarray, "row anchor"]]:
    """Smallest hashes of `ANCHOR` consecutive samples of each window, and their places."""
    words = np.ascontiguousarray(block, dtype=np.float64).view(np.uint64)
    words = words ^ (words >> np.uint64(29))
    weights = np.random.default_rng(7).integers(1, 2**63, size=ANCHOR, dtype=np.uint64)
    length = block.shape[1] - ANCHOR + 1
    keys = np.zeros((len(block), length), dtype=np.uint64)
    changes = np.concatenate(
        [np.zeros((len(block), 1)), np.cumsum(np.diff(block, axis=1) != 0, axis=1)], axis=1
    )
    for k in range(ANCHOR):
        keys += words[:, k : k + length] * (weights[k] * np.uint64(2) + np.uint64(1))
    keys ^= keys >> np.uint64(31)
    keys *= np.uint64(0x9E3779B97F4A7C15)
    flat = changes[:, ANCHOR - 1 :] - changes[:, :length] < ANCHOR / 2
    keys[flat | ~np.isfinite(block[:, :length])] = EMPTY
    place = np.argpartition(keys, min(ANCHORS, length - 1), axis=1)[:, :ANCHORS]
    return np.take_along_axis(keys, place, axis=1), place


def _share(a: Float[np.ndarray, " time"], b: Float[np.ndarray, " time"], shift: int) -> bool:
    """Whether `a`, moved by `shift` samples, equals `b` wherever both are."""
    if shift < 0:
        a, b, shift = b, a, -shift
    mine, other = a[shift:], b[: len(b) - shift]
    return len(mine) >= ANCHOR and bool((mine == other).all()) and len(np.unique(mine)) >= 8
