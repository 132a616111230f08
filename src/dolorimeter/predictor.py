"""The fitted chain: from recordings to probabilities, in memory and as a folder on disk."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dolorimeter import __version__
from dolorimeter.chain import Pipeline, QualityGate
from dolorimeter.errors import ConfigError, DolorimeterError
from dolorimeter.estimators import load_estimator, save_estimator
from dolorimeter.samples import Samples
from dolorimeter.storage import (
    MANIFEST,
    damaged_files,
    replaced_folder,
    seal_folder,
    write_json,
)
from dolorimeter.types import Array, Exclusion, LabelSource, Recording, TargetKind

PLACE = ["subject", "recording", "stimulus", "start", "duration"]
"""Columns that say where a window is."""
FILES = ("predictor.json", "estimator", MANIFEST)
"""Entries of a model folder."""


@dataclass(frozen=True)
class Predictor:
    """A fitted model: the chain from recordings to probabilities, and whom it has met.

    Parameters
    ----------
    estimator : scikit-learn estimator
        Fitted.
    chain : Pipeline or None
        None for models of a feature table, which take `Samples`.
    target_kind : TargetKind
    classes : tuple of str
        Class names in the order of the probabilities; empty for a regressor.
    dataset : mapping
        ``name``, ``part`` and ``options`` of the data set it was fitted on.
    trained_on : mapping
        Person namespace → subjects that the fit has seen.
    feature_names : tuple of str
        Of the table the estimator was fitted on, if it was one.
    lookalike : bool
        True when it was fitted on synthesised recordings.
    gate : QualityGate
        Which modalities of a window count, and when the model abstains. `predict` and the monitor
        apply the same.
    """

    estimator: Any
    chain: Pipeline | None
    target_kind: TargetKind
    classes: tuple[str, ...]
    dataset: Mapping[str, Any]
    trained_on: Mapping[str, tuple[str, ...]]
    feature_names: tuple[str, ...] = ()
    label_source: LabelSource | None = None
    lookalike: bool = False
    title: str = ""
    notes: tuple[str, ...] = field(default=())
    gate: QualityGate = field(default_factory=QualityGate)

    def predict(
        self,
        recordings: Sequence[Recording],
        *,
        exclusions: Sequence[Exclusion] = (),
        workers: int = 1,
    ) -> pd.DataFrame:
        """One row per window: where it is, the probability of each class, and its quality.

        The model's `gate` is applied as in a live session: a modality of low quality counts as
        missing, and where too few are left the column ``abstained`` says why and there is no
        estimate (NaN).

        Where no recording has a stimulus, and windows are those of stimuli, they follow each other
        from the start of each recording to its end.

        What was kept out, `exclusions` of the reader first, stands in ``attrs["kept_out"]`` of the
        table, a text each.

        Raises
        ------
        ConfigError
            If the model takes samples, or standardises within each person and is given too few
            windows of one.
        """
        if self.chain is None:
            raise ConfigError(
                f"model '{self.title}' was fitted on a feature table: use predict_samples."
            )
        windows = replace(self.chain.windows, conditions=())
        if windows.anchor == "stimulus" and not any(r.stimuli for r in recordings):
            windows = replace(windows, anchor="sliding")
        anywhere = replace(self.chain, windows=windows)
        samples, abstained = anywhere.gated_samples(
            recordings, self.gate, exclusions=exclusions, workers=workers
        )
        self._check_standardised(samples)
        rows = self.estimate(samples, abstained)
        notes = (note.rstrip(".") for note in samples.notes)
        rows.attrs["notes"] = list(dict.fromkeys((*rows.attrs["notes"], *notes)))
        rows.attrs["kept_out"] = [
            f"{e.recording}, {e.what}: {e.reason}" for e in samples.exclusions
        ]
        return rows

    def _check_standardised(self, samples: Samples) -> None:
        """Refuse people with too few windows to be standardised: all their features are NaN."""
        reference = "none" if self.chain is None else self.chain.standardise
        if reference in ("none", "running"):  # the first windows of a running one are NaN in a fit
            return
        assert isinstance(samples.x, np.ndarray)
        known = pd.Series(np.isfinite(samples.x).any(axis=1)).groupby(samples.subjects).any()
        if not known.all():
            raise ConfigError(
                f"model '{self.title}' standardises within each person ({reference}), and of "
                f"{', '.join(map(str, known.index[~known][:5]))} there are too few windows here, "
                "or none with a signal. Give all recordings of a person in one call, at least 3 "
                "windows of the reference, or train without standardise."
            )

    def estimate(self, samples: Samples, abstained: Sequence[str]) -> pd.DataFrame:
        """Predict the rows for which nothing is said against it; the others have no estimate.

        Parameters
        ----------
        samples : Samples
            After the gate.
        abstained : sequence of str
            Reason per row; empty where the model is to give an estimate. A row with missing
            modalities that the estimator refuses becomes one with a reason.

        Returns
        -------
        pandas.DataFrame
            As `predict_samples`, with the column ``abstained``.
        """
        reasons = np.array(abstained, dtype=object)
        rows = np.flatnonzero(reasons == "")
        parts: list[pd.DataFrame] = []
        if len(rows):
            try:
                parts = [self.predict_samples(samples.take(rows)).set_axis(rows)]
            except (DolorimeterError, ValueError):
                if not _any_missing(samples.take(rows)):
                    raise
                parts = self._one_by_one(samples, rows, reasons)
        meta = samples.meta[PLACE].copy()
        if not parts:
            found = pd.DataFrame(np.nan, meta.index, self._estimate_columns)
        else:
            found = pd.concat(parts).drop(columns=PLACE).reindex(meta.index)
        if "missing" in found:
            found["missing"] = found["missing"].fillna("")
        found = pd.concat([meta, found], axis=1)
        found.attrs["notes"] = list(
            dict.fromkeys(note for part in parts for note in part.attrs.get("notes", ()))
        )
        if samples.quality is not None:
            found["quality"] = samples.quality
        found["abstained"] = reasons
        return found

    @property
    def _estimate_columns(self) -> list[str]:
        if self.target_kind == "regressor":
            return ["prediction"]
        return [*(f"p_{name}" for name in self.classes), "estimate"]

    def _one_by_one(self, samples: Samples, rows: Array, reasons: Array) -> list[pd.DataFrame]:
        """Predict each row by itself; those that the estimator refuses get a reason."""
        parts = []
        for row in rows:
            one = samples.take(np.array([row]))
            try:
                parts.append(self.predict_samples(one).set_axis([row]))
            except (DolorimeterError, ValueError) as error:
                if not _any_missing(one):
                    raise
                reasons[row] = f"the model cannot go on without what is missing: {error}"
        return parts

    def predict_samples(self, samples: Samples) -> pd.DataFrame:
        """Predict rows that are samples already.

        Features are matched by name: their order and further ones do not matter. Features and
        streams that a row lacks are in its column ``missing``, which is there if any row lacks
        one; notes on both are in ``attrs["notes"]`` of the table.

        Raises
        ------
        ConfigError
            If the samples have none of the model's features, or lack one and the estimator takes
            no missing values.
        """
        samples, absent, notes = self._matched(samples)
        try:
            rows = self._estimated(samples)
        except ValueError as error:
            if not absent:
                raise
            raise ConfigError(
                f"model '{self.title}': the samples lack the feature(s) {', '.join(absent[:8])}, "
                f"and its estimator takes no missing values ({str(error).splitlines()[0]})."
            ) from error
        missing = [list(absent) for _ in range(len(rows))]
        for name, present in (samples.present or {}).items():
            for row in np.flatnonzero(~present):
                missing[row].append(name)
        if any(missing):
            rows["missing"] = [", ".join(names) for names in missing]
            lacking = dict.fromkeys(name for names in missing for name in names)
            notes += [
                f"{name} is missing in {sum(name in names for names in missing)} of {len(rows)} "
                "estimates: they rest on the rest of the model's input"
                for name in lacking
            ]
        rows.attrs["notes"] = notes
        return rows

    def _matched(self, samples: Samples) -> tuple[Samples, tuple[str, ...], list[str]]:
        """Samples with the model's features in its order, the features they lack, and notes."""
        if not self.feature_names or samples.feature_names == self.feature_names:
            return samples, (), []
        have = {name: place for place, name in enumerate(samples.feature_names)}
        absent = tuple(name for name in self.feature_names if name not in have)
        extra = sorted(set(have) - set(self.feature_names))
        if len(absent) == len(self.feature_names) or not isinstance(samples.x, np.ndarray):
            raise ConfigError(
                f"the samples' features are not the model's: missing {list(absent[:5])}, "
                f"unknown {extra[:5]}. Use the same features or streams."
            )
        x = np.full((len(samples), len(self.feature_names)), np.nan)
        for place, name in enumerate(self.feature_names):
            if name in have:
                x[:, place] = samples.x[:, have[name]]
        notes = []
        if extra:
            notes.append(f"features that the model does not know are ignored: {', '.join(extra)}")
        matched = replace(samples, x=x, feature_names=self.feature_names, feature_units=())
        return matched, absent, notes

    def _estimated(self, samples: Samples) -> pd.DataFrame:
        rows = samples.meta[PLACE].copy()
        if self.target_kind == "regressor":
            rows["prediction"] = self.estimator.predict(samples.x)
            if hasattr(self.estimator, "predict_interval"):
                rows["lower"], rows["upper"] = self.estimator.predict_interval(samples.x)
        else:
            probabilities = self.estimator.predict_proba(samples.x)
            for i, name in enumerate(self.classes):
                rows[f"p_{name}"] = probabilities[:, i]
            rows["estimate"] = np.array(self.classes)[probabilities.argmax(axis=1)]
            if hasattr(self.estimator, "predict_set"):
                sets = self.estimator.predict_set(samples.x)
                for i, name in enumerate(self.classes):
                    rows[f"in_set_{name}"] = sets[:, i]
        if samples.quality is not None:
            rows["quality"] = samples.quality
        return rows

    def save(self, folder: str | Path) -> None:
        """Write the folder that `load`, ``predict`` and ``monitor`` read.

        A model that is there before is replaced as a whole, or stays as it is.
        """
        with replaced_folder(Path(folder), FILES) as part:
            self._write(part)
            seal_folder(part, [name for name in FILES if name != MANIFEST])

    def _write(self, folder: Path) -> None:
        save_estimator(self.estimator, folder / "estimator")
        write_json(
            folder / "predictor.json",
            {
                "format": 1,
                "dolorimeter": __version__,
                "title": self.title,
                "chain": None if self.chain is None else self.chain.to_dict(),
                "target_kind": self.target_kind,
                "classes": list(self.classes),
                "dataset": dict(self.dataset),
                "trained_on": {k: list(v) for k, v in self.trained_on.items()},
                "feature_names": list(self.feature_names),
                "label_source": self.label_source,
                "lookalike": self.lookalike,
                "notes": list(self.notes),
                "gate": asdict(self.gate),
                "warning": "Research software, not a medical device.",
            },
        )

    @classmethod
    def load(cls, folder: str | Path) -> Predictor:
        """The predictor that `save` wrote.

        Raises
        ------
        ConfigError
            If the folder is not a model folder.
        """
        path = Path(folder) / "predictor.json"
        if not path.is_file():
            raise ConfigError(
                f"{folder}: no predictor.json here, expected a model folder written by "
                "`dolorimeter train … --out MODEL`."
            )
        if faults := damaged_files(path.parent):
            raise ConfigError(
                f"{folder}: the model is damaged ({'; '.join(faults)}). Train the model again."
            )
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
            chain = told["chain"]
            return cls(
                estimator=load_estimator(Path(folder) / "estimator"),
                chain=None if chain is None else Pipeline.from_dict(chain),
                target_kind=told["target_kind"],
                classes=tuple(told["classes"]),
                dataset=told["dataset"],
                trained_on={k: tuple(v) for k, v in told["trained_on"].items()},
                feature_names=tuple(told["feature_names"]),
                label_source=told["label_source"],
                lookalike=told["lookalike"],
                title=told["title"],
                notes=tuple(told["notes"]),
                gate=QualityGate.from_dict(told.get("gate", {})),
            )
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise ConfigError(
                f"{path}: not a predictor of this version ({error!r}). Train the model again."
            ) from error


def _any_missing(samples: Samples) -> bool:
    """Whether a value is NaN or a stream is not there."""
    arrays = [samples.x] if isinstance(samples.x, np.ndarray) else list(samples.x.values())
    floats = [x for x in arrays if x.dtype.kind == "f"]
    gone = samples.present is not None and not all(p.all() for p in samples.present.values())
    return gone or any(np.isnan(x).any() for x in floats)
