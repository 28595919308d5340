"""AWS KMS as moto has it, in a process of its own: ``python -m tests.support.custodians.moto_kms``.

In two things AWS does not do as moto does, and here it is as AWS does it, with AWS's own codes.
Moto uses a disabled key, and one that is to be deleted, as any other. And for a ciphertext of
another key than the one that is asked it answers AccessDenied.

It says its port, then does what each line of its standard input says, and answers ``done``:
``stop`` (nobody listens, every connection is cut), ``start`` (on the same port, with all keys),
``count`` (answers how many requests there were of each operation since the last time, as JSON).
It ends with its standard input.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
import logging
import socket
import sys
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

from moto.kms.models import kms_backends
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import make_server

if TYPE_CHECKING:
    from collections.abc import Iterable

ACCOUNT = "123456789012"  # moto's
REGION = "eu-central-1"
_USES = {  # what names keys that are used, and of which of them the ciphertext is
    "Encrypt": (("KeyId",), None),
    "Decrypt": (("KeyId",), "KeyId"),
    "ReEncrypt": (("SourceKeyId", "DestinationKeyId"), "SourceKeyId"),
    "Sign": (("KeyId",), None),
}
_KEY_BYTES = 36  # moto's ciphertexts begin with the id of their key
_CODES = {"Disabled": "DisabledException", "PendingDeletion": "KMSInvalidStateException"}


class AsAWS:
    """Moto where it is as AWS, behind a count of what it is asked."""

    def __init__(self) -> None:
        self.moto = DomainDispatcherApplication(create_backend_app)
        self.asked: Counter[str] = Counter()
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        operation = environ.get("HTTP_X_AMZ_TARGET", "").removeprefix("TrentService.")
        with self._lock:
            self.asked[operation] += 1
        if operation in _USES:
            body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            code = self._refusal(operation, json.loads(body))
            if code is not None:
                answer = json.dumps({"__type": code, "message": "it is not enabled"}).encode()
                start_response(
                    "400 Bad Request",
                    [
                        ("Content-Type", "application/x-amz-json-1.1"),
                        ("Content-Length", str(len(answer))),
                    ],
                )
                return [answer]
            environ["wsgi.input"] = io.BytesIO(body)
        answered: Iterable[bytes] = self.moto(environ, start_response)
        return answered

    @staticmethod
    def _refusal(operation: str, asked: dict[str, Any]) -> str | None:
        names, of_ciphertext = _USES[operation]
        for name in names:
            key = _key(asked[name])
            if key is not None and key.key_state in _CODES:
                return _CODES[key.key_state]
        if of_ciphertext is not None:
            theirs = base64.b64decode(asked["CiphertextBlob"])[:_KEY_BYTES].decode(errors="replace")
            if _key(theirs) is None:
                return "InvalidCiphertextException"
            if not asked[of_ciphertext].endswith(theirs):
                return "IncorrectKeyException"
        return None

    def taken(self) -> dict[str, int]:
        """How many requests there were of each operation, which begin anew."""
        with self._lock:
            found, self.asked = dict(self.asked), Counter()
        return found


def _key(named: str) -> Any:
    parts = named.split(":")
    region = parts[3] if len(parts) > 3 else REGION
    return kms_backends[ACCOUNT][region].keys.get(parts[-1].removeprefix("key/"))


class Listener:
    """The server, which can be gone and back on its port."""

    def __init__(self, application: AsAWS) -> None:
        self._application = application
        self.port = 0
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()

    def start(self) -> None:
        listener = self

        class Handler(MotoRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def setup(self) -> None:
                super().setup()
                with listener._lock:
                    listener._open.add(self.connection)

            def finish(self) -> None:
                with listener._lock:
                    listener._open.discard(self.connection)
                with contextlib.suppress(OSError):
                    super().finish()

            def log(self, *arguments: object) -> None:
                """Nothing."""

        self._server = make_server(
            "127.0.0.1", self.port, self._application, threaded=True, request_handler=Handler
        )
        self.port = self._server.server_port
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        with self._lock:
            cut = list(self._open)
        for connection in cut:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


def main() -> None:
    logging.disable(logging.CRITICAL)
    application = AsAWS()
    listener = Listener(application)
    listener.start()
    print(listener.port, flush=True)
    for line in sys.stdin:
        answer = "done"
        if line == "stop\n":
            listener.stop()
        elif line == "start\n":
            listener.start()
        elif line == "count\n":
            answer = json.dumps(application.taken())
        print(answer, flush=True)


if __name__ == "__main__":
    main()
