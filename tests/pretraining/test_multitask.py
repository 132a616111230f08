"""A whole pre-training: it learns, says what it did, and refuses what cannot be right."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tomli_w
import torch
from accelerate import PartialState
from typer.testing import CliRunner

from dolorimeter import cli, pretraining
from dolorimeter.embeddings import Encoder, embed
from dolorimeter.errors import ConfigError, StorageError, TrainingError
from dolorimeter.pretraining import Pretraining, pretrain, pretraining_from
from dolorimeter.pretraining._network import MultiTask
from dolorimeter.pretraining._tasks import Task, list_rows, split

Small = Callable[..., dict[str, Any]]
Tasks = list[dict[str, Any]]


def network(values: dict[str, Any]) -> tuple[MultiTask, tuple[Task, ...], Pretraining]:
    config = pretraining_from(values)
    tasks = split([list_rows(task) for task in config.tasks], config.validation, config.seed)
    start = Encoder(config.encoder.name, seed=1)
    torch.manual_seed(0)
    encoder = start.build().requires_grad_(True)
    return MultiTask(encoder, start.width, start.input, tasks, config).double(), tasks, config


def batch(tasks: tuple[Task, ...], take: tuple[int, ...]) -> tuple[Any, ...]:
    """The first rows of each task, and the network's arguments for them."""
    rows = [task.train[:n] for task, n in zip(tasks, take, strict=True)]
    pictures = [
        task.picture(int(r), 32) for task, some in zip(tasks, rows, strict=True) for r in some
    ]
    targets = [torch.from_numpy(t.targets(r)) for t, r in zip(tasks, rows, strict=True)]
    numbers = torch.from_numpy(np.repeat(np.arange(len(tasks)), take))
    return torch.from_numpy(np.stack(pictures)), numbers, targets, list(take)


def test_the_whole_loss_is_its_formula(four_tasks: Tasks, small: Small) -> None:
    module, tasks, _ = network(small(tasks=four_tasks, label_smoothing=0.2))
    given = batch(tasks, (4, 3, 5, 6))
    values = (0.3, -0.4, 1.2, -2.0)
    with torch.no_grad():
        for s, value in zip(module.log_variances, values, strict=True):
            s.fill_(value)
    module.train()
    total, parts, _ = module(*given)
    pictures, numbers, targets, _ = given
    mean = np.array([0.5, 0.4, 0.3], dtype=np.float32).astype(float)
    std = np.array([0.2, 0.25, 0.3], dtype=np.float32).astype(float)
    x = (pictures.numpy() / 255 - mean[:, None, None]) / std[:, None, None]
    with torch.no_grad():
        features = module.encoder(torch.from_numpy(x))
        outputs = [h(features[numbers == i]).numpy() for i, h in enumerate(module.heads)]
    log_p = outputs[0] - np.log(np.exp(outputs[0]).sum(axis=1, keepdims=True))
    smooth = 0.8 * np.eye(3)[targets[0].numpy()] + 0.2 / 3
    wanted = [-(smooth * log_p).sum(axis=1).mean()]
    p, label = 1 / (1 + np.exp(-outputs[1])), targets[1].numpy()
    wanted.append(np.nanmean(-label * np.log(p) - (1 - label) * np.log(1 - p), axis=1).mean())
    wanted.append(((outputs[2] - targets[2].numpy()) ** 2).mean())
    truth = targets[3].numpy()
    spread = outputs[3].var(0) + truth.var(0) + (outputs[3].mean(0) - truth.mean(0)) ** 2
    covariance = ((outputs[3] - outputs[3].mean(0)) * (truth - truth.mean(0))).mean(0)
    wanted.append((1 - 2 * covariance / spread).mean())
    np.testing.assert_allclose(parts.detach().numpy(), wanted, rtol=1e-9)
    whole = sum(
        w * (c * math.exp(-s) * part + s / 2)
        for w, c, s, part in zip((1, 0.7, 1, 1), (1, 1, 0.5, 1), values, wanted, strict=True)
    )
    assert total.item() == pytest.approx(whole, rel=1e-9)
    total.backward()
    gradients = [s.grad.item() for s in module.log_variances]
    by_hand = [
        w * (0.5 - c * math.exp(-s) * part)
        for w, c, s, part in zip((1, 0.7, 1, 1), (1, 1, 0.5, 1), values, wanted, strict=True)
    ]
    np.testing.assert_allclose(gradients, by_hand, rtol=1e-9)
    assert [module.weight(i) for i in range(4)] == pytest.approx(
        [
            w * c * math.exp(-s)
            for w, c, s in zip((1, 0.7, 1, 1), (1, 1, 0.5, 1), values, strict=True)
        ]
    )


