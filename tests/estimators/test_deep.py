"""Networks behind scikit-learn's interface."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from joblib.externals.loky import ProcessPoolExecutor
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from dolorimeter.errors import ConfigError, SplitError, TrainingError
from dolorimeter.estimators import NetworkClassifier, fit_with_groups, painattnnet
from dolorimeter.estimators._deep import check_unit
from dolorimeter.models import PainAttnNet


def table(
    subjects: int = 8, each: int = 10, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    groups = np.repeat([f"s{i:02d}" for i in range(subjects)], each)
    y = np.tile(np.arange(each) % 2, subjects)
    return rng.normal(size=(len(y), 5)) + y[:, None], y, groups


def eda(windows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Skin conductance in microsiemens: a level of its own for each subject, and a response."""
    rng = np.random.default_rng(seed)
    t = np.arange(2816) / 512
    subject = np.arange(windows) // 4
    y = np.arange(windows) % 2
    level = rng.uniform(1, 12, subject.max() + 1)[subject, None]
    rise = rng.uniform(0.1, 1.0, windows)[:, None] * np.clip(t - 2, 0, None) * y[:, None]
    drift = rng.normal(0, 0.02, windows)[:, None] * t
    x = level + rise + drift + rng.normal(0, 0.005, (windows, 2816))
    return x[:, None, :], y, np.array([f"s{i}" for i in subject])


def small(**arguments: object) -> NetworkClassifier:
    settings: dict[str, object] = {
        "epochs": 6,
        "batch_size": 16,
        "learning_rate": 1e-2,
        "threads": 1,
    }
    return NetworkClassifier("perceptron", **(settings | arguments))  # type: ignore[arg-type]


def test_it_learns_a_table_and_keeps_the_chosen_epoch() -> None:
    x, y, groups = table()
    model = small(epochs=25, patience=5, keep_epochs=True).fit(x, y, groups=groups)
    new_x, new_y, _ = table(seed=1)
    assert (model.predict(new_x) == new_y).mean() > 0.75
    stages = list(model.staged_predict_proba(new_x))
    assert len(stages) == len(model.history_)
    np.testing.assert_array_equal(stages[model.selected_epoch_ - 1], model.predict_proba(new_x))
    losses = [epoch["validation_loss"] for epoch in model.history_]
    assert model.selected_epoch_ == 1 + int(np.argmin(losses))


def test_validation_subjects_are_whole_and_come_from_those_given() -> None:
    x, y, groups = table()
    model = small(validation_share=0.25).fit(x, y, groups=groups)
    assert len(model.validation_groups_) == 2
    assert set(model.validation_groups_) < set(groups)


def test_early_stopping_without_groups_says_so() -> None:
    x, y, groups = table()
    with pytest.raises(TrainingError, match=r"early_stopping=True\).*by subject.*groups=subjects"):
        small().fit(x, y)
    with pytest.raises(TrainingError, match=r"groups of shape \(3,\) for 80 windows"):
        small().fit(x, y, groups=groups[:3])
    with pytest.raises(SplitError, match="subject"):
        small().fit(x, y, groups=np.full(len(y), "one"))
    small(early_stopping=False).fit(x, y)


def test_groups_reach_it_through_a_pipeline() -> None:
    x, y, groups = table()
    chain = fit_with_groups(make_pipeline(StandardScaler(), small()), x, y, groups)
    assert chain[-1].validation_groups_.size == 2


def test_same_seed_same_bits_here_and_in_another_process() -> None:
    x, y, groups = table()
    one = small(random_state=5).fit(x, y, groups=groups).predict_proba(x)
    with ProcessPoolExecutor(max_workers=1) as pool:
        other = [
            pool.submit(small(random_state=seed).fit, x, y, groups=groups).result()
            for seed in (5, 6)
        ]
    np.testing.assert_array_equal(one, other[0].predict_proba(x))
    assert not np.array_equal(one, other[1].predict_proba(x))


def test_clone_and_pickle() -> None:
    x, y, groups = table()
    model = small().fit(x, y, groups=groups)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict_proba(x), model.predict_proba(x))
    fresh = clone(model)
    assert not hasattr(fresh, "weights_")
    assert fresh.get_params() == model.get_params()


