"""Keys of recipients as lines of text: what is read, and what is refused with which words."""

from __future__ import annotations

import pytest

from mycelium_fractal_net.security.errors import (
    AlgorithmNotAllowedError,
    InvalidInputError,
    InvalidKeyError,
)
from mycelium_fractal_net.security.policy import Policy
from mycelium_fractal_net.security.sealed.addressed_layout import KINDS, RECIPIENT
from mycelium_fractal_net.security.sealed.recipient_text import (
    key_line,
    parse_identity_lines,
    parse_key_lines,
)
from mycelium_fractal_net.security.sealed.recipients import RecipientKey
from mycelium_fractal_net.security.sealed.sealed_identity import SealedIdentity
from tests.support.algorithms import HPKE, RecipientKeys

POLICY = Policy()
KEYS = RecipientKeys()
KEY, OTHER = (RecipientKey.generate(HPKE) for _ in range(2))
LINE = KEY.public.line()


@pytest.mark.parametrize("algorithm", KINDS.values())
def test_a_key_comes_back_from_its_line(algorithm: str) -> None:
    """Both halves, of every suite."""
    key = KEYS[algorithm]
    assert POLICY.recipients_in(key.public.line()) == [key.public]
    (again,) = POLICY.identities_in(key.line())
    assert again.public == key.public


def test_a_file_has_comments_empty_lines_and_several_keys() -> None:
    """With either line end, white space around, and a byte order mark before."""
    text = f"\ufeff# accounts\r\n\r\n  {LINE}\t\r\n#{LINE}\n{OTHER.public.line()}"
    assert POLICY.recipients_in(text.encode()) == [KEY.public, OTHER.public]
    secret = f"# mine\n{KEY.line()}\n\n{OTHER.line()}\n"
    assert [each.public for each in POLICY.identities_in(secret)] == [KEY.public, OTHER.public]


def test_a_key_in_pem_is_taken_too() -> None:
    """As openssl makes them, with text around the block."""
    assert POLICY.recipients_in(b"Alice\n" + KEY.public.pem()) == [KEY.public]
    (found,) = POLICY.identities_in(KEY.private_pem().decode())
    assert found.public == KEY.public


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "no line that begins with mfn-recipient:"),
        ("# nothing but this", "no line that begins"),
        (f"{LINE}\nalice", "line 2 should begin with mfn-recipient: and is no key"),
        (KEY.line(), "line 1 .* is a private key"),
        (LINE.replace(":p256:", ":p521:").replace(":x25519:", ":p521:"), "line 1: a key is one of"),
        ("mfn-recipient:x25519", "its check is wrong"),
        ("mfn-recipient:x25519:", "its check is wrong"),
        (LINE[:-1], "its check is wrong"),
        (LINE + "=", "its check is wrong"),
        (LINE + " Alice", "its check is wrong"),
        (LINE.upper(), "should begin"),
        (b"\xff\xfe", "not UTF-8"),
    ],
    ids=[
        "nothing",
        "a comment",
        "another line",
        "a private key",
        "another kind",
        "no key",
        "an empty key",
        "cut",
        "padded",
        "a name behind it",
        "capitals",
        "no text",
    ],  # the keys are made anew, and xdist's workers have to name the tests alike
)
def test_what_is_no_file_of_recipients_is_refused(content: str | bytes, words: str) -> None:
    """All of it, with the line: half of a file is never sealed to."""
    with pytest.raises(InvalidKeyError, match=words):
        POLICY.recipients_in(content)


def test_a_slip_of_the_pen_is_no_other_key() -> None:
    """Whichever character of a line is changed: every 32 bytes are a key of X25519."""
    for position in range(len(LINE)):
        changed = LINE[:position] + ("A" if LINE[position] != "A" else "B") + LINE[position + 1 :]
        with pytest.raises(InvalidKeyError):
            POLICY.recipients_in(changed)


def test_a_public_key_opens_nothing_and_an_error_shows_no_secret() -> None:
    """The wrong file is named for what it is."""
    with pytest.raises(InvalidKeyError, match=r"line 1 .*mfn-identity: and is a public key"):
        POLICY.identities_in(LINE)
    with pytest.raises(InvalidKeyError, match="no line that begins with mfn-identity:"):
        POLICY.identities_in("# nothing")
    secret = KEY.line()
    for wrong in (secret[:-1], secret.replace("mfn-identity", "mfn-idéntity")):
        with pytest.raises(InvalidKeyError) as caught:
            POLICY.identities_in(wrong)
        assert secret[20:40] not in str(caught.value)


