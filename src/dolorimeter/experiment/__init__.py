"""An experiment: what is asked, of whom, with what. Read from TOML, checked once, run here.

The only place that knows every stage. Configuration never travels below it. Names are imported on
first use, so that a verb that fits nothing does not wait for scikit-learn.
"""

from dolorimeter._on_demand import on_demand

_HOMES = {
    "_config": (
        "DatasetConfig",
        "Experiment",
        "Named",
        "StreamConfig",
        "Task",
        "experiment_from",
        "of_epochs",
        "read_experiment",
        "read_values",
        "write_experiment",
    ),
    "_embed": ("EmbeddingPlan", "embed", "plan_embedding"),
    "_erasure": ("Erased", "erase_subject"),
    "_export": ("export",),
    "_models": ("predict", "train"),
    "_prepare": ("Prepared", "chosen_subjects", "prepare"),
    "_relevance": ("relevance",),
    "_run": ("audit_run", "read_findings", "run"),
    "_studies": ("occlusion", "sweep"),
}

__all__ = sorted(name for names in _HOMES.values() for name in names)
__getattr__ = on_demand(__name__, _HOMES)


def __dir__() -> list[str]:
    return list(__all__)
