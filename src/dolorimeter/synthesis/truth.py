"""What is known of a cohort because it was made: everybody's latents, and the best accuracy."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from dolorimeter.errors import ConfigError, DatasetError
from dolorimeter.storage import write_json, write_parquet
from dolorimeter.synthesis.cohort import request_of
from dolorimeter.synthesis.kinds import KINDS
from dolorimeter.synthesis.population import Design, Observer, Odds, odds

FOLDER = "truth"
FRAMES = "frames.parquet"
BAYES_DRAWS = 100_000
"""Windows of each class; the standard error is then under 0.0006."""


@dataclass(frozen=True)
class Bayes:
    """An accuracy by Monte Carlo and its standard error."""

    accuracy: float
    standard_error: float


@dataclass(frozen=True)
class Truth:
    """The truth behind a look-alike cohort. There is no person behind these data.

    Parameters
    ----------
    design : Design
        The generating model.
    parameters : mapping
        Arguments of `synthesise`, and the version of the package.
    windows : pandas.DataFrame
        One row a window: subject, recording, trial, condition, level, previous condition, whether
        the file is missing, movement, artefact, drive, the latents ``response_…`` and ``trait_…``.
    subjects : pandas.DataFrame
        One row a person: subject, sex, age, low_reactive, gain, ``base_…``, ``shift_…``.
    root : Path, optional
        Where the cohort lies.
    """

    design: Design
    parameters: Mapping[str, object]
    windows: pd.DataFrame
    subjects: pd.DataFrame
    root: Path | None = field(default=None, compare=False)

    def frames(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """The truth of every frame of face video, read when asked for.

        One row a frame, also of videos that are missing: ``subject``, ``recording``, ``frame``,
        ``time`` (seconds), ``au4`` … ``au26`` (FACS intensity, 0 to 5; ``au43`` is 0 or 1),
        ``pspi`` (Prkachin and Solomon), ``pain`` (0 to 5: the strongest action that pain alone
        made), ``closure`` of the eyes (0 to 1), flags ``blink``, ``talk``, ``smile``,
        ``occluded``, the head (``yaw``, ``pitch``, ``roll`` in radians, pitch downwards;
        ``shift_u``, ``shift_v`` in distances of the pupils; ``scale``) and the light (``light``,
        ``light_slope``) as shares. AU6 and AU25 are also made by a smile, AU25 and AU26 by talk.

        Parameters
        ----------
        columns : sequence of str, optional
            Only these; default all.

        Raises
        ------
        DatasetError
            If the cohort has no video, or the table cannot be read.
        """
        path = None if self.root is None else self.root / FOLDER / FRAMES
        if path is None or not path.is_file():
            raise DatasetError(
                f"{self.root}: no {FOLDER}/{FRAMES} there: the cohort has no face video. "
                "Synthesise it with 'video' among its modalities."
            )
        try:
            return pd.read_parquet(path, columns=None if columns is None else list(columns))
        except (OSError, ValueError) as error:
            raise DatasetError(
                f"{path}: the truth cannot be read ({error}). Synthesise the cohort again."
            ) from error

    def bayes_accuracy(
        self,
        a: str | Sequence[str],
        b: str | Sequence[str],
        *,
        subject_known: bool = False,
        modalities: Sequence[str] | None = None,
        prior: float = 0.5,
    ) -> float:
        """The accuracy no classifier of single windows can exceed on average.

        By default for windows of a person never seen: the bound for every split by subject. With
        `subject_known` for windows of a person whose gain, base levels and directions are known:
        the bound for splits that put windows of one person on both sides, for personalised models,
        and for standardisation within the test subject. A pipeline whose interval lies above the
        bound of its split is leaking.

        Parameters
        ----------
        a, b : str or sequence of str
            Conditions; several make one class, each equally likely in it.
        subject_known : bool
        modalities : sequence of str, optional
            Only latents that reach these signals; default all.
        prior : float
            Share of class `a` among windows.

        Raises
        ------
        ConfigError
            Unknown or shared conditions, unknown modalities, or a prior outside (0, 1).
        """
        return self.bayes(
            a, b, subject_known=subject_known, modalities=modalities, prior=prior
        ).accuracy

    def bayes(
        self,
        a: str | Sequence[str],
        b: str | Sequence[str],
        *,
        subject_known: bool = False,
        modalities: Sequence[str] | None = None,
        prior: float = 0.5,
        draws: int = BAYES_DRAWS,
    ) -> Bayes:
        """`bayes_accuracy` with its standard error, from `draws` windows of each class."""
        if not 0 < prior < 1:
            raise ConfigError(f"bayes_accuracy: prior is {prior}, expected a share in (0, 1).")
        first, second = self._classes(a, b)
        observer = self._observer(subject_known, modalities)
        return Bayes(*observer.accuracy(first, second, prior, draws))

    def log_odds(
        self,
        a: str | Sequence[str],
        b: str | Sequence[str],
        *,
        subject_known: bool = False,
        modalities: Sequence[str] | None = None,
    ) -> tuple[Int[np.ndarray, " window"], Float[np.ndarray, " window"]]:
        """Rows of `windows` of these classes, and the optimal score of each: log odds of `b`.

        What the best classifier would say of this cohort's windows, from the latents.
        """
        first, second = self._classes(a, b)
        observer = self._observer(subject_known, modalities)
        names = _names(a) + _names(b)
        rows = np.flatnonzero(self.windows["condition"].isin(names))
        chosen = self.windows.iloc[rows]
        responses = chosen[[f"response_{r.name}" for r in self.design.responses]].to_numpy(float)
        traits = chosen[[f"trait_{t.name}" for t in self.design.traits]].to_numpy(float)
        own = self.subjects.set_index("subject").loc[chosen["subject"]]
        people = {
            "gain": own["gain"].to_numpy(float),
            "base": own[[f"base_{t.name}" for t in self.design.traits]].to_numpy(float),
            "shift": own[[f"shift_{t.name}" for t in self.design.traits]].to_numpy(float),
        }
        y = observer.project(responses)
        score = observer.log_density(second, y, traits, people)
        return rows, score - observer.log_density(first, y, traits, people)

    def summary(self) -> dict[str, object]:
        """Numbers for a table: people, windows, files, and the Bayes accuracy of each pair."""
        written = [c for c in self.design.conditions if c in set(self.windows["condition"])]
        found: dict[str, object] = {
            "subjects": len(self.subjects),
            "windows": len(self.windows),
            "missing": int(self.windows["missing"].sum()),
            "seed": self.parameters["seed"],
            "effect": self.parameters["effect"],
        }
        pairs = [(written[0], other) for other in written[1:]] or list(pairwise(written))
        for a, b in pairs:
            found[f"Bayes accuracy {a} vs {b}"] = round(self.bayes_accuracy(a, b), 3)
        return found

    def save(self, root: str | Path) -> None:
        """Write the truth under ``root/truth``."""
        folder = Path(root) / FOLDER
        write_parquet(folder / "windows.parquet", self.windows)
        write_parquet(folder / "subjects.parquet", self.subjects)
        write_json(folder / "parameters.json", dict(self.parameters))

    @classmethod
    def load(cls, root: str | Path) -> Truth:
        """The truth of a cohort that `synthesise` wrote to `root`.

        Raises
        ------
        DatasetError
            If there is no truth, or it is damaged.
        """
        folder = Path(root) / FOLDER
        if not (folder / "parameters.json").is_file():
            raise DatasetError(
                f"{root}: no {FOLDER}/parameters.json there; expected a cohort written by "
                "`dolorimeter synthesise`. Real data have no known truth."
            )
        try:
            parameters = json.loads((folder / "parameters.json").read_text(encoding="utf-8"))
            windows = pd.read_parquet(folder / "windows.parquet")
            subjects = pd.read_parquet(folder / "subjects.parquet")
            request = request_of(parameters)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DatasetError(
                f"{folder}: the truth cannot be read ({error}). Synthesise the cohort again."
            ) from error
        design = KINDS[request.kind].design(request)
        return cls(design, parameters, windows, subjects, Path(root))

    def _classes(self, a: str | Sequence[str], b: str | Sequence[str]) -> tuple[Odds, Odds]:
        first, second = _names(a), _names(b)
        known = self.design.conditions
        for name in first + second:
            if name not in known:
                raise ConfigError(
                    f"bayes_accuracy: no condition {name!r}; there are {', '.join(known)}."
                )
        if not first or not second or set(first) & set(second):
            raise ConfigError(
                f"bayes_accuracy: classes {first} and {second}; each needs a condition, and none "
                "may be in both."
            )
        return odds(self.design, first), odds(self.design, second)

    def _observer(self, subject_known: bool, modalities: Sequence[str] | None) -> Observer:
        reach = [r.modalities for r in self.design.responses]
        reach += [t.modalities for t in self.design.traits]
        known = sorted({modality for modalities_of in reach for modality in modalities_of})
        seen = set(known if modalities is None else modalities)
        if unknown := sorted(seen - set(known)):
            raise ConfigError(
                f"bayes_accuracy: no modality {unknown[0]!r}; there are {', '.join(known)}."
            )
        return Observer(
            self.design,
            tuple(k for k, r in enumerate(self.design.responses) if seen & set(r.modalities)),
            tuple(m for m, t in enumerate(self.design.traits) if seen & set(t.modalities)),
            subject_known,
        )


def _names(conditions: str | Sequence[str]) -> list[str]:
    return [conditions] if isinstance(conditions, str) else list(conditions)