def test_a_task_that_is_not_in_the_batch_is_not_in_the_loss(
    four_tasks: Tasks, small: Small
) -> None:
    module, tasks, _ = network(small(tasks=four_tasks))
    with torch.no_grad():
        module.log_variances[1].fill_(2.0)
    whole = module(*batch(tasks, (4, 0, 0, 3)))
    whole[0].backward()
    assert whole[1][1].item() == whole[1][2].item() == 0
    assert module.log_variances[1].grad is None
    assert (module.heads[1].weight.grad == 0).all()  # part of the graph, for other processes
    assert whole[2].tolist() == [True, False, False, True]
    module.zero_grad()
    equal, _, _ = network(small(tasks=four_tasks, weighting="equal"))
    total, parts, _ = equal(*batch(tasks, (4, 2, 2, 3)))
    assert total.item() == pytest.approx((parts * torch.tensor([1, 0.7, 1, 1])).sum().item())
    assert [equal.weight(i) for i in range(4)] == [1, 0.7, 1, 1]


def test_one_row_has_nothing_to_agree_with_and_moves_nothing(
    four_tasks: Tasks, small: Small, tmp_path: Path
) -> None:
    module, tasks, _ = network(small(tasks=four_tasks))
    total, _, takes_part = module(*batch(tasks, (4, 2, 2, 1)))
    assert takes_part.tolist() == [True, True, True, False]
    total.backward()
    assert module.log_variances[3].grad is None
    assert (module.heads[3].weight.grad == 0).all()
    # three rows a batch, of three tasks: never two that could agree
    three = [four_tasks[i] for i in (0, 1, 3)]
    config = pretraining_from(small(tasks=three, batch_size=3, temperature=0.0))
    log = pretrain(config, tmp_path).table()
    assert set(log[log["part"] == "train"]["task"]) == {"(all)", "kind", "signs"}


def test_weights_between_tasks_stay_in_bounds(four_tasks: Tasks, small: Small) -> None:
    module, _, _ = network(small(tasks=four_tasks))
    with torch.no_grad():
        for s, value in zip(module.log_variances, (-9.0, 9.0, 0.5, 3.0), strict=True):
            s.fill_(value)
    module.clamp()
    assert [s.item() for s in module.log_variances] == [-3, 3, 0.5, 3]


def test_it_learns_and_leaves_what_an_encoder_reads(
    four_tasks: Tasks, small: Small, tmp_path: Path
) -> None:
    seen: list[tuple[int, int]] = []
    values = small(
        tasks=four_tasks, steps=60, batch_size=16, warm_up=5, validation=0.3, augment=[],
        weighting_rate=5.0, checkpoint_every=0, validate_every=30,
    )  # fmt: skip
    config = pretraining_from(values)
    before = torch.get_rng_state()
    found = pretrain(config, tmp_path, progress=lambda *steps: seen.append(steps))
    assert torch.equal(before, torch.get_rng_state())
    assert seen == [(step, 60) for step in range(1, 61)]
    table = found.table()
    kind = table[(table["task"] == "kind") & (table["part"] == "train")]
    assert kind["loss"].tail(10).mean() < 0.7  # log 3 = 1.10 by chance
    kind = table[(table["task"] == "kind") & (table["part"] == "validation")]
    assert kind["step"].tolist() == [30, 60]
    assert kind["score"].iloc[-1] > 0.6  # a third by chance, three standard errors below
    agreeing = table[(table["task"] == "agreeing") & (table["part"] == "validation")]
    assert agreeing["score"].iloc[-1] > 0.2  # valence follows the kind, arousal nothing
    train = table[table["part"] == "train"]
    assert (train.groupby("step")["rows"].sum() == 32).all()  # tasks, and all of them
    assert train["learning_rate"].iloc[0] == pytest.approx(0.01 / 6)
    weights = train.dropna(subset=["weight"])
    np.testing.assert_allclose(
        weights["weight"],
        weights["task"].map({"kind": 1, "signs": 0.7, "squared": 0.5, "agreeing": 1})
        * np.exp(-weights["log_variance"]),
    )
    encoder = Encoder("tiny_encoder", weights=str(found.weights))
    assert encoder.remarks == ()
    assert encoder.trained_on == found.trained_on
    assert not encoder.provenance.self_supervised
    told = json.loads((tmp_path / "encoder.safetensors.json").read_text())
    people = set(told["trained_on"]["made"]), set(told["validated_on"]["made"])
    assert people[0] | people[1] == {f"p{i}" for i in range(6)}
    assert len(people[1]) == 2
    assert not people[0] & people[1]
    assert pretraining_from(told["settings"]) == config
    (report, *_) = json.loads((tmp_path / "tasks.json").read_text())
    assert report["labels"] == ["ecg", "eda", "emg"]
    assert report["trained_people"] == 4
    random = Encoder("tiny_encoder", seed=config.seed)
    pictures = [np.zeros((2, 3, 32, 32), dtype=np.uint8)]
    assert not np.allclose(embed(encoder, pictures), embed(random, pictures))


