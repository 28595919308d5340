"""``mfn serve``: the HTTP service, from the first key on."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import stat
import sys
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, BinaryIO, Final

import click

from mycelium_fractal_net.cli.exits import CommandError
from mycelium_fractal_net.cli.numbers import WholeNumber
from mycelium_fractal_net.cli.outputs import PRIVATE
from mycelium_fractal_net.cli.parsing import command
from mycelium_fractal_net.cli.terminal import complain, say
from mycelium_fractal_net.security.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from socket import socket

    from mycelium_fractal_net.cli.invocation import Invocation
    from mycelium_fractal_net.config import Settings

FIRST_NAME: Final = "first"
_JSON: Final = "-H 'Content-Type: application/json'"


@command("serve")
@click.option("--host", metavar="ADDRESS", help="Where to listen [server.host].")
@click.option(
    "--port",
    metavar="N",
    type=WholeNumber(0, 65535),
    help="Its port; 0 takes a free one [server.port].",
)
@click.option(
    "--workers",
    metavar="N",
    type=WholeNumber(1, 256),
    help="Processes that serve [server.workers].",
)
def serve(invocation: Invocation, host: str | None, port: int | None, workers: int | None) -> None:
    """Serve HTTP on the key store, until Ctrl-C or SIGTERM. The first time it makes an API key."""
    invocation.ends_when_asked = True  # also before it serves
    settings = invocation.settings(server={"host": host, "port": port, "workers": workers})
    _require_server()
    # pydantic looks for plugins that other packages bring, and these would see what requests hold.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    from mycelium_fractal_net.api.server.metrics_folder import metrics_folder
    from mycelium_fractal_net.api.server.sockets import listen, url_of
    from mycelium_fractal_net.bootstrap.logs import write_logs
    from mycelium_fractal_net.security.addresses import is_loopback
    from mycelium_fractal_net.security.hardening import harden_process

    server = settings.server
    if not is_loopback(server.host) and not invocation.names_configuration():
        raise CommandError(
            ExitCode.CONFIGURATION,
            "no configuration is named, and the settings of dev serve this machine alone",
            "name one: --config prod, or MFN_CONFIG",
        )
    with_tls = _checked_tls(settings)
    _check_limits(settings)
    write_logs(settings.log)
    harden_process()  # before a key is opened; workers are forked from this process
    with (
        listen(server.host, server.port) as listening,
        metrics_folder(settings.home) if server.workers > 1 else nullcontext() as folder,
    ):
        passphrase = _known_passphrase(invocation, settings)
        shown = _first_key(invocation, settings, passphrase)
        signed = server.request_signing == "required"
        url = url_of(listening, tls=with_tls)
        greet = partial(_greet, invocation, url, shown, signed=signed)
        code = _run(settings, listening, passphrase, folder, greet)
    if code:
        raise click.exceptions.Exit(ExitCode.UNEXPECTED)


def _checked_tls(settings: Settings) -> bool:
    """Whether TLS is served, from files that serve now. Raises where it must be and is not."""
    from mycelium_fractal_net.api.transport.tls import load, serves_tls

    tls = settings.security.tls
    if serves_tls(tls):
        load(tls)
        if tls.private_key is not None and tls.private_key.stat().st_mode & stat.S_IRWXO:
            complain(
                f"every user of this machine may use the TLS key; run: chmod o= {tls.private_key}"
            )
        return True
    if tls.required and not settings.server.trusted_proxies:
        raise CommandError(
            ExitCode.CONFIGURATION,
            "security.tls.required is true, and there is no certificate",
            "name one in security.tls.certificate, or the proxy that sees to TLS in"
            " server.trusted_proxies",
        )
    return False


def _check_limits(settings: Settings) -> None:
    """Raise where proxies, limits or the counting of rates are not what they should be."""
    from mycelium_fractal_net.api.rate_limits.rates import RateLimits
    from mycelium_fractal_net.api.transport.addresses import Proxies
    from mycelium_fractal_net.api.transport.limits import ClientLimits

    Proxies(settings.server.trusted_proxies)
    ClientLimits.of(settings.server)
    RateLimits.of(settings.server)


def _run(
    settings: Settings,
    listening: socket,
    passphrase: bytes | None,
    folder: Path | None,
    greet: Callable[[], None],
) -> int:
    """Serve in this process, or in several that it forks; returns an exit code."""
    from mycelium_fractal_net.api.server.worker import serve_process

    if folder is None:
        return serve_process(settings, listening, passphrase, ready=greet)
    from mycelium_fractal_net.api.server.supervisor import SERVES, Supervisor
    from mycelium_fractal_net.api.transport.certificate import renews_on_sighup

    hangup = frozenset({signal.SIGHUP}) if renews_on_sighup(settings) else frozenset()
    supervisor = Supervisor(
        settings.server.workers,
        shutdown_seconds=settings.server.shutdown_seconds,
        serving=greet,
        passes_on=hangup,
    )

    def work(ready: int, parent: int) -> int:
        return serve_process(
            settings,
            listening,
            passphrase,
            ready=partial(os.write, ready, SERVES),
            parent=parent,
            metrics_folder=folder,
        )

    return supervisor.run(work, listening)


def _require_server() -> None:
    """Raise :class:`ConfigurationError` where what the service needs does not import."""
    from importlib import import_module

    from mycelium_fractal_net.security.errors import EXTRA_MODULES, unusable_extra

    try:
        for name in EXTRA_MODULES["server"]:
            import_module(name)
    except ImportError as error:
        raise unusable_extra("mfn serve", "server", error) from None


def _known_passphrase(invocation: Invocation, settings: Settings) -> bytes | None:
    """The passphrase of the master key, asked for once for all workers; None where it has none."""
    from mycelium_fractal_net.bootstrap import needs_passphrase

    if not settings.security.encryption.enabled or not needs_passphrase(settings):
        return None
    return invocation.passphrase()


def _first_key(invocation: Invocation, settings: Settings, passphrase: bytes | None) -> str:
    """How a shell names the API key: where there is no credential yet, one that is made now.

    A secret goes to a terminal, or into a file of mode 0600, and never into a log.
    """
    if not settings.security.encryption.enabled:
        return "$API_KEY"
    from mycelium_fractal_net.bootstrap import open_keyring

    with invocation.acting(), open_keyring(settings=settings, passphrase=passphrase) as keyring:
        provider = keyring.provider
        if provider.store.credentials.ids(limit=1):
            return "$API_KEY"
        path = settings.home / "first-api-key"
        if sys.stdout is not None and sys.stdout.isatty():
            _, api_key = provider.credentials.create(FIRST_NAME, ("*",))
            said = f"the first API key, which may do all, shown this once: {api_key.text}"
            complain(said) if invocation.json else print(said)
            return api_key.text
        with _private_file(path) as file:
            _, api_key = provider.credentials.create(FIRST_NAME, ("*",))
            file.write(f"{api_key.text}\n".encode())
    said = f"the first API key, which may do all, is in the file {path}"
    complain(said) if invocation.json else say(said)
    return f"$(cat {shlex.quote(str(path))})"


@contextlib.contextmanager
def _private_file(path: Path) -> Iterator[BinaryIO]:
    """A new file of mode 0600, which is there once it is whole, and only where the block ends well.

    Raises :class:`CommandError` where it cannot be made. One that is there may hold the key of
    another store with the same home, so it is kept.
    """
    from mycelium_fractal_net.files.new_file import new_file

    try:
        with new_file(path, PRIVATE) as file:
            yield file
    except OSError as error:
        raise CommandError(
            ExitCode.WRITE,
            f"the first API key cannot be kept in the file {path}: {error.strerror}",
            "move that file away, make its folder, or start mfn serve on a terminal once",
        ) from None


def _greet(invocation: Invocation, url: str, shown: str, *, signed: bool) -> None:
    invocation.answer({"url": url, "requests_signed": signed})
    if invocation.quiet or invocation.json:
        if sys.stdout is not None:  # as it is where the shell closed it
            sys.stdout.flush()
        return
    if signed:  # then they get 401, and nobody should look for the reason
        say(f"serving {url}; requests must be signed (docs/signing.md); three lines to try where")
        say("MFN_REQUEST_SIGNING is off:")
    else:
        say(f"serving {url}; three lines to try:")
    key = f'-H "X-API-Key: {shown}"'
    decrypt = f"curl -sS {url}/crypto/decrypt {key} {_JSON} -d @sealed.json"
    print(
        f"  curl -sS {url}/crypto/encrypt {key} {_JSON}"
        ' -d \'{"data": "aGVsbG8="}\' -o sealed.json && cat sealed.json\n'
        f"  {decrypt}\n"
        f"  curl -sS -X POST {url}/keys/default-encryption/rotate {key} -o rotated.json"
        f" && {decrypt}",
        flush=True,
    )
