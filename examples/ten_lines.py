"""From a look-alike cohort to a believable number, with a scikit-learn estimator of one's own."""

import tempfile
from pathlib import Path

from sklearn.ensemble import ExtraTreesClassifier
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline

import dolorimeter as dl

root = Path(tempfile.mkdtemp()) / "look-alike"
dl.synthesise("biovid", root, subjects=4, per_condition=6, conditions=("BL1", "PA4"), seed=1)

recordings = dl.open_dataset("biovid", root, part="A").recordings()
streams = [dl.Stream(m, (), dl.Features(m)) for m in ("eda", "ecg")]
windows = dl.WindowSpec(duration=5.5, conditions=("BL1", "PA4"))
samples = dl.Pipeline(windows, tuple(streams)).samples(recordings)
y = (samples.meta["condition"] == "PA4").to_numpy(dtype=int)
estimator = make_pipeline(
    SimpleImputer(keep_empty_features=True), ExtraTreesClassifier(50, random_state=0)
)
run = dl.evaluate(estimator, samples, y, dl.leave_one_subject_out(), classes=("BL", "PA4"))
print(dl.markdown_table([run]))
