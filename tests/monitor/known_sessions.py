"""Sessions whose content is known, for the tests of this folder (on pytest's ``pythonpath``)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from dolorimeter.monitor.nouns import Estimate, ModalityState, SessionInfo

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)


def info(session: str = "s1", subject: str = "anna") -> SessionInfo:
    """A session of two classes on look-alike signals."""
    return SessionInfo(
        id=session,
        subject=subject,
        started=NOON,
        model="forest",
        model_digest="0123abcd",
        classes=("BL1", "PA4"),
        levels=(0.0, 1.0),
        sources=("synthetic (seed 1)",),
        lookalike=True,
        notes=("made for a test",),
    )


def estimates(count: int, session: str = "s1") -> list[Estimate]:
    """Two a second from noon on; every fifth abstains since the face is gone."""
    made = []
    for i in range(count):
        gone = i % 5 == 4
        face = ModalityState("face", 0.0 if gone else 0.75, 4.0 if gone else 0.04, not gone,
                             ("no face for 4 s",) if gone else ())  # fmt: skip
        eda = ModalityState("eda", 0.5, 0.125, present=not gone)
        time = NOON + timedelta(seconds=0.5 * i)
        if gone:
            made.append(
                Estimate(time, session, abstained="no face for 4 s", modalities=(eda, face))
            )
            continue
        p = (i % 10) / 10
        made.append(
            Estimate(
                time,
                session,
                probabilities={"BL1": 1 - p, "PA4": p},
                expected_level=p,
                lower=max(0.0, p - 0.25),
                upper=min(1.0, p + 0.25),
                coverage=0.9,
                coverage_kind="conformal",
                modalities=(eda, face),
                remarks=("clock of eda jumped by 3 s",) if i == 0 else (),
                start=0.5 * i,
                duration=5.5,
                latency_s=0.0625,
                alert=p > 0.8,
            )
        )
    return made