def test_another_seed_gives_other_weights_and_the_same_gives_the_same(
    four_tasks: Tasks, small: Small, tmp_path: Path
) -> None:
    runs = {
        name: pretrain(pretraining_from(small(tasks=four_tasks, **more)), tmp_path / name)
        for name, more in {
            "one": {}, "again": {"workers": 3}, "other": {"seed": 4}, "plain": {"augment": []}
        }.items()
    }  # fmt: skip
    content = {name: run.weights.read_bytes() for name, run in runs.items()}
    assert content["one"] == content["again"]
    assert len(set(content.values())) == 3


def test_frozen_statistics_are_those_of_the_starting_weights(
    four_tasks: Tasks, small: Small, tmp_path: Path
) -> None:
    from safetensors.torch import load_file

    first = pretrain(pretraining_from(small(tasks=four_tasks)), tmp_path / "first")
    start = {"name": "tiny_encoder", "weights": str(first.weights)}
    values = small(tasks=four_tasks[:1], encoder=start, batch_statistics="frozen")
    second = pretrain(pretraining_from(values), tmp_path / "second")
    a, b = load_file(first.weights), load_file(second.weights)
    assert torch.equal(a["norm.running_mean"], b["norm.running_mean"])
    assert torch.equal(a["norm.num_batches_tracked"], b["norm.num_batches_tracked"])
    assert not torch.equal(a["norm.weight"], b["norm.weight"])
    third = pretrain(pretraining_from(values | {"batch_statistics": "global"}), tmp_path / "third")
    assert not torch.equal(load_file(third.weights)["norm.running_mean"], a["norm.running_mean"])


def test_those_whom_the_starting_weights_have_met_stay_met(
    four_tasks: Tasks, small: Small, tmp_path: Path
) -> None:
    first = pretrain(pretraining_from(small(tasks=four_tasks)), tmp_path / "first")
    start = {"name": "tiny_encoder", "weights": str(first.weights)}
    told = first.weights.with_name(first.weights.name + ".json")
    told.write_text('{"trained_on": {"biovid": ["071309_w_21"], "made": ["p77"], "all": []}}')
    second = pretrain(pretraining_from(small(tasks=four_tasks, encoder=start)), tmp_path / "2")
    assert second.trained_on is not None
    assert second.trained_on["biovid"] == ("071309_w_21",)
    assert second.trained_on["all"] == ()
    assert "p77" in second.trained_on["made"]
    assert len(second.trained_on["made"]) == 6  # five of six people, and the one from before
    told.unlink()
    third = pretrain(pretraining_from(small(tasks=four_tasks, encoder=start)), tmp_path / "3")
    assert third.trained_on is None
    assert "nobody has said whom the starting weights" in third.remarks[0]
    assert Encoder("tiny_encoder", str(third.weights)).trained_on is None


def test_what_cannot_be_read_is_replaced_and_counted(small: Small, tmp_path: Path) -> None:
    import cv2

    rng = np.random.default_rng(0)
    rows = []
    for number in range(24):
        path = tmp_path / f"{number}.png"
        cv2.imwrite(str(path), rng.integers(0, 255, size=(32, 32, 3)).astype(np.uint8))
        rows.append({"path": path.name, "kind": "ab"[number % 2], "who": f"p{number % 4}"})
    for number in (3, 7):
        (tmp_path / f"{number}.png").write_bytes(b"damaged")
    (tmp_path / "12.png").unlink()
    pd.DataFrame(rows).to_csv(tmp_path / "t.csv", index=False)
    task = {
        "name": "t",
        "reader": "table",
        "label": "class",
        "columns": ["kind"],
        "options": {"table": str(tmp_path / "t.csv"), "identity": "who"},
    }
    config = pretraining_from(small(tasks=[task], steps=8, validation=0.3))
    found = pretrain(config, tmp_path / "out")
    assert (found.table().query("task == 't' and part == 'train'")["rows"] == 9).all()
    (report,) = found.tasks
    assert report.unreadable == 3  # each once, in training or validation
    assert len(report.examples) == 3
    assert "not a picture that OpenCV reads" in " ".join(report.examples)
    assert "t: 3 pictures could not be read" in found.remarks
    assert json.loads((tmp_path / "out" / "tasks.json").read_text())[0]["unreadable"] == 3
    again = pretrain(config, tmp_path / "out")  # nothing is left to do, and nothing forgotten
    assert again.tasks == found.tasks
    for number in range(24):
        (tmp_path / f"{number}.png").write_bytes(b"damaged")
    with pytest.raises(TrainingError, match=r"task 't': 20 rows drawn one after another"):
        pretrain(config, tmp_path / "none")


