"""The kinds of records that grant authority: what tells keys, credentials and signers apart.

Everything else about them is the same: read, authenticated and swapped by
:mod:`.record_table` and by the provider's table over it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

from mycelium_fractal_net.security.key_store.rows import (
    Field,
    authenticated_credential,
    authenticated_key,
    credential_from_row,
    credential_row,
    import_from_row,
    import_row,
    key_from_rows,
    key_row,
    signer_from_row,
    signer_row,
)
from mycelium_fractal_net.security.key_store.schema import (
    credentials,
    keys,
    pending_imports,
    signers,
)

if TYPE_CHECKING:
    from sqlalchemy import Table

    from mycelium_fractal_net.security.records.credentials import Credential
    from mycelium_fractal_net.security.records.imports import PendingImport
    from mycelium_fractal_net.security.records.keys import Key
    from mycelium_fractal_net.security.records.signers import Signer


class Record(Protocol):
    """What every record that grants authority has beside its own fields."""

    @property
    def revision(self) -> int:
        """How often it was changed."""

    @property
    def master_id(self) -> str:
        """The master key under which it is authenticated."""


R = TypeVar("R", bound=Record)


@dataclass(frozen=True, slots=True)
class RecordKind(Generic[R]):
    """One kind of record. ``id_name`` is its primary key, as a column and as an attribute.

    ``domain`` begins what is authenticated, ``fields`` are the rest of it, in order.
    ``from_row`` takes its row, and its rows in other tables; it raises
    :class:`StoreIntegrityError`, naming the record, where that is none.
    """

    name: str
    table: Table
    id_name: str
    domain: bytes
    to_row: Callable[[R], dict[str, Any]]
    from_row: Callable[..., R]
    fields: Callable[[R], Iterable[Field]]
    not_found: str
    taken: str

    def id_of(self, record: R) -> str:
        """What names the record."""
        found: str = getattr(record, self.id_name)
        return found

    def named(self, record: R) -> str:
        """The record as an error says it: ``key 'orders'``."""
        return f"{self.name} {self.id_of(record)!r}"


KEYS: Final[RecordKind[Key]] = RecordKind(
    name="key",
    table=keys,
    id_name="key_id",
    domain=b"mycelium-fractal-net/row/key/v1",
    to_row=key_row,
    from_row=key_from_rows,
    fields=authenticated_key,
    not_found="no key is named {!r}",
    taken="a key named {!r} is there already",
)
CREDENTIALS: Final[RecordKind[Credential]] = RecordKind(
    name="credential",
    table=credentials,
    id_name="credential_id",
    domain=b"mycelium-fractal-net/row/credential/v1",
    to_row=credential_row,
    from_row=credential_from_row,
    fields=authenticated_credential,
    not_found="there is no such credential; mfn credential list shows those there are",
    taken="a credential of that id is there already",
)
SIGNERS: Final[RecordKind[Signer]] = RecordKind(
    name="signer",
    table=signers,
    id_name="name",
    domain=b"mycelium-fractal-net/row/signer/v1",
    to_row=signer_row,
    from_row=signer_from_row,
    fields=lambda signer: signer_row(signer).values(),
    not_found="there is no such signer; mfn signer list shows those there are",
    taken="a signer named {!r} is there already; choose another name",
)
IMPORTS: Final[RecordKind[PendingImport]] = RecordKind(
    name="import",
    table=pending_imports,
    id_name="import_id",
    domain=b"mycelium-fractal-net/row/import/v1",
    to_row=import_row,
    from_row=import_from_row,
    fields=lambda pending: import_row(pending).values(),
    not_found="there is no such import: it was used, cancelled, or has expired; begin another one:"
    " mfn key import begin KEY",
    taken="an import of that id is there already",
)
