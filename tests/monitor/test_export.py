"""Exports of a known session, each read back by something that is not the exporter."""

from __future__ import annotations

import gzip
import io
import json
import math
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dolorimeter.datasets import open_dataset
from dolorimeter.errors import ConfigError, StorageError
from dolorimeter.monitor.export import SessionRecord, export_session, session_files
from dolorimeter.monitor.nouns import NOT_A_DEVICE, Mark, RawChunk, SelfReport
from dolorimeter.monitor.outlet import CHANNELS, LslOutlet, Metrics
from dolorimeter.monitor.store import Store

from known_sessions import NOON, estimates, info

SPOKEN = SelfReport(NOON + timedelta(seconds=2), "s1", "nrs", 7, "patient", id="r1")
DRAWN = SelfReport(NOON + timedelta(seconds=3), "s1", "faces", 4, "nurse", id="r2")
WRONG = SelfReport(NOON + timedelta(seconds=4), "s1", "nrs", 0, "patient", withdrawn=True, id="r3")
TURN = Mark(NOON + timedelta(seconds=1), "s1", "=turn, Ärztin", "nurse", id="m1")


@pytest.fixture
def record() -> SessionRecord:
    """Twelve estimates (two abstain), one mark, three self-reports, a raw signal with a gap."""
    return SessionRecord(
        info=info(subject="Anna K."),
        state="ended",
        last=NOON + timedelta(seconds=6),
        estimates=tuple(estimates(12)),
        marks=(TURN,),
        reports=(SPOKEN, DRAWN, WRONG),
        signals=(
            RawChunk("eda", 0.5, 4.0, "S", np.array([1e-6, 2e-6])),
            RawChunk("eda", 1.5, 4.0, "S", np.array([5e-6])),
        ),
    )


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_tables_hold_every_number(record: SessionRecord, form: str) -> None:
    files = session_files(record, form)
    read: Any = pd.read_csv if form == "csv" else pd.read_parquet
    rows = read(io.BytesIO(files[f"estimates.{form}"]))
    given = estimates(12)
    assert len(rows) == 12
    levels = [math.nan if e.expected_level is None else e.expected_level for e in given]
    np.testing.assert_allclose(rows["expected_level"].astype(float), levels, rtol=1e-15)
    np.testing.assert_allclose(rows["seconds"], np.arange(12) / 2)
    row = rows.iloc[3]
    assert (row["p_BL1"], row["p_PA4"], row["face_quality"]) == (0.7, 0.3, 0.75)
    assert (row["eda_age_s"], row["coverage"], row["coverage_kind"]) == (0.125, 0.9, "conformal")
    assert rows.iloc[4]["abstained"] == rows.iloc[4]["face_reasons"] == "no face for 4 s"
    assert set(rows["notice"]) == {NOT_A_DEVICE}
    assert rows["lookalike"].all()
    entries = read(io.BytesIO(files[f"entries.{form}"]))
    assert list(entries["kind"]) == ["mark", "self_report", "self_report", "self_report"]
    assert list(entries["value"])[1:] == [7, 4, 0]
    assert list(entries["withdrawn"]) == [False, False, False, True]
    assert entries["label"][0] == ("'=turn, Ärztin" if form == "csv" else "=turn, Ärztin")
    told = json.loads(files["session.json"])
    assert told["model_digest"] == "0123abcd"
    assert any(text.startswith("LOOK-ALIKE") for text in told["remarks"])


