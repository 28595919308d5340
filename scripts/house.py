"""Draws docs/house.svg, the rooms of the code, from the import rules.

What stands in a row may import what stands below, and nothing else: the rows are the layers that
`make lint` enforces. A room's words are the first sentence of its own docstring.
"""

from __future__ import annotations

import ast
import textwrap
import tomllib
from html import escape
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parent.parent
PACKAGE: Final = "mycelium_fractal_net"
OUTSIDE: Final = (
    ("key store", "SQLite beside the application, or PostgreSQL for several machines"),
    ("master key", "a file, in the clear or under a passphrase; it never enters the key store"),
)

_WIDTH: Final = 940
_MARGIN: Final = 16
_GAP: Final = 10
_LINE: Final = 15  # pixels from one line of words to the next
_CHARACTER: Final = 6.3  # pixels, of the small type, on average
_HEAD: Final = 26
_ALONE: Final = 28  # the height of a box that is alone in its row
_BESIDE: Final = 130
_FILL: Final = {"door": "#e8eef7", "room": "#f3f1ea", "inner": "#ffffff", "out": "#eef5ec"}


class Room(NamedTuple):
    """A box: its name, what is in it, and its kind of fill."""

    name: str
    words: str
    fill: str


def layers(package: str) -> list[list[str]]:
    """The rows of a package, from the top down, as the import rules have them."""
    rules = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    for contract in rules["contracts"]:
        if contract["type"] == "layers" and contract["containers"] == [package]:
            return [[name.strip() for name in row.split("|")] for row in contract["layers"]]
    raise LookupError(f"no layers are named for {package}")


def words(module: str) -> str:
    """The first sentence of a module's docstring."""
    path = ROOT / "src" / Path(*module.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    text = ast.get_docstring(ast.parse(file.read_text())) or ""
    paragraph = " ".join(text.split("\n\n")[0].split())
    return paragraph.split(". ")[0].rstrip(".").replace("``", "")


class Drawing:
    """An SVG that grows downwards."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.y = float(_MARGIN)

    def row(self, rooms: list[Room], left: float, width: float) -> None:
        """Boxes of one height side by side; one that is alone has its words beside its name."""
        if len(rooms) == 1:
            self.box(left, width, _ALONE, rooms[0], [])
            self.text(left + _BESIDE, self.y + 18, rooms[0].words, "words")
            self.y += _ALONE + _GAP
            return
        box = (width - _GAP * (len(rooms) - 1)) / len(rooms)
        fits = int((box - 2 * _GAP) / _CHARACTER)
        texts = [textwrap.wrap(room.words, fits) for room in rooms]
        height = _HEAD + _LINE * max(len(text) for text in texts) + 6
        for number, (room, text) in enumerate(zip(rooms, texts, strict=True)):
            self.box(left + number * (box + _GAP), box, height, room, text)
        self.y += height + _GAP

    def box(self, x: float, width: float, height: float, room: Room, text: list[str]) -> None:
        """One box with its name and words."""
        self.parts.append(
            f'<rect x="{x:.0f}" y="{self.y:.0f}" width="{width:.0f}" height="{height:.0f}" rx="5"'
            f' fill="{_FILL[room.fill]}" stroke="#8a8f98"/>'
        )
        self.text(x + _GAP, self.y + 18, room.name, "name")
        for number, line in enumerate(text):
            self.text(x + _GAP, self.y + _HEAD + 9 + number * _LINE, line, "words")

    def text(self, x: float, y: float, line: str, kind: str) -> None:
        """One line of text."""
        self.parts.append(f'<text x="{x:.0f}" y="{y:.0f}" class="{kind}">{escape(line)}</text>')

    def frame(self, top: float, name: str, said: str) -> None:
        """What stands around the rows since ``top``."""
        self.parts.insert(
            0,
            f'<rect x="{_MARGIN}" y="{top:.0f}" width="{_WIDTH - 2 * _MARGIN}"'
            f' height="{self.y - top:.0f}" rx="7" fill="#faf8f2" stroke="#8a8f98"/>'
            f'<text x="{_MARGIN + _GAP}" y="{top + 19:.0f}" class="name">{escape(name)}'
            f'<tspan class="words" dx="8">{escape(said)}</tspan></text>',
        )
        self.y += _GAP

    def svg(self) -> str:
        """The whole picture."""
        height = self.y - _GAP + _MARGIN
        style = (
            "text{font-family:system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif;"
            "fill:#22262b}.name{font-size:13px;font-weight:600}.words{font-size:11.5px;"
            "font-weight:400;fill:#454b54}"
        )
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height:.0f}"'
                f' width="{_WIDTH}" height="{height:.0f}" role="img">',
                "<title>The rooms of the code: each imports only what stands below it</title>",
                f"<style>{style}</style>",
                f'<rect width="{_WIDTH}" height="{height:.0f}" fill="#ffffff"/>',
                *self.parts,
                "</svg>",
                "",
            ]
        )


def page(_: str = "") -> str:
    """The house as an SVG, whatever the picture is now."""
    drawing = Drawing()
    inner = f"{PACKAGE}.security"
    for number, row in enumerate(layers(PACKAGE)):
        if row == ["security"]:
            break
        fill = "door" if number < 2 else "room"  # the command line, HTTP and its client
        rooms = [Room(name, words(f"{PACKAGE}.{name}"), fill) for name in row]
        drawing.row(rooms, _MARGIN, _WIDTH - 2 * _MARGIN)
    top = drawing.y
    drawing.y += 30
    for row in layers(inner):
        rooms = [Room(name, words(f"{inner}.{name}"), "inner") for name in row]
        drawing.row(rooms, _MARGIN + _GAP, _WIDTH - 2 * _MARGIN - 2 * _GAP)
    drawing.frame(top, "security", words(inner))
    drawing.row([Room(*each, "out") for each in OUTSIDE], _MARGIN, _WIDTH - 2 * _MARGIN)
    return drawing.svg()
