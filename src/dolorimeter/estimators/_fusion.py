"""Several streams of embeddings behind scikit-learn's interface, any of them missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float, Float32, Shaped
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from dolorimeter.errors import ConfigError
from dolorimeter.estimators._deep import NetworkClassifier
from dolorimeter.estimators._inner import check_parameters, prior_of
from dolorimeter.estimators._shallow import factory
from dolorimeter.estimators._shallow import network as network_of
from dolorimeter.estimators._wrappers import table_of

OURS = ("streams", "fusion", "shared", "video", "stream_dropout", "prior")
"""Arguments of the network `embedding_fusion` that `FusionClassifier` gives it."""


class FusionClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """PainFormer's fusions on streams of embeddings, trained by `NetworkClassifier`.

    Parameters
    ----------
    network : NetworkClassifier
        How it is trained; its `module` is set here. Its `module_args` may hold ``mixer_args`` and
        ``video_args``.
    fusion, shared, video, stream_dropout
        As in `dolorimeter.models.EmbeddingFusion`.
    streams : sequence of str
        Of a table or a single array: the streams that it is made of, in their order, each with as
        many tokens as the others. Empty: it is one stream. A mapping has names of its own.
    embedding_width : int
        How many numbers of a vector are one embedding.
    keep_epochs : bool
        Keep the weights of every epoch for `staged_predict_proba`.

    Attributes
    ----------
    classes_ : array
    network_ : NetworkClassifier
        Fitted on the tokens of all streams, one stream after the other.
    streams_ : dict of str to int
        Tokens of each stream.
    notes_ : tuple of str
        What a report must say of the fit.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "network": [HasMethods(["fit"])],
        "fusion": [StrOptions({"fusion_1", "fusion_2", "fusion_n"})],
        "shared": ["boolean"],
        "video": ["array-like"],
        "streams": ["array-like"],
        "stream_dropout": [Interval(Real, 0, 1, closed="left")],
        "embedding_width": [Interval(Integral, 1, None, closed="left")],
        "keep_epochs": ["boolean"],
    }

    def __init__(
        self,
        network: NetworkClassifier,
        *,
        fusion: str = "fusion_1",
        shared: bool = True,
        video: Sequence[str] = (),
        streams: Sequence[str] = (),
        stream_dropout: float = 0.0,
        embedding_width: int = 160,
        keep_epochs: bool = False,
    ) -> None:
        self.network = network
        self.fusion = fusion
        self.shared = shared
        self.video = video
        self.streams = streams
        self.stream_dropout = stream_dropout
        self.embedding_width = embedding_width
        self.keep_epochs = keep_epochs

    def fit(self, X: Any, y: Any, groups: Any = None) -> FusionClassifier:
        """Train on streams of embeddings.

        Parameters
        ----------
        X : mapping of stream to array, or array
            ``(window, token, feature)``, or ``(window, feature)`` of one or several embeddings end
            to end. A token with a NaN is missing, so a stream that a window lacks is a row of NaN.
        y : array
        groups : array, optional
            Subject of each window; needed for early stopping.

        Raises
        ------
        ConfigError
            If a stream is not of embeddings, or an argument makes no sense.
        TrainingError
            As in `NetworkClassifier.fit`.
        """
        check_parameters(self, type(self).__name__)
        given = self._streams_of(X)
        self.width_ = _common_width(given)
        self.streams_ = {name: max(x.shape[1], 1) for name, x in given.items()}
        packed = _packed(given, self.streams_, self.width_)
        self.notes_ = _notes(packed, self.streams_)
        self.network_ = self._configured(y).fit(packed, y, groups)
        self.classes_ = self.network_.classes_
        return self

    def predict_proba(self, X: Any) -> Float[np.ndarray, "window class"]:
        """Probability of each class; of a window without any embedding, its share in training.

        A stream that X lacks counts as missing from every window.

        Raises
        ------
        ConfigError
            If a stream is unknown or has another number of tokens than in `fit`.
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

    def _configured(self, y: Any) -> NetworkClassifier:
        """The network with what this fit knows of it."""
        found: NetworkClassifier = clone(self.network)
        extra = dict(found.module_args or {})
        taken = sorted(set(extra) & set(OURS))
        if taken:
            raise ConfigError(
                f"module_args holds {', '.join(taken)}, which the fusion sets itself: give it to "
                "the fusion, and leave mixer_args and video_args in module_args."
            )
        own = {
            "streams": dict(self.streams_),
            "fusion": self.fusion,
            "shared": self.shared,
            "video": list(self.video),
            "stream_dropout": float(self.stream_dropout),
            "prior": prior_of(y, found.class_weight),
        }
        keep = self.keep_epochs or found.keep_epochs
        found.set_params(module="embedding_fusion", module_args=extra | own, keep_epochs=keep)
        return found

    def _streams_of(self, X: Any) -> dict[str, Float[np.ndarray, "window token feature"]]:
        """Tokens of each stream, as views."""
        if isinstance(X, Mapping):
            found = {str(name): self._tokens(str(name), x) for name, x in X.items()}
        else:
            found = self._divided(self._tokens("X", X))
        counts = {len(x) for x in found.values()}
        if len(counts) != 1:
            told = {name: len(x) for name, x in found.items()}
            raise ConfigError(f"streams have {told} windows: give as many of each, at least one.")
        return found

    def _tokens(self, name: str, x: Any) -> Float[np.ndarray, "window token feature"]:
        values = np.asarray(x)
        kind = f"{values.dtype} of shape {values.shape}"
        if values.dtype.kind != "f" or values.ndim not in (2, 3):
            raise ConfigError(
                f"{name} is {kind}, expected embeddings: floats (window, token, feature) or "
                "(window, feature). Give the stream an encoder."
            )
        if values.ndim == 3:
            return values
        if values.shape[1] % self.embedding_width:
            raise ConfigError(
                f"{name} is {kind}, expected embeddings of {self.embedding_width} numbers end to "
                "end. Give the stream an encoder, or embedding_width."
            )
        return values.reshape(len(values), -1, self.embedding_width)

    def _divided(
        self, x: Float[np.ndarray, "window token feature"]
    ) -> dict[str, Float[np.ndarray, "window _part feature"]]:
        """One array as the streams it is made of."""
        names = tuple(self.streams) or ("all",)
        if x.shape[1] % len(names) or not x.shape[1]:
            raise ConfigError(
                f"the array has {x.shape[1]} tokens a window, which {len(names)} streams "
                f"({', '.join(names)}) cannot share evenly. Give a mapping of stream to array."
            )
        return dict(zip(names, np.split(x, len(names), axis=1), strict=True))

    def _as_in_fit(self, X: Any) -> Float32[np.ndarray, "window token feature"]:
        given = self._streams_of(X)
        unknown = sorted(set(given) - set(self.streams_))
        if unknown:
            raise ConfigError(
                f"streams {', '.join(unknown)} are unknown, fitted on {', '.join(self.streams_)}."
            )
        for name, x in given.items():
            if x.shape[1:] != (self.streams_[name], self.width_) and not np.isnan(x).all():
                raise ConfigError(
                    f"stream '{name}' has windows of shape {x.shape[1:]}, expected "
                    f"{(self.streams_[name], self.width_)} as in fit."
                )
        return _packed(given, self.streams_, self.width_)


def _packed(
    given: Mapping[str, Float[np.ndarray, "window _token _feature"]],
    sizes: Mapping[str, int],
    width: int,
) -> Float32[np.ndarray, "window token feature"]:
    """All streams in one array, NaN where something is missing."""
    windows = len(next(iter(given.values())))
    out = np.full((windows, sum(sizes.values()), width), np.nan, dtype=np.float32)
    start = 0
    for name, count in sizes.items():
        x = given.get(name)
        if x is not None and x.shape[1:] == (count, width):
            out[:, start : start + count] = x
        start += count
    return out


def _common_width(given: Mapping[str, Float[np.ndarray, "window _token _feature"]]) -> int:
    widths = {name: x.shape[2] for name, x in given.items()}
    if len(set(widths.values())) != 1:
        raise ConfigError(
            f"embeddings have {widths} numbers: streams that are fused need the same encoder."
        )
    return next(iter(widths.values()))


def _notes(
    packed: Float32[np.ndarray, "window token feature"], sizes: Mapping[str, int]
) -> tuple[str, ...]:
    """Streams and windows that taught nothing."""
    present = ~np.isnan(packed).any(axis=2)
    parts = np.split(present, np.cumsum(list(sizes.values()))[:-1], axis=1)
    notes = [
        f"stream '{name}' is missing from every training window"
        for name, part in zip(sizes, parts, strict=True)
        if not part.any()
    ]
    empty = int((~present.any(axis=1)).sum())
    if empty:
        notes.append(f"{empty} training windows had no embedding and taught nothing")
    return tuple(notes)


@factory(
    "Streams of embeddings fused as in PainFormer (1: added, 2: decisions averaged, N: videos "
    "shrunk first), any of them missing; `network` holds arguments of the estimator of that name.",
    paper="Gkikas, Fernandez Rojas, Tsiknakis: PainFormer. IEEE Trans. Affective Computing, 2025",
    doi="10.1109/TAFFC.2025.3605475",
)
def embedding_fusion(
    *,
    fusion: str = "fusion_1",
    shared: bool = True,
    video: Sequence[str] = (),
    streams: Sequence[str] = (),
    stream_dropout: float = 0.0,
    embedding_width: int = 160,
    network: Any = None,
) -> Any:
    """`FusionClassifier` around what the registered estimator ``network`` gives."""
    arguments = table_of("embedding_fusion", "network", network)
    if "module" in arguments:
        raise ConfigError(
            "estimator 'embedding_fusion': network.module is set by the fusion; leave it out."
        )
    return FusionClassifier(
        network_of(**arguments, module="embedding_fusion"),
        fusion=fusion,
        shared=shared,
        video=video,
        streams=streams,
        stream_dropout=stream_dropout,
        embedding_width=embedding_width,
    )
