"""``mfn encrypt --to`` and ``mfn decrypt --identity``: without a key store on either side."""

from __future__ import annotations

import contextlib
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from mycelium_fractal_net.cli import passphrase
from mycelium_fractal_net.cli.commands.one_file import (
    both_streams,
    input_size,
    opened_as,
    opened_stem,
    tell,
    unchanging,
)
from mycelium_fractal_net.cli.exits import CommandError
from mycelium_fractal_net.cli.inputs import STANDARD, begun, read_small, require_private
from mycelium_fractal_net.cli.outputs import (
    destination,
    is_channel,
    naming,
    opened_name,
    sealed_name,
)
from mycelium_fractal_net.security.byte_io.binary_io import HEAD_BYTES, head_of
from mycelium_fractal_net.security.errors import (
    BoundNameError,
    DecryptionError,
    ExitCode,
    InvalidKeyError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from mycelium_fractal_net.cli.invocation import Invocation
    from mycelium_fractal_net.cli.options import Writing
    from mycelium_fractal_net.security.policy import Policy
    from mycelium_fractal_net.security.records.open_options import OpenOptions
    from mycelium_fractal_net.security.sealed.reader import SealedReader
    from mycelium_fractal_net.security.sealed.recipients import Recipient, RecipientKey

_Found = TypeVar("_Found")

KEYS_BYTES: Final = 1 << 20  # 255 hybrid keys have 430 KB


def seal(
    invocation: Invocation,
    path: str,
    recipients: Sequence[str],
    associated_data: bytes,
    to: Writing,
    *,
    bind_name: bool,
    allow_changing: bool,
) -> None:
    """Seal a file or a stream to the keys in ``recipients``: files of them, or keys as text."""
    _refuse_folder(to, "seal what tar -c makes of it, as a stream")
    _refuse_twice(path, recipients)
    size = input_size(path, "seal what tar -c makes of it, as a stream")
    target = destination(path, to.output, sealed_name(path))
    refuse_onto(target, recipients)
    if bind_name and (target is None or is_channel(target)):
        raise CommandError(ExitCode.USAGE, "a stream has no name to bind", "name a file with -o")
    policy = _policy(invocation)
    keys = _all_in(recipients, read_recipients, policy)
    with invocation.progress("sealing", size) as update:
        how: dict[str, Any] = {
            "associated_data": associated_data, "policy": policy, "progress": update,
        }  # fmt: skip
        if path == STANDARD or target is None or is_channel(target):
            from mycelium_fractal_net.files.recipients import seal_stream_to

            if bind_name and target is not None:
                from mycelium_fractal_net.files.naming import file_name

                how["name"] = file_name(target)
            with (
                both_streams(path, target, force=to.force) as (reader, writer),
                unchanging(path, reader, allow_changing),
            ):
                count = seal_stream_to(keys, reader, writer, **how)
        else:
            from mycelium_fractal_net.files.recipients import seal_file_to

            how |= {"bind_name": bind_name, "force": to.force, "allow_changing": allow_changing}
            with naming(target):
                count = seal_file_to(keys, Path(path), target, **how)
    tell(invocation, "sealed", path, target, count)


def unseal(
    invocation: Invocation,
    path: str,
    identities: Sequence[str],
    opening: OpenOptions,
    to: Writing,
    *,
    bind_name: bool,
    bound_name: str | None,
) -> None:
    """Open what was sealed to a key whose private half is in one of the files ``identities``."""
    _refuse_folder(to, "open each file by itself")
    _refuse_twice(path, identities)
    size = input_size(path, "open each file by itself")
    opening = opened_as(opening, path, bound_name, bind_name)
    natural = opened_name(path) if to.output is None else opened_stem(path)
    target = destination(path, to.output, natural)
    refuse_onto(target, identities)
    policy = _policy(invocation)
    keys = _all_in(identities, _identities(invocation), policy)
    with _advising(), invocation.progress("opening", size) as update:
        if path == STANDARD or target is None or is_channel(target):
            from mycelium_fractal_net.files.recipients import open_stream_with

            with both_streams(path, target, force=to.force) as (source, writer):
                head, reader = begun(source, HEAD_BYTES)
                _refuse_other(head)
                count = open_stream_with(
                    keys, reader, writer, opening, policy=policy, progress=update
                )
        else:
            from mycelium_fractal_net.files.recipients import open_file_with

            _refuse_other(head_of(path))
            with naming(target):
                count = open_file_with(
                    keys, Path(path), target, opening,
                    force=to.force, policy=policy, progress=update,
                )  # fmt: skip
    tell(invocation, "opened", path, target, count)


@contextlib.contextmanager
def reader_of_part(
    invocation: Invocation, path: str, identities: Sequence[str], opening: OpenOptions
) -> Iterator[SealedReader]:
    """A file that was sealed to a key in one of the files ``identities``, by position."""
    from mycelium_fractal_net.files.recipients import open_reader_with

    _refuse_other(head_of(path))
    policy = _policy(invocation)
    keys = _all_in(identities, _identities(invocation), policy)
    with (
        _advising(),
        Path(path).open("rb", buffering=0) as file,
        open_reader_with(keys, file, opening, policy=policy) as reader,
    ):
        yield reader


def refuse_addressed(head: bytes, event: str) -> None:
    """Raise :class:`CommandError` where a message that begins so is for recipients, and not ours.

    Anybody sees that it is: who has the key of one needs to be told how to use it.
    """
    from mycelium_fractal_net.security.sealed.addressed_layout import is_addressed

    if is_addressed(head):
        raise CommandError(
            ExitCode.NOT_AUTHENTIC,
            "it is sealed to recipients, and not under a key of the key store",
            "name the file of your private key with --identity"
            if event == "decrypt"
            else "nothing of it grows old with a key of the store",
        )


def read_recipients(policy: Policy, name: str) -> list[Recipient]:
    """The public keys that an argument names. Raises :class:`CommandError`."""
    from mycelium_fractal_net.security.sealed.addressed_layout import RECIPIENT

    _refuse_secret(name)
    if any(line.strip().startswith(RECIPIENT) for line in name.splitlines()):  # "$(cat alice.pub)"
        return _named("the recipient that was given", policy.recipients_in, name)
    content = read_small(name, KEYS_BYTES, "keys of recipients")
    return _named(name, policy.recipients_in, content)


def _identities(invocation: Invocation) -> Callable[[Policy, str], list[RecipientKey]]:
    """What reads the private keys of a file, and its passphrase where there is one.

    A descriptor is read once, for all files; on the terminal each is asked for.
    """
    descriptor = invocation.passphrase_fd
    given = cache(partial(passphrase.read_descriptor, descriptor or 0))

    def read(policy: Policy, name: str) -> list[RecipientKey]:
        shown = _shown(name)
        asked = partial(passphrase.ask, f"Passphrase of {shown}", shown)
        secret = asked if descriptor is None else given
        return _private(name, partial(policy.identities_in, passphrase=secret))

    return read


def public_keys(policy: Policy, name: str) -> list[Recipient]:
    """Those of the private keys in a file that nobody else may read. Raises CommandError."""
    return _private(name, policy.public_identities_in)


def _private(name: str, read: Callable[[bytes | str], _Found]) -> _Found:
    _refuse_secret(name)
    content = read_small(name, KEYS_BYTES, "private keys")
    found = _named(name, read, content)  # first: who names alice.pub should know
    require_private(name)
    return found


def _all_in(
    names: Sequence[str], read: Callable[[Policy, str], list[_Found]], policy: Policy
) -> list[_Found]:
    return [key for name in names for key in read(policy, name)]


def _named(name: str, read: Callable[[bytes | str], _Found], content: bytes | str) -> _Found:
    try:
        return read(content)
    except InvalidKeyError as error:
        raise InvalidKeyError(f"{_shown(name)}: {error}") from None


def _shown(name: str) -> str:
    return "standard input" if name == STANDARD else name


@contextlib.contextmanager
def _advising() -> Iterator[None]:
    """Say of a message that does not open what to give, where there is no key store to look in."""
    try:
        yield
    except BoundNameError:
        raise
    except DecryptionError as error:
        advice = "give the -a that it was sealed with, and the key of one of its recipients"
        raise CommandError(error.kind.exit_code, str(error), advice) from None


def _policy(invocation: Invocation) -> Policy:
    from mycelium_fractal_net.bootstrap import build_policy

    return build_policy(invocation.settings())


def _refuse_other(head: bytes) -> None:
    from mycelium_fractal_net.security.sealed.addressed_layout import is_addressed

    if head[:3] == b"MFN" and not is_addressed(head):
        raise CommandError(
            ExitCode.NOT_AUTHENTIC,
            "it is sealed under a key of a key store, and to no recipient",
            "leave --identity away",
        )


def _refuse_folder(to: Writing, instead: str) -> None:
    if to.recursive:
        raise CommandError(
            ExitCode.USAGE, "-r goes with the keys of a key store, and not with recipients", instead
        )


def _refuse_secret(name: str) -> None:
    """Of a private key that was given in place of a file nothing is shown, as of a path it is."""
    from mycelium_fractal_net.security.sealed.addressed_layout import IDENTITY, SEALED_IDENTITY

    if any(each in name for each in (IDENTITY, SEALED_IDENTITY, "PRIVATE KEY-----")):
        raise CommandError(
            ExitCode.USAGE,
            "a private key stands on the command line, where others see it",
            "name its file, or give it on standard input as -",
        )


def refuse_onto(target: Path | None, names: Sequence[str]) -> None:
    """Nothing is written over a key that is used: with --force, it would be gone."""
    for name in names:
        with contextlib.suppress(OSError):
            if target is not None and target.samefile(name):
                raise CommandError(
                    ExitCode.USAGE, f"{name} is the output and a key", "choose another with -o"
                )


def _refuse_twice(path: str, names: Sequence[str]) -> None:
    if [path, *names].count(STANDARD) > 1:
        raise CommandError(
            ExitCode.USAGE, "standard input is named twice", "name a file for one of them"
        )
