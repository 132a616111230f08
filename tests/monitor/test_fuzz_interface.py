"""Whatever is sent to the interface, it answers as its own description says, and lives on."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from dolorimeter.errors import MonitorError

from monitor_server import Monitor

pytestmark = pytest.mark.filterwarnings(  # schemathesis draws from `random` itself
    "ignore::hypothesis.errors.HypothesisDeprecationWarning"
)


def fuzz(monitor: Monitor, examples: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """Send requests made of the description, well-formed and not; how many there were."""
    schemathesis = pytest.importorskip("schemathesis", reason="needs schemathesis")
    from schemathesis.specs.openapi import checks as rules

    def busy(*_: object) -> None:
        raise MonitorError("the sensor is busy.")

    monitor.hub.start("anna")
    monkeypatch.setattr(monitor.hub, "_start", busy)  # not hundreds of sessions
    wanted = [
        schemathesis.checks.not_a_server_error,
        rules.status_code_conformance,
        rules.content_type_conformance,
        rules.response_schema_conformance,
    ]
    count = 0

    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def one(case: Any) -> None:
        nonlocal count
        count += 1
        case.validate_response(case.call(), checks=wanted)

    schema = schemathesis.openapi.from_url(f"{monitor.url}/api/openapi.json")
    for found in schema.get_all_operations():
        operation = found.ok()
        if operation.path != "/api/login":  # a wrong token costs half a second
            given(case=operation.as_strategy())(one)()
    assert monitor.ask("/api/about")[0] == 200
    assert monitor.sessions[0].running
    return count


def test_a_little(monitor: Monitor, monkeypatch: pytest.MonkeyPatch) -> None:
    assert fuzz(monitor, 3, monkeypatch) > 20


@pytest.mark.fuzz
def test_a_lot(monitor: Monitor, monkeypatch: pytest.MonkeyPatch) -> None:
    assert fuzz(monitor, 200, monkeypatch) > 1000
