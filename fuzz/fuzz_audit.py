"""Fuzz what reads audit records: lines, segments, heads, checkpoints, cursors, a whole chain.

    python -m fuzz audit -max_total_time=60 fuzz/corpus/audit

The first byte of an input chooses the reader. A finding is an error that is not one of ours, ways
to read that disagree, or a chain that verifies and is not what was written here.
"""

from __future__ import annotations

import binascii
import contextlib
import hashlib

from fuzz.running import Reader, Scratch, seeds_of
from mycelium_fractal_net.security.algorithms.mac import MacKey
from mycelium_fractal_net.security.audit.chain import ChainKey, Line, parse, sealed
from mycelium_fractal_net.security.audit.checkpoints import _read as read_checkpoints
from mycelium_fractal_net.security.audit.search import _decoded, _encoded, _Place
from mycelium_fractal_net.security.audit.segments import backwards, forwards
from mycelium_fractal_net.security.audit.verification import read_heads
from mycelium_fractal_net.security.errors import MfnError

CHAIN = "0" * 32
KEY = ChainKey(bytes(16), MacKey(hashlib.sha256(b"mycelium-fractal-net test key").digest()))
FILE = Scratch("segment.jsonl")
FOLDER = FILE.path.parent
(FOLDER / CHAIN).mkdir(exist_ok=True)


def _written() -> list[bytes]:
    previous, lines = KEY.beginning(CHAIN), []
    for sequence in range(1, 4):
        body = (
            b'{"sequence":%d,"time":"2026-03-01T12:00:00.000000Z","event":"encrypt",'
            b'"outcome":"success","key_id":"orders"' % sequence
        )
        line, previous = sealed(body, previous, KEY.mac)
        lines.append(line)
    return lines


WRITTEN = _written()


def line(data: bytes) -> None:
    found = parse(data)
    if found is not None:
        assert data.endswith(b',"mac":"%b"}\n' % binascii.hexlify(found.mac)) or (
            data[-67:-3].lower() == binascii.hexlify(found.mac)
        ), "a finding: another MAC"
        assert found.record()["sequence"] == found.sequence, "a finding: another sequence"
        assert not found.hangs_on(KEY.beginning(CHAIN), KEY.mac) or data == WRITTEN[0], (
            "a finding: a line that nobody wrote"
        )


def segment(data: bytes) -> None:
    path = FILE.holding(data)
    there = [each for each in forwards(path) if isinstance(each, Line)]
    back = [each.raw for each in backwards(path)]
    assert [each.raw for each in there] == back[::-1][: len(there)], "a finding: other lines"


def chain(data: bytes) -> None:
    """What hangs together from the beginning is what was written."""
    previous = KEY.beginning(CHAIN)
    for index, each in enumerate(forwards(FILE.holding(data))):
        if not isinstance(each, Line) or not each.hangs_on(previous, KEY.mac):
            break
        assert each.raw == WRITTEN[index], "a finding: a line that nobody wrote"
        previous = each.mac


def heads(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        for head in read_heads(data):
            assert len(bytes.fromhex(head.mac)) == 32, "a finding: a MAC that is none"


def checkpoints(data: bytes) -> None:
    for each in read_checkpoints(FILE.holding(data)):
        assert not KEY.is_authentic(each), "a finding: a statement that nobody made"


def cursor(data: bytes) -> None:
    found = _decoded(FOLDER, data.decode("utf-8", "surrogateescape"))
    assert set(found) <= {CHAIN}, "a finding: a chain that is not there"


READERS: tuple[Reader, ...] = (line, segment, chain, heads, checkpoints, cursor)


def one_input(data: bytes) -> None:
    """Run one input; raises only for a finding."""
    if data:
        with contextlib.suppress(MfnError):
            READERS[data[0] % len(READERS)](data[1:])


def seeds() -> dict[str, bytes]:
    """A well-formed input for each reader."""
    head = b'{"chain":"%b","sequence":3,"mac":"%b"}\n' % (CHAIN.encode(), b"a" * 64)
    statement = b'[["%b","x.jsonl","AA==",3,"AA==",1,3,"AA==","AA=="]]' % CHAIN.encode()
    contents: dict[Reader, bytes] = {
        line: WRITTEN[0],
        segment: b"".join(WRITTEN) + bytes(8),
        chain: b"".join(WRITTEN),
        heads: head,
        checkpoints: statement,
        cursor: _encoded({CHAIN: _Place(1, 2, 300)}).encode(),
    }
    return seeds_of(READERS, contents)
