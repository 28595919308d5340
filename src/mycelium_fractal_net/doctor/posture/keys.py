"""Keys that are older than they should be, and whether anybody rotates them."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.doctor.findings import Examined, Finding, warning
from mycelium_fractal_net.security.key_store.scheduler_table import SchedulerTable
from mycelium_fractal_net.security.lifecycle.due import OVERDUE
from mycelium_fractal_net.security.records.keys import Key, KeyType

if TYPE_CHECKING:
    from collections.abc import Iterator

# How long a version may protect: SP 800-57 part 1 revision 5, section 5.3.6, table 1. Two years
# for what encrypts and for a MAC; a private key that signs has one to three.
CRYPTOPERIODS: Final[dict[KeyType, timedelta]] = {
    KeyType.SIGNING: timedelta(days=1095),
}
_OTHERS: Final = timedelta(days=730)


def key_findings(store: Examined) -> Iterator[Finding]:
    """Keys whose newest version protects for too long, and a store that no scheduler looks at."""
    now = store.provider.clock()
    for _, key in store.provider.keys.each():
        if not isinstance(key, Key) or key.is_legacy or key.primary_or_none is None:
            continue  # what is damaged, or protects nothing, is named as such
        longest = CRYPTOPERIODS.get(key.key_type, _OTHERS)
        age = now - key.latest.created_at
        if age > longest:
            yield warning(
                "cryptoperiod",
                f"key {key.key_id}",
                f"its newest version has protected for {age.days} days, and SP 800-57 has"
                f" {longest.days} for such a key: mfn key rotate {key.key_id}",
            )
        elif key.rotation.interval_days > longest.days:
            yield warning(
                "cryptoperiod",
                f"key {key.key_id}",
                f"is to be rotated every {key.rotation.interval_days} days, and SP 800-57 has"
                f" {longest.days} at most for such a key: mfn key policy {key.key_id}"
                f" --interval-days {longest.days}",
            )
    look = SchedulerTable(store.provider.store.database).last_look()
    automatic = store.settings.security.key_management.rotation_enabled
    if not automatic and (look is None or now - look.looked_at > OVERDUE):
        yield warning(
            "no-scheduler",
            "security.key_management.rotation_enabled",
            "is false, and nothing else rotates keys: set it to true, or run 'mfn rotation run'"
            " beside the service",
        )
