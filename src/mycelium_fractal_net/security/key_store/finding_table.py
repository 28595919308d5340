"""Findings of doctor that an operator lives with until a day, each with a reason.

A row silences a finding, so it carries a tag under the audit key, see :mod:`..audit.chain`: whoever
writes the store silences nothing. None of this moves the store's generation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from sqlalchemy import insert, select

from mycelium_fractal_net.security.key_store.meta import StoreMeta
from mycelium_fractal_net.security.key_store.schema import acknowledged_findings

if TYPE_CHECKING:
    from sqlalchemy.sql.dml import Delete

SUBJECT_LENGTH: Final = 600  # characters: with four bytes each they fit into PostgreSQL's index


class AcknowledgedFinding(NamedTuple):
    """A finding that an operator knows of: its check, and its subject, which is empty for all.

    ``at`` and ``until`` are in microseconds since the Unix epoch; from ``until`` on it is a finding
    again. ``tag`` authenticates the row.
    """

    finding: str
    subject: str
    reason: str
    actor: str
    at: int
    until: int
    tag: bytes = b""


class FindingTable(StoreMeta):
    """The acknowledged findings of a store."""

    def acknowledge_finding(self, row: AcknowledgedFinding) -> None:
        """Store it, in the place of what was said of the same before."""
        with self.database.write() as connection:
            connection.execute(_deletion(row.finding, row.subject))
            connection.execute(insert(acknowledged_findings).values(**row._asdict()))

    def withdraw_finding(self, finding: str, subject: str) -> bool:
        """Forget what was said of it; returns whether anything was."""
        with self.database.write() as connection:
            return connection.execute(_deletion(finding, subject)).rowcount == 1

    def acknowledged_findings(self) -> list[AcknowledgedFinding]:
        """All of them, those that have ended too."""
        table = acknowledged_findings
        statement = select(table).order_by(table.c.finding, table.c.subject)
        with self.database.read() as connection:
            return [AcknowledgedFinding(*row) for row in connection.execute(statement)]


def _deletion(finding: str, subject: str) -> Delete:
    table = acknowledged_findings
    return table.delete().where(table.c.finding == finding, table.c.subject == subject)
