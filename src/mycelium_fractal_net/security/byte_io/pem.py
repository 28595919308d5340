"""PEM (RFC 7468): one block of one kind, in its one spelling; what else was found is named.

Text around the block is passed over, as section 2 has it, and so is a byte order mark. Which
block is meant is never guessed: a file that holds several, or another kind, is refused with what
it holds and how to make what is taken. No label is quoted that is not one of those known here.
"""

from __future__ import annotations

import base64
import binascii
import re
import textwrap
from typing import Final

from mycelium_fractal_net.security.errors import InvalidKeyError

BEGIN: Final = "-----BEGIN "
PUBLIC_KEY: Final = "PUBLIC KEY"  # the label of a SubjectPublicKeyInfo, RFC 7468 section 13
PRIVATE_KEY: Final = "PRIVATE KEY"  # of a PKCS #8 PrivateKeyInfo, section 10
_LINE_CHARACTERS: Final = 64  # section 2
_BEGIN: Final = re.compile(rb"-----BEGIN ([^\r\n]*?)-----")
_BLOCK: Final = re.compile(rb"-----BEGIN .*?-----END [^\n]*?-----", re.DOTALL)
_UTF8_MARK: Final = b"\xef\xbb\xbf"
_UTF16_MARKS: Final = (b"\xff\xfe", b"\xfe\xff")
_OF_OPENSSH: Final = (b"ssh-", b"ecdsa-sha2-", b"sk-")  # how its public keys begin, sshd(8)

_TO_PKCS8: Final = "openssl pkcs8 -topk8 -nocrypt -in FILE makes one"
# What else is found in such files, and how the right thing is made of it.
_KINDS: Final = {
    b"PUBLIC KEY": ("a public key", "the private key is another file"),
    b"PRIVATE KEY": ("a private key", "openssl pkey -pubout -in FILE makes one"),
    b"ENCRYPTED PRIVATE KEY": ("an encrypted private key", "openssl pkcs8 -in FILE decrypts it"),
    b"EC PRIVATE KEY": ("a private key in the form of SEC 1", _TO_PKCS8),
    b"RSA PRIVATE KEY": ("an RSA private key", "RSA is not used here"),
    b"OPENSSH PRIVATE KEY": (
        "a private key of OpenSSH",
        "ssh-keygen -p -m PKCS8 -f COPY turns a copy of it into one",
    ),
    b"EC PARAMETERS": ("parameters of a curve", _TO_PKCS8),
    b"CERTIFICATE": ("a certificate", "openssl x509 -pubkey -noout -in FILE takes its key out"),
    b"CERTIFICATE REQUEST": (
        "a certificate request",
        "openssl req -pubkey -noout -in FILE takes its key out",
    ),
    b"SSH2 PUBLIC KEY": ("a public key of SSH", "ssh-keygen -i -f FILE -m RFC4716 reads it"),
}


def pem_encode(label: str, der: bytes) -> bytes:
    """DER under ``label`` as PEM (section 3, the strict form), LF line ends."""
    lines = textwrap.wrap(base64.b64encode(der).decode("ascii"), _LINE_CHARACTERS)
    text = "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""])
    return text.encode("ascii")


def pem_decode(label: str, text: str | bytes) -> bytes:
    """The DER in the one PEM block of ``text``, which is of that label.

    CRLF line ends are taken, and text around the block; headers in it and other line lengths are
    not.

    :raises InvalidKeyError: there is none, more than one, or another kind, which is said.
    """
    try:
        raw = text.encode() if isinstance(text, str) else memoryview(text).tobytes()
    except (TypeError, UnicodeEncodeError):
        raise _refused(label, "what is no text") from None
    raw = raw.removeprefix(_UTF8_MARK).replace(b"\r\n", b"\n")
    labels = _BEGIN.findall(raw)
    if labels != [label.encode()]:
        raise _not_one(label, raw, labels)
    found = _BLOCK.search(raw)
    block = b"" if found is None else found.group() + b"\n"
    try:
        der = binascii.a2b_base64(b"".join(block.split(b"\n")[1:-2]))
    except ValueError:
        der = b""
    if not der or pem_encode(label, der) != block:
        if b"Proc-Type: 4,ENCRYPTED" in raw:
            raise _refused(label, "an encrypted private key", "openssl pkcs8 -topk8 decrypts it")
        raise _refused(label, "one that is damaged, or not in lines of 64 characters")
    return der


def _not_one(label: str, raw: bytes, labels: list[bytes]) -> InvalidKeyError:
    if not labels:
        if raw.startswith(_UTF16_MARKS):
            return _refused(label, "UTF-16", "save it as UTF-8")
        if raw.lstrip().startswith(_OF_OPENSSH):
            return _refused(
                label, "a public key of OpenSSH", "ssh-keygen -e -m PKCS8 -f FILE makes one"
            )
        return _refused(label, "none")
    names = [_KINDS.get(each, ("another kind", ""))[0] for each in labels]
    # Of several, the one that is nearest: what is not what only stands beside keys.
    nearest = next((each for each in labels if each in _KINDS and each != b"EC PARAMETERS"), b"")
    wanted = nearest == label.encode()
    how = "leave one in the file" if wanted else _KINDS.get(nearest, ("", ""))[1]
    if label == PRIVATE_KEY and nearest in (b"CERTIFICATE", b"CERTIFICATE REQUEST"):
        how = _KINDS[b"PUBLIC KEY"][1]
    if label == PUBLIC_KEY and nearest.endswith(b"PRIVATE KEY"):
        how = _KINDS[b"PRIVATE KEY"][1]
    return _refused(label, " and ".join(names), how)


def _refused(label: str, found: str, how: str = "") -> InvalidKeyError:
    text = f"expected one PEM block of the kind {label!r}, and found {found}"
    return InvalidKeyError(f"{text}; {how}" if how else text)
