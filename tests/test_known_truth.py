"""The whole line on cohorts of known truth: chance at no effect, never above the possible."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.model_selection import KFold

from dolorimeter.chain import Pipeline, Stream
from dolorimeter.datasets import open_dataset
from dolorimeter.errors import TrainingError
from dolorimeter.estimators import logistic_regression, painattnnet, random_forest
from dolorimeter.evaluation import evaluate, summarise
from dolorimeter.models import create_model
from dolorimeter.representations import Features, Raw
from dolorimeter.samples import Samples
from dolorimeter.splits import from_sklearn, group_k_fold
from dolorimeter.synthesis import Truth, synthesise
from dolorimeter.windows import WindowSpec

SPEC = WindowSpec(duration=5.5)
EDA = Stream("eda", (), Features("eda"))


def cohort(folder: Path, *streams: Stream, **options: object) -> tuple[Samples, np.ndarray, Truth]:
    """A look-alike of BL1 and PA4 in skin conductance, read back through the reader."""
    given = {"subjects": 8, "per_condition": 10} | options
    truth = synthesise("biovid", folder, conditions=("BL1", "PA4"), **given)  # type: ignore[arg-type]
    reader = open_dataset("biovid", folder)
    assert reader.lookalike
    samples = Pipeline(SPEC, streams or (EDA,)).samples(reader.recordings(), lookalike=True)
    return samples, (samples.meta["condition"] == "PA4").to_numpy(dtype=int), truth


@pytest.mark.parametrize(
    ("cohorts", "size"),
    [
        pytest.param(20, {"subjects": 8, "per_condition": 10}, marks=pytest.mark.long),
        pytest.param(4, {"subjects": 6, "per_condition": 6}, marks=pytest.mark.long),
    ],
)
def test_without_an_effect_cohorts_score_at_chance(
    tmp_path: Path, cohorts: int, size: dict[str, int]
) -> None:
    scores = []
    for seed in range(cohorts):
        samples, y, truth = cohort(tmp_path / str(seed), effect=0.0, seed=seed, **size)
        run = evaluate(logistic_regression(), samples, y, group_k_fold(4, seed), baselines=False)
        scores.append(summarise(run).by_subject["accuracy"].mean)
        assert truth.bayes_accuracy("BL1", "PA4") == pytest.approx(0.5, abs=1e-6)
    error = np.std(scores, ddof=1) / np.sqrt(len(scores))
    assert abs(np.mean(scores) - 0.5) < 3 * error, (np.mean(scores), error)


@pytest.mark.long
@pytest.mark.parametrize(
    ("effects", "subjects"),
    [((0.0, 0.5, 1.0, 2.0), 24), ((0.0, 2.0), 8)],
)
def test_accuracy_rises_with_the_effect_towards_what_is_possible(
    tmp_path: Path, effects: tuple[float, ...], subjects: int
) -> None:
    found = []
    for effect in effects:
        folder = tmp_path / str(effect)
        samples, y, truth = cohort(folder, effect=effect, seed=3, subjects=subjects)
        run = evaluate(
            random_forest(n_estimators=60), samples, y, group_k_fold(4), baselines=False
        )
        score = summarise(run).by_subject["accuracy"]
        possible = truth.bayes_accuracy("BL1", "PA4", modalities=("eda",))
        assert score.low <= possible, f"effect {effect}: {score} above {possible}: a leak"
        found.append((score.mean, possible))
    means = [mean for mean, _ in found]
    assert means == sorted(means), means
    assert means[-1] - means[0] > 0.2
    gaps = [
        possible - mean
        for effect, (mean, possible) in zip(effects, found, strict=True)
        if effect >= 1
    ]
    assert max(gaps) < 0.15, found


@pytest.mark.long  # the quick one is in synthesis/test_synthesis_signals.py
def test_a_split_of_windows_is_inflated_by_ten_points_or_more(tmp_path: Path) -> None:
    streams = [Stream(m, (), Features(m)) for m in ("eda", "ecg", "emg_trapezius")]
    samples, y, truth = cohort(tmp_path / "a", *streams, subjects=12, per_condition=20, seed=1)
    forest = random_forest(n_estimators=60)
    honest = evaluate(forest, samples, y, group_k_fold(4), baselines=False)
    at_random = from_sklearn(KFold(4, shuffle=True, random_state=0), shared_subjects=True)
    windows = evaluate(forest, samples, y, at_random, baselines=False)
    a, b = (summarise(run).by_subject["accuracy"] for run in (honest, windows))
    assert b.mean - a.mean >= 0.1, (a, b)
    assert a.low <= truth.bayes_accuracy("BL1", "PA4") < b.high


def test_painattnnet_sees_microsiemens_and_refuses_siemens(tmp_path: Path) -> None:
    micro, y, _ = cohort(
        tmp_path / "a", Stream("eda", (), Raw("eda", unit="uS")), subjects=4, seed=1
    )
    assert isinstance(micro.x, np.ndarray)
    network = create_model("painattnnet", num_classes=2).train()
    torch.manual_seed(0)
    with torch.no_grad():
        branch = network.mscn.short_scale
        sd = branch[1](branch[0](torch.as_tensor(micro.x, dtype=torch.float32))).std()
    assert 0.5 < float(sd) < 2, "the first BatchNorm must see a signal, not zeros"
    with pytest.raises(TrainingError, match="uS"):
        painattnnet(epochs=1, early_stopping=False).fit(micro.x * 1e-6, y)
