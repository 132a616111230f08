"""Gaps in signals, painted by a masked autoencoder, beside straight lines across them."""

import tempfile
from pathlib import Path

import numpy as np
import torch

import dolorimeter as dl
from dolorimeter.pretraining import pretrain, pretraining_from, read_autoencoder
from dolorimeter.synthesis import synthesise

with tempfile.TemporaryDirectory() as folder:
    root = Path(folder) / "look-alike"
    synthesise("biovid", root, subjects=4, per_condition=2, conditions=("BL1", "PA4"))
    reader = dl.open_dataset("biovid", root, part="A")
    *met, stranger = reader.subjects()
    config = pretraining_from(
        {
            "kind": "masked_signal",
            "datasets": [{"name": "biovid", "root": str(root), "subjects": met}],
            "signals": [
                {"name": "eda", "mask_seconds": 1.0},
                {"name": "ecg", "mask_seconds": 0.15},
            ],
            "sampling_rate": 32.0,
            "windows": {"duration": 5.5},
            "steps": 20,  # a few seconds: it learns little in them
            "batch_size": 8,
            "width": 16,
            "hidden": 32,
            "layers": 1,
            "validation": 0.0,
            "workers": 0,
        }
    )
    autoencoder = read_autoencoder(pretrain(config, Path(folder) / "run").weights.parent)

    streams = [dl.Stream(m, (), dl.Raw(m, sampling_rate=32.0)) for m in ("eda", "ecg")]
    chain = dl.Pipeline(dl.WindowSpec(duration=5.5), tuple(streams))
    samples = chain.samples(reader.recordings([stranger]))
    whole = np.concatenate([samples.x["eda"], samples.x["ecg"]], axis=1)  # in siemens and volts

gaps = whole.copy()
gaps[:, 0, 60:90] = np.nan
gaps[:, 1, 100:105] = np.nan
gaps[0, 1] = np.nan  # a channel that is not there at all: a guess from the other
with torch.no_grad():
    filled = autoencoder.filled(torch.from_numpy(gaps)).numpy()

missing = np.isnan(gaps)
assert not np.isnan(filled).any()
assert (filled[~missing] == whole[~missing]).all()  # what was there stays as it is
time = np.arange(whole.shape[2])
for channel, name in enumerate(("eda", "ecg")):
    errors = {"painted": [], "straight line": []}
    for window, hole, paint in zip(whole[1:], missing[1:], filled[1:], strict=True):
        own = hole[channel]
        line = np.interp(time[own], time[~own], window[channel, ~own])
        errors["painted"].append(paint[channel, own] - window[channel, own])
        errors["straight line"].append(line - window[channel, own])
    told = ", ".join(f"{k} {np.sqrt(np.mean(np.square(v))):.3g}" for k, v in errors.items())
    print(f"{name}, root mean square error in the gaps of a look-alike: {told}")
