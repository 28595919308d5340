"""A keyring that records each use before its result is handed out.

For programs that hold a keyring of their own and must account for it: ``audit.uses``. The
service records its requests by itself, and the command line its commands.
"""

from __future__ import annotations

import contextlib
import functools
from typing import TYPE_CHECKING, Any

from mycelium_fractal_net.security.audit.events import BEGUN, OK
from mycelium_fractal_net.security.errors import InvalidInputError, kind_of
from mycelium_fractal_net.security.keyring.keyring import Keyring
from mycelium_fractal_net.security.keyring.lookups import BlindIndex
from mycelium_fractal_net.security.keyring.rewrapping import Rewrapper
from mycelium_fractal_net.security.records.keys import parse_key_id
from mycelium_fractal_net.security.records.open_options import PLAIN, OpenOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import ParamSpec, TypeVar

    from mycelium_fractal_net.security.byte_io.buffers import Buffer
    from mycelium_fractal_net.security.keyring.lending import LentKeys
    from mycelium_fractal_net.security.keyring.signing import Signature
    from mycelium_fractal_net.security.records.index_fields import Normalisation

    _P = ParamSpec("_P")
    _R = TypeVar("_R")


def _recorded(
    event: str, method: Callable[_P, _R], version: Callable[[_R], str] | None = None
) -> Callable[_P, _R]:
    """``method``, with a record of each call: with which version it succeeded, or how it failed.

    What streams has a record before its first byte too, and at the end says how many there were.
    """
    streams = event.endswith(".stream") and version is None

    @functools.wraps(method)
    def call(*arguments: _P.args, **named: _P.kwargs) -> _R:
        keyring: Any = arguments[0]
        record = functools.partial(keyring.provider.audit.now, event)
        given = _given(named)
        if streams:
            record(BEGUN, key=given)
        try:
            result = method(*arguments, **named)
        except BaseException as error:
            record(kind_of(error).slug, key=given)
            raise
        if streams:
            record(OK, key=given, bytes=result)
        else:
            record(OK, key=given if version is None else version(result))
        return result

    return call


def _given(named: Mapping[str, object]) -> str | None:
    """The key that a call names, where that is a name at all: the rest is not for a record."""
    key_id = named.get("key_id")
    with contextlib.suppress(InvalidInputError):
        if isinstance(key_id, str):
            parse_key_id(key_id)
            return key_id
    return None


def _lent_of(keys: LentKeys) -> str:
    return keys.stored or keys.key_id


class RecordedIndex(BlindIndex):
    """A :class:`.BlindIndex` each of whose tags has a durable record before it is returned."""

    __slots__ = ("_record",)

    def __init__(self, index: BlindIndex, record: Callable[..., None]) -> None:
        super().__init__(index.cache, index.key_id, index.field)
        self._record = record

    def tag(self, value: Buffer | str) -> Signature:  # noqa: D102 - as the other
        made = self._tried(lambda: super(RecordedIndex, self).tag(value))
        self._record(OK, key=made.key_id)
        return made

    def tags(  # noqa: D102 - as the other
        self, value: Buffer | str, *, allow_compromised: bool = False
    ) -> list[Signature]:
        made = self._tried(
            lambda: super(RecordedIndex, self).tags(value, allow_compromised=allow_compromised)
        )
        self._record(OK, key=self.key_id, count=len(made))
        return made

    def _tried(self, make: Callable[[], _R]) -> _R:
        try:
            return make()
        except BaseException as error:
            self._record(kind_of(error).slug, key=self.key_id)
            raise


class RecordedKeyring(Keyring):
    """A :class:`Keyring` whose every use is durable in the audit log before it returns.

    All methods may raise :class:`AuditUnavailableError` beside what they raise else. What is
    sealed, opened or read piece by piece is one record, when it begins.
    """

    _short = False

    encrypt_result = _recorded("encrypt", Keyring.encrypt_result, lambda result: result.key_id)
    decrypt_result = _recorded("decrypt", Keyring.decrypt_result, lambda result: result.key_id)
    rewrap_result = _recorded("rewrap", Keyring.rewrap_result, lambda result: result.key_id)
    open_old = _recorded("decrypt", Keyring.open_old, lambda result: result.key_id)
    data_key_result = _recorded("datakey", Keyring.data_key_result, lambda result: result[1])
    encrypt_stream = _recorded("encrypt.stream", Keyring.encrypt_stream)
    decrypt_stream = _recorded("decrypt.stream", Keyring.decrypt_stream)
    rewrap_stream = _recorded("rewrap.stream", Keyring.rewrap_stream)
    open_reader = _recorded("decrypt.range", Keyring.open_reader)
    open_writer = _recorded("encrypt.stream", Keyring.open_writer, lambda made: made.version_id)
    encryptor = _recorded("encrypt.stream", Keyring.encryptor, lambda result: result[1])
    decryptor = _recorded("decrypt.stream", Keyring.decryptor, lambda result: result[1])
    sign = _recorded("sign", Keyring.sign, lambda result: result.key_id)
    sign_stream = _recorded("sign", Keyring.sign_stream, lambda result: result.key_id)
    sign_file = _recorded("sign", Keyring.sign_file)
    sign_request = _recorded("sign.request", Keyring.sign_request, lambda result: result.key_id)
    verify = _recorded("verify", Keyring.verify, lambda result: result)
    verify_stream = _recorded("verify", Keyring.verify_stream, lambda result: result)
    verify_file = _recorded("verify", Keyring.verify_file, lambda result: result)
    mac = _recorded("mac", Keyring.mac, lambda result: result.key_id)
    deterministic_messages = _recorded("encrypt", Keyring.deterministic_messages)
    index_field_keys = _recorded("index.fieldkeys", Keyring.index_field_keys, _lent_of)
    deterministic_field_keys = _recorded(
        "deterministic.fieldkeys", Keyring.deterministic_field_keys, _lent_of
    )
    verify_mac = _recorded("mac.verify", Keyring.verify_mac, lambda result: result)

    def rewrapper(self, options: OpenOptions = PLAIN) -> Rewrapper:  # noqa: D102 - as the other
        return Rewrapper(self, self._keys, options, holds=False)  # each message has its record

    rewrapper.__doc__ = Keyring.rewrapper.__doc__

    def index(  # noqa: D102 - as the other
        self,
        *,
        key_id: str,
        context: Buffer,
        bits: int | None = None,
        normalisation: Normalisation = "exact",
    ) -> BlindIndex:
        made = super().index(key_id=key_id, context=context, bits=bits, normalisation=normalisation)
        keyring: Any = self
        return RecordedIndex(made, functools.partial(keyring.provider.audit.now, "index"))

    index.__doc__ = Keyring.index.__doc__
