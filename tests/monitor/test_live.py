"""`monitor`, from a model folder to stored estimates; refused before it begins where it cannot."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from dolorimeter.chain import Chain, ChainStream
from dolorimeter.errors import ConfigError
from dolorimeter.experiment import experiment_from
from dolorimeter.monitor.demo_model import EXPERIMENT, demo_model
from dolorimeter.monitor.live import monitor, sessions
from dolorimeter.monitor.nouns import Estimate, SessionInfo
from dolorimeter.monitor.store import Store
from dolorimeter.predictor import Predictor
from dolorimeter.preprocessing import Lowpass
from dolorimeter.representations import Features
from dolorimeter.storage import user_cache
from dolorimeter.windows import WindowSpec


def saved(folder: Path, mode: str = "causal") -> Path:
    """A small model on disk; what it says means nothing."""
    features = Features("eda")
    names = features([]).names
    rng = np.random.default_rng(0)
    model = make_pipeline(SimpleImputer(keep_empty_features=True), LogisticRegression())
    model.fit(rng.random((20, len(names))), np.arange(20) % 2)
    steps = (Lowpass(cut=5.0, mode=mode, modalities=("eda",)),)  # type: ignore[arg-type]
    chain = Chain(WindowSpec(duration=1.0), (ChainStream("eda", steps, features),))
    Predictor(
        model, chain, "classifier", ("low", "high"), {"name": "biovid", "options": {}}, {}, names,
        title="small",
    ).save(folder)  # fmt: skip
    return folder


def test_a_session_without_a_page_stores_what_it_says(tmp_path: Path) -> None:
    told: list[Estimate] = []
    infos: list[SessionInfo] = []
    because = monitor(
        saved(tmp_path / "model"),
        ["synthetic:seed=4"],
        subject="anna",
        headless=True,
        seconds=2.6,
        store=tmp_path / "store.sqlite",
        begun=infos.append,
        said=told.append,
    )
    assert because == ""
    assert len(told) >= 2
    with Store(tmp_path / "store.sqlite") as store:
        (kept,) = store.sessions("anna")
        assert kept.info.id == infos[0].id
        assert kept.info.model == "small"
        assert kept.info.lookalike  # the source is made up
        assert len(kept.info.model_digest) >= 32
        assert store.estimates(kept.info.id) == told


def test_a_model_that_looks_at_the_whole_recording_is_refused_at_once(tmp_path: Path) -> None:
    folder = saved(tmp_path / "model", "zero_phase")
    with pytest.raises(ConfigError, match=r"lowpass \(mode = 'causal', which lags behind\)"):
        sessions(folder, ["synthetic"])
    with pytest.raises(ConfigError, match="a session without a source"):
        sessions(saved(tmp_path / "other"), [])


def test_the_demo_models_recipe_is_an_experiment_and_a_made_one_is_taken() -> None:
    experiment = experiment_from(EXPERIMENT)
    assert experiment.task.kind == "ordinal"
    assert "nothing about people" in experiment.title
    assert experiment.chain().live_obstacles == ()
    from dolorimeter import __version__

    folder = user_cache() / "models" / f"demo-{__version__}"
    saved(folder)
    assert demo_model() == folder  # nothing is fitted twice
