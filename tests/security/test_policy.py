"""The one door to the algorithms: it checks, and hands out what works."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable

import pytest
from cryptography.fernet import Fernet

from mycelium_fractal_net.client.signing import RequestSigner
from mycelium_fractal_net.security.algorithms.names import (
    BUILT_ON,
    CIPHERS_HASHES_SIGNATURES,
    FORBIDDEN,
    IN_FIPS_MODE,
    KNOWN,
    MACS_AND_KDFS,
    NOT_IN_FIPS_MODE,
)
from mycelium_fractal_net.security.errors import (
    AlgorithmNotAllowedError,
    ConfigurationError,
    DecryptionError,
    FipsModeError,
    InvalidInputError,
    InvalidKeyError,
)
from mycelium_fractal_net.security.policy import Policy
from mycelium_fractal_net.security.records.index_fields import IndexField
from mycelium_fractal_net.security.records.keys import ALGORITHMS
from mycelium_fractal_net.security.sealed.addressed_layout import parse_addressed_header
from mycelium_fractal_net.security.sealed.hpke_suites import SUITES
from mycelium_fractal_net.security.sealed.layout import (
    parse_header,
    plaintext_bytes,
    read_header,
    sealed_bytes,
)
from mycelium_fractal_net.security.sealed.recipients import RecipientKey
from mycelium_fractal_net.security.sealed.sealer import Sealer
from mycelium_fractal_net.security.signatures.signature_file import (
    SignatureMode,
    encode_signature_file,
    parse_signature_file,
)
from mycelium_fractal_net.security.signatures.signing_key import SigningKey
from tests.support.algorithms import HPKE as HPKE_HERE
from tests.support.algorithms import SIGNING as SIGNING_HERE
from tests.support.algorithms import RecipientKeys
from tests.support.cli import environment
from tests.support.key_transport import key_to_wrap_for

KEY, HANDLE = b"k" * 32, b"12345678"
DATA_KEY_HEADER = b"MFN\x02" + HANDLE + bytes(104)
ALL = Policy()
SIGNING = SigningKey.generate("Ed25519")  # which some FIPS modules have

FERNET_KEY = Fernet.generate_key()
KEYS = RecipientKeys()
ON_P256, ON_P384 = (RecipientKey.generate(name) for name in ("HPKE-P256", "HPKE-P384"))

ADDRESSED = parse_addressed_header(ALL.sealer_for([ON_P256.public]).seal(b""))

SEALS = {"AES-256-GCM", "SHA-512", "HKDF-SHA512"}
RSA_AES = {"RSA-OAEP-256", "AES-256-KWP", "SHA-256"}
HPKE = {"HPKE-X25519", "AES-256-GCM", "HKDF-SHA256", "SHA-256"}
HPKE_P256 = {"HPKE-P256", "AES-256-GCM", "HKDF-SHA256", "SHA-256"}
HYBRID = {"HPKE-MLKEM768-X25519", "AES-256-GCM", "HKDF-SHA256", "SHA-256"}
HPKE_P384 = {"HPKE-P384", "AES-256-GCM", "HKDF-SHA384", "SHA-384"}
ED25519 = {"Ed25519", "SHA-512"}
Use = Callable[[Policy], object]
# Each use, with all the algorithms that it needs and no other.
FIELD = IndexField(b"users.email")
USES: dict[str, tuple[set[str], Use]] = {
    "raw_cipher": ({"AES-256-GCM"}, lambda p: p.raw_cipher(KEY).encrypt(b"")),
    "sealer": (SEALS, lambda p: p.sealer(KEY, HANDLE).seal(b"")),
    "envelope_sealer": (SEALS, lambda p: p.envelope_sealer(KEY, HANDLE, bytes(104)).seal(b"")),
    "data_key": (SEALS, lambda p: p.data_key(KEY, DATA_KEY_HEADER).sealer.seal(b"")),
    "bare_sealer": (SEALS, lambda p: p.bare_sealer(KEY, b"c").seal(b"")),
    "material": ({"AES-256-GCM"}, lambda p: p.generate_key_material("AES-256-GCM")),
    "mac material": (
        {"HMAC-SHA-256", "SHA-256"},
        lambda p: p.generate_key_material("HMAC-SHA-256"),
    ),
    "deterministic": (
        {"AES-256-SIV"},
        lambda p: p.deterministic_cipher(KEY + KEY, HANDLE, b"").seal(b""),
    ),
    "deterministic key": (
        {"AES-256-SIV", "HKDF-SHA512", "SHA-512"},
        lambda p: p.deterministic_key(KEY + KEY, HANDLE).field_key(b""),
    ),
    "deterministic material": (
        {"AES-256-SIV"},
        lambda p: p.generate_key_material("AES-256-SIV"),
    ),
    "index": (
        {"HMAC-SHA-256", "SHA-256"},
        lambda p: p.index_key("HMAC-SHA-256", KEY).field_key(FIELD),
    ),
    "field": ({"HMAC-SHA-256", "SHA-256"}, lambda p: p.field_key(KEY, FIELD).tag(b"")),
    "passphrase": (
        {"PBKDF2-SHA256", "SHA-256"},
        lambda p: p.derive_from_passphrase(b"p", bytes(32), iterations=200_000),
    ),
    "old count": ({"PBKDF2-SHA256", "SHA-256"}, lambda p: p.pbkdf2(KEY, bytes(16), 1000)),
    "hpke seal": (HPKE, lambda p: p.seal_to_recipient(KEYS["HPKE-X25519"].public, b"data")),
    "hpke open": (
        HPKE,
        lambda p: p.open_as_recipient(
            KEYS["HPKE-X25519"], ALL.seal_to_recipient(KEYS["HPKE-X25519"].public, b"data")
        ),
    ),
    "hpke p256 seal": (HPKE_P256, lambda p: p.seal_to_recipient(ON_P256.public, b"data")),
    "hpke p384 seal": (HPKE_P384, lambda p: p.seal_to_recipient(ON_P384.public, b"data")),
    "hpke hybrid seal": (
        HYBRID,
        lambda p: p.seal_to_recipient(KEYS["HPKE-MLKEM768-X25519"].public, b"data"),
    ),
    "sealing for recipients": (
        SEALS | HPKE_P256,
        lambda p: p.sealer_for([ON_P256.public]).seal(b""),
    ),
    "opening by an identity": (
        SEALS | HPKE_P256,
        lambda p: p.opener_by([ON_P256], ADDRESSED),
    ),
    "fernet": (
        {"HMAC-SHA-256", "SHA-256"},
        lambda p: p.fernet_opener([FERNET_KEY]).open(Fernet(FERNET_KEY).encrypt(b"data")),
    ),
    "recipients in a file": (HPKE_P256, lambda p: p.recipients_in(ON_P256.public.line())),
    "public keys of identities": (HPKE_P256, lambda p: p.public_identities_in(ON_P256.line())),
    "an identity under a passphrase": (
        SEALS | HPKE_P256 | {"PBKDF2-SHA256", "SHA-256"},
        lambda p: p.seal_identity(ON_P256, b"a passphrase", 200_000),
    ),
    "identities in a file": (HPKE_P256, lambda p: p.identities_in(ON_P256.line())),
    "making a recipient": (HPKE_P256, lambda p: p.generate_recipient_key("HPKE-P256")),
    "making for P-256": (HPKE_P256, lambda p: p.generate_unwrapping_key("hpke-p256")),
    "making for P-384": (HPKE_P384, lambda p: p.generate_unwrapping_key("hpke-p384")),
    "wrapping for P-256": (
        HPKE_P256,
        lambda p: p.wrapping_key(key_to_wrap_for("hpke-p256").public.der()).wrap(KEY),
    ),
    "wrapping for RSA": (
        RSA_AES,
        lambda p: p.wrapping_key(key_to_wrap_for("rsa-aes").public.der()).wrap(KEY),
    ),
    "unwrapping by RSA": (
        RSA_AES,
        lambda p: p.unwrapping_key("rsa-aes", key_to_wrap_for("rsa-aes").private_bytes()),
    ),
    "wrapping by HPKE": (
        HPKE,
        lambda p: p.wrapping_key(key_to_wrap_for("hpke").public.der()).wrap(KEY),
    ),
    "making for HPKE": (HPKE, lambda p: p.generate_unwrapping_key("hpke")),
    "unwrapping by HPKE": (
        HPKE,
        lambda p: p.unwrapping_key("hpke", key_to_wrap_for("hpke").private_bytes()),
    ),
    "to keep": ({"AES-256-GCM"}, lambda p: p.material_to_keep("AES-256-GCM", KEY)),
    "named sealer": (SEALS, lambda p: p.sealer(KEY, HANDLE, bytes(32)).seal(b"")),
    "symmetric to transport": (
        {"AES-256-GCM"},
        lambda p: p.material_to_transport("AES-256-GCM", KEY),
    ),
    "to transport": (ED25519, lambda p: p.material_to_transport("Ed25519", KEY)),
    "p256": ({"ECDSA-P256", "SHA-256"}, lambda p: p.generate_signing_key("ECDSA-P256").sign(b"")),
    "p384": ({"ECDSA-P384", "SHA-384"}, lambda p: p.generate_signing_key("ECDSA-P384").sign(b"")),
    "ml-dsa": ({"ML-DSA-65"}, lambda p: p.generate_signing_key("ML-DSA-65").sign(b"")),
    "signing_key": (ED25519, lambda p: p.signing_key("Ed25519", SIGNING.private_bytes())),
    "usable key": (ED25519, lambda p: p.usable_signing_key(SIGNING)),
    "its PEM": (ED25519, lambda p: p.usable_signing_key(SIGNING.private_pem())),
    "verifying_key": (ED25519, lambda p: p.verifying_key(SIGNING.public.der())),
    "from_pem": (ED25519, lambda p: p.verifying_key_from_pem(SIGNING.public.pem())),
    "from_jwk": (ED25519, lambda p: p.verifying_key_from_jwk(SIGNING.public.jwk())),
    "read": (ED25519, lambda p: p.read_verifying_key(SIGNING.public.der())),
    "prehash": ({"SHA-512"}, lambda p: p.prehash(io.BytesIO(b"data"))),
    "mac": ({"HMAC-SHA-256", "SHA-256"}, lambda p: p.mac("HMAC-SHA-256", KEY).tag(b"")),
}


@pytest.mark.parametrize("name", USES)
def test_everything_is_handed_out_where_it_is_allowed(name: str) -> None:
    """Exactly what a use needs is enough for it."""
    needed, use = USES[name]
    assert use(Policy(needed & CIPHERS_HASHES_SIGNATURES, needed & MACS_AND_KDFS))


@pytest.mark.parametrize(("name", "without"), [(n, w) for n in USES for w in sorted(USES[n][0])])
def test_nothing_is_handed_out_without_what_it_needs(name: str, without: str) -> None:
    """Disallowing any one of the algorithms beneath a use refuses the use, by that name."""
    with pytest.raises(AlgorithmNotAllowedError, match=rf"\b{without}\b.* not allow"):
        USES[name][1](Policy(disallowed=(without,)))


def test_every_algorithm_that_a_key_can_have_is_known_here() -> None:
    """The records of keys and the policy speak of the same names, and each serves some use."""
    assert {name for names in ALGORITHMS.values() for name in names} <= KNOWN
    assert set().union(*(needed for needed, _ in USES.values())) == KNOWN
    assert set(BUILT_ON) | {part for parts in BUILT_ON.values() for part in parts} <= KNOWN


def test_sealing_without_its_hash_says_what_it_needs() -> None:
    """The user asked for encryption and is not left to guess what SHA-512 has to do with it."""
    with pytest.raises(AlgorithmNotAllowedError, match=r"^sealing needs SHA-512, which"):
        Policy(disallowed=("SHA-512",)).sealer(KEY, HANDLE)


def test_what_is_built_on_a_disallowed_hash_falls_with_it() -> None:
    """A hash that is off is not used under the name of a signature or a MAC either."""
    policy = Policy(disallowed=("SHA-256",))
    for name in ("ECDSA-P256", "HMAC-SHA-256", "PBKDF2-SHA256", "HKDF-SHA256", "HPKE-X25519",
                 "HPKE-P256"):  # fmt: skip
        assert not policy.allows(name)
        with pytest.raises(AlgorithmNotAllowedError, match=f"^{name} is built on "):
            policy.check(name)
    policy.check("ECDSA-P384", "Ed25519", "ML-DSA-65", "AES-256-GCM")


@pytest.mark.parametrize("name", sorted(ALL.algorithms))
def test_a_disallowed_name_wins_over_an_allowed_one(name: str) -> None:
    """Whichever list it stands in."""
    assert ALL.allows(name)
    assert not Policy(disallowed=(name,)).allows(name)


def test_the_allowed_list_is_exact() -> None:
    """The plan's FIPS list knows no Ed25519, and MACs and derivation have their own list."""
    plan = ("AES-256-GCM", "SHA-256", "SHA-384", "SHA-512", "ECDSA-P256", "ECDSA-P384")
    policy = Policy(plan, disallowed=("MD5", "SHA-1", "RC4", "DES", "3DES"))
    assert policy.algorithms == {*plan, *MACS_AND_KDFS}
    with pytest.raises(AlgorithmNotAllowedError, match="Ed25519"):
        policy.check("Ed25519")
    narrow = Policy(allowed_macs_and_kdfs=("HMAC-SHA-256",))
    assert not narrow.allows("HKDF-SHA256")


