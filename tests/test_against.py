"""Old against new, with small workloads in a temporary repository of two commits."""

from __future__ import annotations

import importlib.util
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent


def module_of(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # where dataclasses look for it
    spec.loader.exec_module(module)
    return module


against = module_of(ROOT / "benchmarks" / "_against.py")


def git(folder: Path, *words: str) -> str:
    name = ("-c", "user.name=x", "-c", "user.email=x@example.org")
    command = ["git", "-C", str(folder), *name, *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Two commits: `same` is equal, `other` differs, `later` exists only in the second."""
    folder = tmp_path / "repository"
    (folder / "src").mkdir(parents=True)
    git(tmp_path, "init", str(folder))
    (folder / ".gitignore").write_text(".against/\n__pycache__/\n")
    (folder / "src" / "small.py").write_text("same = 1.5\nother = 2.0\nold_name = 7\n")
    git(folder, "add", ".")
    git(folder, "commit", "-m", "first")
    (folder / "src" / "small.py").write_text("same = 1.5\nother = 2.5\nnew_name = 7\nlater = 3\n")
    git(folder, "commit", "-a", "-m", "second")
    return folder


def prints(name: str, **more: Any) -> Any:
    code = f"import small; print(small.{name})"
    return against.Workload(
        name,
        "one process",
        spellings=(("-c", code),),
        answer=lambda _out, stdout: {"value": float(stdout)},
        **more,
    )


def same_python(calls: list[Path]) -> Callable[[Path, Path, str], Path]:
    def install(tree: Path, _venv: Path, _extras: str) -> Path:
        calls.append(tree)
        return Path(sys.executable)

    return install


def run(repository: Path, *words: str, workloads: Any, calls: list[Path] | None = None) -> int:
    install = same_python([] if calls is None else calls)
    argv = ["--ref", "HEAD~1", "--rounds", "2", *words]
    status: int = against.main(workloads, argv, root=repository, install=install)
    return status


def test_equal_answers_give_a_table_with_the_conditions(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(repository, workloads=[prints("same")]) == 0
    output = capsys.readouterr().out
    old, new = (git(repository, "rev-parse", "--short=12", r).strip() for r in ("HEAD~1", "HEAD"))
    assert f"old: {old} · new: {new} · 2 rounds · 1 threads" in output
    assert "libraries of other versions: none · packages only in today's environment: 0" in output
    assert "load " in output
    answer, row = (
        output.index("same: answers equal, 1 values"),
        output.index("| same | one process"),
    )
    assert answer < row
    assert git(repository, "worktree", "list").count("\n") == 1
    assert git(repository, "status", "--porcelain") == ""


def test_an_answer_that_differs_is_printed_before_the_times(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(repository, workloads=[prints("other")]) == 1
    output = capsys.readouterr().out
    message = "other: answers differ: value: 1 of 1 values, the largest difference is 0.5"
    assert output.index(message) < output.index("| other (answers differ) |")


def test_what_one_side_lacks_is_named_and_other_workloads_go_on(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lacking = against.Workload(
        "lacking", "", spellings=(("-c", "import sys; sys.exit('No such command')"),)
    )
    assert run(repository, workloads=[lacking, prints("same")]) == 0
    output = capsys.readouterr().out
    assert "lacking: skipped, the old version does not have it: No such command" in output
    assert "| lacking |" not in output
    assert "| same |" in output


def test_each_side_runs_the_first_spelling_that_it_has(repository: Path) -> None:
    words = (
        "import sys, small; hasattr(small, '{0}') or sys.exit('No such command'); print(small.{0})"
    )
    both = against.Workload(
        "renamed",
        "",
        spellings=tuple(("-c", words.format(name)) for name in ("new_name", "old_name")),
        answer=lambda _out, stdout: {"value": float(stdout)},
    )
    assert run(repository, workloads=[both]) == 0


def test_a_workload_that_fails_is_one_message(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(repository, workloads=[prints("later"), prints("same")]) == 1
    output = capsys.readouterr().out
    assert (
        "later: failed, old version, exit status 1: "
        "AttributeError: module 'small' has no attribute 'later'" in output
    )
    assert "| same |" in output


@pytest.mark.long
def test_an_old_version_is_unpacked_once_and_again_where_it_does_not_match(
    repository: Path,
) -> None:
    calls: list[Path] = []
    for words in ((), (), ("--extras", "other")):
        assert run(repository, *words, workloads=[prints("same")], calls=calls) == 0
    assert len(calls) == 2
    assert "old_name" in (calls[0] / "src" / "small.py").read_text()


def test_changed_files_are_printed(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (repository / "src" / "more.py").write_text("")
    assert run(repository, workloads=[prints("same")]) == 0
    assert " with 1 changed files · " in capsys.readouterr().out


def test_a_function_runs_on_both_sides_with_inputs_that_are_written_once(
    repository: Path, tmp_path: Path
) -> None:
    program = tmp_path / "work.py"
    program.write_text(
        "import sys\n"
        f"sys.path.insert(0, {str(ROOT / 'benchmarks')!r})\n"
        "from _against import Workload, first_of, main\n"
        "def value(shared):\n"
        "    number = first_of('small:new_name', 'small:old_name')\n"
        "    return {'number': number, 'input': (shared / 'input').read_text()}\n"
        "def write(shared, new):\n"
        "    with (shared / 'input').open('a') as file:\n"
        "        file.write('once')\n"
        "def missing(shared):\n"
        "    return {'none': first_of('small:nowhere', 'nowhere:name')}\n"
        "WORKLOADS = (Workload('value', '', function=value, needs=(write,)),\n"
        "    Workload('again', '', function=value, needs=(write,)),\n"
        "    Workload('missing', '', function=missing))\n"
        "if __name__ == '__main__':\n"
        "    raise SystemExit(main(WORKLOADS))\n"
    )
    work = module_of(program)
    old = against.Side("old", Path(sys.executable), repository, "")
    for workload in work.WORKLOADS[:2]:
        comparison = against.compare(workload, old, old, tmp_path, rounds=1)
        assert comparison.differences == ()
    assert (tmp_path / "shared" / "input").read_text() == "once"
    with pytest.raises(against.LackingError, match="none of small:nowhere, nowhere:name exists"):
        against.compare(work.WORKLOADS[2], old, old, tmp_path, rounds=1)


def test_what_cannot_be_compared_is_one_message(
    repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def error(*words: str, root: Path = repository) -> str:
        assert against.main([prints("same")], words, root=root) == 2
        captured = capsys.readouterr()
        assert captured.err.count("\n") == 1
        return str(captured.err)

    assert error("--ref", "nowhere").startswith("error: no commit 'nowhere' in ")
    assert error("--ref", "HEAD", "--names", "none") == (
        "error: no workload 'none'. There are: same.\n"
    )
    (tmp_path / "plain").mkdir()
    assert "not a git repository" in error("--ref", "HEAD", root=tmp_path / "plain")


def test_without_git_is_one_message(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert against.main([prints("same")], ["--ref", "HEAD"], root=repository) == 2
    assert capsys.readouterr().err.startswith("error: git is not installed")


def test_what_pip_cannot_install_is_one_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def create(folder: Path, *, with_pip: bool) -> None:
        assert with_pip
        (folder / "bin").mkdir(parents=True)
        python = folder / "bin" / "python"
        python.write_text("#!/bin/sh\necho first >&2\necho 'ERROR: no wheel' >&2\nexit 1\n")
        python.chmod(0o755)

    monkeypatch.setattr(against.venv, "create", create)
    message = r"pip cannot install the old version in .*venv: ERROR: no wheel"
    with pytest.raises(against.AgainstError, match=message):
        against.install_environment(tmp_path / "tree", tmp_path / "venv", "monitor")


def test_a_process_that_does_not_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(against, "TIMEOUT", 0.5)
    process = against.measure(
        [sys.executable, "-c", "import time; time.sleep(60)"], {}, Path.cwd()
    )
    assert process.status == -9


def test_rounds_alternate_which_side_goes_first() -> None:
    assert against.order(3) == [(0, 1), (1, 0), (0, 1)]


def test_ratios_are_taken_within_rounds() -> None:
    ratio = against.ratio_of([1.0, 2.0, 4.0], [2.0, 2.0, 2.0])
    assert (ratio.median, ratio.low, ratio.high) == (1.0, 0.5, 2.0)
    assert str(ratio) == "1.00 (0.50–2.00)"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({"x": [1.0, math.nan]}, {"x": [1.0 + 1e-9, math.nan]}, []),
        ({"x": 1.0}, {"x": math.nan}, ["x: 1 of 1 values, the largest difference is nan "
                                       "(first: 1.0 against nan)"]),
        ({"x": [1, 2, 3]}, {"x": [1, 2.5, 4]}, ["x: 2 of 3 values, the largest difference is 1 "
                                                "(first: 2 against 2.5)"]),
        ({"x": ["a"]}, {"x": ["b"]}, ["x: 1 of 1 values (first: a against b)"]),
        ({"x": [1]}, {"x": [1, 2]}, ["x: 1 values against 2"]),
        ({"x": 1}, {"y": 1}, ["x: only in the old version", "y: only in the new version"]),
        ({"x": True}, {"x": 1}, []),
    ],
)  # fmt: skip
def test_differences_say_how_many_and_how_large(
    old: dict[str, Any], new: dict[str, Any], expected: list[str]
) -> None:
    assert list(against.differences_of(old, new, 1e-6)) == expected
