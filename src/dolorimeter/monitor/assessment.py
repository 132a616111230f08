"""What the model says of a window without the modalities that cannot be believed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from dolorimeter.chain import LiveChain, needed_of
from dolorimeter.errors import DolorimeterError
from dolorimeter.monitor.judgement import Judge, Judgement
from dolorimeter.monitor.nouns import ModalityState
from dolorimeter.predictor import Predictor


@dataclass(frozen=True)
class Assessor:
    """From a window to a judgement, or to the reason why there is none.

    Parameters
    ----------
    live : LiveChain
    predictor : Predictor
        Its gate decides which modalities count and when there is no estimate.
    judge : Judge
    """

    live: LiveChain
    predictor: Predictor
    judge: Judge

    def __call__(
        self, start: float, states: dict[str, ModalityState]
    ) -> tuple[Judgement, dict[str, ModalityState]]:
        """The judgement of the window from `start`, and how each modality stood in it.

        Parameters
        ----------
        start : float
            Seconds on the session's clock.
        states : dict
            As the gate sees the modalities.
        """
        left_out = tuple(name for name, state in states.items() if not state.present)
        try:
            samples = self.live.samples(start, left_out)
        except DolorimeterError as error:
            gone = {name: replace(s, present=False) for name, s in states.items()}
            return Judgement(abstained=_told(states) or str(error)), gone
        gate, chain = self.predictor.gate, self.live.chain
        if chain.standardise == "running" and (why := gate.learning(self.live.learned)):
            return Judgement(abstained=why), states
        trusted = {n: np.array([states[n].present]) for n in needed_of(chain.streams)}
        usable = gate.usable(samples, chain.streams, trusted)
        states = {
            name: replace(state, present=False, reasons=(*state.reasons, _EMPTY))
            if state.present and name in usable and not usable[name][0]
            else state
            for name, state in states.items()
        }
        if gate.abstains(usable)[0]:
            return Judgement(abstained=_told(states) or "too little is there"), states
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
        missing = float(np.mean([not there[0] for there in usable.values()]))
        return self.judge(row, missing), states


_EMPTY = "samples are missing, no number can be computed"


def _told(states: dict[str, ModalityState]) -> str:
    """What is wrong with the modalities that are not there."""
    return "; ".join(
        f"{name}: {', '.join(state.reasons) or 'not usable'}"
        for name, state in states.items()
        if not state.present
    )
