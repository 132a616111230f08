"""The command line: each verb names its function, speaks JSON, and never shows a traceback."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from importlib import import_module

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


def test_help_pulls_in_nothing_heavy() -> None:
    code = (
        "import sys; from dolorimeter import cli; "
        "heavy = ('torch', 'pandas', 'scipy', 'sklearn', 'matplotlib'); "
        "print([m for m in heavy if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


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
