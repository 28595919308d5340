"""The lines of a chain, how each hangs on the line before, and the key that says so.

A line is a JSON object whose last member is the MAC: HMAC-SHA-256, under the store's audit key,
of the MAC of the line before and the bytes of this line up to ``,"mac"``. The first line of a
chain hangs on the chain's and the store's id.
"""

from __future__ import annotations

import binascii
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias, TypeVar

import msgspec

from mycelium_fractal_net.security.audit.events import Event
from mycelium_fractal_net.security.errors import InvalidInputError, InvalidSignatureError
from mycelium_fractal_net.security.key_store.audit_table import Acknowledged, Anchor, ChainCount
from mycelium_fractal_net.security.key_store.finding_table import AcknowledgedFinding
from mycelium_fractal_net.security.key_store.record_mac import encode_fields

if TYPE_CHECKING:
    from mycelium_fractal_net.security.key_store.record_mac import Mac


class Checkpoint(NamedTuple):
    """A statement that was verified: so many bytes of a segment hold these records, in order.

    ``segment`` is the file's name, ``begins`` the MAC that the ``first`` record hangs on, ``mac``
    that of the ``last`` one, ``size`` and ``sha256`` those of the bytes. ``tag`` authenticates it.
    """

    chain: str
    segment: str
    begins: bytes
    size: int
    sha256: bytes
    first: int
    last: int
    mac: bytes
    tag: bytes = b""


_Row = TypeVar("_Row", Anchor, ChainCount, Acknowledged, AcknowledgedFinding, Checkpoint)
_AnyRow: TypeAlias = Anchor | ChainCount | Acknowledged | AcknowledgedFinding | Checkpoint

_CHAIN_LABEL: Final = b"mycelium-fractal-net/audit/chain/v1"
_ANCHOR_LABEL: Final = b"mycelium-fractal-net/audit/anchor/v1"
_LABELS: Final = {
    ChainCount: b"mycelium-fractal-net/audit/count/v1",
    Acknowledged: b"mycelium-fractal-net/audit/acknowledged/v1",
    AcknowledgedFinding: b"mycelium-fractal-net/doctor/acknowledged/v1",
    Checkpoint: b"mycelium-fractal-net/audit/checkpoint/v1",
}
_MAC_MEMBER: Final = b',"mac":"'
_MAC_TEXT_BYTES: Final = 64
_END: Final = b'"}\n'
_TAIL_BYTES: Final = len(_MAC_MEMBER) + _MAC_TEXT_BYTES + len(_END)


class _LineMembers(Event, frozen=True, kw_only=True):
    """What every line says: an event, its sequence and its time."""

    sequence: int
    time: str


_decode: Final = msgspec.json.Decoder(dict[str, Any]).decode
_check: Final = msgspec.json.Decoder(_LineMembers).decode


class ChainKey(NamedTuple):
    """The store's audit key, with the id of the store whose chains and anchors it authenticates."""

    store_id: bytes
    mac: Mac

    def beginning(self, chain_id: str) -> bytes:
        """What the first line of a chain hangs on."""
        return self.mac.tag(b"%b\x00%b%b" % (_CHAIN_LABEL, self.store_id, chain_id.encode()))

    def authenticated(self, row: _Row) -> _Row:
        """The row with its tag."""
        return row._replace(tag=self.mac.tag(self._encoded(row)))

    def is_authentic(self, row: _AnyRow) -> bool:
        """Whether the row was written by a process that has the store's audit key."""
        try:
            return _verifies(self.mac, self._encoded(row), row.tag)
        except (TypeError, InvalidInputError):  # SQLite keeps any type in any column
            return False

    def one_more(self, count: ChainCount) -> ChainCount:
        """The count when a chain is begun. One that is not authentic stays, so that it is found."""
        if not self.is_authentic(count):
            return count
        return self.authenticated(count._replace(chains=count.chains + 1))

    def _encoded(self, row: _AnyRow) -> bytes:
        if isinstance(row, Anchor):
            restored_from = row.restored_from
            later = () if restored_from is None else ("restored_from", restored_from)
            return encode_fields((_ANCHOR_LABEL, self.store_id, *row[:6], *later))
        return encode_fields((_LABELS[type(row)], self.store_id, *row[:-1]))


class Line(NamedTuple):
    """A line as it was read. Whether its MAC is right is for :meth:`hangs_on` to say."""

    sequence: int
    signed: bytes
    mac: bytes
    raw: bytes

    def hangs_on(self, previous: bytes, key: Mac) -> bool:
        """Whether this line's MAC is right after a line whose MAC is ``previous``."""
        return _verifies(key, previous + self.signed, self.mac)

    def record(self) -> dict[str, Any]:
        """The members of the line; those that are known, where somebody wrote others that no
        reader of JSON takes."""
        try:
            return _decode(self.raw)
        except ValueError:
            return {**msgspec.to_builtins(_check(self.raw)), "mac": self.mac.hex()}


def _verifies(key: Mac, content: bytes, tag: bytes) -> bool:
    try:
        key.verify(content, tag)
    except InvalidSignatureError:
        return False
    return True


def sealed(body: bytes, previous: bytes, key: Mac) -> tuple[bytes, bytes]:
    """The line for ``body``, a JSON object without its last brace; and the line's MAC."""
    mac = key.tag(previous + body)
    return b"%b%b%b%b" % (body, _MAC_MEMBER, binascii.hexlify(mac), _END), mac


def parse(raw: bytes) -> Line | None:
    """A whole line with its line end, None for what no release ever wrote."""
    signed, tail = raw[:-_TAIL_BYTES], raw[-_TAIL_BYTES:]
    if not (tail.startswith(_MAC_MEMBER) and tail.endswith(_END)):
        return None
    written = tail[len(_MAC_MEMBER) : -len(_END)]
    try:
        mac = binascii.unhexlify(written)
        sequence = _check(raw).sequence
    except (ValueError, msgspec.DecodeError, RecursionError):
        return None
    if binascii.hexlify(mac) != written:  # capitals: one line has one spelling
        return None
    return Line(sequence, signed, mac, raw)


def mac_of(line: bytes) -> bytes:
    """The MAC that a line ends with, which this process made."""
    return binascii.unhexlify(line[-_MAC_TEXT_BYTES - len(_END) : -len(_END)])
