"""The model of the embedded default: small, fitted on a look-alike cohort, on first use.

It shows that everything runs. There is no person behind its training, so that what it says of a
person means nothing; every page and export of it says so.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from dolorimeter import __version__
from dolorimeter.experiment import experiment_from, train
from dolorimeter.storage import atomic_path, user_cache
from dolorimeter.synthesis import synthesise

SUBJECTS, WINDOWS = 12, 6
"""People, and windows of each level and person: 12 are enough for conformal sets."""

EXPERIMENT: dict[str, Any] = {
    "title": "Demo model, fitted on look-alikes: says nothing about people",
    "dataset": {"name": "biovid", "options": {"part": "A"}},
    "task": {
        "kind": "ordinal",
        "classes": [["BL1"], ["PA1"], ["PA2"], ["PA3"], ["PA4"]],
        "names": ["BL", "PA1", "PA2", "PA3", "PA4"],
    },
    "windows": {"duration": 5.5},
    "streams": [{"modality": "eda"}, {"modality": "ecg"}, {"modality": "emg_trapezius"}],
    "classifier": {
        "name": "conformal_classifier",
        "arguments": {"estimator": "logistic_regression", "arguments": {"C": 0.05},
                      "coverage": 0.8},
    },
    "split": {"name": "leave_one_subject_out"},
}  # fmt: skip
"""The recipe, as an experiment file would say it."""


def demo_model() -> Path:
    """The model's folder in the user's cache; made there when it is not (some 20 seconds).

    Raises
    ------
    StorageError
        If the cache cannot be written.
    """
    folder = user_cache() / "models" / f"demo-{__version__}"
    if (folder / "predictor.json").is_file():
        return folder
    with tempfile.TemporaryDirectory(prefix="dolorimeter-demo-") as place:
        root = Path(place) / "cohort"
        synthesise("biovid", root, seed=11, subjects=SUBJECTS, per_condition=WINDOWS)
        with atomic_path(folder) as part:
            train(experiment_from(EXPERIMENT, "demo model"), root, part)
    return folder
