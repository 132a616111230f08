"""Sinks that send estimates on: a Lab Streaming Layer outlet, and numbers for Prometheus."""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Mapping
from typing import Any

from dolorimeter.monitor.nouns import NOT_A_DEVICE, Estimate, SessionInfo

CHANNELS = ("score", "lower", "upper", "quality", "age_s")


class LslOutlet:
    """The stream ``PainEstimate``: score, lower, upper, quality, age_s; NaN where it abstains.

    The score is the expected level; its scale stands in the stream's description.

    Parameters
    ----------
    info : SessionInfo

    Raises
    ------
    DependencyError
        If pylsl is not installed.
    """

    def __init__(self, info: SessionInfo) -> None:
        from dolorimeter._extras import pylsl

        stream = pylsl.StreamInfo(
            "PainEstimate",
            "PainEstimate",
            len(CHANNELS),
            pylsl.IRREGULAR_RATE,
            pylsl.cf_double64,
            f"dolorimeter-{info.id}",
        )
        about = stream.desc()
        about.append_child_value("notice", NOT_A_DEVICE)
        about.append_child_value("model", info.model)
        about.append_child_value("lookalike", str(info.lookalike).lower())
        about.append_child_value("score_lowest", f"{info.levels[0]:g}")
        about.append_child_value("score_highest", f"{info.levels[1]:g}")
        channels = about.append_child("channels")
        for name in CHANNELS:
            channels.append_child("channel").append_child_value("label", name)
        self._outlet = pylsl.StreamOutlet(stream)

    def __call__(self, estimate: Estimate) -> None:
        """Send one sample, stamped now."""
        values = (
            estimate.expected_level,
            estimate.lower,
            estimate.upper,
            estimate.quality,
            estimate.age_s,
        )
        self._outlet.push_sample([math.nan if v is None else float(v) for v in values])


class Metrics:
    """Counts what passes, and gives it as text for Prometheus; no subject is named in it."""

    def __init__(self) -> None:
        self._newest: dict[str, Estimate] = {}
        self._counts: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()

    def __call__(self, estimate: Estimate) -> None:
        """Count an estimate."""
        with self._lock:
            self._newest[estimate.session] = estimate
            self._counts["estimates", estimate.session] += 1
            self._counts["abstentions", estimate.session] += bool(estimate.abstained)

    def forget(self, session: str) -> None:
        """No longer report a session."""
        with self._lock:
            self._newest.pop(session, None)

    def text(self, troubles: Mapping[str, str] | None = None) -> str:
        """The exposition format 0.0.4; `troubles` says which sessions cannot be stored."""
        with self._lock:
            newest, counts = dict(self._newest), Counter(self._counts)
        families: dict[str, list[tuple[dict[str, str], float | None]]] = {}
        for session, estimate in newest.items():
            told = {"session": session}
            for name, value in _gauges(estimate).items():
                families.setdefault(name, []).append((told, value))
            for state in estimate.modalities:
                about = told | {"modality": state.name}
                families.setdefault("modality_quality", []).append((about, state.quality))
                families.setdefault("modality_age_seconds", []).append((about, state.age_s))
                families.setdefault("modality_present", []).append((about, float(state.present)))
            trouble = float(bool((troubles or {}).get(session)))
            families.setdefault("store_refuses", []).append((told, trouble))
            for name in ("estimates", "abstentions"):
                count = float(counts[name, session])
                families.setdefault(f"{name}_total", []).append((told, count))
        return "".join(_family(name, rows) for name, rows in families.items())


HELP: Mapping[str, str] = {
    "expected_level": "Estimated level; NaN where the monitor abstains.",
    "level_lower": "Lower end of the interval of the level.",
    "level_upper": "Upper end of the interval of the level.",
    "quality": "Lowest quality of a modality used, 0 to 1.",
    "data_age_seconds": "Age of the stalest modality used.",
    "latency_seconds": "From the newest sample used to the estimate.",
    "abstains": "1 where there is no estimate now.",
    "alert": "1 while the alert is on.",
    "modality_quality": "Quality of a modality, 0 to 1.",
    "modality_age_seconds": "Age of a modality's newest sample.",
    "modality_present": "1 where the model used the modality.",
    "store_refuses": "1 while estimates cannot be stored.",
    "estimates_total": "Estimates made, abstentions among them.",
    "abstentions_total": "Estimates that abstained.",
}


def _gauges(estimate: Estimate) -> dict[str, float | None]:
    return {
        "expected_level": estimate.expected_level,
        "level_lower": estimate.lower,
        "level_upper": estimate.upper,
        "quality": estimate.quality,
        "data_age_seconds": estimate.age_s,
        "latency_seconds": estimate.latency_s,
        "abstains": float(bool(estimate.abstained)),
        "alert": float(estimate.alert),
    }


def _family(name: str, rows: list[tuple[dict[str, str], float | None]]) -> str:
    kind = "counter" if name.endswith("_total") else "gauge"
    lines = [
        f"# HELP dolorimeter_{name} {HELP[name]} {NOT_A_DEVICE}",
        f"# TYPE dolorimeter_{name} {kind}",
    ]
    for labels, value in rows:
        inside = ",".join(f'{k}="{_escaped(v)}"' for k, v in labels.items())
        number = "NaN" if value is None else repr(float(value))
        lines.append(f"dolorimeter_{name}{{{inside}}} {number}")
    return "\n".join(lines) + "\n"


def _escaped(value: Any) -> str:
    return str(value).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
