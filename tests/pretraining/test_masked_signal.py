"""Masked pre-training of signals: learning, resuming, bad input, and who has been met."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dolorimeter.errors import (
    ConfigError,
    DatasetError,
    OverlapError,
    StorageError,
    TrainingError,
)
from dolorimeter.experiment import experiment_from, run
from dolorimeter.models import create_model, load_weights
from dolorimeter.pretraining import MaskedSignal, pretrain, pretraining_from, read_autoencoder
from dolorimeter.pretraining._signal_rows import SignalRows
from dolorimeter.pretraining.masked_signal import interpolated, padded
from dolorimeter.synthesis import synthesise

Settings = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def part_a(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Part A of a look-alike cohort of five people."""
    root = tmp_path_factory.mktemp("cohort") / "a"
    synthesise(
        "biovid", root, seed=1, subjects=5, per_condition=2, conditions=("BL1", "PA4"),
    )  # fmt: skip
    return root


@pytest.fixture(scope="module")
def settings(part_a: Path) -> Settings:
    """A short run of a small network on two signals."""

    def made(**values: Any) -> dict[str, Any]:
        return {
            "kind": "masked_signal",
            "datasets": [{"name": "biovid", "root": str(part_a), "options": {"part": "A"}}],
            "signals": [
                {"name": "eda", "mask_seconds": 0.5},
                {"name": "ecg", "mask_seconds": 0.15},
            ],
            "sampling_rate": 32.0,
            "windows": {"duration": 5.5},
            "steps": 4,
            "batch_size": 6,
            "validation": 0.2,
            "learning_rate": 3e-3,
            "width": 8,
            "heads": 2,
            "hidden": 16,
            "layers": 1,
            "workers": 0,
            "seed": 3,
        } | values

    return made


def csv_folder(root: Path, changes: Callable[[int, dict[str, np.ndarray]], None]) -> Path:
    """Recordings of three people in BIDS physio, changed by their number."""
    rng = np.random.default_rng(0)
    for number in range(3):
        folder = root / f"sub-{number:02d}" / "physio"
        folder.mkdir(parents=True)
        time = np.arange(320) / 32
        columns = {
            "eda": 5 + np.sin(time) + 0.01 * rng.normal(size=len(time)),
            "respiration": np.sin(2 * time) + 0.1 * rng.normal(size=len(time)),
        }
        changes(number, columns)
        stem = folder / f"sub-{number:02d}_task-rest"
        kept = np.stack(list(columns.values()), axis=1)
        Path(f"{stem}_physio.tsv").write_text(
            "\n".join("\t".join(f"{v:.6g}" if np.isfinite(v) else "n/a" for v in row)
                      for row in kept)
        )  # fmt: skip
        told = {"SamplingFrequency": 32.0, "StartTime": 0.0, "Columns": list(columns)}
        Path(f"{stem}_physio.json").write_text(json.dumps(told))
    return root


def test_it_learns_and_leaves_what_a_network_reads(settings: Settings, tmp_path: Path) -> None:
    config = pretraining_from(settings(steps=60, validate_every=30, batch_size=12))
    assert isinstance(config, MaskedSignal)
    before = torch.get_rng_state()
    found = pretrain(config, tmp_path)
    assert torch.equal(before, torch.get_rng_state())
    table = found.table()
    train = table[table["part"] == "train"]["loss"]
    assert train.tail(10).mean() < 0.8 * train.head(5).mean()
    held = table[table["part"] == "validation"]
    assert set(held["task"]) == {"eda", "ecg", "interpolated eda", "interpolated ecg"}
    told = json.loads((tmp_path / "encoder.safetensors.json").read_text())
    assert told["self_supervised"] is True
    assert len(told["trained_on"]["biovid"]) == 4
    assert not set(told["trained_on"]["biovid"]) & set(told["validated_on"]["biovid"])
    assert pretraining_from(told["settings"]) == config
    network = create_model(
        "signal_mae", input_shape=(2, 176), scaling="train_robust", width=8, heads=2, hidden=16,
        layers=1,
    )  # fmt: skip
    load_weights(network, found.weights)
    assert network.scale.spread.min() > 0
    assert (network.scale.spread != 1).all()  # learned, and in the file
    assert any("brought from 512 to 32 Hz" in remark for remark in found.remarks)
    assert any("of the time was waited" in remark for remark in found.remarks)


