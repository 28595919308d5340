"""What a signed request costs: verifying it, and taking its nonce; writes docs/benchmarks/signed.*.

python -m benchmarks.signed [--quick] [--out FOLDER]

Verifying is measured beside the curve operation alone, which nobody can do without, and beside
the ``http-message-signatures`` package. Nonces are taken by two processes over one SQLite store.
"""

from __future__ import annotations

import argparse
import datetime
import gc
import json
import multiprocessing
import os
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from queue import Queue

from benchmarks.harness import Figure, Work, compare
from benchmarks.report import Goal, goals_table, machine
from mycelium_fractal_net import initialise
from mycelium_fractal_net.security.directories.signers import SignerDirectory
from mycelium_fractal_net.security.http_signatures.content_digest import content_digest
from mycelium_fractal_net.security.http_signatures.message_signature import (
    TAG,
    SignatureParameters,
    sign,
)
from mycelium_fractal_net.security.http_signatures.messages import RequestView
from mycelium_fractal_net.security.key_store import Database, NonceStore
from mycelium_fractal_net.security.keyring.keyring import Keyring
from mycelium_fractal_net.security.signatures.signing_key import SigningKey
from mycelium_fractal_net.security.signed_requests.replay import Nonce, ReplayGuard, Taken
from mycelium_fractal_net.security.signed_requests.verifier import RequestVerifier

AUTHORITY = "api.example.com"
URL = f"https://{AUTHORITY}/crypto/encrypt"
COVERED = ("@method", "@authority", "@path", "@query", "content-digest", "content-type")
ALGORITHMS = ("Ed25519", "ECDSA-P256")
CURVE, OURS, THEIRS = "the curve operation alone", "this service", "http-message-signatures"
PROCESSES = 2
GROUPS = (1, 8, 64)
_IN_FLIGHT = 4  # groups of one process that wait
_MOST_BESIDE = 10.0  # microseconds
_LEAST_NONCES = 20_000  # a second


@dataclass(frozen=True)
class Nonces:
    """Nonces a second, of all processes together, when that many come at a time."""

    group: int
    per_second: float
    syncs_per_second: float


@dataclass(frozen=True)
class Results:
    """All that one run measured."""

    verifying: dict[str, list[Figure]]
    nonces: list[Nonces]


def main() -> int:
    """Parse the options, measure, write."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.signed",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks"))
    options = parser.parse_args()
    rounds, budget, seconds = (3, 0.05, 0.5) if options.quick else (15, 0.3, 3.0)
    gc.freeze()  # as the service does: what it loaded stays
    gc.set_threshold(20_000, 20, 50)
    with tempfile.TemporaryDirectory(prefix="mfn-signed-") as folder:
        with initialise(home=folder) as keyring:
            verifying = {
                algorithm: compare(contenders(keyring, algorithm), rounds=rounds, budget=budget)
                for algorithm in ALGORITHMS
            }
        nonces = [taken(Path(folder), group, seconds) for group in GROUPS]
    results = Results(verifying, nonces)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "signed.md").write_text(markdown(results))
    (options.out / "signed.json").write_text(as_json(results))
    print(markdown(results))
    return 0


# Verifying ------------------------------------------------------------------------------------


class _NoStore(ReplayGuard):
    """Stands where the replay guard does; verifying stops before it."""

    def __init__(self) -> None: ...


def contenders(keyring: Keyring, algorithm: str) -> dict[str, Work]:
    """The curve operation, our verification of a whole request, and the other package's."""
    key = keyring.policy.generate_signing_key(algorithm)
    name = f"signer-{algorithm.lower()}"
    keyring.provider.signers.add(name, key.public.der(), any_credential=True)
    body = os.urandom(1024)
    headers, base = signed_request(key, name, body)
    directory = SignerDirectory(keyring.provider, keyring.freshness)
    directory.load()
    verifier = RequestVerifier(directory, _NoStore(), authority=AUTHORITY)

    def ours() -> None:
        view = RequestView("POST", "https", AUTHORITY, b"/crypto/encrypt", b"", headers)
        verifier._check_body(view, verifier._verify_head(view), body)

    signature = key.sign_fixed_size(base)
    work: dict[str, Work] = {
        CURVE: lambda: key.public.verify_fixed_size(base, signature),
        OURS: ours,
    }
    try:
        work[THEIRS] = _their_verification(key, algorithm, headers, body)
    except ImportError:
        print(f"{THEIRS} is not installed: it is left out", file=sys.stderr)
    for each in work.values():
        each()
    return work


def signed_request(
    key: SigningKey, name: str, body: bytes
) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """The headers of a signed request as a client sends them, and what its signature is over."""
    headers = [
        (b"host", AUTHORITY.encode()),
        (b"user-agent", b"python-httpx/0.28"),
        (b"accept", b"*/*"),
        (b"accept-encoding", b"gzip, deflate"),
        (b"connection", b"keep-alive"),
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"content-digest", content_digest(body).encode()),
    ]
    now = int(time.time())
    parameters = SignatureParameters(
        created=now, expires=now + 290, keyid=name, nonce="b3k2pp5k7z50gnwpyemd00", tag=TAG
    )
    over: list[bytes] = []

    def signer(base: bytes) -> bytes:
        over.append(base)
        return key.sign_fixed_size(base)

    view = RequestView("POST", "https", AUTHORITY, b"/crypto/encrypt", b"", headers)
    given, signature = sign(
        view, label="sig1", components=list(COVERED), parameters=parameters, signer=signer
    )
    signed = (b"signature-input", given.encode()), (b"signature", signature.encode())
    return [*headers, *signed], over[0]