def test_a_damaged_shard_is_counted(
    small: Small, four_tasks: Tasks, made_up: Callable[..., Any], tmp_path: Path
) -> None:
    for number in range(3):
        np.savez(tmp_path / f"{number}.npz", **made_up(20, number))
    content = (tmp_path / "1.npz").read_bytes()
    (tmp_path / "1.npz").write_bytes(content[: len(content) // 2])
    options = {"shards": [str(tmp_path / "*.npz")], "identity": "who"}
    found = pretrain(
        pretraining_from(small(tasks=[four_tasks[0] | {"options": options}])), tmp_path / "out"
    )
    (report,) = found.tasks
    assert report.trained_rows + report.validated_rows == 40
    ((reason, count),) = report.left_out.items()
    assert (reason[:33], count) == ("1.npz: the shard cannot be read (", 1)
    assert any("1.npz" in remark for remark in found.remarks)


def test_pictures_of_nobody_known_count_as_the_whole_set(
    small: Small, four_tasks: Tasks, shards: str, tmp_path: Path
) -> None:
    task = four_tasks[0] | {
        "options": {"shards": [shards]}, "split": "picture", "person_namespace": ""
    }  # fmt: skip
    found = pretrain(pretraining_from(small(tasks=[task])), tmp_path)
    assert found.trained_on == {"kind": ()}
    assert found.remarks == ("kind: nobody says who is shown, so it counts as the whole set",)


def test_a_checkpoint_of_another_run_or_of_nothing_is_refused(
    four_tasks: Tasks, small: Small, tmp_path: Path
) -> None:
    pretrain(pretraining_from(small(tasks=four_tasks[:1])), tmp_path)
    told = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert told["trained_on"]["made"]
    assert told["self_supervised"] is False
    for change in ({"steps": 5}, {"tasks": four_tasks[:2]}, {"learning_rate": 1e-3}):
        with pytest.raises(TrainingError, match="this checkpoint is of another pre-training"):
            pretrain(pretraining_from(small(tasks=four_tasks[:1]) | change), tmp_path)
    pretrain(pretraining_from(small(tasks=four_tasks[:1], workers=1, log_every=2)), tmp_path)
    (tmp_path / "checkpoint.pt").write_bytes(b"nothing")
    with pytest.raises(StorageError, match="the checkpoint cannot be read"):
        pretrain(pretraining_from(small(tasks=four_tasks[:1])), tmp_path)


def test_a_loss_that_is_not_finite_names_the_task(
    four_tasks: Tasks, small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return output.sum(dim=1) * math.nan

    monkeypatch.setattr("dolorimeter.pretraining._losses.squared_losses", broken)
    with pytest.raises(TrainingError, match=r"not finite in step 1 \(squared nan\)"):
        pretrain(pretraining_from(small(tasks=four_tasks)), tmp_path)


def test_weights_that_are_not_used_are_left_alone(four_tasks: Tasks, small: Small) -> None:
    module, _, _ = network(small(tasks=four_tasks))
    before = module.encoder.norm.running_mean.clone()
    module.fix_unused()
    fixed = [name for name, p in module.named_parameters() if not p.requires_grad]
    assert fixed == ["encoder.unused.weight", "encoder.unused.bias"]
    assert all(p.grad is None for p in module.parameters())
    assert torch.equal(module.encoder.norm.running_mean, before)


def test_bfloat16_trains_too(four_tasks: Tasks, small: Small, tmp_path: Path) -> None:
    found = pretrain(pretraining_from(small(tasks=four_tasks, precision="bfloat16")), tmp_path)
    assert found.table()["loss"].map(math.isfinite).all()


def test_more_processes_than_pictures_are_refused(four_tasks: Tasks, small: Small) -> None:
    from dolorimeter.pretraining._runtime import check_share

    with pytest.raises(ConfigError, match="batch_size is 9 for 10 processes"):
        check_share(pretraining_from(small(tasks=four_tasks)).batch_size, 10)


def test_of_several_processes_one_prints(
    four_tasks: Tasks, small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toml = tmp_path / "tasks.toml"
    toml.write_text(tomli_w.dumps(small(tasks=four_tasks[:1], steps=2)))
    runner = CliRunner()
    words = ["pretrain", str(toml), "--out", str(tmp_path / "one")]
    said = runner.invoke(cli.app, words)
    assert said.exit_code == 0
    assert "kind" in said.stdout
    monkeypatch.setattr(PartialState, "is_main_process", property(lambda _: False))
    monkeypatch.setattr(
        pretraining, "pretrain", lambda *_, **__: None
    )  # done by the process above
    said = runner.invoke(cli.app, words)
    assert (said.exit_code, said.stdout) == (0, "")
