"""A keyring that records each use before its result is handed out.

For programs that hold a keyring of their own and must account for it: ``audit.uses``. The
service records its requests by itself, and the command line its commands.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mycelium_fractal_net.security.errors import MfnError
from mycelium_fractal_net.security.keyring import Keyring

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import ParamSpec, TypeVar

    _P = ParamSpec("_P")
    _R = TypeVar("_R")

__all__ = ["RecordedKeyring"]


def _recorded(
    event: str, method: Callable[_P, _R], version: Callable[[_R], str | None]
) -> Callable[_P, _R]:
    """``method``, with a record of each call: that it succeeded and with which version, or how
    it failed."""

    def call(*arguments: _P.args, **named: _P.kwargs) -> _R:
        keyring: Any = arguments[0]
        audit = keyring.provider.audit
        try:
            result = method(*arguments, **named)
        except MfnError as error:
            given: Any = named.get("key_id")
            audit.now(event, type(error).__name__, key=given)
            raise
        audit.now(event, key=version(result))
        return result

    call.__name__ = method.__name__
    call.__doc__ = method.__doc__
    return call


def _unknown(_: object) -> None:
    return None


class RecordedKeyring(Keyring):
    """A :class:`Keyring` whose every use is durable in the audit log before it returns."""

    encrypt_result = _recorded("encrypt", Keyring.encrypt_result, lambda result: result.key_id)
    decrypt_result = _recorded("decrypt", Keyring.decrypt_result, lambda result: result.key_id)
    data_key_result = _recorded("datakey", Keyring.data_key_result, lambda result: result[1])
    encrypt_stream = _recorded("encrypt.stream", Keyring.encrypt_stream, _unknown)
    decrypt_stream = _recorded("decrypt.stream", Keyring.decrypt_stream, _unknown)
    rewrap_stream = _recorded("rewrap.stream", Keyring.rewrap_stream, _unknown)
    open_reader = _recorded("decrypt.open", Keyring.open_reader, _unknown)
    encryptor = _recorded("encrypt.push", Keyring.encryptor, lambda result: result[1])
    decryptor = _recorded("decrypt.push", Keyring.decryptor, lambda result: result[1])
    sign = _recorded("sign", Keyring.sign, lambda result: result.key_id)
    sign_stream = _recorded("sign", Keyring.sign_stream, lambda result: result.key_id)
    sign_file = _recorded("sign", Keyring.sign_file, _unknown)
    verify = _recorded("verify", Keyring.verify, lambda result: result)
    verify_stream = _recorded("verify", Keyring.verify_stream, lambda result: result)
    verify_file = _recorded("verify", Keyring.verify_file, lambda result: result)
    mac = _recorded("mac", Keyring.mac, lambda result: result.key_id)
    verify_mac = _recorded("mac.verify", Keyring.verify_mac, lambda result: result)
