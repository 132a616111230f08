"""What the face path finds in one video: a table of frames, a summary, and pictures of both.

Nothing of this is asked for by an evaluation: a frame reaches the disk only where a user names a
folder for it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int, UInt8

from dolorimeter.chain import Progress
from dolorimeter.errors import ConfigError
from dolorimeter.preprocessing.faces import align, track_face
from dolorimeter.reports.figures import PALETTE
from dolorimeter.signals.action_units import (
    ActionUnits,
    Cue,
    action_units,
    pain_expression,
    pspi_proxy,
)
from dolorimeter.signals.face import BLENDSHAPES, blinks, eye_closure
from dolorimeter.storage import atomic_path, check_writable, write_text
from dolorimeter.types import CROP_SIZE, FaceTrack
from dolorimeter.video import VideoWriter, read_frames

TILES = 8
"""Faces on the preview."""
USABLE = 0.5
"""A frame with a face counts as usable from this quality on."""
NOT_A_DEVICE = "Research software, not a medical device."


@dataclass(frozen=True)
class FaceFindings:
    """What `write_faces` has found and written.

    Parameters
    ----------
    summary : mapping
        Numbers of the clip as a whole, in plain words.
    frames : pandas.DataFrame
        One row a frame: time, quality, pose, cues, action units, blendshapes.
    files : tuple of Path
    """

    summary: dict[str, Any]
    frames: pd.DataFrame
    files: tuple[Path, ...]


def write_faces(
    video: str | Path,
    out: str | Path,
    *,
    stride: int = 1,
    aligned: bool = False,
    preview: bool = True,
    progress: Progress | None = None,
) -> FaceFindings:
    """Find the face in a video and write what was found into a folder.

    Parameters
    ----------
    video : str or Path
    out : str or Path
        Gets ``<name>-frames.csv``, ``-summary.json``, ``-cues.png`` and, where asked,
        ``-preview.png`` (eight aligned faces) and ``-aligned.mp4``.
    stride : int
        Look at every so many frames.
    aligned : bool
        Write the aligned face, 224 × 224, as a video.
    preview : bool
        Draw the strip of aligned faces.
    progress : callable, optional
        Called with steps done and steps in all.

    Raises
    ------
    RecordingError
        If there is no such file, or no picture in it can be decoded.
    ConfigError
        If the stride is below 1.
    StorageError
        If `out` cannot be written; where that can be known, before the video is read.
    """
    if stride < 1:
        raise ConfigError(f"stride is {stride}, expected 1 or more.")
    video, out = Path(video), Path(out)
    check_writable(out / f"{video.stem}-frames.csv")
    track = track_face(video, stride=stride)
    if progress:
        progress(1, 3)
    units = action_units(track)
    proxy = pspi_proxy(units)
    table = frame_table(track, units, proxy)
    summary = summary_of(video, track, table)
    stem = out / video.stem
    files = [stem.with_name(f"{video.stem}-{what}") for what in ("frames.csv", "summary.json")]
    write_text(files[0], table.to_csv(index=False, float_format="%.6g"))
    write_text(files[1], json.dumps(summary | {"notice": NOT_A_DEVICE}, indent=1) + "\n")
    files.append(stem.with_name(f"{video.stem}-cues.png"))
    _draw_cues(files[-1], video.name, table)
    if progress:
        progress(2, 3)
    if preview or aligned:
        files += _pictures(stem, track, stride, preview, aligned)
    if progress:
        progress(3, 3)
    return FaceFindings(summary, table, tuple(files))


def frame_table(track: FaceTrack, units: ActionUnits, proxy: Cue) -> pd.DataFrame:
    """One row a frame; NaN where there is no face."""
    closure = eye_closure(track.landmarks)
    columns: dict[str, Any] = {
        "time": track.times,
        "found": track.found,
        "quality": track.quality,
        "size": track.size,
        "blur": track.blur,
        "occlusion": track.occlusion,
        "exposure": track.exposure,
        "yaw": track.pose[:, 0],
        "pitch": track.pose[:, 1],
        "roll": track.pose[:, 2],
        "eye_closure_left": closure[:, 0],
        "eye_closure_right": closure[:, 1],
        "blink": blinks(closure.min(axis=1), track.times),
        "pspi_proxy": proxy.value,
        "pspi_proxy_lower": proxy.lower,
        "pspi_proxy_upper": proxy.upper,
        "pain_expression": pain_expression(units),
    }
    columns |= {name: units.values[:, i] for i, name in enumerate(units.names)}
    columns |= {f"blendshape_{n}": track.blendshapes[:, i] for i, n in enumerate(BLENDSHAPES)}
    return pd.DataFrame(columns)


def summary_of(video: Path, track: FaceTrack, table: pd.DataFrame) -> dict[str, Any]:
    """The clip in a few numbers."""
    blink = table["blink"].to_numpy(dtype=bool)
    onsets = int(np.sum(blink[1:] & ~blink[:-1]) + blink[:1].sum())
    seconds = track.stop - track.start
    return {
        "video": video.name,
        "frames": len(track),
        "seconds": round(seconds, 3),
        "frame rate": round(track.frame_rate, 3),
        "picture": f"{track.frame_size[1]}×{track.frame_size[0]}",
        "face found": _share(track.found),
        "usable": _share(track.quality >= USABLE),
        "eye corners apart, px": _middle(track.size),
        "quality": _middle(track.quality),
        "blinks a minute": round(60 * onsets / seconds, 1) if seconds > 0 else None,
        "pspi_proxy": _middle(table["pspi_proxy"].to_numpy()),
        "pain_expression": _middle(table["pain_expression"].to_numpy()),
        "remarks": "; ".join(track.remarks),
    }


def _share(mask: np.ndarray) -> str:
    return f"{mask.mean():.1%}" if len(mask) else "–"


def _middle(values: np.ndarray) -> float | None:
    """Median of the known values."""
    known = values[np.isfinite(values)]
    return round(float(np.median(known)), 3) if len(known) else None


# ── pictures ────────────────────────────────────────────────────────────────────────────────────


def _draw_cues(path: Path, title: str, table: pd.DataFrame) -> None:
    """Cues over time above the quality of the frames, one time axis."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5.4), layout="constrained", dpi=130)
    FigureCanvasAgg(figure)
    top, middle, bottom = figure.subplots(3, 1, sharex=True, height_ratios=[3, 2, 2])
    time = table["time"]
    top.plot(time, table["pain_expression"], color=PALETTE[1], label="pain_expression")
    top.plot(time, table["pspi_proxy"], color=PALETTE[0], ls="--", label="pspi_proxy")
    seen = table["found"].to_numpy(dtype=bool)
    top.fill_between(
        time,
        table["pspi_proxy_lower"],
        table["pspi_proxy_upper"],
        where=seen,
        color=PALETTE[0],
        alpha=0.15,
        lw=0,
        label="pspi_proxy, bounds where a unit is missing",
    )
    top.set_ylabel("share of the cue's range")
    top.set_ylim(-0.03, 1.03)
    top.legend(fontsize=8, ncols=3, frameon=False)
    top.set_title(f"{title}: cues from the face, no measure of felt pain", fontsize=10, loc="left")
    for side, colour, dash in (("left", PALETTE[2], "-"), ("right", PALETTE[3], "--")):
        middle.plot(time, table[f"eye_closure_{side}"], dash, color=colour, label=f"{side} eye")
    middle.set_ylabel("eye closure")
    middle.set_ylim(-0.05, 1.05)
    middle.legend(fontsize=8, frameon=False, ncols=2)
    for name, colour, dash in (
        ("quality", "black", "-"),
        ("blur", PALETTE[4], "--"),
        ("occlusion", PALETTE[5], "-."),
        ("exposure", PALETTE[6], ":"),
    ):
        bottom.plot(time, table[name], dash, color=colour, label=name)
    bottom.set_ylim(-0.05, 1.05)
    bottom.set_ylabel("quality (1 is good)")
    bottom.set_xlabel("seconds")
    bottom.legend(fontsize=8, frameon=False, ncols=4)
    for axes in (top, middle, bottom):
        axes.spines["top"].set_visible(False)
    figure.text(0.995, 0.005, NOT_A_DEVICE, fontsize=7, ha="right", color="0.4")
    for axes in (top, middle, bottom):
        for line in axes.get_lines():
            _mark_lone_points(line)
    if not table["found"].any():
        top.text(0.5, 0.5, "no face in this video", transform=top.transAxes, ha="center")
    with atomic_path(path) as part:
        figure.savefig(part, format="png")


