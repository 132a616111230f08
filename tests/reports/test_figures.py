"""Figures: safe to stand in a page, the same every time, readable without colour."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from dolorimeter.reports import figures

HOSTILE = "<script>alert(1)</script> $\\frac{x$ & 痛み"


def draw_all(watermark: str = "") -> dict[str, str]:
    rng = np.random.default_rng(3)
    line = np.linspace(0, 1, 20)
    subjects = {f"{HOSTILE} {i}": float(v) for i, v in enumerate(rng.uniform(0.3, 1, 9))}
    return {
        "subjects": figures.per_subject(
            "a",
            subjects,
            chance=0.5,
            mean=0.7,
            interval=(0.6, 0.8),
            metric="balanced accuracy",
            watermark=watermark,
        ),
        "confusion": figures.confusion("b", np.array([[9, 1], [0, 0]]), [HOSTILE, "x"], watermark),
        "roc": figures.roc("c", {HOSTILE: (line, line**0.5)}, watermark),
        "reliability": figures.reliability("d", line, line, np.arange(20), watermark),
        "intervals": figures.intervals(
            "e",
            [(HOSTILE, 0.5, 0.4, 0.6), ("one seed", 0.5, np.nan, np.nan)],
            metric="m",
            title=HOSTILE,
            chance=0.5,
            watermark=watermark,
        ),
        "risk": figures.risk_coverage("f", {HOSTILE: (line, line)}, watermark),
        "scatter": figures.scatter("g", line, line, watermark),
    }


@pytest.fixture(scope="module")
def drawn() -> dict[str, str]:
    return draw_all()


def test_a_figure_is_one_well_formed_element_that_asks_for_nothing(drawn: dict[str, str]) -> None:
    for name, svg in drawn.items():
        ET.fromstring(svg.replace("xlink:href", "href"))
        assert svg.startswith("<svg "), name
        assert svg.endswith("</svg>"), name
        assert "<script" not in svg
        assert "http" not in svg
        assert not re.search(r'href="(?!#|data:image/png)', svg)


def test_figures_are_the_same_every_time(drawn: dict[str, str]) -> None:
    assert draw_all() == drawn


def test_identifiers_of_figures_do_not_meet(drawn: dict[str, str]) -> None:
    seen: set[str] = set()
    for svg in drawn.values():
        ids = set(re.findall(r' id="([^"]+)"', svg))
        assert not ids & seen
        seen |= ids
        used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', svg))
        assert used <= ids


def test_ink_follows_the_page(drawn: dict[str, str]) -> None:
    for svg in drawn.values():
        assert "currentColor" in svg
        assert "#010203" not in svg


def test_a_watermark_goes_across_every_figure() -> None:
    for svg in draw_all("LOOK-ALIKE DATA").values():
        assert "LOOK-ALIKE DATA" in svg


def test_a_class_without_windows_gives_a_row_of_zeros(drawn: dict[str, str]) -> None:
    assert "90 %" in drawn["confusion"]
    assert "nan" not in drawn["confusion"].lower()


def test_many_subjects_are_not_named() -> None:
    scores = {f"subject {i}": i / 100 for i in range(60)}
    svg = figures.per_subject(
        "h", scores, chance=None, mean=0.3, interval=None, metric="concordance"
    )
    assert "60 people" in svg
    assert "subject 7" not in svg
