from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from dolorimeter.errors import ConfigError
from dolorimeter.representations.features import TABLES, Feature, table_of

MODALITIES = (
    "eda",
    "ecg",
    "emg_trapezius",
    "emg_corrugator_rectified",
    "resp",
    "ppg",
    "spo2",
    "fnirs_hbo",
    "fnirs_hbr",
    "fnirs",
    "temperature",
    "hr",
)


def every_feature() -> list[tuple[str, Feature]]:
    return [(table.title, feature) for table in TABLES for feature in table.features]


def test_every_feature_is_documented() -> None:
    for title, feature in every_feature():
        for said in (feature.name, feature.unit, feature.definition, feature.source):
            assert said, (title, feature)
        assert "{unit}" not in feature.definition


def test_names_are_unique_in_a_table() -> None:
    for table in TABLES:
        names = [feature.name for feature in table.features]
        assert len(set(names)) == len(names)


@pytest.mark.parametrize("modality", MODALITIES)
def test_every_modality_has_a_table(modality: str) -> None:
    assert table_of(modality) in TABLES


def test_rectified_and_raw_have_the_same_columns() -> None:
    raw, rectified = table_of("emg_zygomaticus"), table_of("emg_zygomaticus_rectified")
    assert [f.name for f in raw.features] == [f.name for f in rectified.features]
    assert raw is not rectified


def test_unknown_modality() -> None:
    with pytest.raises(ConfigError, match=r"no table of features for the modality 'covas'.*eda"):
        table_of("covas")


@pytest.mark.parametrize("modality", MODALITIES)
@pytest.mark.parametrize("level", [0.0, 1.0, -3.7, 1e-7, 1e6])
def test_flat_windows_give_no_infinity_and_no_warning(modality: str, level: float) -> None:
    table = table_of(modality)
    onset = [np.zeros(3)] if table.takes_onset else []
    for rate, seconds in ((512.0, 5.5), (100.0, 60.0), (4.0, 60.0)):
        values = np.full((3, round(rate * seconds)), level)
        made = table.compute(values, rate, *onset)
        assert made.shape == (3, len(table.features))
        assert not np.isinf(made).any()
        np.testing.assert_array_equal(made[0], made[1])


def test_limit_says_why() -> None:
    feature = Feature("a", "1", "b", "c", min_duration=10.0, min_sampling_rate=250.0)
    assert feature.limit(10.0, 250.0) == ""
    assert feature.limit(5.5, 512.0) == "needs at least 10 s, the window has 5.5 s"
    assert "needs a sampling rate of at least 250 Hz" in feature.limit(5.5, 100.0)


def test_the_documentation_is_what_the_code_says() -> None:
    root = Path(__file__).parents[2]
    spec = importlib.util.spec_from_file_location("page", root / "scripts/make_feature_table.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    written = (root / "docs" / "features.md").read_text(encoding="utf-8")
    assert written == script.document(), "run python scripts/make_feature_table.py"


@pytest.mark.parametrize("modality", MODALITIES)
def test_no_rate_and_length_is_too_odd(modality: str) -> None:
    """Few samples or a slow clock give NaN where nothing can be said, never an error."""
    table = table_of(modality)
    rng = np.random.default_rng(0)
    for rate in (0.5, 1.0, 2.0, 4.0, 6.5, 8.0, 25.0, 50.0, 64.0, 250.0, 512.0):
        for samples in (1, 2, 3, 5, 9, 16, 33, 120, 700):
            values = rng.normal(0, 1, (2, samples))
            onset = [np.array([-1.0, np.nan])] if table.takes_onset else []
            made = table.compute(values, rate, *onset)
            assert made.shape == (2, len(table.features))
            assert not np.isinf(made).any()
            duration = samples / rate
            limited = [bool(feature.limit(duration, rate)) for feature in table.features]
            assert np.isnan(made[:, limited]).all()
