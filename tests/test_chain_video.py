"""Videos in a chain: the face is found once, pictures are embedded, no frame is cached."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from importlib import resources
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from torch import Tensor, nn

from dolorimeter.chain import Pipeline, Stream, encoder_of
from dolorimeter.chain._encoded import pooled
from dolorimeter.embeddings import Encoder
from dolorimeter.errors import (
    ConfigError,
    DatasetError,
    FileReadError,
    OverlapError,
    RecordingError,
    StorageError,
    UnknownNameError,
)
from dolorimeter.experiment import (
    experiment_from,
    occlusion,
    predict,
    relevance,
    run,
    sweep,
    train,
)
from dolorimeter.predictor import Predictor
from dolorimeter.preprocessing import FaceTracking, faces
from dolorimeter.registry import MODELS, Card, InputSpec
from dolorimeter.representations import FaceActivity, FaceClip, FaceFrames, Raw, VideoFrames
from dolorimeter.storage import Cache
from dolorimeter.types import FaceTrack, Recording, Signal, Stimulus, Video
from dolorimeter.video import VideoWriter
from dolorimeter.windows import WindowSpec, cut

RATE, SECONDS = 10.0, 1.0
SPEC = WindowSpec(duration=SECONDS)
TRACKING = FaceTracking(stride=5)
FRAMES = FaceFrames(frame_rate=RATE, stride=5)


def encoder(seed: int = 0, batch_size: int = 4) -> Encoder:
    return Encoder("tests_brightness", seed=seed, batch_size=batch_size)


class Brightness(nn.Module):
    """Mean of each colour: what an embedding is can be reckoned by hand."""

    gives_features = True

    def __init__(self, num_classes: int = 0) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=(2, 3))


class Tubes(nn.Module):
    """Mean colour of each tube of two frames and 56 × 56 pixels of a clip of four frames."""

    gives_features = True
    grid = (2, 4, 4)

    def __init__(self, num_classes: int = 0, *, image_size: int = 224) -> None:
        super().__init__()
        self.side = image_size // 4

    def forward(self, x: Tensor) -> Tensor:
        return self.tokens(x).mean(dim=1)

    def tokens(self, x: Tensor) -> Tensor:
        tubes = x.unflatten(4, (4, self.side)).unflatten(3, (4, self.side)).unflatten(2, (2, 2))
        return tubes.mean(dim=(3, 5, 7)).flatten(2).mT  # (clip, token, colour)


@pytest.fixture(scope="module", autouse=True)
def _encoder() -> Iterator[None]:
    """Registered for these tests alone: others walk the registry."""
    MODELS.names()
    spec = InputSpec((3, 224, 224), mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    MODELS.register(Card("tests_brightness", "For tests.", input=spec))(Brightness)
    clips = replace(spec, shape=(3, 4, 224, 224))
    MODELS.register(Card("tests_tubes", "For tests.", input=clips))(Tubes)
    yield
    for name in ("tests_brightness", "tests_tubes"):
        MODELS._entries.pop(name)
        MODELS._cards.pop(name)


@pytest.fixture(scope="module", autouse=True)
def _tracked_once() -> Iterator[None]:
    """Track files of the same content once: the studies copy two clips to many places."""
    tracks: dict[tuple[bytes, str], FaceTrack] = {}
    whole = faces.track_face

    def cached(path: Path, **options: object) -> FaceTrack:
        if not path.is_file():
            return whole(path, **options)  # type: ignore[arg-type]  # of a test
        key = (path.read_bytes(), repr(sorted(options.items())))
        if key not in tracks:
            tracks[key] = whole(path, **options)  # type: ignore[arg-type]  # of a test
        return replace(tracks[key], path=path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(faces, "track_face", cached)
        yield


def portrait() -> np.ndarray:
    data = resources.files("dolorimeter").joinpath("assets/astronaut.png").read_bytes()
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return np.ascontiguousarray(picture[:400, 20:420, ::-1])


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten frames each of a face that gets brighter, and of nobody."""
    folder = tmp_path_factory.mktemp("clips")
    face = portrait()
    for name, gain in (("dark", 0.6), ("bright", 1.0), ("nobody", 0.0)):
        with VideoWriter(folder / f"{name}.mp4", RATE, (400, 400)) as writer:
            for _ in range(10):
                writer.write((face * gain).astype(np.uint8))
    return folder


