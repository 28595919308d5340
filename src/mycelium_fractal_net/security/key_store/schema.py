"""The tables of the key store. What each column is trusted for: nothing but keeping bytes.

Times are microseconds since the Unix epoch, UTC, so that what is authenticated is exactly
what is stored on every database. Every row that grants authority carries a MAC and the id of
the master key under which the MAC's key is wrapped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
    true,
)

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect

HEAD: Final = "0012"  # the newest migration; read without Alembic at every start
PREFIX: Final = "mfn_"  # of every table, so that a store may stand in a database with others
VERSION_TABLE: Final = "mfn_schema_version"  # Alembic's


class Octets(LargeBinary):
    """Bytes as the driver gives them, for :mod:`.rows` to judge.

    SQLAlchemy would call ``bytes`` on what SQLite keeps there, which of a number takes that much
    memory.
    """

    def result_processor(self, dialect: Dialect, coltype: object) -> None:
        """Nothing is done to a value that was read."""


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# One row. Every change of authority adds one to `generation` in its own transaction, which
# also orders all writers; `master_id` names the master key that wraps what is written now.
store_meta = Table(
    "mfn_store_meta",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("generation", BigInteger, nullable=False),
    Column("master_id", String(200), nullable=False),
    Column("restored_at", BigInteger, nullable=True),  # of a store that came from a backup
    Column("restored_from", String(32), nullable=True),  # the id of that backup
)

# The MAC key of the authority rows, one per master key while the store moves to a new one.
authority_keys = Table(
    "mfn_authority_keys",
    metadata,
    Column("master_id", String(200), primary_key=True),
    Column("wrapped", Octets, nullable=False),
)

# The MAC key of the audit log, wrapped by the master key; it is made once and moves with it.
audit_keys = Table(
    "mfn_audit_keys",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("wrapped", Octets, nullable=False),
    Column("master_id", String(200), nullable=False),
)

# How far each chain of the audit log has come. The chains themselves are files. One that was begun
# before the store was restored says from which backup: nobody goes on with it.
audit_chains = Table(
    "mfn_audit_chains",
    metadata,
    Column("chain_id", String(32), primary_key=True),
    Column("machine", String(32), nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("mac", Octets(32), nullable=False),
    Column("closed", Boolean, nullable=False),
    Column("open_from", BigInteger, nullable=True),
    Column("tag", Octets(32), nullable=False),
    Column("restored_from", String(32), nullable=True),
)

# One row: how many chains were ever begun. Whoever deletes a chain and its row is found out by it.
audit_count = Table(
    "mfn_audit_count",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("chains", BigInteger, nullable=False),
    Column("tag", Octets(32), nullable=False),
)

# Faults of the audit records that an operator knows of: see .audit_table.
audit_acknowledged = Table(
    "mfn_audit_acknowledged",
    metadata,
    Column("chain_id", String(32), primary_key=True),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("what", String(200), primary_key=True),
    Column("reason", Text, nullable=False),
    Column("actor", String(80), nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("tag", Octets(32), nullable=False),
)

# Findings of doctor that an operator lives with until a day: see .finding_table.
acknowledged_findings = Table(
    "mfn_acknowledged_findings",
    metadata,
    Column("finding", String(64), primary_key=True),
    Column("subject", String(600), primary_key=True),
    Column("reason", Text, nullable=False),
    Column("actor", String(80), nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("until", BigInteger, nullable=False),
    Column("tag", Octets(32), nullable=False),
)

# `due_at` is a hint of when a scheduler may have something to do, see .scheduler_table. It is no
# part of the record that the MAC covers; 0 has a scheduler look at once.
keys = Table(
    "mfn_keys",
    metadata,
    Column("key_id", String(64), primary_key=True),
    Column("key_type", String(16), nullable=False),
    Column("use", String(16), nullable=False),
    Column("algorithm", String(32), nullable=False),
    Column("publish", Boolean, nullable=False),
    Column("interval_days", Integer, nullable=False),
    Column("retain_count", Integer, nullable=False),
    Column("auto_destroy", Boolean, nullable=False),
    Column("unused_for_days", Integer, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("master_id", String(200), nullable=False),
    Column("mac", Octets, nullable=False),
    Column("automatic", Boolean, nullable=False, server_default=true()),
    Column("rotate_at", BigInteger, nullable=True),
    Column("due_at", BigInteger, nullable=True, server_default=text("0")),
    Column("exportable", Boolean, nullable=False, server_default=false()),
    Index("ix_mfn_keys_generation", "generation"),
    Index("ix_mfn_keys_master_id", "master_id"),
    Index("ix_mfn_keys_due_at", "due_at"),
)

key_versions = Table(
    "mfn_key_versions",
    metadata,
    Column("handle", Octets(8), primary_key=True),
    Column("key_id", String(64), ForeignKey("mfn_keys.key_id"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("state", String(24), nullable=False),
    Column("compromised", Boolean, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("activate_at", BigInteger, nullable=True),
    Column("destroy_at", BigInteger, nullable=True),
    Column("wrapped", Octets, nullable=False),
    Column("public_key", Octets, nullable=True),
    Column("rewrapped_at", BigInteger, nullable=True),
    Column("imported", Boolean, nullable=False, server_default=false()),
    Column("external", String(600), nullable=True),
    Column("external_gone_at", BigInteger, nullable=True),
    UniqueConstraint("key_id", "version"),
    Index("ix_mfn_key_versions_state", "state"),
)

usage = Table(
    "mfn_usage",
    metadata,
    Column("handle", Octets(8), primary_key=True),
    Column("day", Integer, primary_key=True, autoincrement=False),  # days since 1970-01-01
    Column("kind", String(8), primary_key=True),  # see .usage
    Column("count", BigInteger, nullable=False),
)

raw_usage = Table(
    "mfn_raw_usage",
    metadata,
    Column("handle", Octets(8), primary_key=True),
    Column("reserved", BigInteger, nullable=False),
    Index("ix_mfn_raw_usage_reserved", "reserved"),
)

credentials = Table(
    "mfn_credentials",
    metadata,
    Column("credential_id", String(64), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("digest", Octets(32), nullable=False),
    Column("previous_digest", Octets(32), nullable=True),
    Column("previous_until", BigInteger, nullable=True),
    Column("scopes", Text, nullable=False),
    Column("state", String(24), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=True),
    Column("revision", BigInteger, nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("master_id", String(200), nullable=False),
    Column("mac", Octets, nullable=False),
    Column("rotated_at", BigInteger, nullable=True),
    Column("bound", Boolean, nullable=False, server_default=false()),
    Index("ix_mfn_credentials_generation", "generation"),
    Index("ix_mfn_credentials_renewed_at", text("coalesce(rotated_at, created_at)")),
)

# Public keys that may sign requests. `credentials` holds the ids that a signer signs for, with a
# space between them, and is empty where `any_credential` is true.
signers = Table(
    "mfn_signers",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("public_key", Octets, nullable=False, unique=True),
    Column("algorithm", String(32), nullable=False),
    Column("credentials", Text, nullable=False),
    Column("any_credential", Boolean, nullable=False),
    Column("state", String(24), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("master_id", String(200), nullable=False),
    Column("mac", Octets, nullable=False),
    Index("ix_mfn_signers_generation", "generation"),
)

# Keys that somebody is about to bring along: the one-time key to wrap it for, whose private half is
# wrapped by the master key, and what the key is to be. A row is gone once it was used or has ended.
pending_imports = Table(
    "mfn_pending_imports",
    metadata,
    Column("import_id", String(32), primary_key=True),
    Column("key_id", String(64), nullable=False),
    Column("existing", Boolean, nullable=False),
    Column("key_type", String(16), nullable=False),
    Column("use", String(16), nullable=False),
    Column("algorithm", String(32), nullable=False),
    Column("publish", Boolean, nullable=False),
    Column("exportable", Boolean, nullable=False),
    Column("method", String(16), nullable=False),
    Column("public_key", Octets, nullable=False),
    Column("wrapped", Octets, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("master_id", String(200), nullable=False),
    Column("mac", Octets, nullable=False),
    Index("ix_mfn_pending_imports_expires_at", "expires_at"),
)

# Nonces of requests that were accepted, until they could not be accepted again: the digest of
# the signer's public key and of the nonce. Grants nothing, and is never cached.
request_nonces = Table(
    "mfn_request_nonces",
    metadata,
    Column("digest", Octets(32), primary_key=True),
    Column("expires_at", BigInteger, nullable=False),  # seconds since the Unix epoch
    Index("ix_mfn_request_nonces_expires_at", "expires_at"),
)

# Keys whose rotation failed, for all schedulers: the next attempt is at `retry_at`. Grants nothing:
# whoever edits it delays a rotation by the longest pause at most.
rotation_failures = Table(
    "mfn_rotation_failures",
    metadata,
    Column("key_id", String(64), primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("since", BigInteger, nullable=False),
    Column("retry_at", BigInteger, nullable=False),
    Column("reason", String(200), nullable=False),
)

# One row: when a scheduler last looked, until when nothing is erased since the clock jumped, the
# key up to which the slow pass over all keys has come, the highest time that a scheduler saw, and
# since when the clock is behind that.
scheduler_clock = Table(
    "mfn_scheduler_clock",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("looked_at", BigInteger, nullable=False),
    Column("held_until", BigInteger, nullable=True),
    Column("passed_to", String(64), nullable=False, server_default=""),
    Column("seen_until", BigInteger, nullable=True),
    Column("behind_since", BigInteger, nullable=True),
)

# Backups that were made of this store, and the versions that at least one of them holds, of which
# `backup_id` is the newest. A backup is worth something as long as its master key is there.
backups = Table(
    "mfn_backups",
    metadata,
    Column("backup_id", String(32), primary_key=True),
    Column("made_at", BigInteger, nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("master_id", String(200), nullable=False),
)
backed_up_versions = Table(
    "mfn_backed_up_versions",
    metadata,
    Column("handle", Octets(8), primary_key=True),
    Column("backup_id", String(32), nullable=False),
)
