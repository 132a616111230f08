"""What an explanation holds, and the files it is kept in."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, UInt8

from dolorimeter import __version__
from dolorimeter.errors import StorageError
from dolorimeter.explain import pictures as drawn
from dolorimeter.explain.sanity import Curves, Sanity
from dolorimeter.storage import write_json, write_text

NOT_A_DEVICE = "Research software, not a medical device."

FILES = (
    "relevance.png",
    "relevance.mp4",
    "frames.csv",
    "regions.csv",
    "sanity.csv",
    "curves.csv",
    "explanation.json",
)
"""What `Explanation.write` makes; `OF_CHECKS` where there were checks."""

OF_CHECKS = ("sanity.csv", "curves.csv")


@dataclass(frozen=True)
class Explanation:
    """What a model's scores of one video rest on.

    Parameters
    ----------
    model, video : str
        The model's title and the file's name.
    classes : tuple of str
    probabilities : Float[np.ndarray, "class"]
        As the model says them, with its calibration.
    class_name : str
        The class of the pictures and the checks.
    times : Float[np.ndarray, "frame"]
        Seconds on the video's clock.
    frames : Float[np.ndarray, "class frame"]
        Relevance of each frame, for each class.
    attention : Float[np.ndarray, "frame"]
        Attention to each frame, of no class; beside relevance it shows what the gradient did.
    effects : Float[np.ndarray, "frame"]
        How much the probability of `class_name` falls when one frame is blurred; NaN without
        checks.
    patches : Float[np.ndarray, "class frame row column"]
        Relevance of each patch of each frame.
    regions : pandas.DataFrame
        Of the clip: ``class``, ``region``, ``of``, ``relevance_share``, ``area_share``, ``ratio``.
    regions_by_frame : pandas.DataFrame
        The same for each frame, with ``time``.
    sanity : Sanity or None
        None without checks.
    curves : tuple of Curves
        Of patches and of frames; empty without checks.
    cautions : tuple of str
        Sentences that stand under the pictures: what the maps cannot mean.
    remarks : tuple of str
        What else a reader must know.
    """

    model: str
    video: str
    classes: tuple[str, ...]
    probabilities: Float[np.ndarray, " class"]
    class_name: str
    times: Float[np.ndarray, " frame"]
    frames: Float[np.ndarray, "class frame"]
    attention: Float[np.ndarray, " frame"]
    effects: Float[np.ndarray, " frame"]
    patches: Float[np.ndarray, "class frame row column"]
    regions: pd.DataFrame
    regions_by_frame: pd.DataFrame
    sanity: Sanity | None = None
    curves: tuple[Curves, ...] = ()
    cautions: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def frame_table(self) -> pd.DataFrame:
        """``time``, ``relevance_CLASS`` (shares of the clip), ``attention`` and ``effect``."""
        totals = self.frames.sum(axis=1, keepdims=True)
        shares = self.frames / np.where(totals > 0, totals, 1.0)
        return pd.DataFrame(
            {"time": self.times}
            | {f"relevance_{name}": row for name, row in zip(self.classes, shares, strict=True)}
            | {"attention": self.attention, "effect": self.effects}
        )

    @property
    def summary(self) -> pd.DataFrame:
        """What to print: shares by region."""
        return self.regions

    @property
    def summary_title(self) -> str:
        """Over `summary`."""
        return f"share of relevance by region, {self.video}"

    @property
    def curve_areas(self) -> pd.DataFrame:
        """Areas under all deletion and insertion curves against random orders."""
        return pd.concat([c.table() for c in self.curves]) if self.curves else pd.DataFrame()

    def to_dict(self) -> dict[str, Any]:
        """Everything, as plain values; a missing number is None."""
        told = {
            "format": 1,
            "dolorimeter": __version__,
            "warning": NOT_A_DEVICE,
            "model": self.model,
            "video": self.video,
            "classes": list(self.classes),
            "probabilities": dict(zip(self.classes, self.probabilities.tolist(), strict=True)),
            "class_name": self.class_name,
            "cautions": list(self.cautions),
            "remarks": list(self.remarks),
            "times": self.times.tolist(),
            "frame_relevance": dict(zip(self.classes, self.frames.tolist(), strict=True)),
            "attention": self.attention.tolist(),
            "effects": self.effects.tolist(),
            "patch_relevance": {
                name: np.round(maps / (maps.max() or 1.0), 4).tolist()
                for name, maps in zip(self.classes, self.patches, strict=True)
            },
            "patch_relevance_unit": "of the largest in the clip, for each class",
            "regions": self.regions.to_dict(orient="records"),
            "sanity": None
            if self.sanity is None
            else {
                "passed": self.sanity.passed,
                "verdict": self.sanity.verdict,
                "table": self.sanity.table.to_dict(orient="records"),
            },
            "curves": self.curve_areas.to_dict(orient="records"),
        }
        found: dict[str, Any] = plain(told)
        return found

    def write(
        self, out: Path, faces: UInt8[np.ndarray, "frame height width 3"], *, frames: int = 8
    ) -> None:
        """Write `FILES` into a folder.

        Parameters
        ----------
        out : Path
            Made where it is missing. Files of the same names are replaced, and those of checks
            taken away where there were none: they would be of another map.
        faces : UInt8[np.ndarray, "frame height width 3"]
            The aligned faces, RGB; they are not part of an explanation and reach the disk in the
            two pictures alone.
        frames : int
            How many stand side by side.

        Raises
        ------
        StorageError
            If a file cannot be written.
        """
        chosen = self.classes.index(self.class_name)
        told = self.regions[self.regions["class"] == self.class_name]
        title = f"Relevance for {self.class_name} (probability {self.probabilities[chosen]:.2f})"
        shown = (self.patches[chosen], self.frames[chosen], self.times)
        caption = " ".join((*self.cautions, NOT_A_DEVICE))
        drawn.write_figure(
            out / "relevance.png",
            faces,
            *shown,
            told,
            title=title,
            caption=caption,
            frames=frames,
            attention=self.attention,
        )
        below = "\n".join((*self.cautions, NOT_A_DEVICE))
        drawn.write_video(out / "relevance.mp4", faces, *shown, title=title, caption=below)
        write_text(out / "frames.csv", self.frame_table.to_csv(index=False))
        write_text(out / "regions.csv", self.regions.to_csv(index=False))
        if self.sanity is not None:
            write_text(out / "sanity.csv", self.sanity.table.to_csv(index=False))
        if self.curves:
            points = pd.concat([c.points() for c in self.curves])
            write_text(out / "curves.csv", points.to_csv(index=False))
        unchecked = (self.sanity is None, not self.curves)
        without(out, [n for n, no in zip(OF_CHECKS, unchecked, strict=True) if no])
        write_json(out / "explanation.json", self.to_dict())


def without(out: Path, names: Iterable[str]) -> None:
    """Take away files that an earlier explanation has left in the folder.

    Raises
    ------
    StorageError
        If one cannot be removed.
    """
    for name in names:
        try:
            (out / name).unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(
                f"{out / name}: cannot be removed ({error}), and is not of this explanation. "
                "Choose another folder."
            ) from error


def plain(value: Any) -> Any:
    """Without NumPy's types and without NaN."""
    if isinstance(value, Mapping):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return [plain(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