def _mark_lone_points(line: Any) -> None:
    """Dots where a frame has a number and its neighbours have none: a line shows nothing there."""
    known = np.isfinite(np.asarray(line.get_ydata(), dtype=float))
    beside = np.pad(known, 1)
    lone = known & ~beside[:-2] & ~beside[2:]
    if lone.any():
        line.set(marker="o", markersize=4, markevery=np.flatnonzero(lone).tolist())


def _pictures(
    stem: Path, track: FaceTrack, stride: int, preview: bool, aligned: bool
) -> list[Path]:
    """The aligned face: eight of it side by side, and as a video."""
    files = []
    chosen = _chosen(track)
    tiles: dict[int, UInt8[np.ndarray, "224 224 3"]] = {}
    target = stem.with_name(f"{stem.name}-aligned.mp4")
    if aligned:
        with VideoWriter(target, track.frame_rate, (CROP_SIZE, CROP_SIZE)) as writer:
            for i, picture in _aligned(track, stride):
                writer.write(picture)
                tiles |= {i: picture} if i in chosen else {}
        files.append(target)
    else:
        tiles = {i: picture for i, picture in _aligned(track, stride) if i in chosen}
    if preview:
        path = stem.with_name(f"{stem.name}-preview.png")
        _draw_preview(path, track, [(i, tiles[i]) for i in chosen.tolist() if i in tiles])
        files.append(path)
    return files


