"""Keys of recipients as lines of text: what is read, and what is refused with which words."""

from __future__ import annotations

import pytest

from mycelium_fractal_net.security.errors import AlgorithmNotAllowedError, InvalidKeyError
from mycelium_fractal_net.security.policy import Policy
from mycelium_fractal_net.security.sealed.addressed_layout import KINDS, RECIPIENT
from mycelium_fractal_net.security.sealed.recipient_text import key_line, parse_key_lines
from mycelium_fractal_net.security.sealed.recipients import RecipientKey
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
