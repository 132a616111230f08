"""The generating model and its Bayes accuracy."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from dolorimeter.errors import ConfigError
from dolorimeter.synthesis import Truth, ai4pain, biovid
from dolorimeter.synthesis.cohort import Request, draw_subject, subject_row, window_row
from dolorimeter.synthesis.population import (
    LOW_REACTIVE_SHARE,
    Design,
    Observer,
    Response,
    Trait,
    is_low_reactive,
    odds,
)

REQUEST = Request(
    kind="biovid",
    part="A",
    subjects=12,
    per_condition=20,
    conditions=biovid.CONDITIONS,
    effect=1.0,
    noise=1.0,
    movement=0.05,
    artefacts=0.0,
    missing=0.0,
    identity_strength=1.0,
    seed=3,
)


def truth_of(request: Request) -> Truth:
    """The truth of a cohort that is not written: latents only."""
    design = biovid.design(request)
    people = [
        draw_subject(request, design, n, biovid.subject_name) for n in range(request.subjects)
    ]
    rows = [
        window_row(design, person, trial, "")
        for person in people
        for trial in range(len(person.session.condition))
    ]
    return Truth(
        design,
        {},
        pd.DataFrame(rows),
        pd.DataFrame([subject_row(design, person) for person in people]),
    )


@pytest.fixture(scope="module")
def truth() -> Truth:
    return truth_of(replace(REQUEST, subjects=250, identity_strength=0.3))


def _order(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.permutation(np.repeat([0, 1], n))


def test_nothing_can_be_told_at_effect_0() -> None:
    design = biovid.design(replace(REQUEST, effect=0.0))
    none = Truth(design, {}, pd.DataFrame(), pd.DataFrame())
    for known in (False, True):
        found = none.bayes_accuracy("BL1", "PA4", subject_known=known)
        assert found == pytest.approx(0.5, abs=1e-9)


@pytest.mark.long
def test_accuracy_rises_with_effect_and_with_level() -> None:
    found = []
    for effect in (0.0, 0.5, 1.0, 2.0, 10.0):
        one = Truth(
            biovid.design(replace(REQUEST, effect=effect)), {}, pd.DataFrame(), pd.DataFrame()
        )
        found.append([one.bayes("BL1", f"PA{n}", draws=30_000).accuracy for n in (1, 2, 3, 4)])
    table = np.array(found)
    assert (np.diff(table, axis=0) > 0).all()
    assert (np.diff(table[1:], axis=1) > 0).all()
    assert (table < 1).all()
    assert table[2, 0] < 0.6  # PA1 near chance
    assert 0.84 < table[2, 3] < 0.9
    assert table[2, 3] - table[2, 1] > 0.15  # steep at PA3 and PA4


def test_accuracy_of_traits_alone_is_that_of_a_shift_of_known_size() -> None:
    design = Design(
        ("a", "b"), (0.0, 1.0), (), (Trait("t", ("x",), 5.0, 2.0),), partial(_order, n=4), 1.0, 1.0
    )
    observer = Observer(design, (), (0,), True)
    accuracy, error = observer.accuracy(odds(design, ["a"]), odds(design, ["b"]), 0.5, 40_000)
    expected, _ = integrate.quad(
        lambda u: stats.norm.cdf(abs(u) / 2) * stats.norm.pdf(u, scale=2.0), -20, 20
    )
    assert accuracy == pytest.approx(expected, abs=4 * error)
    assert error < 0.002


def test_marginal_accuracy_agrees_with_brute_force_integration() -> None:
    design = biovid.design(replace(REQUEST, identity_strength=0.0))
    observer = Observer(design, (0,), (), False)
    a, b = odds(design, ["BL1"]), odds(design, ["PA4"])
    accuracy, error = observer.accuracy(a, b, 0.5, 40_000)
    rng = np.random.default_rng(0)
    gain = np.exp(0.3 * rng.standard_normal(4000))
    gain[rng.random(4000) < LOW_REACTIVE_SHARE] *= 0.2
    y = np.linspace(-8.0, 40.0, 1601)
    density = [
        stats.norm.pdf(y[:, None], 4.2 * gain * rng.choice(one.nodes, 4000)).mean(axis=1)
        for one in (a, b)
    ]
    expected = 0.5 * np.trapezoid(np.maximum(*density), y)
    assert accuracy == pytest.approx(expected, abs=0.01)
    assert error < 0.002


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize(("a", "b"), [("BL1", "PA4"), ("BL1", "PA2")])
def test_likelihood_ratio_on_the_latents_reaches_the_bound(
    truth: Truth, a: str, b: str, known: bool
) -> None:
    rows, score = truth.log_odds(a, b, subject_known=known)
    windows = truth.windows.iloc[rows]
    right = (score > 0) == (windows["condition"] == b).to_numpy()
    by_subject = pd.Series(right).groupby(windows["subject"].to_numpy()).mean()
    error = by_subject.std() / np.sqrt(len(by_subject))
    assert by_subject.mean() == pytest.approx(
        truth.bayes_accuracy(a, b, subject_known=known), abs=3.5 * error
    )


def test_knowing_the_subject_helps_by_identity_strength(truth: Truth) -> None:
    gaps = []
    for strength in (0.0, 1.0):
        design = biovid.design(replace(REQUEST, identity_strength=strength))
        one = Truth(design, {}, pd.DataFrame(), pd.DataFrame())
        marginal = one.bayes_accuracy("BL1", "PA4")
        gaps.append(one.bayes_accuracy("BL1", "PA4", subject_known=True) - marginal)
    assert gaps[0] < 0.05  # the gain is a person's own at any strength
    assert gaps[1] > 0.12


def test_fewer_modalities_tell_less(truth: Truth) -> None:
    eda = truth.bayes_accuracy("BL1", "PA4", modalities=["eda"])
    ecg = truth.bayes_accuracy("BL1", "PA4", modalities=["ecg"])
    everything = truth.bayes_accuracy("BL1", "PA4")
    assert 0.5 < ecg < eda < everything


def test_prior_and_joined_conditions(truth: Truth) -> None:
    rare = truth.bayes_accuracy("BL1", "PA1", prior=0.9)
    assert 0.9 - 1e-6 <= rare < 0.93
    joined = truth.bayes_accuracy(["BL1", "PA1"], ["PA3", "PA4"])
    assert truth.bayes_accuracy("PA1", "PA3") < joined < truth.bayes_accuracy("BL1", "PA4")


def test_conditions_modalities_and_priors_are_checked(truth: Truth) -> None:
    with pytest.raises(ConfigError, match=r"no condition 'PA5'; there are BL1, PA1"):
        truth.bayes_accuracy("BL1", "PA5")
    with pytest.raises(ConfigError, match="none may be in both"):
        truth.bayes_accuracy("BL1", ["BL1", "PA4"])
    with pytest.raises(ConfigError, match=r"no modality 'video'; there are ecg, eda"):
        truth.bayes_accuracy("BL1", "PA4", modalities=["video"])
    with pytest.raises(ConfigError, match=r"prior is 1.0"):
        truth.bayes_accuracy("BL1", "PA4", prior=1.0)


@given(start=st.floats(0, 1, exclude_max=True), first=st.integers(0, 500))
def test_any_twelve_people_have_close_to_the_share_of_low_reactive(
    start: float, first: int
) -> None:
    count = sum(is_low_reactive(first + i, start) for i in range(12))
    assert abs(count - 12 * LOW_REACTIVE_SHARE) <= 2


def test_carry_over_and_habituation_are_in_the_latents() -> None:
    design = Design(
        ("a", "b"), (0.0, 1.0), (Response("r", ("x",), 1.0),), (), partial(_order, n=400), 1.0, 1.0
    )
    request = replace(REQUEST, per_condition=400)
    person = draw_subject(request, design, 0, biovid.subject_name)
    session = person.session
    after = np.concatenate([[0], session.condition[:-1]])
    quiet = session.condition == 0
    assert session.drive[quiet & (after == 1)].min() > session.drive[quiet & (after == 0)].max()
    strong = session.drive[session.condition == 1]
    assert strong[:5].mean() > 1.05 * strong[-5:].mean()


def test_sessions_of_ai4pain_take_turns_between_rest_and_stimulus() -> None:
    design = ai4pain.design_2025(replace(REQUEST, kind="ai4pain_2025", per_condition=12))
    session = design.schedule(np.random.default_rng(1))
    assert len(session) == 48
    assert (session[0::2] == 0).all()
    assert sorted(session[1::2]) == [1] * 12 + [2] * 12
    clips = ai4pain.clip_names(session.tolist())
    assert clips[0] == "B1"
    assert sorted(clips) == sorted(
        ["B1"] + [f"{k}{i}" for k, n in (("L", 12), ("H", 12), ("R", 23)) for i in range(1, n + 1)]
    )