@pytest.mark.parametrize("name", sorted(FORBIDDEN))
def test_a_broken_algorithm_is_never_allowed(name: str) -> None:
    """Asking for it refuses to start; forbidding it is fine and changes nothing."""
    for setting in ("allowed_algorithms", "allowed_macs_and_kdfs"):
        with pytest.raises(ConfigurationError, match=f"{setting}: {name} is broken"):
            Policy(**{setting.removesuffix("_algorithms"): (name,)})  # type: ignore[arg-type]
    assert not Policy(disallowed=(name,)).allows(name)
    with pytest.raises(AlgorithmNotAllowedError, match=f"{name} is broken and never allowed"):
        ALL.check(name)


@pytest.mark.parametrize(
    "setting", ["allowed_algorithms", "allowed_macs_and_kdfs", "disallowed_algorithms"]
)
def test_an_unknown_name_is_refused_in_every_list(setting: str) -> None:
    """A misspelling does not silently allow or forbid nothing."""
    with pytest.raises(ConfigurationError, match=f"{setting} names what is not one of"):
        Policy(**{setting.removesuffix("_algorithms"): ("AES-256",)})  # type: ignore[arg-type]


def test_fips_mode_fails_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a process that was not proven to run on a FIPS provider there is no policy of it."""
    monkeypatch.setattr("mycelium_fractal_net.security.fips.process._proofs", [])
    with pytest.raises(FipsModeError, match="was not set up for it"):
        Policy(fips_mode=True)


def test_a_process_of_fips_mode_has_no_other_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not for a program that makes one, nor for the client and its request signer."""
    monkeypatch.setattr("mycelium_fractal_net.security.fips.process._proofs", [object()])
    assert Policy().fips_mode
    assert Policy() == Policy(fips_mode=True)
    with pytest.raises(AlgorithmNotAllowedError, match="take ECDSA-P256"):
        RequestSigner(SIGNING, "k")
    with pytest.raises(ConfigurationError, match=r"security\.fips_mode: Ed25519.*take ECDSA-P256"):
        Policy(("Ed25519",))  # although it falls with SHA-512, which is not there


