"""What every route of the service answers to every kind of caller, asked of one that runs.

``python -m tests.support.answers --write`` puts the table into docs/permissions.md.
"""

from __future__ import annotations

import base64
import json
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx

from mycelium_fractal_net import initialise, open_keyring
from tests.support.algorithms import WRAPPING
from tests.support.service import Running, b64, start
from tests.support.signing import Peer

DOCS: Final = Path(__file__).resolve().parents[2] / "docs"
PAGE: Final = DOCS / "permissions.md"
DOCUMENT: Final[dict[str, Any]] = json.loads((DOCS / "openapi.json").read_text())
BEGIN, END = "<!-- answers -->\n", "<!-- end of answers -->\n"
HELLO: Final = b64(b"hello")
PER_KEY: Final = (
    "encrypt",
    "decrypt",
    "sign",
    "verify",
    "mac",
    "index",
    "rewrap",
    "datakey",
    "fieldkey",
)
WHOLE: Final = (
    "allow_compromised", "keys:read", "keys:admin", "credentials:admin", "signers:admin",
    "audit:read", "metrics:read",
)  # fmt: skip
SCOPES: Final = (*(f"{each}:*" for each in PER_KEY), *WHOLE)
CALLERS: Final = ("no API key", "expired", "former secret", "bound, unsigned", "lacks the scope")
NEEDS: Final = {
    "POST /crypto/encrypt": "encrypt:*",
    "POST /crypto/decrypt": "decrypt:*",
    "POST /crypto/rewrap": "rewrap:*",
    "POST /crypto/sign": "sign:*",
    "POST /crypto/verify": "verify:*",
    "POST /crypto/mac": "mac:*",
    "POST /crypto/mac/verify": "mac:*",
    "POST /crypto/index": "index:*",
    "POST /crypto/index/fieldkeys": "fieldkey:*",
    "POST /crypto/index/batch": "index:*",
    "POST /crypto/deterministic/fieldkeys": "fieldkey:*",
    "POST /crypto/datakey": "datakey:*",
    "POST /crypto/datakey/report": "datakey:*",
    "POST /crypto/encrypt/batch": "encrypt:*",
    "POST /crypto/decrypt/batch": "decrypt:*",
    "POST /crypto/rewrap/batch": "rewrap:*",
    "POST /crypto/sign/batch": "sign:*",
    "POST /crypto/verify/batch": "verify:*",
    "POST /crypto/encrypt/stream": "encrypt:*",
    "POST /crypto/decrypt/stream": "decrypt:*",
    "GET /keys/{key_id}/public": "verify:*",
}
"""The scopes of the routes that work with one key; those of the others are in the document."""
_OTHER: Final = {"verify:*": "keys:read"}  # which serves in its place where a public key is read


def operations() -> list[str]:
    """Every route of the document, as ``METHOD /path``."""
    return [
        f"{method.upper()} {path}" for path, item in DOCUMENT["paths"].items() for method in item
    ]


def needed(operation: str) -> str | None:
    """The scope that a route needs; None where every credential may take it."""
    method, path = operation.split()
    if operation in NEEDS:
        return NEEDS[operation]
    about = DOCUMENT["paths"][path][method.lower()]["description"]
    found = about.partition("Scope: `")[2].partition("`")[0]
    return found or None


