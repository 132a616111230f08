"""Whether a modality can be believed at this moment, with the reason in words."""

from __future__ import annotations

from dataclasses import dataclass, replace

from dolorimeter.chain import FaceRing, LiveChain
from dolorimeter.errors import SignalError
from dolorimeter.monitor.nouns import ModalityState
from dolorimeter.preprocessing import Quality, window_quality
from dolorimeter.types import FaceTrack, Window

LEAST_QUALITY = 0.5
"""A modality of lower quality is left out."""


@dataclass(frozen=True)
class Silence:
    """What is known of a modality besides its samples.

    Parameters
    ----------
    lost : str
        Why it gives nothing, in words; empty while it does.
    wrong_rate : str
        See `Timeline.wrong_rate`.
    """

    lost: str = ""
    wrong_rate: str = ""


@dataclass(frozen=True)
class Gate:
    """Looks at each modality of a window.

    Parameters
    ----------
    least_quality : float
        Between 0 and 1; a modality below it counts as missing.
    """

    least_quality: float = LEAST_QUALITY

    def look(
        self, live: LiveChain, name: str, window: Window, now: float, silence: Silence
    ) -> ModalityState:
        """How a modality stands in a window, at the time `now` of the session's clock."""
        stop = live.stop_of(name)
        if stop is None:
            return ModalityState(name, 0.0, None, False, (silence.lost or "no data yet",))
        age = max(0.0, now - stop)
        blank = ModalityState(name, 0.0, age, False)
        if not live.covers(name, window.start):
            waited = silence.lost or f"no data for {age:.0f} s"
            return replace(blank, reasons=(waited,))
        if silence.wrong_rate:
            return replace(blank, reasons=(silence.wrong_rate,))
        try:
            quality, reasons = self._quality(live, name, window, now)
        except SignalError:  # it began, or was back, after the window had begun
            return replace(blank, reasons=("back, but not for a whole window yet",))
        present = quality >= self.least_quality
        return ModalityState(name, quality, age, present, reasons)

    def _quality(
        self, live: LiveChain, name: str, window: Window, now: float
    ) -> tuple[float, tuple[str, ...]]:
        ring = live.face(name)
        if ring is not None:
            return _face_quality(ring, window.recording.faces[name], window, now)
        found = window_quality(window.signal(name), name)
        return found.score, _words(found) if found.score < 0.9 else ()


def _words(quality: Quality) -> tuple[str, ...]:
    """What lowers the quality of a signal, as short as it can be said."""
    shares = {"flat": quality.flat, "clipped": quality.clipped, "missing": quality.missing}
    worst = [name for name, share in shares.items() if share >= LEAST_QUALITY]
    return tuple(worst) or quality.reasons


def _face_quality(
    ring: FaceRing, track: FaceTrack, window: Window, now: float
) -> tuple[float, tuple[str, ...]]:
    """Mean quality of the window's frames, and what is wrong with the newest of them."""
    part = track.crop(window.start, window.duration)
    score = float(part.quality.mean()) if len(part) else 0.0
    newest = ring.newest
    if newest is not None and not newest.found:
        since = window.start if ring.last_found is None else ring.last_found
        return score, (f"no face for {max(0.0, now - since):.0f} s",)
    if score >= LEAST_QUALITY:
        return score, ()
    found = part.found
    if not found.any():
        return score, ("no face yet in this window",)
    if found.mean() < LEAST_QUALITY:
        return score, (f"a face in {found.mean():.0%} of the frames",)
    means = {
        "face blurred": float(part.blur[found].mean()),
        "face covered": float(part.occlusion[found].mean()),
        "face too dark or too bright": float(part.exposure[found].mean()),
    }
    return score, (min(means, key=lambda name: means[name]),)
