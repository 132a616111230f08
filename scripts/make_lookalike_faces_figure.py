"""Draw docs/images/lookalike_faces.png: made-up people at rest, and what one of them does.

Run: python scripts/make_lookalike_faces_figure.py
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from dolorimeter.synthesis.face_identity import draw_identity
from dolorimeter.synthesis.face_model import face_model
from dolorimeter.synthesis.face_render import Hand, Renderer

OUT = Path(__file__).parent.parent / "docs" / "images" / "lookalike_faces.png"
SIZE = (640, 480)
PEOPLE, SHOWN = 10, 8
COLUMNS, SCALE = 5, 0.45
COLOURS = 256
GRIMACE = {"au4": 4.0, "au6": 3.5, "au7": 4.0, "au9": 3.0, "au10": 4.0, "au25": 1.5}
STATES: dict[str, tuple[dict[str, float], Hand | None]] = {
    "pain: AU4 6 7 9 10": (GRIMACE, None),
    "and AU43": ({**GRIMACE, "closure": 1.0}, None),
    "brows lowered: AU4": ({"au4": 5.0}, None),
    "lids tight: AU7": ({"au7": 5.0}, None),
    "lip raised: AU10": ({"au10": 5.0}, None),
    "blink": ({"closure": 1.0}, None),
    "smile: AU12 6 25": ({"au12": 5.0, "au6": 3.0, "au25": 4.5}, None),
    "talk": ({"au26": 2.5, "au25": 1.5}, None),
    "head": ({"yaw": 0.2, "roll": 0.1, "shift_u": 0.08}, None),
    "hand": ({}, Hand((0.2, 1.2), -2.1, 0.32)),
}


def _pictures() -> list[tuple[str, np.ndarray]]:
    people = []
    for number in range(PEOPLE):
        sex, age = "wm"[number % 2], 22 + 4 * number
        identity = draw_identity(np.random.default_rng(100 + number), sex=sex, age=age)
        people.append(Renderer(face_model(identity, SIZE), 0.0, np.random.default_rng(0)))
    rest = [(f"person {i}", person.frame({})) for i, person in enumerate(people, start=1)]
    acting = people[SHOWN]
    return rest + [(name, acting.frame(state, hand)) for name, (state, hand) in STATES.items()]


def main() -> None:
    """Render, write the names in, and save."""
    tiles = []
    for name, picture in _pictures():
        tile = cv2.resize(
            picture[20:420, 120:520], None, fx=SCALE, fy=SCALE, interpolation=cv2.INTER_AREA
        )
        for grey, width in ((0, 3), (255, 1)):
            cv2.putText(tile, name, (6, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (grey,) * 3, width,
                        cv2.LINE_AA)  # fmt: skip
        tiles.append(tile)
    rows = [np.hstack(tiles[i : i + COLUMNS]) for i in range(0, len(tiles), COLUMNS)]
    sheet = Image.fromarray(np.vstack(rows))
    sheet.quantize(COLOURS, dither=Image.Dither.FLOYDSTEINBERG).save(OUT, optimize=True)


if __name__ == "__main__":
    main()
