"""Automatic pain assessment: recordings in, an estimate with honest evidence out.

Public names are imported on first use (PEP 562), so that ``import dolorimeter`` is quick and
pulls in no torch. Research software, not a medical device.
"""

from importlib import import_module
from typing import Any

from dolorimeter._on_demand import on_demand

__version__ = "0.2.0.dev0"

_HOMES = {
    "audits": ("Finding", "audit", "leak_o_meter"),
    "chain": ("Pipeline", "Stream", "load_embeddings"),
    "datasets": ("fetch", "open_dataset"),
    "errors": (
        "ConfigError",
        "DatasetError",
        "DependencyError",
        "DolorimeterError",
        "EvaluationError",
        "MonitorError",
        "OverlapError",
        "RecordingError",
        "SignalError",
        "SplitError",
        "StorageError",
        "TrainingError",
        "UnknownNameError",
        "UnknownSessionError",
    ),
    "evaluation": ("Question", "Run", "evaluate", "summarise"),
    "experiment": ("Experiment", "embed", "plan_embedding", "read_experiment", "run", "train"),
    "models": ("create_model",),
    "predictor": ("Predictor",),
    "registry": (
        "DATASETS",
        "ESTIMATORS",
        "MODELS",
        "PREPROCESSING",
        "REPRESENTATIONS",
        "Card",
        "DatasetCard",
        "InputSpec",
        "Registry",
        "Weights",
    ),
    "reports": ("Report", "compare", "markdown_table", "report", "write_report"),
    "representations": ("Features", "Raw", "Represented"),
    "samples": ("Samples",),
    "splits": (
        "cross_dataset",
        "group_k_fold",
        "hold_out",
        "leave_one_subject_out",
        "personalised",
    ),
    "synthesis": ("Truth", "synthesise"),
    "types": (
        "Exclusion",
        "LazySignals",
        "Rating",
        "Recording",
        "Signal",
        "Stimulus",
        "Video",
        "Window",
    ),
    "windows": ("WindowSpec", "cut"),
}
_MODULES = (
    "audits",
    "evaluation",
    "metrics",
    "preprocessing",
    "reports",
    "signals",
    "splits",
    "statistics",
)
_RENAMED = {"Chain": "Pipeline", "ChainStream": "Stream"}

_OLD = {"write_report"}  # works with a notice, not listed

__all__ = sorted(
    {*(name for names in _HOMES.values() for name in names), *_MODULES, "__version__"} - _OLD
)
_resolve = on_demand(__name__, _HOMES, _RENAMED)


def __getattr__(name: str) -> Any:
    return import_module(f"dolorimeter.{name}") if name in _MODULES else _resolve(name)


def __dir__() -> list[str]:
    return list(__all__)
