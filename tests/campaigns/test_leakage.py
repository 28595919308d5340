"""The search of the campaign for leaks: every form, every place of a block, and nothing else."""

from __future__ import annotations

import base64
import os
import secrets
from pathlib import Path

from campaigns.leakage import memory, search
from campaigns.leakage.drawing import draw_markers
from campaigns.leakage.encodings import NAMES, forms
from campaigns.leakage.requests import DOCUMENT, Markers, walked
from campaigns.leakage.search import HALF, Marker, Searcher, by_kind, by_kind_and_form

VALUE = bytes(range(200, 232))
SEARCHER = Searcher([Marker("planted", VALUE)], halves=True)


def test_every_form_is_found_wherever_it_begins() -> None:
    """At each alignment, among others, at the very end."""
    assert set(forms(VALUE)) == {*NAMES}
    for name, written in forms(VALUE).items():
        for shift in range(5):
            found = by_kind_and_form(SEARCHER.hits(b"x" * shift + written))
            assert found["planted"][name] == 1, name


def test_base64_is_found_whatever_stands_before_and_after() -> None:
    """As it is encoded with what is around it."""
    for shift in range(6):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            text = encode(os.urandom(shift) + VALUE + os.urandom(5))
            assert by_kind(SEARCHER.hits(text)) == {"planted": 1}


def test_an_integer_of_cpython_has_that_form() -> None:
    """Held against the memory of this very process."""
    value = b"\1" + secrets.token_bytes(31)
    number = int.from_bytes(value, "big")
    digits = forms(value)["integer of CPython"]
    here = memory.mappings(os.getpid())
    (home,) = [each for each in here if each.start <= id(number) < each.end]
    with Path("/proc/self/mem").open("rb", buffering=0) as file:
        file.seek(id(number))
        assert digits in file.read(min(100, home.end - id(number)))


def test_halves_count_only_where_the_other_is_not_there() -> None:
    """Of a secret that an allocator has written over in part."""
    whole, first, second = VALUE, VALUE[:16], VALUE[16:]
    assert by_kind_and_form(SEARCHER.hits(b"." + whole)) == {"planted": {"raw": 1}}
    assert by_kind_and_form(SEARCHER.hits(first + b"." + second)) == {"planted": {HALF: 2}}


def test_nothing_is_found_in_what_is_random() -> None:
    """Two megabytes of it, and what is too short for any form."""
    assert not [*SEARCHER.hits(os.urandom(2 << 20)), *SEARCHER.hits(b""), *SEARCHER.hits(VALUE[:7])]


def test_a_file_is_read_in_blocks_and_each_place_counts_once(tmp_path: Path) -> None:
    """Also where a form lies across the end of a block."""
    file = tmp_path / "folder" / f"named-{VALUE.hex()}"
    file.parent.mkdir()
    size = search._BLOCK_BYTES
    try:
        search._BLOCK_BYTES = 512  # type: ignore[misc]
        file.write_bytes(b"".join(b"-" * (500 - 17 * n) + VALUE for n in range(4)))
        assert by_kind(SEARCHER.file(file)) == {"planted": 4}
    finally:
        search._BLOCK_BYTES = size  # type: ignore[misc]
    (counts,) = SEARCHER.folder(tmp_path).values()
    assert counts == {("planted", "raw"): 4, ("planted", "hex"): 1}


def test_what_is_drawn_begins_with_the_tag_and_is_random_behind_it() -> None:
    """Keys and credentials; other sizes are drawn as they were."""
    known = secrets.token_bytes, secrets.token_urlsafe
    tag = os.urandom(12)
    try:
        key, text = draw_markers(tag)
        drawn = {secrets.token_bytes(32) for _ in range(3)}
        assert {each[:12] for each in drawn} == {key}
        assert len({len(each) for each in drawn}) == 1
        assert len(drawn) == 3
        assert secrets.token_urlsafe(32).encode().startswith(text)
        assert len(secrets.token_urlsafe(32)) == 43
        assert secrets.token_bytes(8)[:8] != tag[:8]
        assert len(secrets.token_urlsafe(16)) == 22
    finally:
        secrets.token_bytes, secrets.token_urlsafe = known


def test_every_operation_is_asked_right_and_wrong() -> None:
    """Of the OpenAPI document, whatever is added to it."""
    sent = Markers(
        *(Marker(kind, kind.encode() * 8) for kind in ("data", "bound", "wrong", "name"))
    )
    asked = {request.operation for request in walked(sent)}
    assert asked == {
        operation["operationId"]
        for methods in DOCUMENT["paths"].values()
        for operation in methods.values()
    }
