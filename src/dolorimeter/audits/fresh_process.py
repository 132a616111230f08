"""Fits in a fresh process: no state of earlier fits, and no trace of the audit's hooks.

A server process imports the libraries once and no code of the user. It forks one child per job,
so that a fresh process costs milliseconds. The child runs in an empty working and temporary
directory, imports the user's modules, watches scikit-learn's splitters and the files that a fit
opens, and ends: nothing it patches or changes outlives it.
"""

from __future__ import annotations

import atexit
import importlib
import json
import os
import pickle
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dolorimeter.errors import EvaluationError

COMMAND = "from dolorimeter.audits.fresh_process import serve; serve()"

PRELOADED = (
    "sklearn.calibration", "sklearn.compose", "sklearn.ensemble", "sklearn.impute",
    "sklearn.linear_model", "sklearn.model_selection", "sklearn.neighbors", "sklearn.pipeline",
    "sklearn.preprocessing", "sklearn.svm", "dolorimeter.evaluation", "dolorimeter.estimators",
    "dolorimeter.splits", "dolorimeter.audits.refitting",
)  # fmt: skip
"""Modules that the server imports: libraries only, so that forked children start alike."""


class FreshProcessError(EvaluationError):
    """A job could not be sent to a fresh process, or failed there."""


@dataclass
class Answer:
    """Result of one job.

    Parameters
    ----------
    value : object
        What the function returned.
    by_value : tuple of str
        Modules whose classes were sent with their present variables, because a fresh process
        cannot import them (a notebook, a script). State in them is not reset.
    own_directory : bool
        Whether the job ran in an empty working directory.
    """

    value: Any
    by_value: tuple[str, ...] = ()
    own_directory: bool = True


@dataclass
class _Server:
    """The process that forks a child per job, and the modules it imported."""

    process: subprocess.Popen[bytes]
    modules: tuple[str, ...] = field(default=())


_SERVERS: dict[int, _Server] = {}


def run_fresh(function: Callable[..., Any], arguments: Mapping[str, Any]) -> Answer:
    """Call a function in a fresh process.

    Parameters
    ----------
    function : callable
        Function of a module of dolorimeter.
    arguments : mapping of str to object
        Its keyword arguments. Classes that cannot be imported are sent by value.

    Returns
    -------
    Answer

    Raises
    ------
    FreshProcessError
        If an argument cannot be pickled, the function raises, or the process ends without an
        answer.
    """
    by_value: list[str] = []
    own_directory = True
    with tempfile.TemporaryDirectory(prefix="dolorimeter-audit-") as folder:
        for _ in range(20):
            _pack(Path(folder) / "job", function, arguments, by_value)
            answer = _ask(Path(folder), own_directory)
            error = answer.get("error", "")
            if not error:
                return Answer(answer["value"], tuple(by_value), own_directory)
            missing = answer.get("module", "")
            if missing in sys.modules and missing not in by_value:
                by_value.append(missing)
            elif answer.get("file_missing") and own_directory:
                own_directory = False  # files with a relative path, such as weights
            else:
                break
    raise FreshProcessError(error)


def _pack(
    path: Path, function: Callable[..., Any], arguments: Mapping[str, Any], by_value: list[str]
) -> None:
    """Write a job, with the classes of the modules `by_value` themselves."""
    cloudpickle = _cloudpickle()
    modules = [sys.modules[name] for name in by_value if name != "__main__"]
    for module in modules:
        cloudpickle.register_pickle_by_value(module)
    try:
        with path.open("wb") as stream:
            cloudpickle.CloudPickler(stream, protocol=pickle.HIGHEST_PROTOCOL).dump(
                (function, dict(arguments))
            )
    except Exception as error:  # a user's estimator may raise anything while it is pickled
        raise FreshProcessError(
            f"the estimator could not be sent to a fresh process ({type(error).__name__}: {error})"
        ) from error
    finally:
        for module in modules:
            cloudpickle.unregister_pickle_by_value(module)


