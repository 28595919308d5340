"""AWS KMS as moto has it, in a process of its own: ``python -m tests.support.custodians.moto_kms``.

In some things AWS does not do as moto does, and here it is as AWS does it, with AWS's own codes:
moto uses a disabled key, and one that is to be deleted, as any other; for a ciphertext of another
key than the one that is asked it answers AccessDenied; it hashes a digest that it is given to sign;
it answers with the id of a key whose public key is asked for, and AWS with its ARN; it makes keys
for no use where none is named, and none for Ed25519.

It says its port, then does what each line of its standard input says, and answers ``done``:
``stop`` (nobody listens, every connection is cut), ``start`` (on the same port, with all keys),
``count`` (answers how many requests there were of each operation since the last time, as JSON),
``allow KEY POLICIES`` (whoever has that access key may do what those policies allow, and no more).
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

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from moto.kms import models
from moto.kms.models import kms_backends
from moto.kms.utils import AbstractPrivateKey, KeySpec, generate_private_key
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import make_server

from tests.support.custodians.iam import allows

if TYPE_CHECKING:
    from collections.abc import Iterable

ACCOUNT = "123456789012"  # moto's
REGION = "eu-central-1"
_USES = {  # what names keys that are used, and of which of them the ciphertext is
    "Encrypt": (("KeyId",), None),
    "Decrypt": (("KeyId",), "KeyId"),
    "ReEncrypt": (("SourceKeyId", "DestinationKeyId"), "SourceKeyId"),
    "Sign": (("KeyId",), None),
    "GetPublicKey": ((), None),
}
_ED25519 = "ECC_NIST_EDWARDS25519"
_KEY_BYTES = 36  # moto's ciphertexts begin with the id of their key
_CODES = {"Disabled": "DisabledException", "PendingDeletion": "KMSInvalidStateException"}


class AsAWS:
    """Moto where it is as AWS, behind a count of what it is asked."""

    def __init__(self) -> None:
        self.moto = DomainDispatcherApplication(create_backend_app)
        self.asked: Counter[str] = Counter()
        self.policies: dict[str, list[dict[str, Any]]] = {}  # by access key
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        operation = environ.get("HTTP_X_AMZ_TARGET", "").removeprefix("TrentService.")
        with self._lock:
            self.asked[operation] += 1
        who = environ.get("HTTP_AUTHORIZATION", "").partition("Credential=")[2].partition("/")[0]
        if operation in _USES or operation == "CreateKey" or who in self.policies:
            body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            asked = json.loads(body)
            if who in self.policies and not allows(self.policies[who], operation, asked, _named):
                return _answered(
                    start_response, "400 Bad Request", {"__type": "AccessDeniedException"}
                )
            if operation == "CreateKey":
                asked.setdefault("KeyUsage", "ENCRYPT_DECRYPT")
                body = json.dumps(asked).encode()
                environ["CONTENT_LENGTH"] = str(len(body))
            code = self._refusal(operation, asked)
            if code is not None:
                answer = {"__type": code, "message": "AWS does not do that"}
                return _answered(start_response, "400 Bad Request", answer)
            if operation in _OURS and _key(asked["KeyId"]) is not None:
                return _answered(start_response, "200 OK", _OURS[operation](asked))
            environ["wsgi.input"] = io.BytesIO(body)
        answered: Iterable[bytes] = self.moto(environ, start_response)
        return answered

    @staticmethod
    def _refusal(operation: str, asked: dict[str, Any]) -> str | None:
        names, of_ciphertext = _USES.get(operation, ((), None))
        for name in names:
            key = _key(asked[name])
            if key is not None and key.key_state in _CODES:
                return _CODES[key.key_state]
        if of_ciphertext is not None:
            theirs = base64.b64decode(asked["CiphertextBlob"])[:_KEY_BYTES].decode(errors="replace")
            if _key(theirs, _region(asked[of_ciphertext])) is None:
                return "InvalidCiphertextException"
            if not asked[of_ciphertext].endswith(theirs):
                return "IncorrectKeyException"
        return None

    def taken(self) -> dict[str, int]:
        """How many requests there were of each operation, which begin anew."""
        with self._lock:
            found, self.asked = dict(self.asked), Counter()
        return found


def _key(named: str, region: str | None = None) -> Any:
    key = named.split(":")[-1].removeprefix("key/")
    return kms_backends[ACCOUNT][region or _region(named)].keys.get(key)


def _region(named: str) -> str:
    parts = named.split(":")
    return parts[3] if len(parts) > 3 else REGION


def _named(key_id: str) -> tuple[str, str, dict[str, str]]:
    """The ARN of a key, its use and its tags."""
    if "alias/" in key_id:
        key_id = kms_backends[ACCOUNT][REGION].get_key_id_from_alias(key_id) or key_id
    key = _key(key_id)
    if key is None:
        return key_id, "", {}
    tagger = kms_backends[ACCOUNT][key.arn.split(":")[3]].tagger
    return key.arn, key.key_usage, tagger.get_tag_dict_for_resource(key.id)


def _answered(start_response: Any, status: str, answer: dict[str, str]) -> Iterable[bytes]:
    body = json.dumps(answer).encode()
    headers = [("Content-Type", "application/x-amz-json-1.1"), ("Content-Length", str(len(body)))]
    start_response(status, headers)
    return [body]


def signed(asked: dict[str, str]) -> dict[str, str]:
    """The answer to Sign."""
    key, message = _key(asked["KeyId"]), base64.b64decode(asked["Message"])
    private, algorithm = key.private_key.private_key, asked["SigningAlgorithm"]
    if algorithm == "ED25519_SHA_512":
        assert (key.key_spec, asked["MessageType"]) == (_ED25519, "RAW")
        assert len(message) <= 4096
        signature = private.sign(message)
    else:
        assert asked["MessageType"] == "DIGEST"
        hashed = {"ECDSA_SHA_256": hashes.SHA256(), "ECDSA_SHA_384": hashes.SHA384()}[algorithm]
        signature = private.sign(message, ec.ECDSA(Prehashed(hashed)))
    return {
        "KeyId": key.arn,
        "Signature": base64.b64encode(signature).decode(),
        "SigningAlgorithm": algorithm,
    }


def public_key(asked: dict[str, str]) -> dict[str, str]:
    """The answer to GetPublicKey."""
    key = _key(asked["KeyId"])
    found = base64.b64encode(key.private_key.public_key()).decode()
    return {"KeyId": key.arn, "PublicKey": found}


_OURS = {"Sign": signed, "GetPublicKey": public_key}


class Ed25519(AbstractPrivateKey):
    """A key as moto keeps those of other algorithms."""

    def __init__(self) -> None:
        self.private_key = Ed25519PrivateKey.generate()

    def sign(self, message: bytes, signing_algorithm: str) -> bytes:
        raise NotImplementedError

    def verify(self, message: bytes, signature: bytes, signing_algorithm: str) -> bool:
        raise NotImplementedError

    def public_key(self) -> bytes:
        return self.private_key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )


def know_ed25519() -> None:
    """Have moto make such keys."""
    made, known = generate_private_key, KeySpec.key_specs

    def generate(key_spec: str) -> AbstractPrivateKey:
        return Ed25519() if key_spec == _ED25519 else made(key_spec)

    theirs: Any = models
    theirs.generate_private_key = generate
    theirs = KeySpec
    theirs.key_specs = lambda: [*known(), _ED25519]


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
    know_ed25519()
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
        elif line.startswith("allow "):
            _, who, policies = line.split(" ", 2)
            application.policies[who] = json.loads(policies)
        print(answer, flush=True)


if __name__ == "__main__":
    main()
