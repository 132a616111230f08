"""Cards and registries: what exists under which name, and what one must cite and know to use it.

A Card stands on its class, in the class's own file::

    @MODELS.register(Card(name="painattnnet", summary="…", doi="10.3389/…"))
    class PainAttnNet(nn.Module): ...

The Cards of our own networks are in `dolorimeter.model_cards`, so that they can be listed without
PyTorch; such a class registers under the Card's name.

Names are looked up lazily: the module that registers them is imported on the first look-up, so
importing `dolorimeter.registry` pulls in no data set and no torch.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Generic, TypeVar

from dolorimeter.errors import ConfigError, UnknownNameError
from dolorimeter.types import LabelSource

T = TypeVar("T")

PUBLISHED = "published"
"""In place of the path of a weights file: the file on the model's Card."""


@dataclass(frozen=True)
class InputSpec:
    """What published weights expect of their input: nothing here is guessed later.

    `shape` is without the batch axis. `unit` and `scaling` are for signals, `mean` and `std` (one
    number a channel, of values in 0…1) for pictures.
    """

    shape: tuple[int, ...]
    sampling_rate: float | None = None
    unit: str | None = None
    scaling: str = "none"
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Weights:
    """A weights file: where it is, how it is verified, and whom it has seen.

    `trained_on` maps a person namespace to subject ids (an empty tuple: the whole data set);
    None means that nobody has said. `size` is the side of the pictures they were trained on, where
    it is not the Card's.
    """

    url: str
    sha256: str | None
    trained_on: Mapping[str, tuple[str, ...]] | None = None
    self_supervised: bool = False
    size: int | None = None


@dataclass(frozen=True)
class Card:
    """What a methods section must cite and a user must know of a registered thing."""

    name: str
    summary: str
    paper: str = ""
    doi: str = ""
    code: str = ""
    licence: str = ""
    input: InputSpec | None = None
    weights: Weights | None = None
    differences: tuple[str, ...] = ()


@dataclass(frozen=True)
class DatasetCard(Card):
    """A Card of a data set.

    Parameters
    ----------
    obtain : str
        How to get the data (``dolorimeter fetch NAME``, an agreement, a request).
    sharing : str
        What of it may be shown and shared.
    label_source : LabelSource
        Where its labels come from.
    labels : str
        What the labels are and are not, in a sentence.
    protocols : tuple of str
        The evaluations its literature uses.
    units : mapping of signal name to str
        SI unit of each signal.
    units_confirmed : bool
        Whether somebody checked the units on the real files.
    person_namespace : str
        Data sets with the same namespace share people (parts of BioVid, editions of AI4Pain).
    subjects : int or None
        How many people the full data set has.
    openly_available : bool
        True when `fetch` can get it.
    """

    obtain: str = ""
    sharing: str = ""
    label_source: LabelSource = "stimulus"
    labels: str = ""
    protocols: tuple[str, ...] = ()
    units: Mapping[str, str] = field(default_factory=dict)
    units_confirmed: bool = False
    person_namespace: str = ""
    subjects: int | None = None
    openly_available: bool = False


class Registry(Generic[T]):
    """Names → classes or functions, each with its Card.

    Parameters
    ----------
    noun : str
        What it holds, for error messages (``"data set"``).
    modules : tuple of str
        Imported on the first look-up; importing them registers what they define.
    cards : str, optional
        Module with the Cards as ``CARDS``, for classes that need an extra: their names and Cards
        are listed without it. By default the Cards come with the classes.
    """

    def __init__(self, noun: str, modules: tuple[str, ...], cards: str | None = None) -> None:
        self.noun = noun
        self._modules = modules
        self._card_module = cards
        self._entries: dict[str, T] = {}
        self._cards: dict[str, Card] = {}

    def register(self, card: Card | str) -> Callable[[T], T]:
        """Class decorator; the decorated class also gets the Card as its attribute ``card``.

        Parameters
        ----------
        card : Card or str
            The Card, or its name in the module of Cards.
        """
        reserved = not isinstance(card, str) and card.name in self._listed
        if isinstance(card, str):
            card = self._listed[card]

        def add(entry: T) -> T:
            holder = self._entries.get(card.name, entry)
            if reserved or _place(holder) != _place(entry):  # a module may be run again
                taken = "dolorimeter" if reserved else repr(holder)
                raise ConfigError(
                    f"the {self.noun} name '{card.name}' is taken by {taken}: choose another."
                )
            self._entries[card.name] = entry
            self._cards[card.name] = card
            entry.card = card  # type: ignore[attr-defined]  # the one place that sets it
            return entry

        return add

    def names(self) -> tuple[str, ...]:
        """All names, sorted."""
        return tuple(sorted(self._known()))

    def get(self, name: str) -> T:
        """The class or function of that name.

        Raises
        ------
        UnknownNameError
            With the nearest known names.
        DependencyError
            If the class needs an extra that is not installed.
        """
        self._check(name)
        if name not in self._entries:
            self._import()
        return self._entries[name]

    def card(self, name: str) -> Card:
        """The Card of that name."""
        return self._check(name)[name]

    def cards(self) -> tuple[Card, ...]:
        """All Cards, sorted by name."""
        return tuple(self.card(name) for name in self.names())

    def _check(self, name: str) -> Mapping[str, Card]:
        known = self._known()
        if name not in known:
            near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
            hint = f"did you mean {' or '.join(near)}?" if near else "known:"
            rest = "" if near else " " + ", ".join(sorted(known))
            raise UnknownNameError(f"unknown {self.noun} '{name}'; {hint}{rest}")
        return known

    def _known(self) -> Mapping[str, Card]:
        if self._card_module is None:
            self._import()
        return self._listed | self._cards

    @cached_property
    def _listed(self) -> dict[str, Card]:
        if self._card_module is None:
            return {}
        return {card.name: card for card in importlib.import_module(self._card_module).CARDS}

    def _import(self) -> None:
        for module in self._modules:
            importlib.import_module(module)


def _place(entry: object) -> tuple[str, str]:
    """Where a class or function is defined."""
    return getattr(entry, "__module__", ""), getattr(entry, "__qualname__", repr(entry))


DATASETS: Registry[Any] = Registry("data set", ("dolorimeter.datasets",))
PREPROCESSING: Registry[Any] = Registry("preprocessing step", ("dolorimeter.preprocessing",))
REPRESENTATIONS: Registry[Any] = Registry("representation", ("dolorimeter.representations",))
MODELS: Registry[Any] = Registry("model", ("dolorimeter.models",), cards="dolorimeter.model_cards")
ESTIMATORS: Registry[Any] = Registry("estimator", ("dolorimeter.estimators",))
