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
from mycelium_fractal_net.security.records.keys import parse_key_id

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import ParamSpec, TypeVar

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


class RecordedKeyring(Keyring):
    """A :class:`Keyring` whose every use is durable in the audit log before it returns.

    All methods may raise :class:`AuditUnavailableError` beside what they raise else. What is
    sealed, opened or read piece by piece is one record, when it begins.
    """

    encrypt_result = _recorded("encrypt", Keyring.encrypt_result, lambda result: result.key_id)
    decrypt_result = _recorded("decrypt", Keyring.decrypt_result, lambda result: result.key_id)
    rewrap_result = _recorded("rewrap", Keyring.rewrap_result, lambda result: result.key_id)
    open_old = _recorded("decrypt", Keyring.open_old, lambda result: result.key_id)
    data_key_result = _recorded("datakey", Keyring.data_key_result, lambda result: result[1])
    encrypt_stream = _recorded("encrypt.stream", Keyring.encrypt_stream)
    decrypt_stream = _recorded("decrypt.stream", Keyring.decrypt_stream)
    rewrap_stream = _recorded("rewrap.stream", Keyring.rewrap_stream)
    open_reader = _recorded("decrypt.range", Keyring.open_reader)
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
    index_tag = _recorded("index", Keyring.index_tag, lambda result: result.key_id)
    index_tags = _recorded("index", Keyring.index_tags)
    deterministic_messages = _recorded("encrypt", Keyring.deterministic_messages)
    verify_mac = _recorded("mac.verify", Keyring.verify_mac, lambda result: result)
