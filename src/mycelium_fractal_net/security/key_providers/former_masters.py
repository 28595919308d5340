"""What of a store still needs a former master key, and that it is forgotten where nothing does."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.security.errors import InvalidInputError, MasterKeyInUseError
from mycelium_fractal_net.security.records.keys import version_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from mycelium_fractal_net.security.key_providers.journal import Journal
    from mycelium_fractal_net.security.key_providers.keys import Keys
    from mycelium_fractal_net.security.key_providers.master_move import MasterKeys
    from mycelium_fractal_net.security.key_providers.record_macs import RecordMacs

_NAMED: Final = 3  # external keys, in a message


@dataclass(frozen=True, slots=True)
class References:
    """What of a store names master keys.

    ``master_ids`` are those master keys, as far as the store knows of them. ``rows`` counts the
    rows under them by kind, ``external`` are versions of external signing keys that are not seen
    to be with the present custodian, ``backups`` counts those that open with these master keys
    alone. ``has_backup`` says whether there is one of the present master key.
    """

    master_ids: tuple[str, ...]
    rows: Mapping[str, int]
    external: tuple[str, ...]
    backups: int
    has_backup: bool


class FormerMasters:
    """Former master keys of a store: what names them, and their end here.

    Whoever holds one is asked for nothing, and keeps it: what the store has of it goes, which is
    its authority key and the note of the backups that it opens. A master key is named by its id,
    or, all of a kind that the present custodian does not hold, by their scheme: ``local``.
    """

    def __init__(
        self, record_macs: RecordMacs, journal: Journal, keys: Keys, master_keys: MasterKeys
    ) -> None:
        self._store = record_macs.store
        self._custodian = record_macs.wrapping.custodian
        self._journal = journal
        self._keys = keys
        self._master_keys = master_keys

    def references(self, named: str) -> References:
        """What names it. The present custodian is asked about external keys of that kind.

        Raises :class:`InvalidInputError` for what neither the store nor a custodian here has.
        """
        under, backups = self._store.under_each_master(), self._store.backups_of_each_master()
        ids = self._known_as(named, {*under, *backups})
        rows = Counter[str]()
        for each in ids:
            rows.update(under.get(each, {}))
        del rows["authority_keys"]  # that of a master key is its own
        external = tuple(self._external(named.partition(":")[0]))
        if not ids and not external and named not in self._schemes():
            raise InvalidInputError(
                "the store knows no such master key: 'mfn master status' shows those that rows are"
                " under"
            )
        counted = sum(backups.get(each, 0) for each in ids)
        has_backup = self._store.require_status().master_id in backups
        return References(ids, rows, external, counted, has_backup)

    def _schemes(self) -> set[str]:
        return {each.scheme for each in self._custodian.parts}

    def _known_as(self, named: str, known: Iterable[str]) -> tuple[str, ...]:
        if ":" in named:
            return (named,) if named in known else ()
        present = self._custodian.parts[0]
        of_kind = (each for each in known if each.startswith(f"{named}:"))
        return tuple(sorted(each for each in of_kind if not present.holds(each)))

    def forget(self, named: str) -> References:
        """Have the store forget it; returns what named it until then.

        Raises :class:`MasterKeyInUseError` where anything needs it, and changes nothing then.
        """
        with self._store.database.moving() as held:
            current = self._store.require_status().master_id
            found = self.references(named)
            for why in self._needs(found, current):
                raise MasterKeyInUseError(f"{named} is not forgotten: {why}")
            with self._journal.recorded(
                "master.forget", b"", b"", reason=", ".join(found.master_ids) or named
            ):
                held()
                self._store.forget_masters(current, found.master_ids, with_backups=True)
            return found

    def _external(self, scheme: str) -> Iterator[str]:
        """The versions with a private key of that kind, but for those that the present one has."""
        for key in self._keys.external_keys():
            for version in key.versions:
                of_kind = (version.external or "").startswith(f"{scheme}:") and version.has_key
                if of_kind and not self._keys.external.is_with_present(version):
                    yield version_id(key.key_id, version.version)

    def _needs(self, found: References, current: str) -> Iterator[str]:
        """Why the master keys are needed; nothing where they are not."""
        if current in found.master_ids:
            yield "the store is under it"
        if found.rows:
            rows = ", ".join(f"{kind.replace('_', ' ')} {n}" for kind, n in found.rows.items())
            yield f"rows are under it ({rows}); to move them: {self._master_keys.way_on()}"
        if found.external:
            more = len(found.external) - _NAMED
            named = ", ".join(found.external[:_NAMED]) + (f" and {more} more" if more > 0 else "")
            yield (
                f"private keys are with its custodian ({named}): rotate each key, and have these"
                " versions destroyed"
            )
        if found.backups and not found.has_backup:
            yield (
                "the store has no backup of its present master key, and those of before open with"
                " that one alone; first: mfn backup FILE"
            )
