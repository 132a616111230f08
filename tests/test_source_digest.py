"""Code that has changed never meets what older code has stored: caches, folds, permutations."""

from __future__ import annotations

import functools
import importlib
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import dolorimeter as dl
from dolorimeter.chain import Pipeline, Stream
from dolorimeter.errors import EvaluationError
from dolorimeter.source_digest import OpaqueError, code_digest, package_digest
from dolorimeter.storage import Cache
from dolorimeter.types import LazySignals, Recording, Signal, Stimulus
from dolorimeter.windows import WindowSpec

Module = Callable[..., ModuleType]


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Module]:
    """Write a module of the user and import it, or import it anew."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    made: set[str] = set()

    def write(name: str, text: str) -> ModuleType:
        made.add(name)
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(text))
        for each in made:
            sys.modules.pop(each, None)
        importlib.invalidate_caches()
        return importlib.import_module(name)

    yield write
    for each in made:
        sys.modules.pop(each, None)


ESTIMATOR = """
    import numpy as np
    from sklearn.base import BaseEstimator, ClassifierMixin
    {before}
    class Est(ClassifierMixin, BaseEstimator):
        def fit(self, X, y):
            self.classes_ = np.unique(y)
            return self
        def predict_proba(self, X):
            return np.tile([1 - {value}, {value}], (len(X), 1))
"""


def data() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    x = np.random.default_rng(0).normal(size=(24, 2))
    return x, np.tile([0, 1], 12), np.repeat(list("abcd"), 6)


def first_probability(estimator: Any, folder: Path) -> float:
    x, y, who = data()
    run = dl.evaluate(estimator, x, y, groups=who, run_dir=folder, baselines=False)
    return float(run.predictions["p_1"].iloc[0])


@pytest.mark.parametrize("where", ["class", "constant", "import", "import in a function"])
def test_an_edited_estimator_never_resumes_old_folds(
    module: Module, tmp_path: Path, where: str
) -> None:
    def est(value: float) -> Any:
        before, told = "", str(value)
        if where == "constant":
            before, told = f"P = {value}", "P"
        if where == "import":
            module("helper", f"P = {value}")
            before, told = "import helper", "helper.P"
        if where == "import in a function":
            module("helper", f"P = {value}")
            before = "def p():\n        from helper import P\n        return P"
            told = "p()"
        return module("user_est", ESTIMATOR.format(before=before, value=told)).Est()

    assert first_probability(est(0.1), tmp_path / "run") == 0.1
    assert first_probability(est(0.1), tmp_path / "run") == 0.1  # resumes
    with pytest.raises(EvaluationError, match=r"another experiment \(they differ in: estimator\)"):
        first_probability(est(0.9), tmp_path / "run")


def test_what_is_loaded_counts_where_the_file_was_edited_and_not_loaded_again(
    module: Module, tmp_path: Path
) -> None:
    old = module("user_est", ESTIMATOR.format(before="", value="0.1")).Est()
    (tmp_path / "user_est.py").write_text(
        textwrap.dedent(ESTIMATOR.format(before="", value="0.9"))
    )
    stale = code_digest(old)
    new = module("user_est", ESTIMATOR.format(before="", value="0.9")).Est()
    assert stale != code_digest(new)


def test_code_without_a_file_counts_by_its_content() -> None:
    def made(body: str, **values: Any) -> Any:
        space: dict[str, Any] = {"__name__": "notebook", **values}
        exec(body, space)  # as a notebook does
        return space["f"]

    body = "def g(x):\n    return x * FACTORS[0]\ndef f(x):\n    return g(x)"
    one = code_digest(made(body, FACTORS=[1.0]))
    assert one == code_digest(made(body, FACTORS=[1.0]))
    assert one != code_digest(made(body, FACTORS=[2.0]))
    assert one != code_digest(made(body.replace("*", "+"), FACTORS=[1.0]))
    in_class = "class f:\n    gain = {}\n    def fit(self):\n        return self.gain"
    assert code_digest(made(in_class.format(1))) != code_digest(made(in_class.format(2)))


def test_parameters_count_to_the_last_value_and_in_any_part() -> None:
    long = np.arange(5000.0)
    other = long.copy()
    other[2500] += 1e-12 * 2500  # a repr of the array would hide it
    assert code_digest(functools.partial(np.add, long)) != code_digest(
        functools.partial(np.add, other)
    )
    assert code_digest(LogisticRegression(C=1.0)) != code_digest(LogisticRegression(C=2.0))
    chains = [
        make_pipeline(FunctionTransformer(f), LogisticRegression())
        for f in (lambda x: x + 1, lambda x: x + 2)
    ]
    assert code_digest(chains[0]) != code_digest(chains[1])
    assert code_digest({"b": 1, "a": 2}) == code_digest({"a": 2, "b": 1})
    assert code_digest(np.random.RandomState(0)) != code_digest(np.random.RandomState(1))


def test_a_counter_of_calls_is_no_change(module: Module) -> None:
    made = module(
        "counting",
        """
        CALLS = 0
        SEEN = []
        class Est:
            fits = 0
            def fit(self):
                global CALLS
                CALLS += 1
                SEEN.append(CALLS)
                type(self).fits += 1
        """,
    )
    before = code_digest(made.Est)
    made.Est().fit()
    assert code_digest(made.Est) == before


def test_what_cannot_be_compared_is_an_error() -> None:
    with pytest.raises(OpaqueError, match="lock"):
        code_digest(functools.partial(print, threading.Lock()))


def test_the_package_counts_without_the_parts_named() -> None:
    assert package_digest() != package_digest(frozenset({"cli"}))
    assert package_digest(frozenset({"cli"})) == package_digest(frozenset({"cli"}))


READER = """
    from functools import partial
    import numpy as np
    from dolorimeter.types import Signal
    UNIT = {unit}
    def read(path):
        values = np.full((1, 400), 5.0) * UNIT
        return {{"eda": Signal(values, 100.0, "S", True, "conductance")}}
