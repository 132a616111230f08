"""Video tokens and raw signals behind scikit-learn's interface, either of them missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float, Float32, Shaped
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.utils._param_validation import HasMethods
from sklearn.utils.validation import check_is_fitted

from dolorimeter.errors import ConfigError
from dolorimeter.estimators._deep import NetworkClassifier
from dolorimeter.estimators._inner import check_parameters, prior_of
from dolorimeter.estimators._shallow import factory
from dolorimeter.estimators._shallow import network as network_of
from dolorimeter.estimators._wrappers import table_of
from dolorimeter.registry import MODELS

PACKED = "dual_stream"
"""The network that is taken where none is named."""
OURS = ("video", "signals", "input_shape", "prior")
"""Arguments of the network that `DualStreamClassifier` gives it."""


class DualStreamClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Streams of signals as the channels of one, beside a video's tokens, to one network.

    Parameters
    ----------
    network : NetworkClassifier
        How it is trained. A `module` that takes both sides in one row (``dual_stream``,
        ``mte_mer``, ``e2e_mer``) is given both; any other network of ``(window, channel, time)``
        (``convtran``, ``lstm``) has no video.
    video : str
        Name of the stream of video tokens. Empty: there is none. Where the samples are a single
        array and not a mapping, it is video if this is not empty.
    keep_epochs : bool
        Keep the weights of every epoch for `staged_predict_proba`.

    Attributes
    ----------
    classes_ : array
    network_ : NetworkClassifier
    shapes_ : dict of str to tuple of int
        Of a window of each stream.
    notes_ : tuple of str
        What a report must say of the fit.

    Notes
    -----
    Everything is put into one array of float32: 1,568 tokens of 384 numbers are 2.4 MB a window.
    Half-precision tokens stay so until then.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "network": [HasMethods(["fit"])],
        "video": [str],
        "keep_epochs": ["boolean"],
    }

    def __init__(
        self, network: NetworkClassifier, *, video: str = "face", keep_epochs: bool = False
    ) -> None:
        self.network = network
        self.video = video
        self.keep_epochs = keep_epochs

    def fit(self, X: Any, y: Any, groups: Any = None) -> DualStreamClassifier:
        """Train on streams.

        Parameters
        ----------
        X : mapping of stream to array, or array
            Video tokens ``(window, token, feature)``, or, for a network that takes pictures as
            they are, clips of uint8 ``(window, frame, 3, height, width)``; signals ``(window,
            channel, time)``. A stream that a window lacks is a row of NaN, a clip one of zeros.
        y : array
        groups : array, optional
            Subject of each window; needed for early stopping.

        Raises
        ------
        ConfigError
            If a stream has other axes, signals differ in length, the video is not there, or an
            argument makes no sense.
        TrainingError
            As in `NetworkClassifier.fit`.
        """
        check_parameters(self, type(self).__name__)
        given = self._streams_of(X)
        self.shapes_ = {name: tuple(x.shape[1:]) for name, x in given.items()}
        self._check_streams()
        packed = self._packed(given)
        self.notes_ = self._notes(given, packed)
        self.network_ = self._configured(y).fit(packed, y, groups)
        self.notes_ += self.network_.notes_
        self.classes_ = self.network_.classes_
        return self

    def predict_proba(self, X: Any) -> Float[np.ndarray, "window class"]:
        """Probability of each class; a stream that X lacks counts as missing from every window.

        Raises
        ------
        ConfigError
            If a stream is unknown or has another shape than in `fit`.
        """
        check_is_fitted(self)
        return self.network_.predict_proba(self._as_in_fit(X))

    def predict(self, X: Any) -> Shaped[np.ndarray, " window"]:
        """The most probable class."""
        check_is_fitted(self)
        return self.classes_[self.predict_proba(X).argmax(axis=1)]

    def staged_predict_proba(self, X: Any) -> Iterator[Float[np.ndarray, "window class"]]:
        """As of `NetworkClassifier`: probabilities with the weights after each epoch."""
        check_is_fitted(self)
        yield from self.network_.staged_predict_proba(self._as_in_fit(X))

    def packed(self, X: Any) -> Float32[np.ndarray, "window ..."]:
        """Windows as the fitted network takes them, for explaining it.

        Raises
        ------
        ConfigError
            As in `predict_proba`.
        """
        check_is_fitted(self)
        return self._as_in_fit(X)

    def _configured(self, y: Any) -> NetworkClassifier:
        """The network with what this fit knows of it."""
        found: NetworkClassifier = clone(self.network)
        extra = dict(found.module_args or {})
        taken = sorted(set(extra) & set(OURS))
        if taken:
            raise ConfigError(
                f"module_args holds {', '.join(taken)}, which come from the streams: leave them "
                "out."
            )
        if takes_packed(found.module):
            extra |= {"prior": prior_of(y, found.class_weight)}
            extra |= {side: list(shape) for side, shape in self._sides().items()}
        keep = self.keep_epochs or found.keep_epochs
        found.set_params(module_args=extra, keep_epochs=keep)
        return found

    def _sides(self) -> dict[str, tuple[int, ...]]:
        """Shapes of video and signals in a window, of those that there are."""
        sides = {}
        if self.video in self.shapes_:
            sides["video"] = self.shapes_[self.video]
        signals = [shape for name, shape in self.shapes_.items() if name != self.video]
        if signals:
            sides["signals"] = (sum(shape[0] for shape in signals), signals[0][1])
        return sides

    def _streams_of(self, X: Any) -> dict[str, Shaped[np.ndarray, "window ..."]]:
        """Every stream as an array of floats, or clips of uint8; the video first."""
        if not isinstance(X, Mapping):
            X = {self.video or "signals": X}
        names = sorted(map(str, X), key=lambda name: (name != self.video, name))
        found = {}
        for name in names:
            x = np.asarray(X[name])
            clips = x.dtype == np.uint8 and x.ndim == 5 and name == self.video
            if not clips and (x.dtype.kind != "f" or x.ndim != 3):
                axes = "tokens (window, token, feature) of an encoder"
                axes = axes if name == self.video else "a raw signal (window, channel, time)"
                raise ConfigError(
                    f"stream '{name}' is {x.dtype} of shape {x.shape}, expected floats: {axes}. "
                    "Give the video stream an encoder with tokens, signals the representation "
                    "'raw', and say which stream is the video."
                )
            found[name] = x
        counts = {name: len(x) for name, x in found.items()}
        if len(set(counts.values())) != 1:
            raise ConfigError(f"streams have {counts} windows: give as many of each.")
        return found

    def _check_streams(self) -> None:
        module = self.network.module
        if self.video and self.video not in self.shapes_ and takes_packed(module):
            raise ConfigError(
                f"no stream is called '{self.video}'; there are {', '.join(self.shapes_)}. Say "
                'which one holds the video\'s tokens (video = "…"), or video = "" for none.'
            )
        if not takes_packed(module) and self.video in self.shapes_:
            raise ConfigError(
                f"the network '{module}' takes signals, and there is a video stream "
                f"'{self.video}': leave it out, or take module = '{PACKED}'."
            )
        lengths = {n: shape[1] for n, shape in self.shapes_.items() if n != self.video}
        if len(set(lengths.values())) > 1:
            raise ConfigError(
                f"signals have {lengths} samples a window, expected as many of each: they are "
                "channels of one. Give their representations the same sampling_rate and duration."
            )

    def _packed(self, given: Mapping[str, Any]) -> Float32[np.ndarray, "window ..."]:
        """All streams in one array: rows of both sides, or the channels of all signals."""
        windows = len(next(iter(given.values())))
        size = sum(int(np.prod(shape)) for shape in self.shapes_.values())
        out = np.full((windows, size), np.nan, dtype=np.float32)
        start = 0
        for name, shape in self.shapes_.items():
            stop = start + int(np.prod(shape))
            if name in given and given[name].shape[1:] == shape:
                rows = given[name].reshape(windows, -1)
                out[:, start:stop] = rows
                if rows.dtype == np.uint8:  # which has no NaN
                    out[~rows.any(axis=1), start:stop] = np.nan
            start = stop
        if takes_packed(self.network.module):
            return out
        return out.reshape(windows, *self._sides()["signals"])

    def _as_in_fit(self, X: Any) -> Float32[np.ndarray, "window ..."]:
        given = self._streams_of(X)
        unknown = sorted(set(given) - set(self.shapes_))
        if unknown:
            raise ConfigError(
                f"streams {', '.join(unknown)} are unknown, fitted on {', '.join(self.shapes_)}."
            )
        for name, x in given.items():
            if x.shape[1:] != self.shapes_[name] and not (
                x.dtype.kind == "f" and np.isnan(x).all()
            ):
                raise ConfigError(
                    f"stream '{name}' has windows of shape {x.shape[1:]}, expected "
                    f"{self.shapes_[name]} as in fit."
                )
        return self._packed(given)

    def _notes(
        self, given: Mapping[str, Any], packed: Float32[np.ndarray, "window ..."]
    ) -> tuple[str, ...]:
        """Streams and windows that taught nothing."""
        notes = [
            f"stream '{name}' is missing from every training window"
            for name, x in given.items()
            if not (np.isfinite(x).any() if x.dtype.kind == "f" else x.any())
        ]
        flat = packed.reshape(len(packed), -1)
        empty = sum(bool(np.isnan(row).all()) for row in flat)
        if empty:
            notes.append(f"{empty} training windows had neither side and taught nothing")
        return tuple(notes)


def takes_packed(module: str) -> bool:
    """Whether a network takes video and signals of a window in one row."""
    return bool(getattr(MODELS.get(module), "takes_packed", False))


@factory(
    "Dual-stream transformer on a video's tokens and raw signals, either missing; any other "
    "network of `network` (convtran, lstm) on the signals as channels of one.",
    paper="Nguyen et al.: Dual-stream transformer. PeerJ Computer Science 11:e3158, 2025",
    doi="10.7717/peerj-cs.3158",
)
def dual_stream(*, video: str = "face", network: Any = None) -> Any:
    """`DualStreamClassifier` around what the registered estimator ``network`` gives."""
    arguments: dict[str, Any] = {"module": PACKED, "optimiser": "radam", "patience": 10}
    arguments |= table_of("dual_stream", "network", network)
    return DualStreamClassifier(network_of(**arguments), video=video)