def test_fernet_tokens_are_never_opened_in_fips_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    """AES-128-CBC is not among what a process proves."""
    monkeypatch.setattr("mycelium_fractal_net.security.fips.process._proofs", [object()])
    with pytest.raises(ConfigurationError, match="never opened in FIPS mode"):
        Policy(fips_mode=True).fernet_opener([FERNET_KEY])


def test_the_list_of_fips_mode_is_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is outside of it is refused with what to take instead; keys come from the module."""
    monkeypatch.setattr("mycelium_fractal_net.security.fips.process.require", lambda: None)
    policy = Policy(fips_mode=True)
    assert policy.algorithms == IN_FIPS_MODE.keys()
    assert IN_FIPS_MODE.keys() | NOT_IN_FIPS_MODE.keys() == KNOWN
    assert not IN_FIPS_MODE.keys() & NOT_IN_FIPS_MODE.keys()
    for name, why in NOT_IN_FIPS_MODE.items():
        with pytest.raises(AlgorithmNotAllowedError) as refused:
            policy.check(name)
        assert str(refused.value) == why
        with pytest.raises(ConfigurationError, match=r"security\.fips_mode: "):
            Policy((*CIPHERS_HASHES_SIGNATURES - NOT_IN_FIPS_MODE.keys(), name), fips_mode=True)
    with pytest.raises(ConfigurationError, match="Fernet tokens are never opened in FIPS mode"):
        policy.fernet_opener([Fernet.generate_key()])
    assert len({bytes(policy.random_key()) for _ in range(3)}) == 3
    assert {
        len(policy.generate_key_material(each)) for each in ("AES-256-GCM", "HMAC-SHA-256")
    } == {32}


def test_an_algorithm_serves_its_own_purpose_alone() -> None:
    """No MAC under a cipher's name, no symmetric key for a signature."""
    with pytest.raises(AlgorithmNotAllowedError):
        ALL.mac("AES-256-GCM", KEY)
    with pytest.raises(AlgorithmNotAllowedError):
        ALL.generate_key_material("Ed25519")
    with pytest.raises(AlgorithmNotAllowedError):
        ALL.generate_signing_key("AES-256-GCM")


