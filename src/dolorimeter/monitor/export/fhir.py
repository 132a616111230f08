"""FHIR R5 and R4B: a Bundle of Observations, checked by ``fhir.resources`` (extra ``fhir``).

A self-report on the numeric scale is LOINC 72514-3. The estimate never is: it has a code of our
own, is ``preliminary``, names method and device, and carries the security label that HL7 has for
what a machine asserted. The drawn faces are no validated scale, so they have no LOINC code either.
"""

from __future__ import annotations

import json
import uuid
from typing import Any, Literal

from dolorimeter import __version__
from dolorimeter._extras import load
from dolorimeter.errors import StorageError
from dolorimeter.monitor.export.record import SessionRecord
from dolorimeter.monitor.nouns import NOT_A_DEVICE, Estimate, SelfReport

Release = Literal["R5", "R4B"]

OURS = "urn:dolorimeter:observation"
"""Code system of our own: ``pain-level-estimate``, ``faces-self-report``, ``mark`` and parts."""

OUR_SUBJECTS = "urn:dolorimeter:subject"
LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"
HL7 = "http://terminology.hl7.org/CodeSystem"

AI_ASSERTED = {
    "system": f"{HL7}/v3-ObservationValue",
    "code": "AIAST",
    "display": "Artificial Intelligence asserted",
}
"""HL7's label of provenance, in ``meta.security`` as its guide on AI transparency has it."""

TEST_DATA = {"system": f"{HL7}/v3-ActReason", "code": "HTEST", "display": "test health data"}


def fhir_files(record: SessionRecord, *, release: Release) -> dict[str, bytes]:
    """``bundle.json``: device, estimates, self-reports and marks.

    Raises
    ------
    DependencyError
        If ``fhir.resources`` is not installed: nothing is written unchecked.
    """
    bundle = fhir_bundle(record, release=release)
    _check(bundle, release)
    text = json.dumps(bundle, indent=1, ensure_ascii=False, allow_nan=False)
    return {"bundle.json": (text + "\n").encode()}


def fhir_bundle(record: SessionRecord, *, release: Release) -> dict[str, Any]:
    """The bundle as plain JSON, not yet checked."""
    device = _device(record, release)
    resources = [device]
    resources += [_estimate(e, i, record) for i, e in enumerate(record.estimates)]
    resources += [_report(r, record) for r in record.reports]
    resources += [_mark(m.id, m.label, m, record) for m in record.marks]
    return {
        "resourceType": "Bundle",
        "type": "collection",
        "timestamp": record.last.isoformat(),
        "meta": {"tag": [{"system": OURS, "code": "notice", "display": " ".join(record.remarks)}]},
        "entry": [{"fullUrl": _url(record, r["id"]), "resource": r} for r in resources],
    }


def _check(bundle: dict[str, Any], release: Release) -> None:
    module = load(f"fhir.resources{'.R4B' if release == 'R4B' else ''}.bundle")
    try:
        module.Bundle.model_validate(bundle)
    except ValueError as error:
        raise StorageError(f"the session cannot be said in FHIR {release}: {error}") from error


def _url(record: SessionRecord, name: str) -> str:
    return f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'{OURS}:{record.info.id}:{name}')}"


def _device(record: SessionRecord, release: Release) -> dict[str, Any]:
    name = {"type": "user-friendly-name"}
    title = f"dolorimeter {__version__}: {record.info.model or 'diary'}"
    key, part = ("name", "value") if release == "R5" else ("deviceName", "name")
    return {
        "resourceType": "Device",
        "id": "device",
        key: [name | {part: title}],
        "version": [{"value": __version__}],
        "note": [{"text": text} for text in record.remarks],
    }


def _observation(name: str, code: dict[str, Any], record: SessionRecord) -> dict[str, Any]:
    security = [TEST_DATA] if record.info.lookalike else []
    return {
        "resourceType": "Observation",
        "id": name,
        **({"meta": {"security": security}} if security else {}),
        "status": "final",
        "code": code,
        "subject": {"identifier": {"system": OUR_SUBJECTS, "value": record.info.subject}},
    }


