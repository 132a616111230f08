"""The command line: each verb names its function, speaks JSON, and never shows a traceback."""

from __future__ import annotations

import inspect
import json
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.main import get_command
from typer.testing import CliRunner

from dolorimeter import cli
from dolorimeter.cli._app import RENAMED
from dolorimeter.evaluation import Run


def call(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command as a user calls it."""
    return subprocess.run(
        [sys.executable, "-c", "from dolorimeter.cli import main; main()", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


Called = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def call_here(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Called]:
    """`call` without a process of its own, which takes a second to start."""
    handler = signal.getsignal(signal.SIGTERM)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        monkeypatch.setattr(sys, "argv", ["dolorimeter", *arguments])
        capsys.readouterr()
        with warnings.catch_warnings(), pytest.raises(SystemExit) as ended:
            cli.main()
        told = capsys.readouterr()
        return subprocess.CompletedProcess(
            arguments, int(ended.value.code or 0), told.out, told.err
        )

    yield run
    signal.signal(signal.SIGTERM, handler)


def commands(group: Any, prefix: str = "") -> dict[str, Any]:
    """Commands by their full names, ``study sweep`` for those of a group."""
    found = {}
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            found |= commands(command, f"{prefix}{name} ")
        else:
            found[f"{prefix}{name}"] = command
    return found


@pytest.mark.extra("deep")
def test_every_verb_names_a_function_that_exists_and_shares_its_defaults() -> None:
    verbs = commands(get_command(cli.app))
    assert set(verbs) == set(cli.VERBS)
    for verb, home in cli.VERBS.items():
        module, _, path = home.partition(":")
        function = import_module(module)
        for name in path.split("."):
            function = getattr(function, name)
        ours = inspect.signature(verbs[verb].callback).parameters
        theirs = inspect.signature(function).parameters
        for name in set(ours) & set(theirs):
            if inspect.Parameter.empty in (ours[name].default, theirs[name].default):
                continue
            assert ours[name].default == theirs[name].default, (verb, name)


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_an_old_verb_is_the_new_one_with_a_notice(old: str, new: str) -> None:
    assert new in cli.VERBS
    assert old not in cli.VERBS
    wrong = ["--no-such-option"]
    before = CliRunner().invoke(cli.app, [old, *wrong])
    after = CliRunner().invoke(cli.app, [*new.split(), *wrong])
    notice, rest = before.stderr.split("\n", 1)
    assert notice == (
        f"notice: `dolorimeter {old}` is now `dolorimeter {new}`; "
        "the old name will be removed in version 0.3"
    )
    assert (before.exit_code, rest) == (after.exit_code, after.stderr) == (2, after.stderr)
    assert new in after.stderr


def test_old_verbs_are_not_in_the_help() -> None:
    lines = CliRunner().invoke(cli.app, ["--help"]).stdout.splitlines()
    listed = {line.split()[0] for line in lines if line.startswith("  ")}
    assert {"study", "monitor", "evaluate"} <= listed
    assert not listed & (set(RENAMED) - {"monitor", "purge"})  # groups of verbs now


@pytest.mark.parametrize("words", [("study", "-h"), ("monitor", "--help"), ("monitor", "page")])
def test_the_group_and_its_verbs_give_no_notice(words: tuple[str, ...]) -> None:
    result = CliRunner().invoke(cli.app, [*words, "-h"])
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("Usage:")


@pytest.mark.parametrize("words", [(), ("study",)])
def test_without_a_verb_the_help_is_shown_and_the_exit_code_is_2(
    words: tuple[str, ...], call_here: Called
) -> None:
    result = call_here(*words)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("Usage: dolorimeter")


@pytest.mark.extra("monitor")
def test_a_notice_does_not_mix_with_json(tmp_path: Path) -> None:
    from dolorimeter.monitor.store import Store

    with Store(tmp_path / "monitor.sqlite"):
        pass
    store = ("--store", str(tmp_path / "monitor.sqlite"), "--json")
    result = call("monitor-sessions", *store)
    assert (result.returncode, json.loads(result.stdout)) == (0, [])
    assert result.stderr.startswith("notice: `dolorimeter monitor-sessions` is now")
    result = call("monitor", "sessions", *store)
    assert (result.returncode, result.stdout, result.stderr) == (0, "[]\n", "")


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
        (("study", "frobnicate"), "Try: dolorimeter study --help"),
        (("report", ".", "--out", "."), ""),
    ],
)
def test_faults_are_one_line_and_no_traceback(
    arguments: tuple[str, ...], message: str, call_here: Called
) -> None:
    result = call_here(*arguments, "--json")
    assert result.returncode == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr + result.stdout
    assert json.loads(result.stdout)["exit_code"] == 2
    assert json.loads(result.stdout)["error"] in result.stderr


@pytest.mark.parametrize(
    ("error", "message", "code"),
    [
        (PermissionError(13, "Permission denied", "a.csv"), "a.csv: Permission denied", 2),
        (IsADirectoryError(21, "Is a directory", "a"), "a: Is a directory", 2),
        (OSError(28, "No space left on device", "out"), "out: No space left on device", 2),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"), "UTF-8", 2),
        (ModuleNotFoundError("No module named 'cv2'", name="cv2"), "'cv2' is not installed", 2),
        (MemoryError(), "out of memory", 2),
        (BrokenExecutor("killed"), "a worker process was ended from outside", 2),
        (ModuleNotFoundError("no", name="dolorimeter.old"), "a fault of dolorimeter", 70),
        (KeyError("odd"), "KeyError: 'odd'", 70),
        (KeyboardInterrupt(), "the same command goes on", 130),
        (cli.Terminated(143), "stopped by SIGTERM", 143),
    ],
)
def test_each_error_has_its_exit_code(error: BaseException, message: str, code: int) -> None:
    text, found = cli.explained(error)
    assert found == code
    assert message in text


def test_check_exits_with_1_on_faults_and_counts_severities(
    tmp_path: Path, call_here: Called
) -> None:
    _table(tmp_path)
    told = call_here("check", "feature_table", str(tmp_path / "data"), "--json")
    assert (told.returncode, json.loads(told.stdout)["faults"]) == (0, 0)
    with (tmp_path / "data" / "table.csv").open("a") as file:
        file.write("s0,low,?,1\n")
    told = call("check", "feature_table", str(tmp_path / "data"), "--json")
    found = json.loads(told.stdout)
    severities = [problem["severity"] for problem in found["problems"]]
    assert (told.returncode, found["faults"]) == (1, severities.count("fault"))
    assert found["faults"] > 0
    assert found["warnings"] == severities.count("warning")


@pytest.mark.parametrize("words", [["--help"], ["list"], ["list", "--json"]])
def test_a_closed_pipe_ends_a_verb_quietly(words: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "dolorimeter", *words]
    ended = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (ended.returncode, ended.stderr) == (0, b"")


@pytest.mark.skipif(os.name == "nt", reason="needs a POSIX shell")
@pytest.mark.parametrize(("closed", "kind", "code"), [(">&-", "models", 0), ("2>&-", "modles", 2)])
def test_a_stream_that_the_caller_closed_is_no_fault(closed: str, kind: str, code: int) -> None:
    command = f'"$0" -m dolorimeter list {kind} {closed}'
    ended = subprocess.run(["sh", "-c", command, sys.executable], capture_output=True, check=False)
    assert (ended.returncode, ended.stderr) == (code, b"")


@pytest.mark.long
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_not_a_fault_of_ours() -> None:
    command = [sys.executable, "-m", "dolorimeter", "list", "--json"]
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, check=False)
    assert ended.returncode == 2
    assert ended.stderr.startswith(b"error: No space left on device")
    assert b"Traceback" not in ended.stderr


def test_a_fault_of_ours_is_named_as_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "import sys; from dolorimeter import cli, registry\n"
        "def boom(self): raise RuntimeError('odd')\n"
        "registry.Registry.cards = boom\n"
        "sys.argv = ['dolorimeter', 'list', 'datasets']; cli.main()"
    )
    command = [sys.executable, "-c", code]
    out = subprocess.run(command, capture_output=True, text=True, check=False)
    assert out.returncode == 70
    assert "a fault of dolorimeter" in out.stderr
    assert "Traceback" not in out.stderr


@pytest.mark.long
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


@pytest.mark.long
def test_audit_exits_with_1_on_a_fault(tmp_path: Path, call_here: Called) -> None:
    experiment, root = _table(tmp_path)
    folder = tmp_path / "run"
    assert call_here("evaluate", experiment, "--root", root, "--out", str(folder)).returncode == 0
    assert call_here("audit", str(folder), "--root", root).returncode == 0
    stored = Run.load(folder)
    rows = stored.predictions.assign(selection="oracle_fold_epoch")
    replace(stored, predictions=rows).save(folder)
    found = call_here("audit", str(folder), "--root", root, "--json")
    assert found.returncode == 1
    faults = [f for f in json.loads(found.stdout)["findings"] if f["result"] == "fault"]
    assert [f["check"] for f in faults] == ["selection_on_test"]


@pytest.mark.long
@pytest.mark.parametrize(
    ("number", "code", "workers"),
    [(signal.SIGINT, cli.INTERRUPTED, "1"), (signal.SIGTERM, cli.TERMINATED, "2")],
)
def test_a_stopped_run_ends_its_workers_and_says_that_it_goes_on(
    number: signal.Signals, code: int, workers: str, tmp_path: Path
) -> None:
    experiment, root = _table(tmp_path, subjects=120)
    command = [sys.executable, "-c", "from dolorimeter.cli import main; main()", "evaluate"]
    command += [experiment, "--root", root, "--out", str(tmp_path / "run"), "--json"]
    command += ["--workers", workers]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as process:
        line = ""
        while "folds" not in line:
            line = process.stderr.readline()
            assert line, "the run ended before a fold was reported"
        children = _children(process.pid)
        process.send_signal(number)
        told, rest = process.communicate()
    assert process.returncode == code
    assert "the same command goes on from there" in rest
    assert "Traceback" not in rest
    assert json.loads(told)["exit_code"] == code
    assert len(children) >= int(workers) - 1
    for _ in range(100):  # those that wait for the end of a pipe need a moment
        if not any(map(_runs, children)):
            break
        time.sleep(0.1)
    assert [pid for pid in children if _runs(pid)] == []
    assert list((tmp_path / "run").rglob("fold_*.predictions.parquet"))


def _children(pid: int) -> list[int]:
    """Child processes, where the system lists them."""
    place = Path(f"/proc/{pid}/task/{pid}/children")
    if not place.exists():
        pytest.skip("needs /proc to list child processes")
    return [int(word) for word in place.read_text().split()]


def _runs(pid: int) -> bool:
    """Whether a process exists and is more than an entry that nobody has collected."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


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
def test_a_pretraining_that_is_not_there_is_named(tmp_path: Path, call_here: Called) -> None:
    out = call_here("pretrain", str(tmp_path / "none.toml"), "--out", str(tmp_path / "x"))
    assert out.returncode == 2
    assert "none.toml" in out.stderr
    assert not (tmp_path / "x").exists()


@pytest.mark.extra("deep")
def test_dotted_keys_of_a_pretraining_are_set(tmp_path: Path, call_here: Called) -> None:
    file = Path(__file__).parent.parent / "experiments" / "pretrain_open.toml"
    out = call_here("pretrain", str(file), "--out", str(tmp_path / "x"),
                    "--set", "tasks.1.options.table=none.csv")  # fmt: skip
    assert out.returncode == 2
    assert f"tasks.1.options.table is {Path('none.csv').absolute()}" in out.stderr
    (tmp_path / "one.csv").touch()
    tables = [f"tasks.{i}.options.table={tmp_path / 'one.csv'}" for i in (0, 1)]
    words = [word for change in ("encoder.name=painfomer", *tables) for word in ("--set", change)]
    out = call_here("pretrain", str(file), "--out", str(tmp_path / "x"), *words)
    assert (out.returncode, out.stderr[:34]) == (2, "error: unknown model 'painfomer'; ")