class _Request:
    """A request as the other package wants it."""

    def __init__(self, headers: list[tuple[bytes, bytes]]) -> None:
        self.url = URL
        self.method = "POST"
        self.headers = {name.decode(): value.decode() for name, value in headers}


def _their_verification(
    key: SigningKey, algorithm: str, headers: list[tuple[bytes, bytes]], body: bytes
) -> Work:
    import http_message_signatures as theirs
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    public = load_der_public_key(key.public.der())

    class Keys(theirs.HTTPSignatureKeyResolver):
        def resolve_public_key(self, key_id: str) -> object:  # noqa: ARG002
            return public

    kinds = theirs.algorithms
    chosen = kinds.ED25519 if algorithm == "Ed25519" else kinds.ECDSA_P256_SHA256
    verifier = theirs.HTTPMessageVerifier(signature_algorithm=chosen, key_resolver=Keys())
    request = _Request(headers)

    def verify() -> None:
        verifier.verify(request, max_age=datetime.timedelta(seconds=300), expect_tag=TAG)
        if request.headers["content-digest"] != content_digest(body):
            raise RuntimeError("the digest is another")

    return verify


# Nonces ---------------------------------------------------------------------------------------


def taken(folder: Path, group: int, seconds: float) -> Nonces:
    """How many nonces two processes take, and how often this disk syncs a small file meanwhile."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(PROCESSES) as pool:
        counts = pool.map(partial(_take, str(folder / "keys.db"), group, seconds), range(PROCESSES))
    return Nonces(group, sum(counts) / seconds, _syncs(folder, min(seconds, 1.0)))


def _take(database: str, group: int, seconds: float, _process: int) -> int:
    """Keep some groups in flight for that long; returns how many nonces were taken."""
    opened = Database(Path(database))
    guard = ReplayGuard(NonceStore(opened))
    ended: Queue[Taken] = Queue()
    expires = int(time.time()) + 300

    def submit() -> None:
        guard.submit([Nonce(os.urandom(32), expires) for _ in range(group)], ended.put)

    for _ in range(_IN_FLIGHT):
        submit()
    count, until = 0, time.perf_counter() + seconds
    while time.perf_counter() < until:
        taken = ended.get()
        if not isinstance(taken, list) or not all(taken):
            raise RuntimeError("a fresh nonce was refused")
        count += group
        submit()
    guard.close()
    opened.close()
    return count


def _syncs(folder: Path, seconds: float) -> float:
    """fdatasync calls a second of one file that grows by a page each time."""
    count, started = 0, time.perf_counter()
    with (folder / "synced").open("wb", buffering=0) as file:
        while time.perf_counter() - started < seconds:
            file.write(b"x" * 4096)
            os.fdatasync(file.fileno())
            count += 1
    return count / (time.perf_counter() - started)


# What is written --------------------------------------------------------------------------------


def _beside(found: list[Figure]) -> float:
    """Microseconds of our verification beside the curve operation."""
    seconds = {figure.name: figure.seconds for figure in found}
    return (seconds[OURS] - seconds[CURVE]) * 1e6


def goals(results: Results) -> list[Goal]:
    """What was to be reached, and what was seen."""
    found = []
    for algorithm, figures in results.verifying.items():
        beside = _beside(figures)
        found.append(
            Goal(
                f"verifying a request, {algorithm}, beside the curve operation",
                f"<= {_MOST_BESIDE:g} us",
                f"{beside:.1f} us",
                beside <= _MOST_BESIDE,
            )
        )
    best = max(results.nonces, key=lambda each: each.per_second)
    found.append(
        Goal(
            f"nonces of {PROCESSES} processes, durable, {best.group} at a time",
            f">= {_LEAST_NONCES:,} a second",
            f"{best.per_second:,.0f} a second",
            best.per_second >= _LEAST_NONCES,
        )
    )
    return found


def markdown(results: Results) -> str:
    """The page docs/benchmarks/signed.md."""
    lines = [
        "# Signed requests",
        "",
        f"`make bench-signed`: {machine()}.",
        "",
        *goals_table(goals(results)),
    ]
    lines += [
        "",
        "## Verifying a request with a body of 1 KiB",
        "",
        "Headers, digest, times and signature; everything but its nonce. A ratio is the median of"
        " rounds that took turns, with the least and the greatest.",
    ]
    for algorithm, figures in results.verifying.items():
        lines += ["", f"| {algorithm} | us | beside the curve operation |", "| --- | --- | --- |"]
        lines += [
            f"| {f.name} | {f.seconds * 1e6:.1f} | {f.ratio:.2f} x ({f.least:.2f} to"
            f" {f.greatest:.2f}) |"
            for f in figures
        ]
    lines += [
        "",
        f"## Nonces of {PROCESSES} processes over one SQLite store",
        "",
        f"Each process keeps {_IN_FLIGHT} groups waiting. A nonce counts once it is durable.",
        "",
        "| at a time | nonces/s | syncs/s of this disk, one file | nonces for each of those |",
        "| --- | --- | --- | --- |",
    ]
    lines += [
        f"| {n.group} | {n.per_second:,.0f} | {n.syncs_per_second:,.0f}"
        f" | {n.per_second / n.syncs_per_second:.1f} |"
        for n in results.nonces
    ]
    return "\n".join(lines) + "\n"


def as_json(results: Results) -> str:
    """The same, for machines."""
    return json.dumps({"machine": machine(), **asdict(results)}, indent=1) + "\n"


if __name__ == "__main__":
    sys.exit(main())
