"""The command line: each verb names its function, speaks JSON, and never shows a traceback."""

from __future__ import annotations

import inspect
import json
import signal
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from dolorimeter import cli


def call(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command as a user calls it."""
    return subprocess.run(
        [sys.executable, "-c", "from dolorimeter.cli import main; main()", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.extra("deep")
def test_every_verb_names_a_function_that_exists_and_shares_its_defaults() -> None:
    commands = {c.name or c.callback.__name__: c.callback for c in cli.app.registered_commands}
    assert set(commands) == set(cli.VERBS)
    for verb, home in cli.VERBS.items():
        module, _, path = home.partition(":")
        function = import_module(module)
        for name in path.split("."):
            function = getattr(function, name)
        ours = inspect.signature(commands[verb]).parameters
        theirs = inspect.signature(function).parameters
        for name in set(ours) & set(theirs):
            if inspect.Parameter.empty in (ours[name].default, theirs[name].default):
                continue
            assert ours[name].default == theirs[name].default, (verb, name)


def test_importing_the_package_pulls_in_no_torch() -> None:
    code = "import sys, dolorimeter; dolorimeter.Signal; print('torch' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"


def test_what_every_verb_imports_pulls_in_neither_torch_nor_signal_processing() -> None:
    """Each is half a second and more of waiting, and `embed` from the cache needs neither."""
    code = (
        "import sys, dolorimeter.chain; from dolorimeter.experiment import embed; "
        "print([m for m in ('torch', 'sklearn', 'scipy.signal') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_help_pulls_in_nothing_heavy() -> None:
    code = (
        "import sys; from dolorimeter import cli; "
        "heavy = ('torch', 'pandas', 'scipy', 'sklearn', 'matplotlib'); "
        "print([m for m in heavy if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_the_package_runs_as_a_module() -> None:
    command = [sys.executable, "-m", "dolorimeter", "list", "nothing"]
    out = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert out.returncode == 2
    assert out.stderr.startswith("error: unknown kind 'nothing'")


@pytest.mark.parametrize(
    "arguments",
    [
        ("list", "datasets"),
        ("list", "estimators"),
        ("list", "preprocessing"),
        ("list", "representations"),
        ("list", "models"),
        ("list", "datasets", "biovid"),
        ("sys-info",),
    ],
)
def test_tables_are_also_json(arguments: tuple[str, ...]) -> None:
    result = CliRunner().invoke(cli.app, [*arguments, "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.output)
    assert CliRunner().invoke(cli.app, list(arguments)).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("list", "things"), "unknown kind 'things'"),
        (("list", "datasets", "biovit"), "did you mean biovid"),
        (("evaluate", "none.toml", "--out", "x"), "no such file"),
        (("evaluate", "none.toml"), "--out"),
        (("report", "nowhere"), "nowhere"),
        (("check", "biovid", "."), "BioVid"),
        (("synthesise", "biovid", "--out", "x", "--option", "subjects"), "is not KEY=VALUE"),
        (("synthesise", "biowid", "--out", "x"), "biowid"),
        (("frobnicate",), "frobnicate"),
    ],
)
def test_faults_are_one_line_and_no_traceback(arguments: tuple[str, ...], message: str) -> None:
    result = call(*arguments)
    assert result.returncode == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr + result.stdout


def test_a_fault_of_ours_is_named_as_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "import sys; from dolorimeter import cli, registry\n"
        "def boom(self): raise RuntimeError('odd')\n"
        "registry.Registry.cards = boom\n"
        "sys.argv = ['dolorimeter', 'list', 'datasets']; cli.main()"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert out.returncode == 70
    assert "a fault of dolorimeter" in out.stderr
    assert "Traceback" not in out.stderr


@pytest.mark.extra("face")
def test_a_broken_video_does_not_cost_the_others(tmp_path: Path) -> None:
    from dolorimeter.video import VideoWriter

    good, broken = tmp_path / "good.mp4", tmp_path / "broken.mp4"
    with VideoWriter(good, 10.0, (64, 64)) as writer:
        writer.write(np.zeros((64, 64, 3), dtype=np.uint8))
    broken.touch()
    out = str(tmp_path / "out")
    done = call("faces", str(broken), str(good), "--out", out, "--no-preview", "--json")
    assert done.returncode == 2
    assert [row["video"] for row in json.loads(done.stdout)] == ["good.mp4"]
    assert "broken.mp4: the file is empty" in done.stderr
    (tmp_path / "other").mkdir()
    done = call("faces", str(good), str(tmp_path / "other" / "good.mp4"), "--out", out)
    assert done.returncode == 2
    assert "would both be written as 'good-…'" in done.stderr


def test_audit_exits_with_1_on_a_fault(tmp_path: Path) -> None:
    experiment, root = _table(tmp_path)
    folder = tmp_path / "run"
    assert call("evaluate", experiment, "--root", root, "--out", str(folder)).returncode == 0
    assert call("audit", str(folder), "--root", root).returncode == 0
    rows = pd.read_parquet(folder / "predictions.parquet").assign(selection="oracle_fold_epoch")
    rows.to_parquet(folder / "predictions.parquet")
    found = call("audit", str(folder), "--root", root, "--json")
    assert found.returncode == 1
    faults = [f for f in json.loads(found.stdout)["findings"] if f["result"] == "fault"]
    assert [f["check"] for f in faults] == ["selection_on_test"]


def test_ctrl_c_says_that_the_same_command_goes_on(tmp_path: Path) -> None:
    experiment, root = _table(tmp_path, subjects=120)
    command = [sys.executable, "-c", "from dolorimeter.cli import main; main()", "evaluate"]
    command += [experiment, "--root", root, "--out", str(tmp_path / "run")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        line = ""
        while "folds" not in line:
            line = process.stderr.readline()
            assert line, "the run ended before a fold was reported"
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
    assert process.returncode == cli.INTERRUPTED
    assert "the same command goes on from there" in rest
    assert "Traceback" not in rest


def _table(folder: Path, subjects: int = 4) -> tuple[str, str]:
    """An experiment on a small feature table, and its data root."""
    rng = np.random.default_rng(0)
    rows = [
        {
            "subject": f"s{s}",
            "label": ("low", "high")[i % 2],
            "a": rng.normal(i % 2),
            "b": rng.normal(),
        }
        for s in range(subjects)
        for i in range(8)
    ]
    (folder / "data").mkdir()
    pd.DataFrame(rows).to_csv(folder / "data" / "table.csv", index=False)
    lines = (
        'title = "table"',
        'dataset = { name = "feature_table" }',
        'task = { classes = [["low"], ["high"]] }',
        'classifier = { name = "random_forest", arguments = { n_estimators = 20 } }',
        'split = { name = "leave_one_subject_out" }',
    )
    (folder / "table.toml").write_text("\n".join(lines))
    return str(folder / "table.toml"), str(folder / "data")


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("subjects=abc", "subjects is 'abc', expected a whole number"),
        ("per_condition=1.5", "per_condition is 1.5, expected a whole number"),
        ("conditions=5", "conditions is 5, expected a list of names"),
        ("effect=x", "effect is 'x', expected a number"),
    ],
)
def test_options_of_a_wrong_type_are_named(option: str, message: str, tmp_path: Path) -> None:
    out = call("synthesise", "biovid", "--out", str(tmp_path / "x"), "--option", option)
    assert out.returncode == 2
    assert message in out.stderr


@pytest.mark.extra("deep")
def test_a_pretraining_that_is_not_there_is_named(tmp_path: Path) -> None:
    out = call("pretrain", str(tmp_path / "none.toml"), "--out", str(tmp_path / "x"))
    assert out.returncode == 2
    assert "none.toml" in out.stderr
    assert not (tmp_path / "x").exists()


@pytest.mark.extra("deep")
def test_dotted_keys_of_a_pretraining_are_set(tmp_path: Path) -> None:
    file = Path(__file__).parent.parent / "experiments" / "pretrain_open.toml"
    changes = ("encoder.name=painfomer", "tasks.0.options.table=none.csv")
    given = [word for change in changes for word in ("--set", change)]
    out = call("pretrain", str(file), "--out", str(tmp_path / "x"), *given)
    assert (out.returncode, out.stderr[:34]) == (2, "error: unknown model 'painfomer'; ")
    out = call("pretrain", str(file), "--out", str(tmp_path / "x"), *given[2:])
    assert (out.returncode, out.stderr[:16]) == (2, "error: none.csv:")
