"""Bytes, streams and files for the holders of public keys; no key store is needed by either side.

    key = RecipientKey.generate("HPKE-P256")
    message = seal_to([key.public], b"...", associated_data=b"row 17")
    open_with([key], message, associated_data=b"row 17")

Whoever has a public key can seal to it, and a message says nothing of who did: sign it as well
where that matters. Every recipient opens the same plaintext. Without ``policy`` what this process
may use is used: in FIPS mode P-256 and P-384.

Sealing raises :class:`InvalidInputError` for no recipient, more than 255, or where only some are
hybrid; opening :class:`DecryptionError`, whatever is wrong, be it that none of the keys is one of
the recipients'; both :class:`AlgorithmNotAllowedError`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mycelium_fractal_net.files.naming import file_name, named_options
from mycelium_fractal_net.files.single import opened_into, sealed_into
from mycelium_fractal_net.security.policy import Policy
from mycelium_fractal_net.security.records.file_names import check_name
from mycelium_fractal_net.security.records.open_options import PLAIN
from mycelium_fractal_net.security.sealed.addressed_layout import (
    parse_addressed_header,
    read_addressed_header,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path
    from typing import BinaryIO

    from mycelium_fractal_net.security.byte_io.binary_io import (
        BinaryReader,
        BinaryWriter,
        SeekableFile,
    )
    from mycelium_fractal_net.security.byte_io.buffers import Buffer
    from mycelium_fractal_net.security.records.file_names import FileName
    from mycelium_fractal_net.security.records.open_options import OpenOptions
    from mycelium_fractal_net.security.sealed.reader import SealedReader
    from mycelium_fractal_net.security.sealed.recipients import Recipient, RecipientKey
    from mycelium_fractal_net.security.sealed.writer import SealedWriter

    Progress = Callable[[int], None]


def read_recipients(content: Buffer | str, *, policy: Policy | None = None) -> list[Recipient]:
    """The public keys in what a file has: lines as ``Recipient.line`` gives, or one PEM block.

    Raises :class:`InvalidKeyError` unless all of it is keys and comments.
    """
    return (policy or Policy()).recipients_in(content)


def read_identities(
    content: Buffer | str,
    *,
    passphrase: bytes | Callable[[], bytes] | None = None,
    policy: Policy | None = None,
) -> list[RecipientKey]:
    """The private keys in what a file has, as :func:`read_recipients`.

    ``passphrase``, or what it returns, opens those under one; it is asked for once, where it is
    needed. Without one such keys raise :class:`InvalidKeyError` too.
    """
    ask = (lambda: passphrase) if isinstance(passphrase, bytes) else passphrase
    return (policy or Policy()).identities_in(content, ask)


def seal_identity(
    key: RecipientKey,
    passphrase: bytes,
    *,
    iterations: int = 600_000,
    policy: Policy | None = None,
) -> str:
    """The line of a private key under a passphrase, which :func:`read_identities` takes with it.

    ``iterations`` of PBKDF2-HMAC-SHA-256 are 200,000 to 10,000,000, and each reader pays them.
    Others, or an empty passphrase, raise :class:`InvalidInputError`.
    """
    return (policy or Policy()).seal_identity(key, passphrase, iterations)


def seal_to(
    recipients: Iterable[Recipient],
    data: Buffer,
    *,
    associated_data: Buffer = b"",
    policy: Policy | None = None,
) -> bytes:
    """The message of ``data`` that each of the recipients opens."""
    sealer = (policy or Policy()).sealer_for(recipients)
    return sealer.seal(data, associated_data)


def open_with(
    keys: Iterable[RecipientKey],
    message: Buffer,
    *,
    associated_data: Buffer = b"",
    policy: Policy | None = None,
) -> bytes:
    """The data in a message that was sealed to one of the keys, and is bound to no name."""
    header = parse_addressed_header(message)
    check_name(header.name, None)
    return (policy or Policy()).opener_by(keys, header).open(message, associated_data)


def seal_stream_to(
    recipients: Iterable[Recipient],
    reader: BinaryReader,
    writer: BinaryWriter,
    *,
    associated_data: Buffer = b"",
    name: FileName | None = None,
    policy: Policy | None = None,
    progress: Progress | None = None,
) -> int:
    """Seal all that ``reader`` gives, in constant memory; returns the plaintext's bytes.

    With ``name``, the message is bound to that, and opens only where it is given again.
    """
    digest = b"" if name is None else name.digest
    sealer = (policy or Policy()).sealer_for(recipients, digest)
    return sealer.seal_stream(reader, writer, associated_data, progress)


def open_stream_with(
    keys: Iterable[RecipientKey],
    reader: BinaryReader,
    writer: BinaryWriter,
    options: OpenOptions = PLAIN,
    *,
    policy: Policy | None = None,
    progress: Progress | None = None,
) -> int:
    """Open what ``reader`` gives; returns the plaintext's bytes.

    Of ``options`` associated data and name count. ``writer`` gets authenticated chunks only, but a
    cut shows at the end: until this returns, what was written is a part.
    """
    header = read_addressed_header(reader)
    check_name(header.name, options.name)
    opener = (policy or Policy()).opener_by(keys, header)
    return opener.open_stream(reader, writer, options.associated_data, progress)


def open_reader_with(
    keys: Iterable[RecipientKey],
    file: SeekableFile,
    options: OpenOptions = PLAIN,
    *,
    policy: Policy | None = None,
) -> SealedReader:
    """A seekable view of the plaintext; decrypts only the chunks that it touches.

    The commitment and the final chunk are checked first, so that a cut file yields nothing.
    """
    header = read_addressed_header(file)
    check_name(header.name, options.name)
    return (policy or Policy()).opener_by(keys, header).open_range(file, options.associated_data)


def open_writer_to(
    recipients: Iterable[Recipient],
    file: BinaryWriter,
    *,
    associated_data: Buffer = b"",
    name: FileName | None = None,
    policy: Policy | None = None,
) -> SealedWriter:
    """A binary file that seals what is written to it, into ``file``, in constant memory.

    ``file`` has the whole message once it was closed; an exception in the ``with`` block leaves a
    part there that opens for nobody.
    """
    digest = b"" if name is None else name.digest
    return (policy or Policy()).sealer_for(recipients, digest).writer(file, associated_data)


def seal_file_to(
    recipients: Iterable[Recipient],
    source: Path,
    target: Path,
    *,
    associated_data: Buffer = b"",
    bind_name: bool = False,
    force: bool = False,
    allow_changing: bool = False,
    policy: Policy | None = None,
    progress: Progress | None = None,
) -> int:
    """Seal ``source`` into ``target``, whole or not at all; otherwise as :func:`.seal_file`."""
    name = file_name(target) if bind_name else None

    def seal(reader: BinaryIO, writer: BinaryIO) -> int:
        return seal_stream_to(
            recipients,
            reader,
            writer,
            associated_data=associated_data,
            name=name,
            policy=policy,
            progress=progress,
        )

    return sealed_into(source, target, seal, force=force, allow_changing=allow_changing)


def open_file_with(
    keys: Iterable[RecipientKey],
    source: Path,
    target: Path,
    options: OpenOptions = PLAIN,
    *,
    bind_name: bool = False,
    force: bool = False,
    policy: Policy | None = None,
    progress: Progress | None = None,
) -> int:
    """Open ``source`` into ``target``, whole or not at all; otherwise as :func:`.open_file`."""
    named = named_options(options, source, required=bind_name)

    def unseal(reader: BinaryIO, writer: BinaryIO) -> int:
        return open_stream_with(keys, reader, writer, named, policy=policy, progress=progress)

    return opened_into(source, target, unseal, force=force)
