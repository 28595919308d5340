"""An audit folder over a real store: its log, its files, and what verification says of them."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from mycelium_fractal_net.security.audit import AuditLog, AuditReport, Event, query, verify
from mycelium_fractal_net.security.audit.folders import chain_folders
from mycelium_fractal_net.security.audit.segments import segments

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from mycelium_fractal_net.security.audit import Head
    from mycelium_fractal_net.security.key_providers import LocalKeyProvider


@dataclass
class Books:
    """What a process that writes the log has, and what whoever tampers with it has."""

    provider: LocalKeyProvider
    folder: Path

    def log(self, **options: Any) -> AuditLog:
        """The log of one more process; changes of the provider are not recorded in it."""
        provider = self.provider
        options.setdefault("resolve", provider.journal.resolve_intents)
        return AuditLog(self.folder, provider.store, provider.audit_keys.chain_key, **options)

    @contextmanager
    def opened(self, **options: Any) -> Iterator[AuditLog]:
        """A log that is closed at the end."""
        log = self.log(**options)
        try:
            yield log
        finally:
            log.close()

    def write(self, count: int, **options: Any) -> None:
        """Have a process write that many records, each with a sync of its own, and end well."""
        with self.opened(**options) as log:
            for number in range(count):
                log.record(Event("encrypt", "ok", key=f"orders:v{number}"))

    def verified(self, **options: Any) -> AuditReport:
        """What verification says."""
        provider = self.provider
        options.setdefault("all_here", False)
        return verify(self.folder, provider.store, provider.audit_keys.chain_key(), **options)

    def faults(self, **options: Any) -> list[tuple[int, str]]:
        """What is wrong, and with which record."""
        return [(fault.sequence, fault.what) for fault in self.verified(**options).faults]

    @property
    def chain(self) -> Path:
        """The folder of the one chain."""
        (only,) = chain_folders(self.folder)
        return only

    @property
    def chains(self) -> list[Path]:
        """The folders of all chains."""
        return chain_folders(self.folder)

    @property
    def files(self) -> list[Path]:
        """The segments of the one chain."""
        return [segment.path for segment in segments(self.chain)]

    def lines(self, path: Path | None = None) -> list[bytes]:
        """The lines of a segment, by default of the only one."""
        if path is None:
            (path,) = self.files
        return path.read_bytes().rstrip(b"\0").splitlines(keepends=True)

    def tamper(self, change: Callable[[list[bytes]], Iterable[bytes]]) -> None:
        """Put in the only segment's place what ``change`` makes of its lines."""
        (path,) = self.files
        path.write_bytes(b"".join(change(self.lines())))

    def tamper_with_first(self, old: bytes, new: bytes) -> None:
        """Replace bytes in the first segment that has them."""
        for path in (segment.path for chain in self.chains for segment in segments(chain)):
            content = path.read_bytes()
            if old in content:
                path.write_bytes(content.replace(old, new))
                return

    def records(self) -> list[dict[str, Any]]:
        """The records of all files of all chains, as they stand."""
        return [
            json.loads(line)
            for chain in self.chains
            for segment in segments(chain)
            for line in self.lines(segment.path)
        ]

    def records_of(self, event: str) -> list[dict[str, Any]]:
        """Those of one event, newest first."""
        return query(self.folder, event=event, limit=1000)

    def tamper_with(self, place: int, lines: list[bytes]) -> None:
        """Have a segment hold these lines."""
        self.files[place].write_bytes(b"".join(lines))

    def anchored(self) -> int:
        """How far the store was told that the one chain has come."""
        (anchor,) = self.provider.store.chains()
        return anchor.sequence


def until(happens: Callable[[], bool], within: float = 10.0) -> None:
    """Wait for it, and fail where it does not come."""
    deadline = time.monotonic() + within
    while not happens():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture
def books(local_provider: LocalKeyProvider, home: Path) -> Books:
    """An audit folder that is not there yet."""
    return Books(local_provider, home / "audit")


def heads(report: AuditReport) -> list[Head]:
    """What somebody would keep elsewhere of chains that are in order."""
    from mycelium_fractal_net.security.audit import Head

    anchors = [chain.anchor for chain in report.chains]
    return [Head(each.chain_id, each.sequence, each.mac.hex()) for each in anchors if each]
