"""Runs cells of the matrix: one verb of the real command line on one adversarial cohort."""

from __future__ import annotations

import contextlib
import io
import json
import signal
import subprocess
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from unittest import mock

from dolorimeter import cli

DATASET = {"bids": "bids_physio", "feature_table_parquet": "feature_table"}
"""Reader of a layout where the names differ."""
SECONDS = {"biovid": 5.5}
"""Duration of a stimulus where it is not 10 s."""
CLASSES = {"biovid": ("BL1", "PA4"), "ai4pain_2025": ("no_pain", "high_pain")}
"""Conditions of the two classes where they are not rest and high."""
MODALITY = {"snirf": "fnirs_hbo"}
SECOND_MODALITY = {"ai4pain_2025": "ppg"}


@dataclass(frozen=True)
class Outcome:
    """Exit code and output of one call."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        """Both streams."""
        return self.out + "\n" + self.err

    @cached_property
    def json(self) -> Any:
        """Standard output as JSON."""
        return json.loads(self.out)


def call(*arguments: str) -> Outcome:
    """Run the command line in this process; a traceback is an error of the test."""
    handler = signal.getsignal(signal.SIGTERM)
    out, err = io.StringIO(), io.StringIO()
    code: object = 0
    try:
        with (
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            mock.patch.object(sys, "argv", ["dolorimeter", *arguments]),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            cli.main()
    except SystemExit as end:
        code = end.code
    finally:
        signal.signal(signal.SIGTERM, handler)
    return Outcome(
        int(code or 0) if isinstance(code, int | None) else 70, out.getvalue(), err.getvalue()
    )


def call_process(*arguments: str) -> Outcome:
    """Run the command line in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "dolorimeter", *arguments],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


def experiment(layout: str, properties: Sequence[str]) -> str:
    """Text of the experiment file that a user would write for the layout."""
    first, second = CLASSES.get(layout, ("rest", "high"))
    seconds = SECONDS.get(layout, 10.0)
    modality = MODALITY.get(layout, "eda")
    regression = {"many_ratings", "missing_rating"} & set(properties)
    lines = [f'title = "Adversarial cohort: {", ".join(properties) or "none"}"', "[dataset]"]
    lines.append(f'name = "{DATASET.get(layout, layout)}"')
    if layout.startswith("feature_table"):
        options = f"features = {json.dumps(_features(properties))}"
        if regression:
            options += ', target = "rating"'
        lines.append(f"options = {{ {options} }}")
    lines.append("[task]")
    if regression:
        target = "target" if layout.startswith("feature_table") else "rating"
        lines += ['kind = "regressor"', f'target = "{target}"']
    else:
        middle = {"biovid": "PA1", "ai4pain_2025": "low_pain"}.get(layout, "low")
        names = [first, middle, second] if "missing_class" in properties else [first, second]
        lines.append(f"classes = {json.dumps([[name] for name in names])}")
    if not layout.startswith("feature_table"):
        sliding = "many_windows" in properties or "open_ended" in properties
        anchor = "sliding" if sliding else "stimulus"
        lines += ["[windows]", f"duration = {seconds}", f'anchor = "{anchor}"']
        if "open_ended" in properties:
            lines.append("inside_stimulus = false")
        names = [modality]
        if "missing_modality" in properties:
            names.append(SECOND_MODALITY.get(layout, "ecg"))
        for name in names:
            lines += ["[[streams]]", f'modality = "{name}"']
    lines += ["[classifier]"]
    lines.append('name = "ridge"' if regression else 'name = "logistic_regression"')
    lines += ["[split]", 'name = "leave_one_subject_out"', ""]
    return "\n".join(lines)


def _features(properties: Sequence[str]) -> list[str]:
    """Feature columns that a user would name."""
    if "two_faces" in properties:
        return ["AU04_r", "AU12_r"]
    return ["eda_mean", "ecg_rate", *(["trial_number"] if "class_counter" in properties else [])]


@dataclass
class Bench:
    """Cohorts, runs and models of a session, each made once."""

    folder: Path
    outcomes: dict[tuple[str, ...], Outcome] = field(default_factory=dict)

    def root(self, layout: str, *properties: str) -> Path:
        """Folder of a cohort, written by the command line."""
        root = self.folder / "-".join((layout, *properties)) / "cohort"
        if not root.exists():
            wanted = f"properties={json.dumps(list(properties))}"
            options = ("--option", f"layout={layout}", "--option", wanted)
            made = call("synthesise", "adversarial", "--out", str(root), *options)
            assert made.code == 0, made.text
        return root

    def run_folder(self, layout: str, *properties: str) -> Path:
        """Run folder of `evaluate`."""
        return self.root(layout, *properties).parent / "run"

    def outcome(self, verb: str, layout: str, *properties: str) -> Outcome:
        """Result of a verb."""
        key = (verb, layout, *properties)
        if key not in self.outcomes:
            self.outcomes[key] = getattr(self, f"_{verb}")(layout, *properties)
        return self.outcomes[key]

    def _check(self, layout: str, *properties: str) -> Outcome:
        root = self.root(layout, *properties)
        options = []
        if layout.startswith("feature_table"):
            options = ["--option", f"features={json.dumps(_features(properties))}"]
        return call("check", DATASET.get(layout, layout), str(root), *options, "--json")

    def _file(self, layout: str, *properties: str) -> Path:
        path = self.root(layout, *properties).parent / "experiment.toml"
        path.write_text(experiment(layout, properties), encoding="utf-8")
        return path

    def _evaluate(self, layout: str, *properties: str) -> Outcome:
        root, out = self.root(layout, *properties), self.run_folder(layout, *properties)
        path = self._file(layout, *properties)
        arguments = ["--out", str(out), "--root", str(root), "--no-cache"]
        return call("evaluate", str(path), *arguments)

    def _evaluate_json(self, layout: str, *properties: str) -> Outcome:
        """Show the finished run once more, as JSON."""
        self.outcome("evaluate", layout, *properties)
        root, out = self.root(layout, *properties), self.run_folder(layout, *properties)
        path = out.parent / "experiment.toml"
        arguments = ["--out", str(out), "--root", str(root), "--no-cache", "--json"]
        return call("evaluate", str(path), *arguments)

    def _report(self, layout: str, *properties: str) -> Outcome:
        evaluated = self.outcome("evaluate", layout, *properties)
        if evaluated.code:
            return evaluated
        run = self.run_folder(layout, *properties)
        return call("report", str(run), "--out", str(run.parent / "report"))

    def _audit(self, layout: str, *properties: str) -> Outcome:
        evaluated = self.outcome("evaluate", layout, *properties)
        if evaluated.code:
            return evaluated
        run, root = self.run_folder(layout, *properties), self.root(layout, *properties)
        return call("audit", str(run), "--root", str(root), "--json")

    def model(self, layout: str, *properties: str) -> Path:
        """Model folder, trained on the cohort without any property.

        The experiment is that of `properties`, so that it may have a second modality.
        """
        model = self.folder / "-".join((layout, *properties, "model"))
        if not model.exists():
            path = self.folder / f"{model.name}.toml"
            path.write_text(experiment(layout, properties), encoding="utf-8")
            root = self.root(layout)
            trained = call("train", str(path), "--root", str(root), "--out", str(model))
            assert trained.code == 0, trained.text
        return model

    def _predict(self, layout: str, *properties: str) -> Outcome:
        second = [name for name in properties if name == "missing_modality"]
        root, model = self.root(layout, *properties), self.model(layout, *second)
        return call("predict", str(model), str(root), "--json")
