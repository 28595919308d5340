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
    """``method``, with a record of each call: that it succeeded and with which version, or how
    it failed."""

    @functools.wraps(method)
    def call(*arguments: _P.args, **named: _P.kwargs) -> _R:
        keyring: Any = arguments[0]
        given = _given(named)
        try:
            result = method(*arguments, **named)
        except Exception as error:
            keyring.provider.audit.now(event, kind_of(error).slug, key=given)
            raise
        keyring.provider.audit.now(event, key=given if version is None else version(result))
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


def _streamed(event: str, method: Callable[_P, int]) -> Callable[_P, int]:
    """``method``, with one record before its first byte and one when it ended."""

    @functools.wraps(method)
    def call(*arguments: _P.args, **named: _P.kwargs) -> int:
        keyring: Any = arguments[0]
        given = _given(named)
        keyring.provider.audit.now(event, BEGUN, key=given)
        try:
            count = method(*arguments, **named)
        except BaseException as error:
            keyring.provider.audit.now(event, kind_of(error).slug, key=given)
            raise
        keyring.provider.audit.now(event, OK, key=given, bytes=count)
        return count

    return call


class RecordedKeyring(Keyring):
    """A :class:`Keyring` whose every use is durable in the audit log before it returns.

    All methods may raise :class:`AuditUnavailableError` beside what they raise else. What is
    sealed, opened or read piece by piece is one record, when it begins.
    """

    encrypt_result = _recorded("encrypt", Keyring.encrypt_result, lambda result: result.key_id)
    decrypt_result = _recorded("decrypt", Keyring.decrypt_result, lambda result: result.key_id)
    open_old = _recorded("decrypt", Keyring.open_old, lambda result: result.key_id)
    data_key_result = _recorded("datakey", Keyring.data_key_result, lambda result: result[1])
    encrypt_stream = _streamed("encrypt.stream", Keyring.encrypt_stream)
    decrypt_stream = _streamed("decrypt.stream", Keyring.decrypt_stream)
    rewrap_stream = _streamed("rewrap.stream", Keyring.rewrap_stream)
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
    verify_mac = _recorded("mac.verify", Keyring.verify_mac, lambda result: result)