"""


def recordings(loader: Any, path: Path) -> list[Recording]:
    return [
        Recording(
            "own",
            who,
            who,
            signals=LazySignals(["eda"], loader),
            stimuli=(Stimulus(0.0, 1.0, "A"),),
            sources=(path,),
        )
        for who in "ab"
    ]


def pipeline() -> Pipeline:
    return Pipeline(WindowSpec(1.0), (Stream("eda", (), dl.Raw("eda")),))


def test_a_corrected_reader_never_meets_the_old_cache(module: Module, tmp_path: Path) -> None:
    path = tmp_path / "file.csv"
    path.write_text("1")
    cache = Cache(tmp_path / "cache")

    def level(unit: str) -> float:
        read = module("user_reader", READER.format(unit=unit)).read
        found = recordings(functools.partial(read, path), path)
        return float(np.mean(np.asarray(pipeline().samples(found, cache=cache).x)))

    assert level("1e-3") == pytest.approx(5e-3)
    entries = len(list((tmp_path / "cache").rglob("*.npz")))
    assert level("1e-3") == pytest.approx(5e-3)
    assert len(list((tmp_path / "cache").rglob("*.npz"))) == entries  # the key is the same
    assert level("1e-6") == pytest.approx(5e-6)


def test_a_loader_that_is_a_closure_counts_with_its_values(tmp_path: Path) -> None:
    path = tmp_path / "file.csv"
    path.write_text("1")
    cache = Cache(tmp_path / "cache")

    def reading(gain: float) -> Any:
        def read() -> dict[str, Signal]:
            values = np.full((1, 400), gain)
            return {"eda": Signal(values, 100.0, "S", True, "conductance")}

        return read

    levels = [
        float(np.mean(np.asarray(pipeline().samples(recordings(f, path), cache=cache).x)))
        for f in (reading(5e-6), reading(7e-6))
    ]
    assert levels == pytest.approx([5e-6, 7e-6])


def test_a_loader_that_cannot_be_compared_is_not_cached_and_said(tmp_path: Path) -> None:
    path = tmp_path / "file.csv"
    path.write_text("1")
    held = threading.Lock()

    def read() -> dict[str, Signal]:
        with held:
            values = np.full((1, 400), 5e-6)
        return {"eda": Signal(values, 100.0, "S", True, "conductance")}

    with pytest.warns(UserWarning, match="windows are not cached"):
        pipeline().samples(recordings(read, path), cache=Cache(tmp_path / "cache"))
    assert not list(tmp_path.rglob("*.npz"))


@pytest.mark.long
def test_an_edit_between_two_processes_is_seen(tmp_path: Path) -> None:
    (tmp_path / "again.py").write_text(
        textwrap.dedent(
            """
            import numpy as np, dolorimeter as dl, user_est
            x = np.random.default_rng(0).normal(size=(24, 2))
            try:
                run = dl.evaluate(user_est.Est(), x, np.tile([0, 1], 12),
                                  groups=np.repeat(list("abcd"), 6), run_dir="run")
                print(run.predictions["p_1"].iloc[0])
            except dl.errors.EvaluationError as error:
                print(error)
            """
        )
    )

    def told(value: float) -> str:
        text = textwrap.dedent(ESTIMATOR.format(before="", value=value))
        (tmp_path / "user_est.py").write_text(text)
        done = subprocess.run(
            [sys.executable, "again.py"], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        return done.stdout

    assert told(0.1).strip() == "0.1"
    assert told(0.1).strip() == "0.1"
    assert "they differ in: estimator" in told(0.9)


def test_streams_that_change_names_or_bits_are_other_data(tmp_path: Path) -> None:
    x, y, who = data()
    options: dict[str, Any] = {"groups": who, "run_dir": tmp_path, "baselines": False}
    dl.evaluate(LogisticRegression(), x, y, **options)
    with pytest.raises(EvaluationError, match=r"differ in: data\)"):
        dl.evaluate(LogisticRegression(), pd.DataFrame(x, columns=["a", "b"]), y, **options)
