"""`monitor`, from a model folder to stored estimates; refused before it begins where it cannot."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from dolorimeter.chain import Pipeline, Stream
from dolorimeter.errors import ConfigError, StorageError
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
    chain = Pipeline(WindowSpec(duration=1.0), (Stream("eda", steps, features),))
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


def test_options_that_make_no_sense_are_refused_before_anything_begins(tmp_path: Path) -> None:
    folder, store = saved(tmp_path / "model"), tmp_path / "store.sqlite"
    text = tmp_path / "text.pem"
    text.write_text("no certificate")
    for given, message in (
        ({"seconds": -3.0, "headless": True}, "seconds is -3, expected above 0"),
        ({"alert": 1.5}, r"alert from level 1\.5, but this model's levels go from 0 to 1"),
        ({"port": 99_999}, "port 99999: expected 1 to 65535"),
        ({"tls_cert": text, "tls_key": text}, "TLS with .* cannot be had"),
        ({"host": "0.0.0.0"}, "others could open the page"),
    ):
        with pytest.raises(ConfigError, match=message):
            monitor(folder, ["synthetic"], store=store, **given)  # type: ignore[arg-type]
    assert not store.exists()


def test_it_ends_when_nobody_listens_any_more(tmp_path: Path) -> None:
    heard: list[Estimate] = []

    def said(estimate: Estimate) -> None:
        heard.append(estimate)
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):  # which the command line takes for a plain end
        monitor(
            saved(tmp_path / "model"), ["synthetic"], headless=True,
            store=tmp_path / "store.sqlite", said=said,
        )  # fmt: skip
    assert len(heard) == 1
    with Store(tmp_path / "store.sqlite") as store:
        (kept,) = store.sessions()
        assert (kept.state, kept.ended_because) == ("ended", "")


@pytest.mark.long
def test_it_does_not_end_in_silence_where_something_is_not_stored(tmp_path: Path) -> None:
    place = tmp_path / "store.sqlite"
    other: list[sqlite3.Connection] = []

    def lock(_: SessionInfo) -> None:
        other.append(sqlite3.connect(place, isolation_level=None, check_same_thread=False))
        other[0].execute("BEGIN IMMEDIATE")

    with pytest.raises(StorageError, match=r"session \w+: \d+ estimates .* locked by another"):
        monitor(
            saved(tmp_path / "model"), ["synthetic"], headless=True, seconds=1.8, store=place,
            begun=lock,
        )  # fmt: skip
    other[0].close()


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 0), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.long)],
)
def test_ctrl_c_is_how_it_ends(number: signal.Signals, code: int, tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from dolorimeter.cli import main; main()", "monitor", "run"]
    place = ["--model", str(saved(tmp_path / "model")), "--store", str(tmp_path / "s.sqlite")]
    with subprocess.Popen(
        [*command, *place, "--headless"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert "level" in process.stdout.readline()
        process.send_signal(number)
        told = process.stderr.read()
        assert process.wait(60) == code
    assert "Traceback" not in told
    last = "stopped by SIGTERM" if code else "stored: dolorimeter monitor export"
    assert last in told.splitlines()[-1]
    with Store(tmp_path / "s.sqlite") as store:
        (kept,) = store.sessions()
        assert (kept.state, store.estimates(kept.info.id) != []) == ("ended", True)
