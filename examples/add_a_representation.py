"""A representation of one's own: the picture that a recurrence plot makes of a signal."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

import dolorimeter as dl


@dl.REPRESENTATIONS.register(dl.Card(name="recurrence", summary="Distances between moments."))
@dataclass(frozen=True)
class Recurrence:
    """Distance of every moment to every other; (window, points, points), without a unit."""

    modality: str
    points: int = 32
    offset: float = 0.0
    duration: float | None = None

    def __call__(self, windows: Sequence[dl.Window]) -> dl.Represented:
        signals = [w.signal(self.modality, self.offset, self.duration).values[0] for w in windows]
        rows = np.stack([s[np.linspace(0, len(s) - 1, self.points, dtype=int)] for s in signals])
        distances = np.abs(rows[:, :, None] - rows[:, None, :])
        present = np.ones(len(windows), dtype=bool)
        return dl.Represented(distances, (), ("1",), present)


if __name__ == "__main__":
    signal = dl.Signal(np.sin(np.linspace(0, 20, 1000))[None], 100.0, "S", True, "conductance")
    recording = dl.Recording("mine", "s1", "r1", signals={"eda": signal})
    print(Recurrence("eda")([dl.Window(recording, 0.0, 5.0)]).x.shape)