def test_what_was_passed_reaches_the_algorithm() -> None:
    """Info and associated data are bound, not dropped on the way."""
    key = KEYS[HPKE_HERE]
    blob = ALL.seal_to_recipient(key.public, b"data", info=b"i", associated_data=b"a")
    assert ALL.open_as_recipient(key, blob, info=b"i", associated_data=b"a") == b"data"
    for info, associated_data in ((b"", b"a"), (b"i", b"")):
        with pytest.raises(DecryptionError):
            ALL.open_as_recipient(key, blob, info=info, associated_data=associated_data)


def test_what_is_not_passed_is_empty() -> None:
    """Whoever opens elsewhere need not know of it."""
    key = KEYS[HPKE_HERE]
    blob = ALL.seal_to_recipient(key.public, b"data")
    assert ALL.open_as_recipient(key, blob, info=b"", associated_data=b"") == b"data"
    blob = ALL.seal_to_recipient(key.public, b"data", info=b"", associated_data=b"")
    assert ALL.open_as_recipient(key, blob) == b"data"


def test_a_recipient_key_is_of_the_first_suite_that_is_allowed() -> None:
    """Where nobody names one; where none is allowed the error names the usual one."""
    assert ALL.generate_recipient_key().public.algorithm == HPKE_HERE
    later = Policy(disallowed=["HPKE-X25519", "HPKE-P256"])
    assert later.generate_recipient_key().public.algorithm == "HPKE-P384"
    with pytest.raises(AlgorithmNotAllowedError, match="X25519 is not"):
        Policy(disallowed=SUITES).generate_recipient_key()


