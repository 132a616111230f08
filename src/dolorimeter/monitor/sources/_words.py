"""Sources as they are named on the command line: ``replay:folder,speed=2``, ``camera:0``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dolorimeter.datasets import recordings_of
from dolorimeter.datasets._files import is_lookalike
from dolorimeter.errors import ConfigError, MonitorError
from dolorimeter.monitor.sources._items import Source
from dolorimeter.monitor.sources.camera import Camera
from dolorimeter.monitor.sources.lsl import LslQuery, LslSource
from dolorimeter.monitor.sources.replay import Replay
from dolorimeter.monitor.sources.synthetic import Synthetic

KINDS = ("synthetic", "replay", "lsl", "camera")
FREE = "free"
"""Speed of a replay that goes as fast as all is worked off."""


@dataclass(frozen=True)
class Opened:
    """Sources, and how fast their clock runs against the wall's; 0 is as fast as possible."""

    sources: tuple[Source, ...]
    speed: float = 1.0


def open_sources(
    texts: Sequence[str], *, dataset: str, options: Mapping[str, object] | None = None
) -> Opened:
    """The sources that some texts name.

    Parameters
    ----------
    texts : sequence of str
        ``synthetic[:seed=1]``, ``replay:PATH[,dataset=…,recording=…,speed=2|free]``,
        ``lsl[:name=…,type=…,eda=CHANNEL,unit.eda=microsiemens]``, ``camera[:0|PATH|URL]``.
    dataset : str
        Format of replayed files where they do not say.
    options : mapping, optional
        For their reader.

    Raises
    ------
    ConfigError
        If a text is not understood.
    MonitorError
        If a file holds several recordings and none is chosen.
    """
    speeds: set[float] = set()
    found: list[Source] = []
    for text in texts:
        kind, _, rest = text.partition(":")
        if kind not in KINDS:
            raise ConfigError(f"source '{text}': expected one of {', '.join(KINDS)}.")
        if kind == "camera":
            found.append(Camera(rest or "0"))
            continue
        head, given = _arguments(text, rest)
        source: Source
        if kind == "synthetic":
            _only(text, given, ("seed",))
            source = Synthetic(_whole(text, given.get("seed", "0")))
        elif kind == "lsl":
            source = LslSource(_query(given))
        else:
            _only(text, given, ("dataset", "recording", "speed"))
            speeds.add(_speed(text, given.get("speed", "1")))
            source = _replay(text, head, given, dataset, options or {})
        found.append(source)
    if len(speeds) > 1:
        raise ConfigError(
            f"replays at speeds {', '.join(f'{s:g}' for s in sorted(speeds))} (0 is {FREE}) in "
            "one session, which has one clock: give all the same."
        )
    speed = speeds.pop() if speeds else 1.0
    if speed != 1.0 and not all(source.follows_clock for source in found):
        raise ConfigError(
            f"a replay at speed {speed:g} together with a live source: leave speed out, so that "
            "both run with the clock on the wall."
        )
    return Opened(tuple(found), speed)


def _arguments(text: str, rest: str) -> tuple[str, dict[str, str]]:
    """What stands before the arguments, and the arguments."""
    parts = rest.split(",") if rest else []
    head = parts.pop(0) if parts and "=" not in parts[0] else ""
    given = {}
    for part in parts:
        key, equals, value = part.partition("=")
        if not equals:
            raise ConfigError(f"source '{text}': '{part}' is no KEY=VALUE.")
        given[key] = value
    return head, given


def _only(text: str, given: Mapping[str, str], known: Sequence[str]) -> None:
    for key in given:
        if key not in known:
            raise ConfigError(f"source '{text}' takes no '{key}'; it takes: {', '.join(known)}.")


def _whole(text: str, value: str) -> int:
    if not value.isdigit():
        raise ConfigError(f"source '{text}': '{value}' is no whole number.")
    return int(value)


def _speed(text: str, value: str) -> float:
    if value == FREE:
        return 0.0
    try:
        speed = float(value)
    except ValueError:
        speed = -1.0
    if not 0 < speed <= 1000:
        raise ConfigError(
            f"source '{text}': speed is '{value}', expected a number up to 1000, or {FREE} for as "
            "fast as possible."
        )
    return speed


def _query(given: Mapping[str, str]) -> LslQuery:
    units = {k.removeprefix("unit."): v for k, v in given.items() if k.startswith("unit.")}
    rest = {k: v for k, v in given.items() if not k.startswith("unit.")}
    return LslQuery(rest.pop("name", ""), rest.pop("type", ""), rest, units)


def _replay(
    text: str, head: str, given: Mapping[str, str], dataset: str, options: Mapping[str, object]
) -> Replay:
    if not head:
        raise ConfigError(f"source '{text}': expected a file or folder, replay:PATH.")
    name = given.get("dataset", dataset)
    if not name:
        raise ConfigError(f"source '{text}': of which format? Give dataset=….")
    found, _ = recordings_of(name, Path(head), dict(options) if name == dataset else {})
    wanted = given.get("recording")
    if wanted is not None:
        found = [recording for recording in found if recording.name == wanted]
    if len(found) != 1:
        names = ", ".join(r.name for r in found[:5]) or "none"
        raise MonitorError(
            f"{head}: {len(found)} recordings ({names} …), expected one. Choose it with "
            "recording=NAME, or give its own file."
        )
    path = Path(head).resolve()
    return Replay(found[0], lookalike=is_lookalike(path, *path.parents))