def test_bids_is_read_back_by_our_reader(record: SessionRecord, tmp_path: Path) -> None:
    for name, content in session_files(record, "bids").items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    reader = open_dataset("bids_physio", tmp_path)
    (recording,) = reader.recordings()
    assert reader.exclusions == ()
    level = recording.signals["expected_level"]
    assert (level.sampling_rate, level.start) == (2.0, 0.0)
    wanted = [math.nan if e.expected_level is None else e.expected_level for e in estimates(12)]
    np.testing.assert_array_equal(level.values[0], wanted)
    np.testing.assert_array_equal(recording.signals["quality"].values[0][:5], [0.5] * 4 + [0.0])
    eda = recording.signals["eda"]
    np.testing.assert_array_equal(eda.values[0], [1e-6, 2e-6, math.nan, math.nan, 5e-6])
    assert (eda.unit, eda.unit_confirmed, eda.start) == ("S", True, 0.5)
    events = {(s.onset, s.condition): s.attributes for s in recording.stimuli}
    assert events[1.0, "mark"]["label"] == "=turn, Ärztin"
    assert events[2.0, "self_report"] == {
        "scale": "nrs", "value": "7", "entered_by": "patient", "withdrawn": "false"
    }  # fmt: skip
    assert events[2.0, "abstained"]["label"] == "no face for 4 s"
    assert recording.subject.startswith("AnnaK")
    assert "Anna K." not in (tmp_path / "participants.tsv").read_text()


@pytest.mark.parametrize("jump", [-7200.0, 56 * 365.25 * 86_400.0])
def test_a_machine_whose_clock_was_set_does_not_break_the_grid(
    record: SessionRecord, jump: float
) -> None:
    """A small computer without a battery wakes in 1970, and finds the network a minute later."""
    moved = tuple(
        replace(e, time=e.time + timedelta(seconds=jump)) if i >= 6 else e
        for i, e in enumerate(record.estimates)
    )
    files = session_files(replace(record, estimates=moved), "bids")
    (name,) = (n for n in files if n.endswith("recording-estimate_physio.tsv.gz"))
    rows = gzip.decompress(files[name]).decode().splitlines()
    plain = gzip.decompress(session_files(record, "bids")[name]).decode().splitlines()
    assert rows == plain
    told = json.loads(files[name.replace(".tsv.gz", ".json")])
    assert told["Clock"].startswith("The machine's clock was set 1 times")
    for form in ("csv", "parquet", "fhir-r5"):
        assert session_files(replace(record, estimates=moved), form)


@pytest.mark.parametrize("release", ["r5", "r4b"])
def test_fhir_is_valid_and_keeps_estimate_and_self_report_apart(
    record: SessionRecord, release: str
) -> None:
    from fhir.resources.bundle import Bundle as R5Bundle
    from fhir.resources.R4B.bundle import Bundle as R4BBundle

    content = session_files(record, f"fhir-{release}")["bundle.json"]
    bundle = (R5Bundle if release == "r5" else R4BBundle).model_validate_json(content)
    by_id = {e.resource.id: e.resource for e in bundle.entry}
    assert len(by_id) == 1 + 12 + 3 + 1
    made = [r for name, r in by_id.items() if name.startswith("estimate-")]
    for resource in made:
        assert resource.status == "preliminary"
        assert "72514-3" not in resource.model_dump_json()
        assert resource.meta.security[0].code == "AIAST"
        assert [s.code for s in resource.meta.security] == ["AIAST", "HTEST"]
        assert "forest" in resource.method.text
        assert "0123abcd" in resource.method.text
        assert resource.device.reference == bundle.entry[0].fullUrl
        assert resource.note[-1].text == NOT_A_DEVICE
        assert (resource.valueQuantity is None) == (resource.dataAbsentReason is not None)
    assert by_id["estimate-4"].dataAbsentReason.text == "no face for 4 s"
    assert float(by_id["estimate-3"].valueQuantity.value) == 0.3
    interval = by_id["estimate-3"].component[0].valueRange
    assert (float(interval.low.value), float(interval.high.value)) == (0.3 - 0.25, 0.55)
    spoken, drawn, wrong = (by_id[f"report-r{i}"] for i in (1, 2, 3))
    assert (spoken.code.coding[0].system, spoken.code.coding[0].code) == (
        "http://loinc.org", "72514-3"
    )  # fmt: skip
    assert (spoken.status, wrong.status) == ("final", "entered-in-error")
    assert int(spoken.valueQuantity.value) == 7
    assert "loinc" not in drawn.model_dump_json()
    assert "AIAST" not in spoken.model_dump_json()
    assert NOT_A_DEVICE in bundle.meta.tag[0].display