def _ours(code: str, text: str) -> dict[str, Any]:
    return {"coding": [{"system": OURS, "code": code, "display": text}], "text": text}


def _number(value: float, unit: str = "1") -> dict[str, Any]:
    return {"value": value, "unit": unit, "system": UCUM, "code": unit}


def _estimate(estimate: Estimate, place: int, record: SessionRecord) -> dict[str, Any]:
    low, high = record.info.levels
    made = _observation(
        f"estimate-{place}", _ours("pain-level-estimate", "Estimated pain level"), record
    )
    made["meta"] = {"security": [AI_ASSERTED, *made.get("meta", {}).get("security", [])]}
    made |= {
        "status": "preliminary",
        "effectiveDateTime": estimate.time.isoformat(),
        "device": {"reference": _url(record, "device")},
        "method": {
            "text": f"Model '{record.info.model}', content {record.info.model_digest}; level from "
            f"{low:g} to {high:g}"
        },
        "note": [{"text": text} for text in (*estimate.remarks, NOT_A_DEVICE)],
    }
    if estimate.expected_level is None:
        made["dataAbsentReason"] = {
            "coding": [
                {
                    "system": f"{HL7}/data-absent-reason",
                    "code": "temp-unknown",
                    "display": "Temporarily Unknown",
                }
            ],
            "text": estimate.abstained,
        }
    else:
        made["valueQuantity"] = _number(estimate.expected_level)
    if parts := _components(estimate):
        made["component"] = parts
    return made


def _components(estimate: Estimate) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = []
    if estimate.lower is not None and estimate.upper is not None:
        promise = "" if estimate.coverage is None else f", {100 * estimate.coverage:g} %"
        parts.append(
            {
                "code": _ours("interval", f"Interval ({estimate.coverage_kind}{promise})"),
                "valueRange": {"low": _number(estimate.lower), "high": _number(estimate.upper)},
            }
        )
    for name, p in estimate.probabilities.items():
        code = _ours("probability", f"Probability of class {name}")
        parts.append({"code": code, "valueQuantity": _number(p)})
    for state in estimate.modalities:
        reasons = f" ({'; '.join(state.reasons)})" if state.reasons else ""
        code = _ours("quality", f"Quality of {state.name}{reasons}")
        parts.append({"code": code, "valueQuantity": _number(state.quality)})
        if state.age_s is not None:
            code = _ours("age", f"Age of the newest sample of {state.name}")
            parts.append({"code": code, "valueQuantity": _number(state.age_s, "s")})
    return parts


def _report(report: SelfReport, record: SessionRecord) -> dict[str, Any]:
    if report.scale == "nrs":
        text = "Pain severity - 0-10 verbal numeric rating [Score] - Reported"
        code: dict[str, Any] = {
            "coding": [{"system": LOINC, "code": "72514-3", "display": text}],
            "text": text,
        }
    else:
        code = _ours("faces-self-report", "Pain severity, six drawn faces, 0-10, reported")
    made = _observation(f"report-{report.id}".replace("_", "-"), code, record)
    return made | {
        "status": "entered-in-error" if report.withdrawn else "final",
        "category": [{"coding": [{"system": f"{HL7}/observation-category", "code": "survey"}]}],
        "effectiveDateTime": report.time.isoformat(),
        "performer": [{"display": report.entered_by}],
        "valueQuantity": _number(float(report.value), "{score}"),
        "note": [{"text": NOT_A_DEVICE}],
    }


def _mark(name: str, text: str, entry: Any, record: SessionRecord) -> dict[str, Any]:
    made = _observation(f"mark-{name}".replace("_", "-"), _ours("mark", "Event noted"), record)
    return made | {
        "status": "entered-in-error" if entry.withdrawn else "final",
        "effectiveDateTime": entry.time.isoformat(),
        "valueString": text,
        "note": [{"text": NOT_A_DEVICE}],
        **({"performer": [{"display": entry.entered_by}]} if entry.entered_by else {}),
    }