class Callers:
    """One credential of each kind, in the store of a service, and requests that are well formed."""

    def __init__(self, service: Running) -> None:
        self._service = service
        with open_keyring(home=service.home) as keyring:
            credentials = keyring.provider.credentials
            soon = datetime.now(UTC) + timedelta(seconds=1)
            _, self._expired = credentials.create("expired", ("*",), expires_at=soon)
            made, self._former = credentials.create("former", ("*",))
            credentials.rotate(made.credential_id, overlap=timedelta(days=1))
            bound, self._bound = credentials.create("bound", ("*",))
            keyring.provider.signers.add(
                "walker", Peer("walker").public_key, credentials=(bound.credential_id,)
            )
            self._lacking = {
                scope: credentials.create("lacking", tuple({*SCOPES} - {scope, _OTHER.get(scope)}))[
                    1
                ].text
                for scope in {*SCOPES, *NEEDS.values()}
            }
            _, self._all = credentials.create("all", ("*",))
            self._message = b64(keyring.encrypt(b"hello"))
            self._signature = b64(keyring.sign(b"hello"))
            keyring.provider.keys.create("walked-index", "index")
            self._tag = b64(keyring.mac(b"hello"))
            self._key = "default-encryption"
        self._subject = made.credential_id
        until = time.monotonic() + 10
        with service.client(self._all.text) as client:
            while client.get("/credentials/self").status_code != 200:
                assert time.monotonic() < until
                time.sleep(0.05)
        time.sleep(max(0.0, (soon - datetime.now(UTC)).total_seconds()))

    def table(self) -> str:
        """The answers, as a table of Markdown."""
        lines = [
            f"| route | scope | {' | '.join(CALLERS)} |",
            f"| --- | --- |{' --- |' * len(CALLERS)}",
        ]
        for operation in operations():
            scope = needed(operation)
            cells = " | ".join(self.answers(operation, scope))
            lines.append(f"| `{operation}` | {f'`{scope}`' if scope else '-'} | {cells} |")
        return "\n".join(lines) + "\n"

    def answers(self, operation: str, scope: str | None) -> list[str]:
        """What each caller is answered; ``as any`` is what the newest secret of it is."""
        harmless = operation in NEEDS or operation.startswith("GET ")
        best = self.ask(operation, self._all.text) if harmless else None
        keys = ["", self._expired.text, self._former.text, self._bound.text]
        if scope is not None:
            keys.append(self._lacking[scope])
        found = [self.ask(operation, key) for key in keys]
        if scope is None:
            found.append("-")
        return ["as any" if each == best else each for each in found]

    def ask(self, operation: str, api_key: str) -> str:
        """The status of a request, and those of its items where it is a batch."""
        method, path = operation.split()
        key = "default-signing" if path.endswith("/public") else self._key
        path = path.replace("{key_id}", key).replace("{credential_id}", self._subject)
        path = path.replace("{name}", "walker").replace("{import_id}", "0" * 32)
        headers = {"X-API-Key": api_key} if api_key else {}
        body: dict[str, Any] = {}
        if path.endswith("/stream"):
            body["content"] = b"hello" if "encrypt" in path else base64.b64decode(self._message)
            headers["Content-Type"] = "application/octet-stream"
        elif (content := self._json(operation)) is not None:
            body["json"] = content
        with httpx.Client(base_url=self._service.url, timeout=30.0) as client:
            answer = client.request(method, path, headers=headers, **body)
        if path.endswith("/batch") and answer.status_code == 200:
            (item,) = answer.json()["items"]
            return f"200, item {item['error']['status']}" if "error" in item else "200"
        return str(answer.status_code)

    def _json(self, operation: str) -> Any:
        path = operation.split()[1]
        if path.startswith("/crypto"):
            item = {
                "encrypt": {"data": HELLO},
                "decrypt": {"ciphertext": self._message},
                "rewrap": {"ciphertext": self._message},
                "sign": {"data": HELLO},
                "verify": {"data": HELLO, "signature": self._signature},
                "mac": {"data": HELLO},
                "datakey": {},
                "index": {"data": HELLO, "key_id": "walked-index", "context": HELLO},
                "deterministic": {"key_id": "walked-index"},  # of another type, for all alike
            }[path.split("/")[2]]
            if path == "/crypto/index/fieldkeys":
                return {"key_id": "walked-index", "context": HELLO}
            if path.endswith("/batch"):
                return {"items": [item]}
            if path == "/crypto/mac/verify":
                return {"data": HELLO, "mac": self._tag}
            if path == "/crypto/datakey/report":
                return {"uses": [{"key_id": f"{self._key}:v1", "encrypted": 1}]}
            return item
        return {
            "POST /keys": {"key_id": "walked"},
            "PATCH /keys/{key_id}": {"publish": False},
            "POST /imports": {"key_id": "walked-in", "method": WRAPPING},
            "POST /imports/{import_id}/finish": {"wrapped": HELLO},
            "POST /keys/{key_id}/export": {"public_key": "x"},
            "POST /credentials": {"name": "walked", "scopes": ["encrypt:*"]},
            "POST /signers": {"name": "walked", "public_key": "x", "any_credential": True},
        }.get(operation)


def main() -> int:
    """Write the table."""
    page = PAGE.read_text()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        initialise(home=home).close()
        running = start(home)
        try:
            table = Callers(running).table()
        finally:
            running.stop()
    if "--write" in sys.argv:
        before, after = page.partition(BEGIN)[0], page.partition(END)[2]
        PAGE.write_text(before + BEGIN + table + END + after)
    else:
        print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