def recording(clips: Path, clip: str, subject: str = "s1", name: str = "") -> Recording:
    path = clips / f"{clip}.mp4"
    condition, level = ("PA4", 4) if clip == "bright" else ("BL1", 0)
    return Recording(
        "made",
        subject,
        name or clip,
        videos={"face": Video(path, RATE)},
        stimuli=(Stimulus(None, None, condition, level),),
        sources=(path,),
    )


def deep(**changes: object) -> Pipeline:
    stream = Stream("face", (TRACKING,), FRAMES, encoder=encoder())
    return Pipeline(SPEC, (replace(stream, **changes),))  # type: ignore[arg-type]  # of a test


def test_pictures_go_through_the_encoder_in_order(clips: Path) -> None:
    samples = deep().samples([recording(clips, "dark"), recording(clips, "bright")])
    assert isinstance(samples.x, np.ndarray)
    assert samples.x.shape == (2, 2, 3)
    assert samples.x.dtype == np.float32
    raw = Pipeline(SPEC, (Stream("face", (TRACKING,), FRAMES),)).samples(
        [recording(clips, "dark"), recording(clips, "bright")]
    )
    assert isinstance(raw.x, np.ndarray)
    assert raw.x.dtype == np.uint8
    np.testing.assert_allclose(samples.x, raw.x.mean(axis=(3, 4)) / 255, atol=1e-6)
    assert (samples.x[1] > samples.x[0]).all()
    assert any("randomly initialised" in note for note in samples.notes)
    assert samples.meta["found_face"].tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("tokens", "shape"), [("all", (32, 3)), ("2x2", (8, 3)), ("time", (2, 3)), ("", (1, 3))]
)
def test_an_encoder_of_clips_gives_tokens(
    clips: Path, tokens: str, shape: tuple[int, int], tmp_path: Path
) -> None:
    recordings = [recording(clips, name) for name in ("dark", "bright", "nobody")]
    clip = FaceClip(frame_rate=RATE, frames=4, stride=2)
    every = FaceTracking()
    made = Encoder("tests_tubes", batch_size=4, tokens=tokens)
    assert made.row == (shape if tokens else (3,))
    stream = Stream("face", (every,), clip, encoder=made)
    eda = Stream("eda", (), Raw("eda"))
    chain = Pipeline(SPEC, (stream, eda))
    recordings = [
        replace(r, signals={"eda": Signal(np.ones((1, 10)), RATE, "S", True, "conductance")})
        for r in recordings
    ]
    cache = Cache(tmp_path)
    samples = chain.samples(recordings, cache=cache)
    assert isinstance(samples.x, dict)
    found = samples.x["face"]
    assert found.shape == (3, *shape)
    assert found.dtype == (np.float16 if tokens else np.float32)
    assert np.isnan(found[2]).all()
    raw = Pipeline(SPEC, (Stream("face", (every,), clip),)).samples(recordings[:2]).x
    assert isinstance(raw, np.ndarray)  # (window, frame, colour, row, column)
    side = {"all": 4, "2x2": 2}.get(tokens, 1)
    moments = 2 if tokens else 1
    tubes = raw.reshape(2, moments, 4 // moments, 3, side, 224 // side, side, 224 // side)
    wanted = tubes.mean(axis=(2, 5, 7)).transpose(0, 1, 3, 4, 2).reshape(2, *shape) / 255
    np.testing.assert_allclose(found[:2], wanted, atol=5e-4 if tokens else 1e-6)
    again = chain.samples(recordings, cache=cache).x
    assert isinstance(again, dict)
    np.testing.assert_array_equal(again["face"], found)
    mean = replace(chain, streams=(replace(stream, pooling="mean"),)).samples(recordings[:2]).x
    np.testing.assert_allclose(np.asarray(mean), wanted.mean(axis=1), atol=5e-4)


def test_clips_and_tokens_that_do_not_fit_are_refused(clips: Path) -> None:
    short = FaceClip(frame_rate=RATE, frames=3)
    stream = Stream("face", (TRACKING,), short, encoder=Encoder("tests_tubes"))
    with pytest.raises(DatasetError, match="3 pictures a window, and tests_tubes takes clips of"):
        Pipeline(SPEC, (stream,)).samples([recording(clips, "dark")])
    with pytest.raises(ConfigError, match=r"tokens is '4x4', expected one of '', 'all', '2x2'"):
        Encoder("tests_tubes", tokens="4x4")
    with pytest.raises(ConfigError, match="is for encoders of clips that give tokens, and tests_"):
        Encoder("tests_brightness", tokens="all")
    with pytest.raises(ConfigError, match="run in PyTorch alone, and runtime is 'onnx'"):
        Encoder("tests_tubes", runtime="onnx")


@pytest.mark.parametrize(
    ("pooling", "shape"), [("mean", (2, 3)), ("add", (2, 3)), ("concat", (2, 6))]
)
def test_embeddings_of_a_window_are_joined_as_asked(
    clips: Path, pooling: str, shape: tuple[int, ...]
) -> None:
    recordings = [recording(clips, "dark"), recording(clips, "bright")]
    each = deep().samples(recordings).x
    joined = deep(pooling=pooling).samples(recordings)
    assert isinstance(each, np.ndarray)
    assert isinstance(joined.x, np.ndarray)
    assert joined.x.shape == shape
    assert len(joined.feature_names) == shape[1]
    wanted = {"mean": each.mean(1), "add": each.sum(1), "concat": each.reshape(2, -1)}
    np.testing.assert_allclose(joined.x, wanted[pooling], rtol=1e-6)


@pytest.mark.parametrize("pooling", ["mean", "add"])
def test_no_picture_is_no_embedding_and_not_a_zero(pooling: str) -> None:
    found = pooled(np.empty((2, 0, 3), dtype=np.float32), pooling)
    assert found.shape == (2, 3)
    assert np.isnan(found).all()
    one = np.full((1, 2, 3), np.nan, dtype=np.float32)
    assert np.isnan(pooled(one, pooling)).all()


def test_a_window_without_a_face_is_kept_out_and_counted(clips: Path) -> None:
    samples = deep().samples([recording(clips, "nobody"), recording(clips, "bright")])
    assert samples.meta["recording"].tolist() == ["bright"]
    (lost,) = samples.exclusions
    assert (lost.recording, lost.what) == ("nobody", "window at 0 s")
    assert "face" in lost.reason
    with pytest.raises(DatasetError, match="stream 'face' is in none of 1 windows: face found in"):
        deep().samples([recording(clips, "nobody")])
    table = Pipeline(SPEC, (Stream("face", (TRACKING,), FaceActivity()),))
    kept = table.samples([recording(clips, "nobody"), recording(clips, "bright")])
    assert isinstance(kept.x, np.ndarray)
    assert len(kept) == 2  # a table's missing numbers can be filled in
    assert np.isnan(kept.x[0]).any()


def test_a_video_that_no_question_is_asked_of_is_not_looked_at(
    clips: Path, tmp_path: Path
) -> None:
    asked = replace(deep(), windows=replace(SPEC, conditions=("PA4",)))
    gone = replace(recording(clips, "dark"), videos={"face": Video(tmp_path / "gone.mp4", RATE)})
    samples = asked.samples([gone, recording(clips, "bright")])
    assert samples.meta["condition"].tolist() == ["PA4"]
    assert samples.exclusions == ()
    everything = deep().samples([recording(clips, "dark"), recording(clips, "bright")])
    np.testing.assert_array_equal(samples.x[0], everything.x[1])


def test_the_face_is_found_once_for_all_streams(
    clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    whole = FaceTracking.__call__

    def counted(step: FaceTracking, of: Recording) -> Recording:
        calls.append(of.name)
        return whole(step, of)

    monkeypatch.setattr(FaceTracking, "__call__", counted)
    two = (
        Stream("pictures", (TRACKING,), FRAMES, encoder=encoder(), pooling="mean"),
        Stream("activity", (TRACKING,), FaceActivity()),
    )
    samples = Pipeline(SPEC, two).samples([recording(clips, "bright")])
    assert calls == ["bright"]
    assert isinstance(samples.x, np.ndarray)
    assert samples.feature_names[0] == "pictures.tests_brightness_1"


def test_the_cache_holds_embeddings_and_never_frames(clips: Path, tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    first = deep().samples([recording(clips, "bright")], cache=cache)
    stored = sorted(tmp_path.rglob("*.npz"))
    assert stored
    assert sum(path.stat().st_size for path in stored) < 30_000
    again = deep().samples([recording(clips, "bright")], cache=cache)
    assert isinstance(first.x, np.ndarray)
    assert isinstance(again.x, np.ndarray)
    assert np.array_equal(first.x, again.x)
    pictures = Pipeline(SPEC, (Stream("face", (TRACKING,), FRAMES),))
    pictures.samples([recording(clips, "bright")], cache=cache)
    assert sorted(tmp_path.rglob("*.npz")) == stored


def test_the_cache_sees_another_video_and_other_weights(clips: Path, tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes((clips / "dark.mp4").read_bytes())
    moving = replace(recording(clips, "dark"), videos={"face": Video(path, RATE)}, sources=())
    cache = Cache(tmp_path / "cache")

    def key_of(chain: Pipeline, moving: Recording) -> str | None:
        (key,) = chain.keys([[moving]], cache)
        return key

    keys = [key_of(deep(), moving)]
    keys.append(key_of(deep(encoder=encoder(seed=1)), moving))
    path.write_bytes((clips / "bright.mp4").read_bytes())
    keys.append(key_of(deep(), moving))
    keys.append(key_of(deep(), replace(moving, videos={"face": Video(path, 2 * RATE)})))
    track = TRACKING(moving).faces["face"]
    keys.append(key_of(deep(), replace(moving, faces={"face": track})))
    other = replace(track, landmarks=track.landmarks + 1)
    keys.append(key_of(deep(), replace(moving, faces={"face": other})))
    assert None not in keys
    assert len(set(keys)) == 6
    sized = deep(encoder=encoder(batch_size=2))
    assert json.dumps(sized.to_dict()) != json.dumps(deep().to_dict())


def test_a_video_that_is_gone_stops_the_run_and_is_no_exclusion(
    clips: Path, tmp_path: Path
) -> None:
    gone = replace(
        recording(clips, "dark"), name="gone", videos={"face": Video(tmp_path / "gone.mp4", RATE)}
    )
    pair = [recording(clips, "bright"), gone]
    cache = Cache(tmp_path / "samples")
    with pytest.raises(FileReadError, match=r"gone\.mp4: cannot be read"):
        deep().samples(pair, cache=cache)
    shutil.copy(pair[0].videos["face"].path, tmp_path / "gone.mp4")
    assert deep().samples(pair, cache=cache).meta["recording"].tolist() == ["bright", "gone"]


def test_weights_that_are_missing_stop_before_a_video_is_read(clips: Path, tmp_path: Path) -> None:
    lost = deep(encoder=replace(encoder(), weights=str(tmp_path / "lost.safetensors")))
    steps: list[tuple[int, int]] = []
    with pytest.raises(StorageError, match=r"lost\.safetensors: cannot be read"):
        lost.samples(
            [recording(clips, "bright")],
            cache=Cache(tmp_path / "samples"),
            progress=lambda *s: steps.append(s),
        )
    assert not steps


def test_a_chain_with_an_encoder_survives_its_dictionary() -> None:
    chain = deep(pooling="add")
    assert Pipeline.from_dict(json.loads(json.dumps(chain.to_dict()))) == chain


def test_signals_and_videos_cover_windows_together(clips: Path) -> None:
    eda = Signal(np.random.default_rng(0).normal(size=(1, 200)) + 5, 100.0, "S", True, "eda")
    both = replace(recording(clips, "bright"), signals={"eda": eda})
    spec = WindowSpec(duration=SECONDS, anchor="recording", step=1.0)
    streams = (
        Stream("face", (TRACKING,), FRAMES, encoder=encoder()),
        Stream("eda", (), Raw("eda")),
    )
    samples = Pipeline(spec, streams).samples([both])  # the signal goes on for a second
    assert samples.present is not None
    assert samples.present["face"].tolist() == [True, False]
    assert samples.present["eda"].tolist() == [True, True]
    assert isinstance(samples.x, dict)
    assert np.isnan(samples.x["face"][1]).all()


def test_a_video_in_which_nobody_looked_for_a_face_covers_its_own_length(clips: Path) -> None:
    found = cut(recording(clips, "nobody"), WindowSpec(duration=0.4, anchor="sliding"))
    assert [round(w.start, 3) for w in found.windows] == [0.0, 0.4]
    stream = Stream("face", (), VideoFrames("face", frame_rate=RATE), encoder=encoder())
    samples = Pipeline(SPEC, (stream,)).samples([recording(clips, "nobody")])
    assert isinstance(samples.x, np.ndarray)
    assert samples.x.shape == (1, 10, 3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pooling": "sum"}, "pooling is 'sum', expected one of none, mean, add, concat"),
        ({"encoder": None, "pooling": "mean"}, "joins embeddings, and there is no encoder"),
        ({"representation": FaceActivity()}, "takes pictures, and face_activity gives none"),
    ],
)
def test_streams_that_make_no_sense_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        deep(**changes)


def test_an_unknown_key_of_an_encoder_is_named() -> None:
    with pytest.raises(ConfigError, match="encoder has no key 'weight'; it takes: name, weights"):
        encoder_of({"name": "tests_brightness", "weight": "x"})


# ── models on videos that lie anywhere ──────────────────────────────────────────────────────────


@pytest.mark.long
@pytest.mark.parametrize("dataset", ["video_files", "biovid"])
def test_a_model_of_faces_estimates_a_loose_video_from_start_to_end(
    clips: Path, labelled: Path, tmp_path: Path, dataset: str
) -> None:
    predictor = train(experiment_from(values()), labelled)
    known = predict_of(predictor, dataset, tmp_path, labelled / "a" / "bright.mp4")
    long = tmp_path / "loose" / "Long.MP4"
    long.parent.mkdir()
    with VideoWriter(long, RATE, (400, 400)) as writer:
        for gain in (1.0, 0.6):
            for _ in range(10):
                writer.write((portrait() * gain).astype(np.uint8))
    found = predict_of(predictor, dataset, tmp_path, long)
    assert found["start"].tolist() == [0.0, 1.0]
    assert found["estimate"].tolist() == ["PA4", "BL1"]
    assert found["subject"].tolist() == ["Long", "Long"]
    assert found["p_PA4"][0] == pytest.approx(known["p_PA4"][0], abs=0.05)
    (tmp_path / "loose" / "no.mp4").write_bytes(b"nothing")
    if dataset == "biovid":
        with pytest.raises(RecordingError, match=r"no\.mp4"):
            predict_of(predictor, dataset, tmp_path, tmp_path / "loose" / "no.mp4")
        with pytest.raises(DatasetError, match="no recording of biovid here"):
            predict(tmp_path / "model", [long], "biovid")  # asked for by name
    table = tmp_path / "loose" / "face.csv"
    table.write_text("a\n")
    with pytest.raises(DatasetError, match=r"face\.csv: no recording of"):
        predict_of(predictor, dataset, tmp_path, table)


def predict_of(predictor: Predictor, dataset: str, folder: Path, path: Path) -> pd.DataFrame:
    """Rows of a file by the model, as if it had been trained on that data set."""
    told = replace(predictor, dataset={**predictor.dataset, "name": dataset})
    shutil.rmtree(folder / "model", ignore_errors=True)
    told.save(folder / "model")
    return predict(folder / "model", [path])


# ── studies ─────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def labelled(clips: Path, tmp_path: Path) -> Path:
    """Four people with a dark and a bright clip each, as `video_files` reads them."""
    root = tmp_path / "data"
    root.mkdir()
    lines = ["file,subject,condition"]
    for subject in "abcd":
        (root / subject).mkdir()
        for clip, condition in (("dark", "BL1"), ("bright", "PA4")):
            path = root / subject / f"{clip}.mp4"
            path.write_bytes((clips / f"{clip}.mp4").read_bytes())
            lines.append(f"{subject}/{clip}.mp4,{subject},{condition}")
    (root / "labels.csv").write_text("\n".join(lines) + "\n")
    return root


def values(classifier: str = "logistic_regression") -> dict[str, object]:
    return {
        "title": "brightness",
        "dataset": {"name": "video_files"},
        "task": {"classes": [["BL1"], ["PA4"]]},
        "windows": {"duration": SECONDS},
        "streams": [
            {
                "modality": "face",
                "preprocessing": [{"name": "face_track", "stride": 5}],
                "representation": {"name": "face_frames", "frame_rate": RATE, "stride": 5},
                "encoder": {"name": "tests_brightness"},
                "pooling": "mean",
            }
        ],
        "classifier": {"name": classifier},
        "split": {"name": "leave_one_subject_out"},
    }


@pytest.mark.long
def test_occlusion_tests_models_of_clear_faces_on_covered_ones(
    labelled: Path, tmp_path: Path
) -> None:
    table = occlusion(
        experiment_from(values()), labelled, tmp_path / "run", regions=["lower"], shares=[1.0]
    )
    assert table["region"].tolist() == ["none", "lower"]
    assert table["mean of people"][0] == 1.0
    assert table["loss"][1] == pytest.approx(1.0 - table["mean of people"][1])
    assert (tmp_path / "run" / "occlusion.csv").is_file()
    with pytest.raises(ConfigError, match="shares above 0 and up to 1"):
        occlusion(experiment_from(values()), labelled, tmp_path / "run", shares=[0.0])
    plain = values() | {"streams": [{"modality": "eda"}], "dataset": {"name": "biovid"}}
    with pytest.raises(ConfigError, match="no stream of face pictures"):
        occlusion(experiment_from(plain), labelled, tmp_path / "other")


@pytest.mark.long
def test_relevance_of_regions_is_told_for_each_question(labelled: Path, tmp_path: Path) -> None:
    told = values("network")
    told["classifier"] = {
        "name": "network",
        "arguments": {
            "module": "full_transformer",
            "module_args": {"width": 16, "queries": 2, "heads": 2, "depth": 1, "hidden": 16},
            "epochs": 1,
            "early_stopping": False,
        },
    }
    stream = told["streams"][0]  # type: ignore[index]  # plain values
    stream |= {"encoder": {"name": "tnt_s_patch16_224", "size": 64}, "pooling": "none"}
    stream["representation"]["size"] = 64
    asked = experiment_from(told)
    table = relevance(asked, labelled, tmp_path / "out", levels=["PA4"], people=2)
    assert set(table["level"]) == {"PA4"}
    each = pd.read_csv(tmp_path / "out" / "relevance.csv")
    assert sorted(set(each["subject"])) == ["c", "d"]
    fitted = json.loads((tmp_path / "out" / "PA4" / "predictor.json").read_text())
    assert fitted["trained_on"] == {"video_files": ["a", "b"]}  # nobody who is explained
    face = table[table["of"] == "the face"]
    assert face["relevance_share"].sum() == pytest.approx(1.0)
    assert face["area_share"].sum() == pytest.approx(1.0)
    mouth = each[each["region"] == "mouth"]
    row = table.set_index("region").loc["mouth"]
    assert row["ratio"] == pytest.approx(mouth["ratio"].mean())
    assert row["low"] == pytest.approx(mouth["ratio"].min())
    assert row["high"] == pytest.approx(mouth["ratio"].max())
    assert row["clips"] == len(mouth)
    assert any("Randomly initialised encoder" in note for note in table.attrs["notes"])
    labels = labelled / "labels.csv"
    labels.write_text(labels.read_text().replace(",a,PA4", ",a,PA3").replace(",b,PA4", ",b,PA3"))
    with pytest.raises(ConfigError, match="none of c, d has a video 'face' of PA3"):
        relevance(asked, labelled, levels=["PA3"])
    with pytest.raises(ConfigError, match="4 people, of whom 3 are to be explained: at least two"):
        relevance(asked, labelled, people=3)
    with pytest.raises(ConfigError, match="expected two classes"):
        relevance(experiment_from(told | {"task": {"classes": [["a"], ["b"], ["c"]]}}), labelled)


@pytest.mark.long
def test_a_sweep_runs_once_for_each_value_and_goes_on(labelled: Path, tmp_path: Path) -> None:
    import tomli_w

    path = tmp_path / "experiment.toml"
    path.write_text(tomli_w.dumps(values()))
    key = "streams.0.representation.stride"
    table = sweep(path, key, [10, 5], labelled, tmp_path / "sweep", overrides={"seeds": [3]})
    assert table["value"].tolist() == [10, 5]
    assert (table["seconds"] > 0).all()
    assert (tmp_path / "sweep" / "stride-5" / "run.json").is_file()
    again = sweep(path, key, [5, 10], labelled, tmp_path / "sweep", overrides={"seeds": [3]})
    assert again["seconds"].tolist() == table["seconds"].tolist()[::-1]  # nothing ran again
    with pytest.raises(ConfigError, match="holds another experiment"):
        sweep(path, key, [5], labelled, tmp_path / "sweep", overrides={"seeds": [4]})
    with pytest.raises(ConfigError, match="holds a sweep over the data in"):
        sweep(path, key, [5], tmp_path, tmp_path / "sweep", overrides={"seeds": [3]})
    (tmp_path / "sweep" / "stride-5" / "run.json").unlink()
    resumed = sweep(path, key, [5], labelled, tmp_path / "sweep", overrides={"seeds": [3]})
    assert resumed["seconds"].isna().all()  # what its folds had cost is not known
    with pytest.raises(ConfigError, match=r"holds a sweep of streams\.0"):
        sweep(path, "seeds", [[1]], labelled, tmp_path / "sweep")
    listed = sweep(path, "seeds", [[1], [2]], labelled, tmp_path / "listed")
    folders = [p.name for p in (tmp_path / "listed").iterdir() if p.is_dir()]
    assert len(folders) == len(listed) == 2  # one a value, side by side, whatever is in it
    assert all(re.fullmatch(r"seeds-[12]-[0-9a-f]{6}", name) for name in folders)
    (tmp_path / "sweep" / "sweep.json").write_text("{}")
    with pytest.raises(StorageError, match=r"sweep\.json: not what a sweep has written"):
        sweep(path, key, [5], labelled, tmp_path / "sweep")
    with pytest.raises(ConfigError, match="one or more, each once"):
        sweep(path, key, [1, 1], labelled)
    with pytest.raises(ConfigError, match=r"'3' is no entry of a list of 1; count from 0"):
        sweep(path, "streams.3.representation.stride", [1], labelled)


def test_an_unknown_network_leaves_nothing_and_a_corrected_call_goes_on(
    labelled: Path, tmp_path: Path
) -> None:
    wrong = values("network")
    wrong["classifier"] = {"name": "network", "arguments": {"module": "nosuch"}}
    with pytest.raises(UnknownNameError, match="unknown model 'nosuch'"):
        run(experiment_from(wrong), labelled, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(DatasetError):
        run(experiment_from(values()), empty, tmp_path / "run")
    found = run(experiment_from(values() | {"seeds": [1]}), labelled, tmp_path / "run")
    assert len(found.predictions) == 8
    with pytest.raises(ConfigError, match="holds another experiment"):
        run(experiment_from(values()), labelled, tmp_path / "run")


def test_weights_that_have_met_the_people_under_test_are_refused(
    labelled: Path, tmp_path: Path
) -> None:
    import safetensors.torch

    weights = tmp_path / "weights.safetensors"
    safetensors.torch.save_file({}, weights)
    given = values()
    given["streams"][0]["encoder"]["weights"] = str(weights)  # type: ignore[index]  # plain values
    found = run(experiment_from(given), labelled, cache=False)
    assert any("nobody has said whom" in note for note in found.notes)
    beside = weights.with_name(weights.name + ".json")
    beside.write_text(json.dumps({"trained_on": {"video_files": ["a", "x"]}}))
    trained = "was trained on 1 of the subjects under test"
    with pytest.raises(OverlapError, match=trained) as caught:
        run(experiment_from(given), labelled, cache=False)
    assert "(a of video_files)" in str(caught.value)


def test_a_stream_that_no_window_has_is_refused(clips: Path) -> None:
    """Its rows would all be NaN, and a run on them would look like honest chance."""
    lost = Stream("face", (TRACKING,), FaceActivity(modality="face2"))
    both = replace(recording(clips, "bright"), videos={
        "face": Video(clips / "bright.mp4", RATE), "face2": Video(clips / "bright.mp4", RATE),
    })  # fmt: skip
    with pytest.raises(
        DatasetError, match="stream 'face' is in none of 1 windows: the recording has no"
    ):
        Pipeline(SPEC, (lost,)).samples([both])
