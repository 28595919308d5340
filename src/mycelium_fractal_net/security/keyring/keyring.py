"""The crypto module: encrypt, decrypt, sign, verify, MAC and rewrap with named keys.

A :class:`Keyring` takes its keys from a provider and its algorithms from the policy. What it
seals says by itself which key version opens it; an unknown key never falls back to another.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Final, Literal, NamedTuple

from mycelium_fractal_net.security.errors import (
    DecryptionError,
    InvalidInputError,
    KeyStateError,
)
from mycelium_fractal_net.security.forking import OfOneProcess
from mycelium_fractal_net.security.key_store.freshness import Freshness
from mycelium_fractal_net.security.keyring.bound_cipher import BoundCipher
from mycelium_fractal_net.security.keyring.cache import KeyCache
from mycelium_fractal_net.security.keyring.candidates import candidates, check_type
from mycelium_fractal_net.security.keyring.lending import Lending
from mycelium_fractal_net.security.keyring.lookups import Lookups
from mycelium_fractal_net.security.keyring.opening import MessageKeys, OldFormat, Result
from mycelium_fractal_net.security.keyring.public_keys import PublicKeys
from mycelium_fractal_net.security.keyring.rewrapping import Rewrapper
from mycelium_fractal_net.security.keyring.signing import Signing
from mycelium_fractal_net.security.keyring.streams import Streams
from mycelium_fractal_net.security.records.keys import (
    DEFAULT_KEY_ID,
    Key,
    KeyState,
    KeyType,
    KeyVersion,
    parse_key_id,
    version_id,
)
from mycelium_fractal_net.security.records.open_options import PLAIN, OpenOptions
from mycelium_fractal_net.security.sealed.layout import (
    DETERMINISTIC,
    deterministic_handle,
    parse_header,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType
    from typing import Self

    from mycelium_fractal_net.security.byte_io.buffers import Buffer
    from mycelium_fractal_net.security.key_providers import StoredKeyProvider
    from mycelium_fractal_net.security.key_store import UsageStore
    from mycelium_fractal_net.security.sealed.sealer import DataKey


Format = Literal["sealed", "raw", "deterministic", "xor"]
"""``xor`` is what the XOR cipher wrote, which is opened and never made."""
_ENCRYPTION: Final = KeyType.ENCRYPTION


class MessageInfo(NamedTuple):
    """What a sealed message says of itself, and what the store says of its key version."""

    form: str
    key_id: str
    version: int
    state: KeyState
    newest: bool
    name: bytes = b""  # the digest of the file's name that is bound into it, or none

    @property
    def version_id(self) -> str:
        """Such as ``orders:v3``."""
        return version_id(self.key_id, self.version)


class Keyring(OfOneProcess, Streams, Signing, Lookups, Lending, PublicKeys):
    """Named keys at work. Use it as a context manager, or call :meth:`close` at the end; where
    nobody does, the counts of uses are written as the process ends.

    Every method may be called from any thread. Beside the errors that each names, all may
    raise :class:`KeyNotFoundError`, :class:`KeyStateError`, :class:`KeyUsageError` and
    :class:`StoreError`: an outage or a state is never reported as a message that does not open.
    """

    _short: ClassVar[bool] = True  # False where each use goes through the methods of a subclass

    def __init__(
        self,
        provider: StoredKeyProvider,
        usage: UsageStore,
        *,
        cache_seconds: float = 300.0,
        cache_keys: int = 1000,
        old_format: OldFormat | None = None,
    ) -> None:
        """``old_format`` has :meth:`decrypt` open messages of that format too."""
        self.provider = provider
        self.policy = provider.policy
        self.usage = usage
        self.old_format = old_format
        self.freshness = Freshness(provider.store)
        self._cache = KeyCache(
            provider, usage, self.freshness, lifetime=cache_seconds, bound=cache_keys
        )
        self._keys = MessageKeys(self._cache, self.policy)

    def __repr__(self) -> str:
        return f"Keyring({type(self.provider).__name__})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Write the counts of uses, forget the keys, close the store.

        Whatever uses a key after it raises :class:`StoreUnavailableError`. Where the store does
        not answer the counts are lost, and a warning is logged; that must not hide the error that
        ended the work.
        """
        try:
            self._cache.close()
        finally:
            if self.provider.audit is not None:
                self.provider.audit.close()
            self.provider.store.database.close()
            self.provider.forget()
            self.provider.custodian.close()

    def refresh(self) -> None:
        """See at once what others changed in the store, instead of within two seconds."""
        self._cache.refresh()

    def flush(self) -> None:
        """Write the counts of uses that are in memory."""
        self._cache.flush()

    # Messages -----------------------------------------------------------------------------

    def encrypt(
        self,
        data: Buffer,
        *,
        key_id: str | None = None,
        associated_data: Buffer = b"",
        format: Format = "sealed",
    ) -> bytes:
        """``data`` encrypted under the newest version of ``key_id``.

        ``sealed`` gives a sealed message (docs/format.md), 84 bytes longer than ``data`` and
        16 more for each 16 KiB; ``raw`` gives ``nonce(12) || ciphertext || tag(16)``, counted
        against its limit of 2^32 messages (:class:`UsageLimitError`). ``deterministic`` takes a
        key of that type, which must be named, and gives equal messages for equal data, 28 bytes
        longer (docs/searching.md says what that gives away). ``associated_data`` is authenticated
        and not stored: to decrypt, give it again.
        """
        return self.encrypt_result(
            data, key_id=key_id, associated_data=associated_data, format=format
        ).data

    def encrypt_result(
        self,
        data: Buffer,
        *,
        key_id: str | None = None,
        associated_data: Buffer = b"",
        format: Format = "sealed",
    ) -> Result:
        """:meth:`encrypt`, and which version it was."""
        if format == "deterministic":
            if key_id is None:
                raise InvalidInputError("there is no default key of type deterministic: name one")
            return self._seal_deterministic(data, associated_data, key_id)
        found = self._keys.sealing(key_id)
        if format == "sealed":
            return Result(found.sealer.seal(data, associated_data), found.version_id)
        _check_raw(format)
        self._cache.counts.raw(found)
        return Result(found.raw.encrypt(data, associated_data), found.version_id)

    def decrypt(
        self,
        message: Buffer,
        *,
        key_id: str | None = None,
        associated_data: Buffer = b"",
        data_key_associated_data: Buffer = b"",
        format: Format = "sealed",
        allow_compromised: bool = False,
    ) -> bytes:
        """The plaintext of a message: sealed (both forms), deterministic, or raw.

        The first two name their key themselves, and a ``key_id`` that is given must agree; a
        deterministic one is opened as ``sealed`` too. Raw
        needs ``key_id``: a version id, or a name whose versions are tried, newest first.
        While ``legacy.read_xor`` is on, ``xor`` opens what the XOR cipher wrote, and so does
        ``sealed`` where the message does not begin with ``MFN``; there is no associated data.
        Raises :class:`DecryptionError`, with one text for all that can be wrong.
        """
        options = OpenOptions(associated_data, data_key_associated_data, allow_compromised)
        return self.decrypt_result(message, options, key_id=key_id, format=format).data

    def decrypt_result(
        self,
        message: Buffer,
        options: OpenOptions = PLAIN,
        *,
        key_id: str | None = None,
        format: Format = "sealed",
    ) -> Result:
        """:meth:`decrypt`, and which version opened it."""
        old = self.old_format
        if old is not None and old.reads(message, format):
            return old.open(self._keys, message, key_id, options)
        if format == "sealed":
            if type(message) is bytes and message.startswith(DETERMINISTIC):
                return self._decrypt_deterministic(message, key_id, options)
            try:
                header = parse_header(message)
            except DecryptionError:  # of another form, or of none
                return self._decrypt_deterministic(message, key_id, options)
            found, sealer = self._keys.opener(header, key_id, options)
            return Result(sealer.open(message, options.associated_data), found.version_id)
        if format == "deterministic":
            return self._decrypt_deterministic(message, key_id, options)
        _check_raw(format)
        return self._decrypt_raw(message, key_id, options)

    def _decrypt_deterministic(
        self, message: Buffer, key_id: str | None, options: OpenOptions
    ) -> Result:
        found, data = self._open_deterministic(message, key_id, options)
        return Result(data, found.version_id)

    def open_old(
        self, message: str | Buffer, old: OldFormat, options: OpenOptions = PLAIN
    ) -> Result:
        """The data in a message of that format, whether or not :meth:`decrypt` opens those.

        Migrations call it. Raises :class:`DecryptionError`.
        """
        return old.open(self._keys, message, None, options)

    def _decrypt_raw(self, message: Buffer, key_id: str | None, options: OpenOptions) -> Result:
        name, number = parse_key_id(key_id or DEFAULT_KEY_ID[_ENCRYPTION])
        key = self._cache.record(name)
        check_type(key, _ENCRYPTION)
        try:
            check = partial(key.check_decrypt, allow_compromised=options.allow_compromised)
            for version in candidates(key, number, check):
                found = self._cache.opening(version.handle)
                with suppress(DecryptionError):
                    data = found.raw.decrypt(message, options.associated_data)
                    self._cache.counts.opened(found)  # not of those that did not open it
                    return Result(data, found.version_id)
        except KeyStateError:
            self._refuse_raw_pending(key, number, message, options.associated_data)
            raise
        self._refuse_raw_pending(key, number, message, options.associated_data)
        raise DecryptionError

    def _refuse_raw_pending(
        self, key: Key, number: int | None, message: Buffer, associated_data: Buffer
    ) -> None:
        """Refuse by its state what only a version opens whose destruction is pending.

        A raw message does not name its version: else it would look damaged until it is lost.
        """
        for version in reversed(key.versions):
            if version.state is not KeyState.PENDING_DESTRUCTION:
                continue
            if number not in (None, version.version):
                continue
            found = self._cache.opening(version.handle)
            with suppress(DecryptionError):
                found.raw.decrypt(message, associated_data)
                self._cache.counts.pending(found)
                key.check_decrypt(version)

    def rewrap(
        self,
        message: Buffer,
        *,
        associated_data: Buffer = b"",
        data_key_associated_data: Buffer = b"",
        allow_compromised: bool = False,
    ) -> bytes:
        """The same plaintext sealed under the newest version of the same key.

        Opens every form and gives the first; a file's name that is bound stays so, and a
        deterministic message is one again. Raises
        :class:`DecryptionError`, also for what the XOR cipher wrote, whose key has no newest
        version.
        """
        options = OpenOptions(associated_data, data_key_associated_data, allow_compromised)
        return self.rewrap_result(message, options).data

    def rewrap_result(self, message: Buffer, options: OpenOptions = PLAIN) -> Result:
        """:meth:`rewrap`, and the version that sealed it anew."""
        try:
            header = parse_header(message)
        except DecryptionError:
            made_by, data = self._open_deterministic(message, None, options)
            return self._seal_deterministic(data, options.associated_data, made_by.key.key_id)
        opened, opener = self._keys.opener(header, None, options, moves=True)
        plaintext = opener.open(message, options.associated_data)
        newest = self._keys.sealing(opened.key.key_id)
        sealed = newest.sealer_of(header.name).seal(plaintext, options.associated_data)
        return Result(sealed, newest.version_id)

    def bound(self, *, key_id: str, associated_data: Buffer) -> BoundCipher:
        """What seals and opens many short messages of one key, such as those of a column.

        As :meth:`encrypt` and :meth:`decrypt` do with these, in two thirds of the time.
        """
        return BoundCipher(self, self._keys, key_id, associated_data, short=self._short)

    def rewrapper(self, options: OpenOptions = PLAIN) -> Rewrapper:
        """What moves many messages, as :meth:`rewrap` moves one, at half the cost.

        ``options`` are of all of them but the associated data, which each brings.
        """
        return Rewrapper(self, self._keys, options, holds=True)

    # Data keys and what a message says ------------------------------------------------------

    def data_key(self, *, key_id: str | None = None, associated_data: Buffer = b"") -> DataKey:
        """A fresh data key, plain and wrapped by ``key_id``, for sealing messages elsewhere.

        Its ``sealer`` makes messages of the second form, which :meth:`decrypt` opens with the
        same ``data_key_associated_data``.
        """
        return self.data_key_result(key_id=key_id, associated_data=associated_data)[0]

    def data_key_result(
        self, *, key_id: str | None = None, associated_data: Buffer = b""
    ) -> tuple[DataKey, str]:
        """:meth:`data_key`, and the version that wrapped it."""
        found = self._keys.sealing(key_id)
        self._cache.counts.leased(found)
        return found.sealer.wrap_data_key(associated_data), found.version_id

    def describe(self, message: Buffer) -> MessageInfo:
        """What the first bytes of a message say: 12 of a sealed one, 44 of one with a name, 116 of
        one with a data key.

        Nothing is authenticated by this. Raises :class:`DecryptionError` for what is no
        message, and :class:`KeyNotFoundError` where this store has no such key version.
        """
        try:
            header = parse_header(message)
            form, handle, name = header.form.name.lower(), header.handle, header.name
        except DecryptionError:
            form, handle, name = "deterministic", deterministic_handle(message), b""
        found = self._cache.opening(handle)
        return MessageInfo(
            form=form,
            key_id=found.key.key_id,
            version=found.version.version,
            state=found.version.state,
            newest=found.version is _newest(found.key),
            name=name,
        )

    def look_up(self, beginnings: Iterable[bytes], options: OpenOptions = PLAIN) -> None:
        """Have the keys at hand that messages name, by their first 12 bytes, for many messages.

        However many of them name what is not there, it costs no more reads of the store than one.
        """
        handles = {each[4:12] for each in beginnings if each[:3] == b"MFN" and len(each) >= 12}
        self._cache.look_up(handles, options.permit)

    def protecting_key(self, key_id: str | None = None) -> str:
        """The name of the key that :meth:`encrypt` takes for ``key_id``, which must protect.

        Raises what :meth:`encrypt` would, before there is anything to encrypt.
        """
        key = self._cache.named(key_id or DEFAULT_KEY_ID[_ENCRYPTION])
        check_type(key, _ENCRYPTION)
        _ = key.primary
        return key.key_id

    def is_external(self, key_id: str) -> bool:
        """Whether the key of that id or version id signs with its custodian alone."""
        return self._cache.named(key_id).is_external

    def algorithm_of(self, key_id: str) -> str:
        """The algorithm of the key of that id or version id. Raises :class:`KeyNotFoundError`."""
        return self._cache.named(key_id).algorithm


def _check_raw(format: str) -> None:
    if format == "xor":
        raise InvalidInputError(
            "a format is sealed, raw or deterministic; xor is opened while legacy.read_xor is on,"
            " and never made"
        )
    if format != "raw":
        raise InvalidInputError("a format is sealed, raw or deterministic")


def _newest(key: Key) -> KeyVersion:
    try:
        return key.primary
    except KeyStateError:
        return key.latest
