"""A campaign's section of a page: what stands between its two markers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def with_section(page: str, name: str, text: str) -> str:
    """The page with ``text`` between the markers of ``name``.

    Raises:
        ValueError: the page does not have these two markers, once each.
    """
    begin, end = (
        f"<!-- {name}: written by make campaign CAMPAIGN={name} -->",
        f"<!-- end of {name} -->",
    )
    if page.count(begin) != 1 or page.count(end) != 1:
        raise ValueError(f"the page has not {begin} and {end} once each")
    before, rest = page.split(begin)
    _, after = rest.split(end)
    return f"{before}{begin}\n{text.strip()}\n{end}{after}"


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; a cell's bars are escaped."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines
    )
