"""What the model says of a window without the modalities that cannot be believed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dolorimeter.chain import LiveChain
from dolorimeter.errors import DolorimeterError
from dolorimeter.monitor.judgement import Judge, Judgement
from dolorimeter.monitor.nouns import ModalityState
from dolorimeter.predictor import Predictor
from dolorimeter.samples import Samples


@dataclass(frozen=True)
class Assessor:
    """From a window to a judgement, or to the reason why there is none.

    Parameters
    ----------
    live : LiveChain
    predictor : Predictor
    judge : Judge
    least_share : float
        Share of the model's modalities below which it abstains.
    warm_up : float
        Seconds of a person that a running baseline needs before an estimate is given.
    """

    live: LiveChain
    predictor: Predictor
    judge: Judge
    least_share: float
    warm_up: float

    def __call__(
        self, start: float, since: float, states: dict[str, ModalityState]
    ) -> tuple[Judgement, dict[str, ModalityState]]:
        """The judgement of the window from `start`, and how each modality stood in it.

        Parameters
        ----------
        start : float
            Seconds on the session's clock.
        since : float
            Seconds that the person has been followed, at the end of the window.
        states : dict
            As the gate sees the modalities.
        """
        left_out = tuple(name for name, state in states.items() if not state.present)
        try:
            samples = self.live.samples(start, left_out)
        except DolorimeterError as error:
            gone = {name: replace(s, present=False) for name, s in states.items()}
            return Judgement(abstained=_told(states) or str(error)), gone
        states = _without_empty(samples, self.live, states)
        missing = sum(not s.present for s in states.values()) / len(states)
        if 1 - missing < self.least_share or missing == 1:
            return Judgement(abstained=_told(states) or "too little is there"), states
        if self.live.chain.standardise == "running" and since < self.warm_up:
            return Judgement(
                abstained=f"the person's baseline is being learned: {since:.0f} of "
                f"{self.warm_up:.0f} s"
            ), states
        try:
            row = self.predictor.predict_samples(samples).iloc[0]
        except (DolorimeterError, ValueError) as error:
            told = _told(states)
            reason = (
                f"the model cannot go on without them: {told}"
                if told
                else str(error) or repr(error)
            )
            return Judgement(abstained=reason), states
        return self.judge(row, missing), states


def _told(states: dict[str, ModalityState]) -> str:
    """What is wrong with the modalities that are not there."""
    return "; ".join(
        f"{name}: {', '.join(state.reasons) or 'not usable'}"
        for name, state in states.items()
        if not state.present
    )


def _without_empty(
    samples: Samples, live: LiveChain, states: dict[str, ModalityState]
) -> dict[str, ModalityState]:
    """A modality of which no stream has a single number is not there, whatever its quality."""
    given: dict[str, bool] = {}
    for stream in live.chain.streams:
        there = samples.present is None or bool(samples.present[stream.name][0])
        there &= _known(samples, stream.name, len(live.chain.streams) > 1)
        for name in live.modalities_of(stream):
            given[name] = given.get(name, False) or there
    return {
        name: state
        if given.get(name, True) or not state.present
        else replace(
            state,
            present=False,
            reasons=(*state.reasons, "samples are missing, no number can be computed"),
        )
        for name, state in states.items()
    }


def _known(samples: Samples, stream: str, several: bool) -> bool:
    x: Any = samples.x
    if not isinstance(x, np.ndarray):
        own = np.asarray(x[stream])
    elif samples.feature_names and several:
        own = x[0, [name.startswith(f"{stream}.") for name in samples.feature_names]]
    else:
        own = x
    return not own.size or own.dtype.kind != "f" or bool(np.isfinite(own).any())
