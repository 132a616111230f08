"""An experiment: what is asked, of whom, with what. Read from TOML, checked once, run here.

The only place that knows every stage. Configuration never travels below it.
"""

from dolorimeter.experiment._config import (
    DatasetConfig,
    Experiment,
    Named,
    StreamConfig,
    Task,
    experiment_from,
    of_epochs,
    read_experiment,
    read_values,
    write_experiment,
)
from dolorimeter.experiment._embed import EmbeddingPlan, embed, plan_embedding
from dolorimeter.experiment._erasure import Erased, erase_subject
from dolorimeter.experiment._export import export
from dolorimeter.experiment._models import predict, train
from dolorimeter.experiment._prepare import Prepared, chosen_subjects, prepare
from dolorimeter.experiment._relevance import relevance
from dolorimeter.experiment._run import audit_run, read_findings, run
from dolorimeter.experiment._studies import occlusion, sweep

__all__ = [
    "DatasetConfig",
    "EmbeddingPlan",
    "Erased",
    "Experiment",
    "Named",
    "Prepared",
    "StreamConfig",
    "Task",
    "audit_run",
    "chosen_subjects",
    "embed",
    "erase_subject",
    "experiment_from",
    "export",
    "occlusion",
    "of_epochs",
    "plan_embedding",
    "predict",
    "prepare",
    "read_experiment",
    "read_findings",
    "read_values",
    "relevance",
    "run",
    "sweep",
    "train",
    "write_experiment",
]