def test_classes_keep_their_names_and_class_weights_their_policy() -> None:
    x, y, groups = table()
    y[: len(y) // 4] = 0
    names = np.array(["none", "pain"])[y]
    plain = small().fit(x, names, groups=groups)
    even = small(class_weight="balanced").fit(x, names, groups=groups)
    own = small(class_weight={"pain": 1e3}).fit(x, names, groups=groups)
    assert plain.classes_.tolist() == ["none", "pain"]
    assert set(plain.predict(x)) <= {"none", "pain"}
    share = [m.predict_proba(x)[:, 1].mean() for m in (plain, even, own)]
    assert share[0] < share[1] < share[2]


def test_epochs_must_have_been_kept() -> None:
    x, y, groups = table()
    model = small().fit(x, y, groups=groups)
    with pytest.raises(TrainingError, match="keep_epochs=True"):
        next(model.staged_predict_proba(x))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"epochs": 0}, "'epochs' parameter"),
        ({"batch_size": 1}, "'batch_size' parameter"),
        ({"precision": "float16"}, "'precision' parameter"),
        ({"learning_rate": 0.0}, "'learning_rate' parameter"),
        (
            {"learning_rate_drops": ((10,),)},
            r"learning_rate_drops is \(\(10,\),\), expected pairs",
        ),
        ({"validation_share": 1.0}, "'validation_share' parameter"),
        ({"module_args": {"num_classes": 3}}, "num_classes comes from the labels"),
        ({"module_args": {"widht": 3}}, "no argument 'widht'"),
        ({"module": "perceptorn"}, "did you mean perceptron"),
    ],
)
def test_arguments_that_make_no_sense(arguments: dict[str, object], message: str) -> None:
    x, y, groups = table()
    with pytest.raises(ConfigError, match=message):
        small().set_params(**arguments).fit(x, y, groups=groups)


def test_windows_of_another_shape_and_one_class_only() -> None:
    x, y, groups = table()
    cube = x[:, None, :]
    model = small().fit(cube, y, groups=groups)
    with pytest.raises(ConfigError, match=r"shape \(2, 5\), expected \(1, 5\) as in fit"):
        model.predict(np.repeat(cube, 2, axis=1))
    with pytest.raises(ValueError, match="expecting 1 features"):
        model.predict(x)
    with pytest.raises(TrainingError, match="all 80 training windows are of class 1"):
        small().fit(x, np.ones(len(y)), groups=groups)


def test_painattnnet_trains_on_eda_and_one_window_equals_its_row_of_eight() -> None:
    x, y, groups = eda(16)
    model = painattnnet(epochs=1, batch_size=8, threads=1).fit(x, y, groups=groups)
    whole = model.predict_proba(x[:8])
    np.testing.assert_allclose(model.predict_proba(x[3:4])[0], whole[3], rtol=1e-5)
    np.testing.assert_allclose(whole.sum(axis=1), 1)


def first_batch_norm(x: np.ndarray) -> torch.Tensor:
    torch.manual_seed(0)
    module = PainAttnNet().train()
    with torch.no_grad():
        return module.mscn.short_scale[:2](torch.tensor(x, dtype=torch.float32))


def test_microsiemens_reach_the_network_and_siemens_are_zeros() -> None:
    x, _, _ = eda(32)
    assert 0.5 < first_batch_norm(x).std() < 2
    assert first_batch_norm(x * 1e-6).std() < 1e-3


def test_siemens_left_in_are_refused_with_the_unit_expected() -> None:
    x, y, groups = eda(16)
    model = painattnnet(epochs=1)
    for factor in (1e-6, 1e3):
        with pytest.raises(TrainingError, match=r"'painattnnet' expects uS.*× 1e6"):
            model.fit(x * factor, y, groups=groups)
    check_unit(x.astype(np.float32), "uS", "painattnnet")
    check_unit(x.astype(np.float32) * 1e-6, "V", "another")


def test_painattnnet_refuses_other_windows() -> None:
    x, y, groups = eda(16)
    with pytest.raises(ConfigError, match=r"5\.5 s at 512 Hz"):
        painattnnet(epochs=1).fit(x[:, :, :2560], y, groups=groups)
