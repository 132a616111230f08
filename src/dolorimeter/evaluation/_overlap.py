"""Weights from outside, and the people they have met."""

from __future__ import annotations

from collections.abc import Iterable

from dolorimeter.errors import OverlapError
from dolorimeter.registry import Weights
from dolorimeter.types import TargetAccess


def refuse_overlap(
    weights: Weights, namespace: str, subjects: Iterable[str], target_access: TargetAccess
) -> str:
    """Refuse weights that have met the people they would be tested on.

    Parameters
    ----------
    weights : Weights
        With `trained_on`: person namespace → subjects (none named: the whole data set).
    namespace : str
        Person namespace of the data set under test.
    subjects : iterable of str
        People under test.
    target_access : TargetAccess
        Self-supervised weights may have met them if ``unlabelled_target`` is declared.

    Returns
    -------
    str
        A note for the report; empty when the weights are known to have met nobody here.

    Raises
    ------
    OverlapError
        Naming the people.
    """
    if weights.trained_on is None:
        return f"pre-training overlap unknown: nobody has said whom {weights.url} was trained on"
    if namespace not in weights.trained_on:
        return ""
    seen = weights.trained_on[namespace]
    met = sorted(set(subjects) & set(seen)) if seen else sorted(set(subjects))
    if not met:
        return ""
    if weights.self_supervised and target_access != "none":
        return f"the weights have met {len(met)} of the people tested, without their labels"
    raise OverlapError(
        f"{weights.url} was trained on {len(met)} of the people under test ({', '.join(met[:5])} "
        f"of {namespace}). Test on others, or take weights that have not met them."
    )