def _chosen(track: FaceTrack) -> Int[np.ndarray, " tile"]:
    """Frames with a face, evenly spread over those there are."""
    found = np.flatnonzero(track.found)
    if len(found) == 0:
        return found
    return found[np.unique(np.linspace(0, len(found) - 1, TILES).round().astype(int))]


def _aligned(track: FaceTrack, stride: int) -> Any:
    """Position and aligned picture of each frame of the track; black where there is no face."""
    place = {round(time, 6): i for i, time in enumerate(track.times.tolist())}
    for frame in read_frames(track.path, stride=stride):
        i = place.get(round(frame.time, 6))
        if i is None:
            continue
        if track.found[i]:
            yield i, align(frame.image, track.alignment[i])
        else:
            yield i, np.zeros((CROP_SIZE, CROP_SIZE, 3), dtype=np.uint8)


def _draw_preview(path: Path, track: FaceTrack, tiles: list[tuple[int, Any]]) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1.55 * TILES, 2.1), layout="constrained", dpi=130)
    FigureCanvasAgg(figure)
    places = figure.subplots(1, TILES, squeeze=False)[0]
    for axes in places:
        axes.axis("off")
    for axes, (i, picture) in zip(places, tiles, strict=False):
        axes.imshow(picture)
        axes.set_title(f"{track.times[i]:.2f} s, quality {track.quality[i]:.2f}", fontsize=7)
    if not tiles:
        places[0].text(0, 0.5, "no face in this video", fontsize=10)
    with atomic_path(path) as part:
        figure.savefig(part, format="png")
