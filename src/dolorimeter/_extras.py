"""Packages of the extras: imported on first use, or one error that names the install command.

A module that needs an optional package imports it from here::

    from dolorimeter._extras import cv2

The result is the package itself. Only this module knows which extra installs it. Type checkers
read ``_extras.pyi``.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from dolorimeter.errors import DependencyError

PACKAGES = {
    "accelerate": ("training a network needs Accelerate", "dolorimeter[deep]"),
    "safetensors": ("weights of a network need safetensors", "dolorimeter[deep]"),
    "torch": ("networks need PyTorch", "dolorimeter[deep]"),
    "ai_edge_litert": ("finding faces needs LiteRT", "dolorimeter[face]"),
    "av": ("videos need PyAV", "dolorimeter[face]"),
    "cv2": ("images need OpenCV", "dolorimeter[face]"),
    "bioread": ("AcqKnowledge files need bioread", "dolorimeter[formats]"),
    "h5py": ("SNIRF files need h5py", "dolorimeter[formats]"),
    "mne": ("SNIRF files and optical density need MNE", "dolorimeter[formats]"),
    "openpyxl": ("Excel files need openpyxl", "dolorimeter[formats]"),
    "onnx": ("ONNX files need onnx", "dolorimeter[fast]"),
    "onnxruntime": ("runtime 'onnx' needs ONNX Runtime", "dolorimeter[fast]"),
    "openvino": ("runtime 'openvino' needs OpenVINO", "dolorimeter[fast]"),
    "distributed": ("cluster 'dask' needs Dask with distributed", "dolorimeter[cluster]"),
    "ray": ("cluster 'ray' needs Ray", "dolorimeter[cluster]"),
    "fastapi": ("the monitor's page needs FastAPI", "dolorimeter[monitor]"),
    "pg8000": ("PostgreSQL needs pg8000", "dolorimeter[monitor]"),
    "pylsl": ("Lab Streaming Layer needs pylsl and liblsl", "dolorimeter[monitor]"),
    "sqlalchemy": ("storing a session needs SQLAlchemy", "dolorimeter[monitor]"),
    "uvicorn": ("the monitor's page needs Uvicorn", "dolorimeter[monitor]"),
    "fhir": ("FHIR bundles need fhir.resources", "dolorimeter[fhir]"),
    "tzdata": ("the time zone Europe/Dublin needs tzdata", "tzdata"),
    "umap": ("method 'umap' needs umap-learn", "umap-learn"),
}
"""Importable name of each optional package: what needs it, and what to install."""


def missing(name: str, reason: Exception | None = None) -> DependencyError:
    """Return the error for an optional package that cannot be imported.

    Parameters
    ----------
    name : str
        Key of `PACKAGES`.
    reason : Exception, optional
        Fault of an installed package that does not load. None if the package is not installed.

    Returns
    -------
    DependencyError

    Examples
    --------
    >>> raise missing("torch")
    Traceback (most recent call last):
    dolorimeter.errors.DependencyError: networks need PyTorch, which is not installed. Install it \
with: pip install "dolorimeter[deep]"
    """
    need, requirement = PACKAGES[name]
    state = "is not installed" if reason is None else f"cannot be loaded ({reason})"
    return DependencyError(f'{need}, which {state}. Install it with: pip install "{requirement}"')


def load(name: str) -> Any:
    """Import a module of an optional package.

    Parameters
    ----------
    name : str
        Full name of the module, such as ``"onnxruntime.quantization"``.

    Returns
    -------
    module

    Raises
    ------
    DependencyError
        If the package is not installed or does not load.
    """
    package = name.partition(".")[0]
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise missing(package, None if error.name == package else error) from error
    except (ImportError, OSError, RuntimeError) as error:  # a shared library that does not load
        raise missing(package, error) from error


def __getattr__(name: str) -> Any:
    if name not in PACKAGES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return load(name)