def test_a_key_of_an_algorithm_that_is_not_allowed_is_not_loaded() -> None:
    """In a line and in PEM."""
    without = Policy(disallowed=(HPKE,))
    for content in (LINE, KEY.public.pem()):
        with pytest.raises(AlgorithmNotAllowedError, match=HPKE):
            without.recipients_in(content)
    for secret in (KEY.line(), KEY.private_pem()):
        with pytest.raises(AlgorithmNotAllowedError, match=HPKE):
            without.identities_in(secret)


def test_what_is_read_is_what_is_written() -> None:
    """One spelling for each key."""
    ((algorithm, raw),) = parse_key_lines(LINE, RECIPIENT)
    assert key_line(RECIPIENT, algorithm, raw) == LINE


# Under a passphrase -------------------------------------------------------------------------

FEWEST = 200_000
SEALED = POLICY.seal_identity(KEY, b"a passphrase", FEWEST)


def test_a_key_under_a_passphrase_opens_by_that_alone() -> None:
    """It is asked for once, and only where there is such a key."""
    asked: list[int] = []

    def passphrase() -> bytes:
        asked.append(1)
        return b"a passphrase"

    text = f"# mine\n{SEALED}\n{OTHER.line()}\n{SEALED}\n"
    found = POLICY.identities_in(text, passphrase)
    assert [each.public for each in found] == [KEY.public, OTHER.public, KEY.public]
    assert found[0].private_bytes() == KEY.private_bytes()
    POLICY.identities_in(OTHER.line(), passphrase)
    assert asked == [1]
    fresh = POLICY.seal_identity(OTHER, b"another", FEWEST)
    assert [each.public for each in POLICY.identities_in(fresh, lambda: b"another")] == [
        OTHER.public
    ]
    with pytest.raises(InvalidKeyError, match="line 1 does not open with that passphrase"):
        POLICY.identities_in(SEALED, lambda: b"another")
    with pytest.raises(InvalidKeyError, match="line 2 is under a passphrase"):
        POLICY.identities_in(text)


def test_the_public_key_beside_it_is_shown_without_a_passphrase() -> None:
    """Of keys in the clear it is their own."""
    shown = POLICY.public_identities_in(f"{SEALED}\n{OTHER.line()}")
    assert shown == [KEY.public, OTHER.public]
    assert POLICY.public_identities_in(KEY.private_pem()) == [KEY.public]


def test_whoever_puts_another_public_key_beside_it_is_found_out() -> None:
    """Changed afterwards it opens by no passphrase; sealed so, it is no key."""
    found = _taken_apart(SEALED)
    other = found._replace(public=OTHER.public.public_bytes())
    with pytest.raises(InvalidKeyError, match="does not open"):
        POLICY.identities_in(other.line(), lambda: b"a passphrase")
    sealer = POLICY._identity_sealer(other, b"a passphrase")
    forged = other._replace(sealed=sealer.seal(KEY.private_bytes()))
    with pytest.raises(InvalidKeyError, match="not that of the public one"):
        POLICY.identities_in(forged.line(), lambda: b"a passphrase")


def test_what_no_release_writes_under_a_passphrase_is_refused() -> None:
    """Before a passphrase is tried: sizes, counts that cost nothing or hours, too many keys."""
    found = _taken_apart(SEALED)
    for wrong, words in (
        (found._replace(iterations=FEWEST - 1), "200,000 to 10,000,000"),
        (found._replace(iterations=10_000_001), "200,000 to 10,000,000"),
        (found._replace(sealed=found.sealed[:-1]), "another size"),
        (found._replace(salt=found.salt[:-1]), "another size"),
    ):
        for read in (POLICY.public_identities_in, lambda text: POLICY.identities_in(text, bytes)):
            with pytest.raises(InvalidKeyError, match=words):
                read(wrong.line())
    with pytest.raises(InvalidKeyError, match="at most 16"):
        POLICY.public_identities_in("\n".join([SEALED] * 17))
    with pytest.raises(InvalidKeyError, match="private key under a passphrase"):
        POLICY.recipients_in(SEALED)
    for passphrase, count in ((b"", FEWEST), (b"a passphrase", FEWEST - 1)):
        with pytest.raises(InvalidInputError):
            POLICY.seal_identity(KEY, passphrase, count)


def _taken_apart(line: str) -> SealedIdentity:
    (found,) = parse_identity_lines(line)
    return SealedIdentity.of(found.algorithm, found.raw)