@pytest.mark.parametrize(
    ("algorithm", "size"), [("AES-256-GCM", 32), ("HMAC-SHA-256", 32), ("AES-256-SIV", 64)]
)
def test_a_symmetric_key_has_the_size_of_its_algorithm(algorithm: str, size: int) -> None:
    """In bytes, whether it is made here or was brought."""
    made = ALL.generate_key_material(algorithm)
    assert len(made) == size
    assert len(set(bytes(made))) > size // 2  # of a generator, and not one byte again and again


def test_a_deterministic_message_names_its_key_version() -> None:
    """By its handle, as every message does."""
    key = ALL.deterministic_key(ALL.generate_key_material("AES-256-SIV"), HANDLE)
    assert key.cipher(b"").seal(b"data").startswith(b"MFN\x03" + HANDLE)


def test_a_sealer_is_bound_to_the_name_that_it_is_given() -> None:
    """With a name its messages are of the form that has one, under the same key and handle."""
    name = bytes(range(32))
    message = ALL.sealer(KEY, HANDLE, name).seal(b"data")
    assert message.startswith(b"MFN\x04" + HANDLE + name)
    assert Sealer.named(KEY, HANDLE, name).open(message) == b"data"
    assert ALL.sealer(KEY, HANDLE).seal(b"data").startswith(b"MFN\x01" + HANDLE)


def test_a_method_of_wrapping_that_there_is_not_is_refused() -> None:
    """By its own error, whatever is allowed."""
    with pytest.raises(InvalidInputError):
        ALL.generate_unwrapping_key("rot13")
    with pytest.raises(InvalidInputError):
        ALL.unwrapping_key("rot13", KEY)


def test_material_goes_out_as_it_came_in() -> None:
    """32 bytes as they are; of a signing key PKCS #8, which is what is taken in."""
    assert ALL.material_to_transport("AES-256-GCM", KEY) == KEY
    assert ALL.material_to_keep("AES-256-GCM", bytearray(KEY)) == (KEY, None)
    signing = ALL.generate_signing_key(SIGNING_HERE)
    kept = signing.private_bytes()
    sent = ALL.material_to_transport(SIGNING_HERE, kept)
    assert sent == signing.private_der()
    assert ALL.material_to_keep(SIGNING_HERE, sent) == (kept, signing.public.der())