def test_thinning_keeps_the_newest_and_says_so(record: SessionRecord) -> None:
    files = session_files(record, "csv", every_s=2.0)
    rows = pd.read_csv(io.BytesIO(files["estimates.csv"]))
    assert list(rows["seconds"]) == [1.5, 3.5, 5.5]
    assert (
        "9 estimates were left out, as was asked." in json.loads(files["session.json"])["remarks"]
    )
    with pytest.raises(ConfigError, match=r"every_s is -1\.0"):
        session_files(record, "csv", every_s=-1.0)
    with pytest.raises(ConfigError, match="no export format 'xml', expected one of csv"):
        session_files(record, "xml")


def test_an_empty_session_and_the_verb(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from dolorimeter.cli import app

    where = tmp_path / "monitor.sqlite"
    with Store(where) as store:
        store.begin(info())
    for form in ("csv", "parquet", "bids", "fhir-r5", "fhir-r4b"):
        written = export_session("s1", tmp_path / form, form, where=where)
        assert all(path.is_file() for path in written)
    told = json.loads((tmp_path / "csv" / "session.json").read_text())
    assert "The session was running when it was exported." in told["remarks"]
    arguments = ["monitor", "export", "s1", "--format", "csv", "--store", str(where)]
    out = CliRunner().invoke(app, [*arguments, "--out", str(tmp_path / "again")])
    assert out.exit_code == 0, out.output
    assert (tmp_path / "again" / "entries.csv").is_file()
    with pytest.raises(StorageError, match="is not an empty folder"):
        export_session("s1", tmp_path / "again", "csv", where=where)
    with pytest.raises(StorageError, match="no session 'other'"):
        export_session("other", tmp_path / "new", "csv", where=where)


def test_the_outlet_is_heard_by_an_inlet() -> None:
    pylsl = pytest.importorskip("pylsl", reason="needs pylsl (extra monitor)")
    outlet = LslOutlet(info())
    (stream,) = pylsl.resolve_byprop("source_id", "dolorimeter-s1", timeout=10)
    inlet = pylsl.StreamInlet(stream)
    inlet.open_stream(timeout=10)
    made = estimates(5)
    for estimate in made:
        outlet(estimate)
    heard = [inlet.pull_sample(timeout=5)[0] for _ in made]
    np.testing.assert_array_equal(heard[3], [0.3, 0.3 - 0.25, 0.55, 0.5, 0.125])
    np.testing.assert_array_equal(heard[4], [math.nan, math.nan, math.nan, 0.0, math.nan])
    about = inlet.info().desc()
    assert about.child_value("notice") == NOT_A_DEVICE
    channel = about.child("channels").first_child()
    labels = []
    for _ in CHANNELS:
        labels.append(channel.child_value("label"))
        channel = channel.next_sibling()
    assert tuple(labels) == CHANNELS


def test_metrics_are_what_prometheus_reads() -> None:
    metrics = Metrics()
    for estimate in estimates(5):
        metrics(estimate)
    lines = metrics.text({"s1": "the disk is full"}).splitlines()
    numbers = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    assert numbers['dolorimeter_estimates_total{session="s1"}'] == "5.0"
    assert numbers['dolorimeter_abstentions_total{session="s1"}'] == "1.0"
    assert numbers['dolorimeter_expected_level{session="s1"}'] == "NaN"
    assert numbers['dolorimeter_modality_age_seconds{session="s1",modality="face"}'] == "4.0"
    assert numbers['dolorimeter_store_refuses{session="s1"}'] == "1.0"
    assert "anna" not in "".join(lines)
    types = {line.split()[2]: line.split()[3] for line in lines if line.startswith("# TYPE")}
    assert types["dolorimeter_estimates_total"] == "counter"
    assert {name.split("{")[0] for name in numbers} == set(types)
    metrics.forget("s1")
    assert metrics.text() == ""
