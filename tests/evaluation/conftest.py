"""A small cohort of known make, for all tests of evaluation."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from dolorimeter.samples import Samples

Cohort = Callable[..., tuple[Samples, np.ndarray]]


def _cohort(
    subjects: int = 5, windows: int = 8, effect: float = 1.0, features: int = 4, seed: int = 0
) -> tuple[Samples, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = np.concatenate([rng.permutation(np.arange(windows) % 2) for _ in range(subjects)])
    who = np.repeat([f"p{i:02d}" for i in range(subjects)], windows)
    place = np.tile(np.arange(windows), subjects)
    x = rng.normal(size=(len(y), features))
    x[:, 0] += effect * y
    meta = pd.DataFrame(
        {
            "dataset": "made_up",
            "part": "A",
            "subject": who,
            "recording": [f"{s}-session" for s in who],
            "stimulus": [f"{s}-session#{i}" for s, i in zip(who, place, strict=True)],
            "start": place * 10.0,
            "duration": 5.5,
            "condition": np.where(y == 1, "PA4", "BL1"),
            "sex": np.where(np.char.endswith(who.astype(str), "1"), "f", "m"),
        }
    )
    facts = pd.DataFrame(rng.normal(size=(len(y), 2)), columns=["segment_length", "frame_count"])
    names = tuple(f"f{i}" for i in range(features))
    return Samples(x, meta, names, facts=facts, label_source="stimulus"), y


@pytest.fixture(scope="session")
def cohort() -> Cohort:
    """Makes samples and labels: (subjects, windows, effect, features, seed)."""
    return _cohort