@pytest.mark.parametrize("algorithm", ["Ed25519", "ECDSA-P256", "ECDSA-P384", "ML-DSA-65"])
def test_a_public_key_is_read_in_each_of_its_forms(algorithm: str) -> None:
    """PEM, JWK and DER, told by how they begin; blank space before a text says nothing."""
    public = ALL.generate_signing_key(algorithm).public
    text = json.dumps({"kid": "peer", **public.jwk()})
    mark = b"\xef\xbb\xbf"  # that some editors put before a text
    texts = (public.pem(), b"\n" + public.pem(), text.encode(), b" " + text.encode(),
             mark + text.encode())  # fmt: skip
    for content in (*texts, b"0 is no DER\n" + public.pem()):
        assert ALL.read_verifying_key(content) == public
    assert ALL.read_verifying_key(public.der()) == public
    assert ALL.verifying_key_from_jwk(text) == public


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b'{"kty": NaN}',
        b"{" * 100_000,
        b'{"keys": []}',
        json.dumps({**SIGNING.public.jwk(), "alg": "ES256"}).encode(),
        json.dumps({**SIGNING.public.jwk(), "d": "A" * 43}).encode(),
        json.dumps(SIGNING.public.jwk()).encode("utf-16"),
        b'{"kty": "EC", ' + json.dumps(SIGNING.public.jwk()).encode()[1:],
        b'{"x5t": {"a": 1, "a": 2}, ' + json.dumps(SIGNING.public.jwk()).encode()[1:],
    ],
    ids=["empty", "cut", "NaN", "deep", "a set", "two algorithms", "private", "UTF-16",
         "twice", "twice within"],
)  # fmt: skip
def test_what_is_no_one_public_key_is_refused(content: bytes) -> None:
    """No JSON, a whole set, a private key, a member that two readers could read in two ways."""
    with pytest.raises(InvalidKeyError):
        ALL.read_verifying_key(content)
    with pytest.raises(InvalidKeyError):
        ALL.verifying_key_from_jwk(b"[" + content + b"]")


def test_an_unknown_name_is_not_repeated_in_the_error() -> None:
    """What a caller passes as a name may be anything, a key included."""
    with pytest.raises(AlgorithmNotAllowedError, match=r"^no such algorithm; there are") as caught:
        ALL.check("hunter2")
    assert "hunter2" not in str(caught.value)


def test_a_policy_does_not_change() -> None:
    """Nobody allows himself something later on; equal policies are equal."""
    with pytest.raises(AttributeError):
        ALL.algorithms = frozenset()  # type: ignore[misc]
    assert Policy() == ALL
    assert hash(Policy()) == hash(ALL)
    assert Policy(disallowed=("SHA-384",)) != ALL


def test_the_door_loads_no_algorithm_before_it_is_asked() -> None:
    """A command that lists keys does not pay for cryptography that it never uses."""
    code = (
        "import sys; from mycelium_fractal_net.security.policy import Policy; Policy();"
        "print([m for m in sys.modules if m.startswith(('cryptography', 'pydantic'))"
        " or m.endswith(('.signatures', '.sealing', '.aes_encryption', '.key_derivation'))])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(in_fips_mode=False),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.strip() == "[]"


def test_a_data_key_is_put_together_from_what_the_service_hands_out() -> None:
    """Its 32 bytes and its header of 116; nothing shorter, longer or of the first form."""
    named = ALL.sealer(KEY, HANDLE)
    made = named.wrap_data_key(b"ad")
    again = ALL.data_key(bytearray(made.plaintext), bytearray(made.header))
    assert again.header == made.header
    assert made.sealer.open(again.sealer.seal(b"data")) == b"data"
    with pytest.raises(InvalidKeyError):
        ALL.data_key(KEY[1:], made.header)
    for header in (made.header[:-1], made.header + b"x", b"MFN\x01" + HANDLE, b""):
        with pytest.raises(DecryptionError):
            ALL.data_key(KEY, header)


def test_formats_are_read_whatever_is_allowed() -> None:
    """Parsing a header or a signature file uses no algorithm, so it asks no policy."""
    nothing = Policy((), ())
    header = parse_header(b"MFN\x01" + HANDLE)
    assert read_header(io.BytesIO(b"MFN\x01" + HANDLE)) == header
    file = encode_signature_file(HANDLE, SignatureMode.PREHASH, bytes(64))
    assert parse_signature_file(file).handle == HANDLE
    message = ALL.sealer(KEY, HANDLE).seal(b"data")
    assert sealed_bytes(4) == len(message)
    assert plaintext_bytes(message[:12], len(message)) == 4
    assert repr(nothing) == "Policy([])"