def _ask(folder: Path, own_directory: bool) -> dict[str, Any]:
    """Send the job in `folder` to the server and return what the child wrote."""
    (folder / "answer").unlink(missing_ok=True)
    work = tempfile.mkdtemp(dir=folder)
    request = {
        "job": str(folder / "job"),
        "answer": str(folder / "answer"),
        "path": [str(Path(p).absolute()) if p else str(Path.cwd()) for p in sys.path],
        "directory": work if own_directory else str(Path.cwd()),
        "environment": dict(os.environ) | ({"TMPDIR": work} if own_directory else {}),
    }
    server = _server()
    assert server.process.stdin is not None
    assert server.process.stdout is not None
    try:
        server.process.stdin.write(json.dumps(request).encode() + b"\n")
        server.process.stdin.flush()
        reply = server.process.stdout.readline()
    except OSError:
        reply = b""
    if not reply:
        _stop()
    if not (folder / "answer").is_file():
        status = reply.decode(errors="replace").strip() or "the server ended"
        return {"error": f"the fresh process ended without an answer ({status})"}
    with (folder / "answer").open("rb") as stream:
        answer: dict[str, Any] = pickle.load(stream)  # noqa: S301  # written by our own child
    return answer


def _server() -> _Server:
    wanted = (*PRELOADED, *(("torch",) if "torch" in sys.modules else ()))
    server = _SERVERS.get(os.getpid())
    if server is not None and (server.process.poll() is not None or server.modules != wanted):
        _stop()
        server = None
    if server is None:
        path = os.pathsep.join(str(Path(p).absolute()) for p in sys.path if p)
        process = subprocess.Popen(  # noqa: S603  # this interpreter
            [sys.executable, "-c", COMMAND, *wanted],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"PYTHONPATH": path},
        )
        server = _SERVERS[os.getpid()] = _Server(process, wanted)
        atexit.register(_stop)
    return server


def _stop() -> None:
    """End the server of this process; the next job starts a new one."""
    server = _SERVERS.pop(os.getpid(), None)
    if server is None:
        return
    for stream in (server.process.stdin, server.process.stdout):
        if stream is not None:
            try:
                stream.close()
            except OSError:
                continue
    server.process.terminate()
    server.process.wait()


def serve() -> None:
    """Import the modules named on the command line, then run one job per line of input."""
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a fit prints is not a reply
    for name in sys.argv[1:]:
        importlib.import_module(name)
    for line in sys.stdin.buffer:
        request = json.loads(line)
        if hasattr(os, "fork"):
            child = os.fork()
            if child == 0:
                _work(request)
                os._exit(0)
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        else:
            _work(request)
            status = 0
        replies.write(f"exit status {status}\n".encode())
        replies.flush()
        if not hasattr(os, "fork"):
            return


def _work(request: Mapping[str, Any]) -> None:
    """Run one job in a child and write its answer."""
    answer: dict[str, Any]
    try:
        os.environ.clear()
        os.environ.update(request["environment"])
        os.chdir(request["directory"])
        tempfile.tempdir = None
        sys.path[:] = request["path"]
        with Path(request["job"]).open("rb") as stream:
            function, arguments = pickle.load(stream)  # noqa: S301  # by our own parent
        answer = {"value": function(**arguments)}
    except ModuleNotFoundError as error:
        answer = {"error": _told(error), "module": error.name or ""}
    except AttributeError as error:  # a class that was defined after its module was imported
        answer = {"error": _told(error), "module": getattr(error.obj, "__name__", "")}
    except FileNotFoundError as error:
        answer = {"error": _told(error), "file_missing": True}
    except BaseException as error:  # noqa: BLE001  # a user's estimator may raise anything
        answer = {"error": _told(error)}
    data = _cloudpickle().dumps(answer)
    part = Path(request["answer"] + ".part")
    part.write_bytes(data)
    part.rename(request["answer"])


def _cloudpickle() -> Any:
    """The module cloudpickle, on its own since joblib 1.6, else inside joblib."""
    try:
        return importlib.import_module("cloudpickle")
    except ImportError:
        return importlib.import_module("joblib.externals.cloudpickle")


def _told(error: BaseException) -> str:
    last = traceback.extract_tb(error.__traceback__)[-1:]
    where = f" ({Path(last[0].filename).name}, line {last[0].lineno})" if last else ""
    return " ".join(f"{type(error).__name__}: {error}{where}".split())[:500]
