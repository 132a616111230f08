"""Streams of pictures: the same numbers however they come, and little memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dolorimeter.embeddings import Encoder, _engine, embed, embed_stream
from dolorimeter.errors import SignalError
from dolorimeter.storage import Cache

Make = Callable[..., np.ndarray]


def colours() -> Encoder:
    """An encoder whose numbers can be reckoned by hand, four pictures at once."""
    return Encoder("colours", batch_size=4)


def cut(pictures: np.ndarray, sizes: Sequence[int]) -> Iterator[np.ndarray]:
    """The pictures in batches of these sizes, then the rest."""
    at = 0
    for size in sizes:
        yield pictures[at : at + size]
        at += size
    yield pictures[at:]


class Counting:
    """In place of a runtime: the mean of each channel, and the size of each batch it was given."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def __call__(self, pictures: np.ndarray) -> np.ndarray:
        self.sizes.append(len(pictures))
        return pictures.mean(axis=(2, 3), dtype=np.float32)


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Counting:
    runtime = Counting()
    monkeypatch.setattr(_engine, "runtime_of", lambda encoder: runtime)
    return runtime


def test_mean_and_std_are_applied(pictures: Make) -> None:
    x = pictures(3)
    mean, std = (np.array(v).reshape(3, 1, 1) for v in ((0.5, 0.4, 0.3), (0.2, 0.3, 0.4)))
    times = colours().build().times.numpy()
    wanted = ((x / 255 - mean) / std).mean(axis=(2, 3)) * times
    np.testing.assert_allclose(embed(colours(), [x]), wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("precision", ["f32", "bf16"])
def test_one_picture_is_a_row_of_eight(pictures: Make, precision: str) -> None:
    encoder = Encoder("small_tnt", precision=precision)
    x = pictures(8)
    together = embed(encoder, [x])
    alone = np.concatenate([embed(encoder, [x[i : i + 1]]) for i in range(8)])
    # In bf16 a sum in another order may round the next number to its neighbour, 2⁻⁸ away.
    tolerance = 2e-6 if precision == "f32" else 0.02
    np.testing.assert_allclose(together, alone, rtol=tolerance, atol=tolerance)
    assert np.ptp(together, axis=0).max() > 0.5  # the pictures do differ


@given(sizes=st.lists(st.integers(0, 9), max_size=6), batch_size=st.integers(1, 7))
def test_batches_do_not_matter(sizes: list[int], batch_size: int) -> None:
    x = np.random.default_rng(1).integers(0, 256, (11, 3, 32, 32), dtype=np.uint8)
    whole = embed(Encoder("colours", batch_size=11), [x])
    found = embed(Encoder("colours", batch_size=batch_size), cut(x, sizes))
    np.testing.assert_allclose(found, whole, rtol=1e-5, atol=1e-6)


def test_the_network_sees_full_batches(pictures: Make, counting: Counting) -> None:
    x = pictures(14)
    found = embed(colours(), cut(x, [1, 1, 5, 0, 3]))
    assert counting.sizes == [4, 4, 4, 2]
    np.testing.assert_array_equal(found, x.mean(axis=(2, 3), dtype=np.float32))


def test_a_stream_gives_back_its_batches_in_order(pictures: Make, counting: Counting) -> None:
    x = pictures(9)
    found = list(embed_stream(colours(), cut(x, [2, 0, 5])))
    assert [len(rows) for rows in found] == [2, 0, 5, 2]
    np.testing.assert_array_equal(np.concatenate(found), x.mean(axis=(2, 3), dtype=np.float32))


def test_a_stream_is_read_no_further_than_needed(pictures: Make, counting: Counting) -> None:
    read = []

    def endless() -> Iterator[np.ndarray]:
        number = 0
        while True:
            read.append(number)
            yield pictures(3, seed=number)
            number += 1

    stream = embed_stream(colours(), endless())
    next(stream)
    assert len(read) == 2  # 4 pictures make a batch, and they come in threes
    next(stream)
    assert len(read) == 3


def test_the_caller_may_reuse_its_array(pictures: Make, counting: Counting) -> None:
    x = pictures(6)
    shared = np.empty_like(x[:1])

    def one_by_one() -> Iterator[np.ndarray]:
        for picture in x:
            shared[0] = picture
            yield shared

    np.testing.assert_array_equal(
        embed(colours(), one_by_one()), x.mean(axis=(2, 3), dtype=np.float32)
    )


def test_nothing_in_nothing_out() -> None:
    assert embed(colours(), []).shape == (0, 3)
    assert embed(colours(), [np.empty((0, 3, 32, 32), np.uint8)]).shape == (0, 3)


def test_progress_counts_pictures(pictures: Make, counting: Counting) -> None:
    told: list[int] = []
    embed(colours(), cut(pictures(9), [4, 4]), progress=told.append)
    assert told == [4, 8, 9]


def test_what_is_cached_is_not_computed_again(pictures: Make, monkeypatch, tmp_path) -> None:
    cache, x = Cache(tmp_path / "arrays"), pictures(9)
    first = embed(colours(), cut(x, [4, 3]), cache=cache)

    def refuse(encoder: Encoder) -> None:
        raise AssertionError("it was computed again")

    monkeypatch.setattr(_engine, "runtime_of", refuse)
    np.testing.assert_array_equal(embed(colours(), cut(x, [4, 3]), cache=cache), first)
    with pytest.raises(AssertionError, match="computed again"):
        embed(Encoder("colours", seed=1), cut(x, [4, 3]), cache=cache)
    with pytest.raises(AssertionError, match="computed again"):
        embed(colours(), [x[:4] ^ 1], cache=cache)


def test_only_what_is_new_is_computed(pictures: Make, counting: Counting, tmp_path) -> None:
    cache, x = Cache(tmp_path / "arrays"), pictures(12)
    embed(colours(), [x[3:6], x[9:12]], cache=cache)
    counting.sizes.clear()
    found = embed(colours(), cut(x, [3, 3, 3]), cache=cache)
    assert counting.sizes == [4, 2]
    np.testing.assert_array_equal(found, x.mean(axis=(2, 3), dtype=np.float32))


def test_the_cache_holds_no_pictures(pictures: Make, tmp_path) -> None:
    cache, x = Cache(tmp_path / "arrays"), pictures(200)
    embed(colours(), [x], cache=cache)
    (entry,) = cache.root.rglob("*.npz")
    assert entry.stat().st_size < x.nbytes / 50
    with np.load(entry) as stored:
        assert {stored[name].shape for name in stored.files} == {(), (200, 3)}


def test_a_damaged_entry_is_computed_again(pictures: Make, counting: Counting, tmp_path) -> None:
    cache, x = Cache(tmp_path / "arrays"), pictures(4)
    first = embed(colours(), [x], cache=cache)
    (entry,) = cache.root.rglob("*.npz")
    entry.write_bytes(entry.read_bytes()[:-30])
    np.testing.assert_array_equal(embed(colours(), [x], cache=cache), first)
    assert counting.sizes == [4, 4]


def test_threads_are_as_before(pictures: Make) -> None:
    before = torch.get_num_threads()
    seen: list[int] = []
    other = 1 if before > 1 else 2

    class Seen(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append(torch.get_num_threads())
            return x[:, :, 0, 0]

    encoder = Encoder("colours", threads=other)
    _engine.runtime_of(encoder).module = Seen()
    for _ in embed_stream(encoder, [pictures(2)]):
        assert torch.get_num_threads() == before
    assert seen == [other]


def test_no_gradient_is_kept(pictures: Make) -> None:
    runtime = _engine.runtime_of(colours())
    kept: list[torch.Tensor] = []
    runtime.module.register_forward_hook(lambda module, x, out: kept.append(out))
    embed(colours(), [pictures(1)])
    assert kept[0].is_inference()


def test_a_network_is_loaded_once(pictures: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    first = _engine.runtime_of(colours())
    assert _engine.runtime_of(Encoder("colours", batch_size=4)) is first
    assert _engine.runtime_of(Encoder("colours", batch_size=4, seed=1)) is not first


def shaped(*shape: int, value: float = 9, dtype: str = "uint8") -> np.ndarray:
    return np.full(shape, value, dtype=dtype)


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (shaped(2, 1, 32, 32), r"batch 1 for colours: an array of shape \(2, 1, 32, 32\)"),
        (shaped(2, 32, 32, 3), r"expected \(picture, 3, 32, 32\): channel first"),
        (shaped(2, 3, 32, 31), r"shape \(2, 3, 32, 31\)"),
        (shaped(3, 32, 32), r"shape \(3, 32, 32\)"),
        (shaped(2, 3, 32, 32, value=0.5, dtype="float32"), r"in 0.5…0.5, .*rint\(255 \* pict"),
        (shaped(2, 3, 32, 32, value=200, dtype="float64"), r"in 200…200, .*rint\(pictures\)"),
        (shaped(2, 3, 32, 32, value=-0.5, dtype="float32"), "Undo their normalisation"),
        (shaped(2, 3, 32, 32, value=np.nan, dtype="float32"), "NaN in 2 of 2 pictures"),
        (shaped(2, 3, 32, 32, dtype="int64"), "values of type int64, expected uint8"),
        (shaped(2, 3, 32, 32, value=1), "nothing but 0 and 1, expected 0…255"),
        ([1, 2], r"batch 1 for colours: list, expected an array of NumPy: uint8 \(picture, 3, 32"),
    ],
)
def test_what_is_no_picture(batch: np.ndarray, message: str, pictures: Make) -> None:
    def batches() -> Iterator[np.ndarray]:
        yield pictures(1)
        yield batch

    with pytest.raises(SignalError, match=message):
        embed(colours(), batches())


def test_a_black_frame_is_a_picture() -> None:
    assert np.isfinite(embed(colours(), iter([shaped(2, 3, 32, 32, value=0)]))).all()


def test_weights_that_give_nan_are_named(pictures: Make) -> None:
    runtime = _engine.runtime_of(colours())
    runtime.module.module.times.fill_(torch.nan)
    told = r"colours gave NaN or infinite features .* weights \(random\) are at fault\. Give other"
    with pytest.raises(SignalError, match=told):
        embed(colours(), [pictures(1)])
