"""A data set of one's own: a folder with one CSV a subject, `time,eda,condition` at 10 Hz."""

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

import dolorimeter as dl

MICROSIEMENS = 1e-6  # the recorder exports microsiemens (its manual, page 12)


@dl.DATASETS.register(
    dl.DatasetCard(
        name="my_lab",
        summary="Heat pain in our lab, EDA at 10 Hz.",
        licence="ours",
        obtain="ask us",
        sharing="nothing",
        label_source="stimulus",
        units={"eda": "S"},
        units_confirmed=True,
        person_namespace="my_lab",
    )
)
class MyLab:
    """Reads `<root>/<subject>.csv`."""

    SUBJECT_LISTS: dict[str, tuple[str, ...]] = {}  # noqa: RUF012
    exclusions: tuple[dl.Exclusion, ...] = ()

    def __init__(self, root: Path) -> None:
        self.files = {path.stem: path for path in sorted(Path(root).glob("*.csv"))}
        if not self.files:
            raise dl.DatasetError(f"{root}: no CSV file here, expected one a subject.")

    def subjects(self) -> tuple[str, ...]:
        return tuple(self.files)

    def recordings(self, subjects: tuple[str, ...] | None = None) -> list[dl.Recording]:
        return [self._recording(s) for s in (subjects or self.subjects())]

    def _recording(self, subject: str) -> dl.Recording:
        path = self.files[subject]
        condition = pd.read_csv(path, usecols=["condition"])["condition"]
        starts = np.flatnonzero(condition.ne(condition.shift()))
        stops = [*starts[1:], len(condition)]
        stimuli = tuple(
            dl.Stimulus(a / 10, (b - a) / 10, str(condition[a]))
            for a, b in zip(starts, stops, strict=True)
        )
        signals = dl.LazySignals(("eda",), partial(read_eda, path))
        return dl.Recording("my_lab", subject, subject, signals=signals, stimuli=stimuli)


def read_eda(path: Path) -> dict[str, dl.Signal]:
    """Read when asked, not before."""
    values = pd.read_csv(path, usecols=["eda"])["eda"].to_numpy(dtype=float)
    return {"eda": dl.Signal(values[None] * MICROSIEMENS, 10.0, "S", True, "conductance")}


if __name__ == "__main__":
    import tempfile

    folder = Path(tempfile.mkdtemp())
    for subject in ("s1", "s2"):
        table = {"eda": np.linspace(1, 2, 400), "condition": ["rest"] * 200 + ["heat"] * 200}
        pd.DataFrame(table).to_csv(folder / f"{subject}.csv", index=False)
    stream = dl.Stream("eda", (), dl.Features("eda"))
    chain = dl.Pipeline(dl.WindowSpec(duration=10.0), (stream,))
    samples = chain.samples(dl.open_dataset("my_lab", folder).recordings())
    print(samples.meta[["subject", "condition", "start"]])
