"""The error tree. Every message says what was found, where, what was wanted and what to do.

::

    DolorimeterError
    ├── DatasetError          a root that is not the data set, or a part of it that is missing
    │   └── RecordingError    one file or one recording is not what its format promises
    ├── SignalError           a computation asked of a signal that cannot carry it
    ├── ConfigError           an experiment, an option or an argument that makes no sense
    │   └── UnknownNameError  a name that no registry knows; suggests the nearest
    ├── SplitError            a split that these subjects or classes do not allow
    ├── EvaluationError       a question that cannot be answered as asked
    │   └── OverlapError      weights or models that have met the people they are tested on
    ├── TrainingError         a fit that cannot go on
    ├── MonitorError          a live session that cannot start or go on
    ├── StorageError          a file that cannot be written, fetched or verified
    │   ├── FileReadError         a file that cannot be read now: gone, refused, or changed
    │   └── UnknownSessionError   a session or an entry that the monitor's store does not have
    └── DependencyError       an optional package that is not installed
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class DolorimeterError(Exception):
    """Base of every error that this package raises on purpose."""


class DatasetError(DolorimeterError):
    """A data root is not the data set it was said to be, or lacks a part."""


class RecordingError(DatasetError):
    """One recording or file is not what its format promises."""


class SignalError(DolorimeterError):
    """A computation was asked of a signal that cannot carry it."""


class ConfigError(DolorimeterError):
    """An experiment, an option or an argument makes no sense."""


class UnknownNameError(ConfigError):
    """A name that the registry asked does not know."""


class SplitError(DolorimeterError):
    """These subjects or classes do not allow the split."""


class EvaluationError(DolorimeterError):
    """A question cannot be answered as it was asked."""


class OverlapError(EvaluationError):
    """Weights or a fitted model have met people they would be tested on."""


class TrainingError(DolorimeterError):
    """A fit cannot go on."""


class MonitorError(DolorimeterError):
    """A live session cannot start or go on."""


class StorageError(DolorimeterError):
    """A file cannot be written, fetched or verified."""


class FileReadError(StorageError):
    """A file cannot be read now: it is gone, access is refused, or it changed while it was read.

    This is a fault of the environment, not of the data: no recording is excluded because of it
    and no result of it is cached.
    """


class UnknownSessionError(StorageError):
    """The monitor's store does not have that session or entry."""


class DependencyError(DolorimeterError):
    """An optional package is not installed; the message gives the extra to install."""


class StorageWarning(UserWarning):
    """Something could not be stored or reused. The result is right, it only takes longer."""


def did_you_mean(name: str, known: Iterable[str], otherwise: str = "known:") -> str:
    """Return the end of a message on an unknown name: the nearest known one, or all of them.

    Parameters
    ----------
    name : str
        The unknown name.
    known : iterable of str
        Names that would be understood.
    otherwise : str, default "known:"
        Words before the list of all names, where none is near.

    Examples
    --------
    >>> did_you_mean("effect_size", ["effect", "noise"])
    "did you mean 'effect'?"
    >>> did_you_mean("x", [])
    'known: none.'
    """
    names = list(known)
    near = difflib.get_close_matches(str(name), names, n=1, cutoff=0.6)
    near += [k for k in names if len(k) > 2 and (k in str(name) or str(name) in k)]
    return f"did you mean '{near[0]}'?" if near else f"{otherwise} {', '.join(names) or 'none'}."