def test_the_seed_decides_and_threads_do_not(settings: Settings, tmp_path: Path) -> None:
    content = {
        name: pretrain(pretraining_from(settings(**more)), tmp_path / name).weights.read_bytes()
        for name, more in {"one": {}, "again": {"workers": 2}, "other": {"seed": 4}}.items()
    }
    assert content["one"] == content["again"]
    assert content["one"] != content["other"]


def test_a_stopped_run_ends_as_if_it_had_never_stopped(settings: Settings, tmp_path: Path) -> None:
    config = pretraining_from(settings(steps=6, checkpoint_every=2, dropout=0.2))
    whole = pretrain(config, tmp_path / "whole")

    def stop(done: int, _: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pretrain(config, tmp_path / "part", progress=stop)
    resumed = pretrain(config, tmp_path / "part")
    same = resumed.weights.read_bytes() == whole.weights.read_bytes()
    assert same  # pytest would compare the bytes for minutes
    assert resumed.log.read_text() == whole.log.read_text()
    with pytest.raises(TrainingError, match="another pre-training"):
        pretrain(pretraining_from(settings(steps=7)), tmp_path / "part")


@pytest.mark.long
def test_two_processes_learn_what_one_does(
    settings: Settings, tmp_path: Path, start: Callable[..., list[subprocess.Popen[bytes]]]
) -> None:
    values = settings(precision="float64", dropout=0.0, steps=3)
    one = pretrain(pretraining_from(values), tmp_path / "one")
    for process in start(values, tmp_path / "two", processes=2):
        assert process.wait(120) == 0
    from safetensors.torch import load_file

    a, b = load_file(one.weights), load_file(tmp_path / "two" / "encoder.safetensors")
    for name, values_of_one in a.items():
        torch.testing.assert_close(b[name], values_of_one, rtol=1e-5, atol=1e-6, msg=name)


def test_missing_constant_and_short_channels_are_counted(
    settings: Settings, tmp_path: Path
) -> None:
    def change(number: int, columns: dict[str, np.ndarray]) -> None:
        if number == 0:
            del columns["respiration"]
        if number == 1:
            columns["eda"][:] = 4.0
            columns["respiration"][250:] = np.nan

    root = csv_folder(tmp_path / "bids", change)
    values = settings(
        datasets=[{"name": "bids_physio", "root": str(root)}],
        signals=[
            {"name": "eda", "mask_seconds": 0.5},
            {"name": "resp", "mask_seconds": 0.5},
        ],
        windows={"duration": 5.0, "anchor": "recording", "step": 5.0},
        validation=0.0,
    )
    rows = SignalRows(pretraining_from(values))
    assert rows.substituted["resp is missing in a recording: masked out"] == 1
    assert rows.substituted["eda is constant in a window: masked out"] == 2
    assert len(rows.samples) == 6
    assert np.isnan(rows.samples[0][1]).all()
    assert np.isnan(rows.samples[2][0]).all()
    found = pretrain(pretraining_from(values), tmp_path / "out")
    assert found.table()["loss"].map(np.isfinite).all()
    assert any("constant in a window" in remark for remark in found.remarks)


def test_whole_recordings_of_unequal_length_are_padded(settings: Settings, tmp_path: Path) -> None:
    def change(number: int, columns: dict[str, np.ndarray]) -> None:
        for name in columns:
            columns[name] = columns[name][: 320 - 80 * number]

    root = csv_folder(tmp_path / "bids", change)
    values = settings(
        datasets=[{"name": "bids_physio", "root": str(root)}],
        signals=[{"name": "eda", "mask_seconds": 0.5}],
        windows={"duration": 8.0},
        whole=True,
        validation=0.0,
    )
    rows = SignalRows(pretraining_from(values))
    assert [row.shape[1] for row in rows.samples] == [256, 240, 160]
    assert np.isnan(padded(rows.samples)[2, :, 160:]).all()
    assert pretrain(pretraining_from(values), tmp_path / "out").table()["loss"].notna().all()


def test_straight_lines_cross_the_gaps() -> None:
    x = np.array([[0.0, 1.0, 9.0, 9.0, 4.0, 9.0]])
    hidden = np.array([[False, False, True, True, False, True]])
    assert interpolated(x, hidden).tolist() == [[0.0, 1.0, 2.0, 3.0, 4.0, 4.0]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ratio": 0.95}, "too few to hide 0.95"),
        ({"ratio": 0}, "ratio is 0"),
        ({"sampling_rate": 1.0}, r"eda: 0.5 s at 1 Hz are 0.5 samples"),
        ({"signals": []}, "signals are"),
        ({"kind": "masked_sound"}, "'kind' is 'masked_sound', expected one of multitask, masked"),
        ({"mask": 1}, "unknown key 'mask'"),
        ({"warm_up": 9}, "warm_up is 9 of 4 steps"),
    ],
)
def test_refuses_settings_that_make_no_sense(
    settings: Settings, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        pretraining_from(settings(**change))


def test_refuses_data_and_weights_that_do_not_fit(settings: Settings, tmp_path: Path) -> None:
    values = settings(signals=[{"name": "ppg", "mask_seconds": 1.0}])
    with pytest.raises(DatasetError, match="biovid: no row to learn from"):
        pretrain(pretraining_from(values), tmp_path / "none")
    first = pretrain(pretraining_from(settings()), tmp_path / "first")
    wider = settings(width=16, weights=str(first.weights))
    with pytest.raises(ConfigError, match="of another shape"):
        pretrain(pretraining_from(wider), tmp_path / "wider")
    with pytest.raises(StorageError, match=r"none\.safetensors"):
        pretrain(pretraining_from(settings(weights="none.safetensors")), tmp_path / "absent")


def test_the_autoencoder_is_read_back_and_fills(settings: Settings, tmp_path: Path) -> None:
    found = pretrain(pretraining_from(settings()), tmp_path)
    module = read_autoencoder(tmp_path)
    assert not module.training
    encoder = create_model(
        "signal_mae", num_classes=0, input_shape=(2, 176), scaling="train_robust", width=8,
        heads=2, hidden=16, layers=1,
    )  # fmt: skip
    load_weights(encoder, found.weights)
    for name, value in encoder.state_dict().items():
        torch.testing.assert_close(module.encoder.state_dict()[name], value)
    told = json.loads((tmp_path / "autoencoder.safetensors.json").read_text())
    assert told["trained_on"] == {k: list(v) for k, v in found.trained_on.items()}  # type: ignore[union-attr]
    x = torch.full((1, 2, 40), 5e-6)
    x[0, 0, 10:20] = float("nan")
    assert module.filled(x)[0, 0, 10:20].isfinite().all()
    with pytest.raises(StorageError, match="Give the folder that `dolorimeter pretrain`"):
        read_autoencoder(tmp_path / "nowhere")


def test_part_b_of_the_same_people_is_refused_until_declared(
    settings: Settings, part_a: Path, tmp_path: Path
) -> None:
    """Pre-trained on part A, evaluated on part B, which shows the same people."""
    b = tmp_path / "b"
    synthesise(
        "biovid", b, seed=1, subjects=4, per_condition=2, conditions=("BL1", "PA4"),
        part="B",
    )  # fmt: skip
    found = pretrain(pretraining_from(settings()), tmp_path / "pretrained")
    values: dict[str, Any] = {
        "title": "Signals of part B by an encoder that knows part A",
        "dataset": {"name": "biovid", "options": {"part": "B"}},
        "task": {"classes": [["BL1"], ["PA4"]]},
        "windows": {"duration": 5.5},
        "streams": [
            {"modality": m, "representation": {"name": "raw", "sampling_rate": 32.0}}
            for m in ("eda", "ecg")
        ],
        "classifier": {
            "name": "dual_stream",
            "arguments": {
                "video": "",
                "network": {
                    "epochs": 1,
                    "early_stopping": False,
                    "module_args": {
                        "signal_encoder": "signal_mae",
                        "signal_args": {
                            "width": 8, "heads": 2, "hidden": 16, "layers": 1,
                            "scaling": "train_robust",
                        },
                        "signal_weights": str(found.weights),
                        "hybrid": False,
                    },
                },
            },
        },
        "split": {"name": "group_k_fold", "arguments": {"n_splits": 2}},
    }  # fmt: skip
    with pytest.raises(OverlapError, match=r"was trained on \d of the subjects under test"):
        run(experiment_from(values), b)
    declared = run(experiment_from(values | {"target_access": "unlabelled_target"}), b)
    assert any("without their labels" in note for note in declared.notes)
    assert set(declared.predictions["target_access"]) == {"unlabelled_target"}
