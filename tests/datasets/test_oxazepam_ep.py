"""Trials of shocks: joined by order, missing ones counted, the published figures reproduced."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dolorimeter.datasets import open_dataset
from dolorimeter.errors import ConfigError, DatasetError, RecordingError

SCR = (
    '"Subject","Condition","Stimulus","SCR"\n'
    '"10","Self","High","0.5"\n"10","Self","Low","0.1"\n"9","Self","High",NA\n'
    '"9","Other","Low","0.2"\n"10","Self","High","0.7"\n'
)
RATINGS = (
    '"Subject","Condition","Stimulus","Unpleasantness","Intensity"\n'
    '9,"Self","High",1,2\n9,"Other","Low",3,NA\n10,"Self","High",50,60\n'
    '10,"Self","High",51,61\n10,"Self","Low",5,6\n'
)
PEOPLE = '"Subject","Treatment","Wave"\n9,"Oxazepam",1\n10,"Placebo",2\n'


def write_root(root: Path, **changes: str) -> Path:
    files = {"SCR": SCR, "Ratings": RATINGS, "demographics": PEOPLE} | changes
    for name, text in files.items():
        (root / f"{name}.csv").write_text(text)
    return root


def test_the_exact_samples(tmp_path: Path) -> None:
    reader = open_dataset("oxazepam_ep", write_root(tmp_path))
    assert reader.subjects() == ("9", "10")
    samples = reader.samples()
    np.testing.assert_allclose(samples.x, [[0.2e-6], [0.5e-6], [0.7e-6], [0.1e-6]], rtol=1e-12)
    assert (samples.feature_names, samples.feature_units) == (("scr_amplitude",), ("S",))
    meta = samples.meta
    assert meta["subject"].tolist() == ["9", "10", "10", "10"]
    assert meta["condition"].tolist() == ["other_low", "self_high", "self_high", "self_low"]
    assert meta["level"].tolist() == [1, 2, 2, 1]
    assert meta["trial"].tolist() == [0, 0, 1, 0]
    assert meta["stimulus"].is_unique
    assert meta["intensity"].tolist()[1:] == [60, 61, 6]
    assert np.isnan(meta["intensity"][0])
    assert meta["unpleasantness"].tolist() == [3, 50, 51, 5]
    assert meta["treatment"].tolist() == ["oxazepam", "placebo", "placebo", "placebo"]
    assert meta["wave"].tolist() == ["1", "2", "2", "2"]
    (exclusion,) = samples.exclusions
    assert (exclusion.subject, exclusion.what) == ("9", "self_high trial 0")
    assert reader.exclusions == samples.exclusions
    assert any("codebook does not promise" in note for note in samples.notes)
    assert reader.check().count("nan") == 1
    assert samples.label_source == "stimulus"
    assert reader.official_splits() == {}


def test_the_options(tmp_path: Path) -> None:
    write_root(tmp_path)
    assert open_dataset("oxazepam_ep", tmp_path, treatment="placebo").subjects() == ("10",)
    assert open_dataset("oxazepam_ep", tmp_path, wave=1).subjects() == ("9",)
    assert len(open_dataset("oxazepam_ep", tmp_path, condition="other").samples()) == 1
    assert len(open_dataset("oxazepam_ep", tmp_path).samples(["10"])) == 3
    with pytest.raises(ConfigError, match="treatment is 'x'; expected one of 'all', 'placebo'"):
        open_dataset("oxazepam_ep", tmp_path, treatment="x")
    with pytest.raises(DatasetError, match="no subject '11' among the 2 found"):
        open_dataset("oxazepam_ep", tmp_path).samples(["11"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"SCR": SCR.replace("0.7", "abc")}, r"SCR\.csv, row 5: SCR is 'abc', expected a number"),
        ({"SCR": SCR.replace("0.7", "inf")}, "SCR is 'inf', expected a number or NA"),
        ({"SCR": SCR.replace('"0.7"', '"0,7"')}, "SCR is '0,7', expected a number"),
        ({"SCR": SCR.replace(",", ";")}, "It looks semicolon-separated"),
        ({"SCR": SCR.replace('"SCR"', '"Amp"')}, "missing 'SCR'"),
        ({"SCR": SCR.replace("Other", "Both")}, "Condition has 'Both', expected Other and Self"),
        ({"SCR": SCR + '"9","Self","Low","1"\n' * 11}, "has 11 trials of Self Low, expected 10"),
        ({"SCR": ""}, "the file is empty"),
        ({"Ratings": RATINGS[:-4]}, "cells, expected 5"),
        ({"demographics": PEOPLE + '9,"Placebo",1\n'}, "lists a subject twice"),
    ],
)
def test_faults_are_named(tmp_path: Path, changes: dict[str, str], message: str) -> None:
    write_root(tmp_path, **changes)
    with pytest.raises(RecordingError, match=message):
        open_dataset("oxazepam_ep", tmp_path).samples()


def test_a_file_that_is_missing(tmp_path: Path) -> None:
    write_root(tmp_path)
    (tmp_path / "Ratings.csv").unlink()
    with pytest.raises(DatasetError, match=r"no Ratings\.csv"):
        open_dataset("oxazepam_ep", tmp_path).samples()
    (tmp_path / "SCR.csv").unlink()
    with pytest.raises(DatasetError, match=r"is not oxazepam_ep: looked for SCR\.csv"):
        open_dataset("oxazepam_ep", tmp_path)


@pytest.mark.shared
def test_the_published_figures(data_root: Path) -> None:
    """High against low shock to self from skin-conductance amplitude, no fitted model."""
    from sklearn.metrics import roc_auc_score

    reader = open_dataset("oxazepam_ep", data_root / "oxazepam_ep", condition="self")
    samples = reader.samples()
    assert len(reader.subjects()) == 78
    assert (len(samples), len(set(samples.subjects))) == (1337, 67)
    assert len(samples.exclusions) == 78 * 20 - 1337
    silent = set(reader.subjects()) - set(samples.subjects)
    assert silent == set(reader.SUBJECT_LISTS["no_amplitude"])
    score, high = samples.x[:, 0], samples.meta["level"].to_numpy() == 2
    groups = samples.meta.groupby("subject", sort=False).indices.values()
    assert np.mean([roc_auc_score(high[i], score[i]) for i in groups]) == pytest.approx(
        0.886, abs=1e-3
    )
    assert roc_auc_score(high, score) == pytest.approx(0.813, abs=1e-3)
    z = np.empty_like(score)
    for i in groups:
        z[i] = (score[i] - score[i].mean()) / score[i].std()
    assert roc_auc_score(high, z) == pytest.approx(0.895, abs=1e-3)


@pytest.mark.shared
def test_ratings_are_joined_to_the_right_trials(data_root: Path) -> None:
    """The order-wise join reproduces the correlation that its finder reported (0.52)."""
    from scipy.stats import spearmanr

    reader = open_dataset("oxazepam_ep", data_root / "oxazepam_ep", condition="self")
    samples = reader.samples()
    rated = samples.meta["intensity"].notna().to_numpy()
    rho = spearmanr(samples.x[rated, 0], samples.meta["intensity"][rated]).statistic
    assert rho == pytest.approx(0.52, abs=0.01)
