"""A plain scikit-learn pipeline on a table of real pain data, evaluated on new people."""

import tempfile
from pathlib import Path

import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import dolorimeter as dl

trials = pd.read_csv(Path(__file__).parent / "data" / "oxazepam_ep_scr.csv")
shocks = trials[trials["Condition"] == "Self"]
known = shocks.dropna()
print(f"{len(shocks) - len(known)} of {len(shocks)} trials have no amplitude")

model = make_pipeline(StandardScaler(), LogisticRegression())
run = dl.evaluate(model, known[["SCR"]], known["Stimulus"], groups=known["Subject"])
print(run.scores().groupby("metric")["value"].agg(["mean", "count"]).loc[["auroc", "accuracy"]])

report = dl.report(run, Path(tempfile.mkdtemp()) / "report.html", findings=dl.audit(run))
print(report.paths.html)
