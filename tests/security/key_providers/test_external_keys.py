"""Signing keys that never leave their custodian, over a store."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import pytest
from sqlalchemy import text

from mycelium_fractal_net.security import blocking
from mycelium_fractal_net.security.blocking import WouldBlockError
from mycelium_fractal_net.security.errors import (
    ConflictError,
    CustodianDeniedError,
    CustodianUnavailableError,
    InvalidInputError,
    KeyExistsError,
    KeyNotExportableError,
    KeyStateError,
    KeyUsageError,
    MasterKeyError,
    StoreIntegrityError,
)
from mycelium_fractal_net.security.key_providers import LocalCustodian, StoredKeyProvider
from mycelium_fractal_net.security.key_providers.remote import RemoteCustodian
from mycelium_fractal_net.security.key_providers.several import SeveralCustodians
from mycelium_fractal_net.security.key_store import Database, KeyStore, UsageStore
from mycelium_fractal_net.security.keyring.keyring import Keyring
from mycelium_fractal_net.security.policy import Policy
from mycelium_fractal_net.security.records.keys import KeyState, Verb
from mycelium_fractal_net.security.records.retention import due_at
from mycelium_fractal_net.security.rotation import KeyRotationScheduler
from mycelium_fractal_net.security.signatures.signing_key import SigningKey
from tests.support.algorithms import SIGNING
from tests.support.custodian import QUICK, Elsewhere
from tests.support.stores import Clock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mycelium_fractal_net.security.key_providers import Custodian, LocalKeyProvider
    from mycelium_fractal_net.security.records.keys import Key, KeyVersion

ALGORITHMS = ["Ed25519", "ECDSA-P256", "ECDSA-P384"]


class Far:
    """A store whose custodian is another machine, and that machine."""

    def __init__(self, url: str, folder: Path, policy: Policy | None = None) -> None:
        Elsewhere.create(folder)
        self.side = Elsewhere(folder)
        self.clock = Clock()
        database = Database(url)
        database.create()
        self.provider = StoredKeyProvider(
            KeyStore(database),
            RemoteCustodian(lambda: self.side, QUICK),
            policy or Policy(),
            store_id=bytes(16),
            clock=self.clock,
        )
        self.provider.master_keys.begin()
        self.keyring = Keyring(self.provider, UsageStore(database))

    def is_now(self, mode: str) -> None:
        (self.side.folder / "mode").write_text(mode)

    @property
    def kept(self) -> set[str]:
        """The signing keys that the machine has."""
        return {each.stem for each in self.side.folder.glob("*.pem")}

    def make(self, algorithm: str = SIGNING, key_id: str = "release") -> Key:
        return self.provider.keys.create(key_id, "signing", algorithm=algorithm, external=True)


def name_of(version: KeyVersion) -> str:
    scheme, _, reference = str(version.external).partition(":")
    assert scheme == "elsewhere"
    return reference


@pytest.fixture
def far(store_url: str, tmp_path: Path) -> Iterator[Far]:
    """Over each database in turn."""
    made = Far(store_url, tmp_path / "elsewhere")
    yield made
    made.keyring.close()


@pytest.fixture
def one(sqlite_url: str, tmp_path: Path) -> Iterator[Far]:
    """Where the database makes no difference."""
    made = Far(sqlite_url, tmp_path / "elsewhere")
    yield made
    made.keyring.close()


# Making, signing, rotating --------------------------------------------------------------------


def test_an_external_key_is_made_for_what_the_policy_allows(
    sqlite_url: str, tmp_path: Path
) -> None:
    """Where nobody names an algorithm, as FIPS mode has no Ed25519."""
    made = Far(sqlite_url, tmp_path / "elsewhere", Policy(disallowed=("Ed25519",)))
    key = made.provider.keys.create("release", "signing", external=True)
    assert key.algorithm == "ECDSA-P256"
    made.keyring.close()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_an_external_key_signs_and_verifies_as_every_other(far: Far, algorithm: str) -> None:
    """Messages, streams and files; after a rotation the former version verifies on."""
    key = far.make(algorithm)
    assert (key.is_external, key.latest.wrapped, key.latest.has_key) == (True, b"", True)
    keyring = far.keyring
    assert keyring.is_external("release:v1")
    first = keyring.sign(b"data", key_id="release")
    stream = keyring.sign_stream(io.BytesIO(b"data"), key_id="release")
    file = keyring.sign_file(io.BytesIO(b"data"), key_id="release")
    assert far.provider.rotate_key("release") == "release:v2"
    keyring.refresh()
    second = keyring.sign(b"data", key_id="release")
    assert keyring.verify(b"data", first, key_id="release") == first.key_id == "release:v1"
    assert keyring.verify(b"data", second, key_id="release") == second.key_id == "release:v2"
    assert keyring.verify_stream(io.BytesIO(b"data"), stream, key_id="release") == "release:v1"
    assert keyring.verify_file(io.BytesIO(b"data"), file, key_id="release") == "release:v1"
    versions = far.provider.keys.get("release").versions
    assert len({each.public_key for each in versions}) == 2
    assert far.kept == {name_of(each) for each in versions}
    assert name_of(versions[1]) == f"mfn-signing-00000000-{versions[1].handle.hex()}"


def test_it_is_published_as_every_other(one: Far) -> None:
    """The JWKS has its public keys, and needs nobody for that."""
    one.provider.keys.create("release", "signing", external=True, publish=True)
    one.provider.rotate_key("release")
    one.is_now("down")
    assert [each["kid"] for each in one.keyring.published_keys()] == ["release:v1", "release:v2"]
    assert one.keyring.public_key("release").algorithm == SIGNING


@pytest.mark.parametrize(("algorithm", "size"), [("Ed25519", 64), ("ECDSA-P256", 64)])
def test_it_signs_requests_where_it_is_for_them(one: Far, algorithm: str, size: int) -> None:
    """In the fixed-size form of RFC 9421."""
    one.provider.keys.create("gate", "signing", algorithm=algorithm, use="request", external=True)
    base = b'"@method": GET'
    signature = one.keyring.sign_request(base, key_id="gate")
    public = one.keyring.policy.verifying_key_from_pem(one.keyring.public_key("gate").pem)
    public.verify_fixed_size(base, signature)
    assert len(signature) == size


def test_the_private_key_is_handed_out_to_nobody(one: Far) -> None:
    """Whatever the state of the version that is asked for."""
    key = one.make()
    for asked in ("release", "release:v1"):
        with pytest.raises(KeyNotExportableError, match="never leaves its custodian"):
            one.provider.get_key(asked)
    with pytest.raises(KeyNotExportableError, match="never leaves its custodian"):
        one.provider.keys.unwrap(key, key.latest)


def test_a_long_message_is_prehashed_or_refused(one: Far) -> None:
    """AWS KMS takes no longer one of Ed25519; ECDSA is hashed here and takes any."""
    one.make("Ed25519")
    one.make("ECDSA-P256", "builds")
    longest, longer = bytes(4096), bytes(4097)
    one.keyring.sign(longest, key_id="release")
    with pytest.raises(InvalidInputError, match="pre-hashed"):
        one.keyring.sign(longer, key_id="release")
    with pytest.raises(InvalidInputError, match="label"):
        one.keyring.sign(b"mycelium-fractal-net/prehash-sha512/v1\0", key_id="release")
    one.keyring.sign_stream(io.BytesIO(longer), key_id="release")
    one.keyring.verify(longer, one.keyring.sign(longer, key_id="builds"), key_id="builds")


def test_what_signs_shows_no_key(one: Far) -> None:
    """Not even the public one."""
    key = one.make()
    signer = one.provider.keys.external.signer(key, key.latest)
    assert repr(signer) == f"ExternalSigningKey({SIGNING})"


def test_the_first_algorithm_that_the_custodian_has_is_taken(
    one: Far, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that it has not is refused before it is asked, also for the next version."""
    one.make("Ed25519")
    monkeypatch.setattr(Elsewhere, "signing_algorithms", frozenset(("ECDSA-P384", "ECDSA-P256")))
    assert one.provider.keys.create("b", "signing", external=True).algorithm == "ECDSA-P256"
    asked = len(one.side.calls)
    with pytest.raises(InvalidInputError, match="external keys of: ECDSA-P256, ECDSA-P384"):
        one.make("Ed25519", key_id="c")
    with pytest.raises(InvalidInputError, match="external keys of"):
        one.provider.rotate_key("release")
    assert len(one.side.calls) == asked


def test_a_custodian_that_keeps_no_signing_keys_says_so(provider: LocalKeyProvider) -> None:
    """And only a signing key can be external."""
    with pytest.raises(InvalidInputError, match=r"\(local\) keeps no signing keys"):
        provider.keys.create("release", "signing", external=True)
    with pytest.raises(InvalidInputError, match="only a signing key"):
        provider.keys.create("orders", external=True)
    assert not provider.store.keys.has("release")


# What is left over ----------------------------------------------------------------------------


def test_no_key_is_made_for_a_name_that_is_taken(one: Far) -> None:
    """Nor one left where somebody takes it in that moment."""
    one.make()
    kept = one.kept
    with pytest.raises(KeyExistsError):
        one.make()
    assert one.side.calls.count("create") == 1

    class Late:
        """Sees no key: somebody makes it in the next moment."""

        seen = 0

        @classmethod
        def has(cls, _: str) -> bool:
            cls.seen += 1
            return cls.seen > 1

    table = one.provider.keys.table
    one.provider.keys.table = Late  # type: ignore[assignment]
    Late.insert = table.insert  # type: ignore[attr-defined]
    try:
        with pytest.raises(KeyExistsError):
            one.make()
    finally:
        one.provider.keys.table = table
    assert one.side.calls.count("create") == 2
    assert one.kept == kept


def test_a_rotation_that_is_not_wanted_any_more_leaves_no_key(
    one: Far, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another scheduler was first: its version is there, and no other key."""
    one.make()
    wanted = iter([True, False])
    replaced = one.provider.keys.table.replace

    def late(*arguments: object) -> None:
        monkeypatch.setattr(one.provider.keys.table, "replace", replaced)
        raise ConflictError("somebody was first")

    monkeypatch.setattr(one.provider.keys.table, "replace", late)
    found = one.provider.keys.rotate_if("release", lambda _: one.clock() if next(wanted) else None)
    assert found is None
    assert one.side.calls.count("create") == 2
    assert one.kept == {name_of(one.provider.keys.get("release").latest)}


def test_a_key_that_cannot_be_cleared_away_is_named(
    one: Far, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """In the log: nothing else knows it."""

    one.make()
    first = name_of(one.provider.keys.get("release").latest)

    def update(name: str, change: Callable[[Key], Key], event: str) -> Key:
        assert (change(one.provider.keys.get(name)).latest.version, event) == (2, "key.rotate")
        one.is_now("denied")
        raise ConflictError("the store is being changed by many at once")

    monkeypatch.setattr(one.provider.keys, "update", update)
    with pytest.raises(ConflictError):
        one.provider.rotate_key("release")
    (left,) = one.kept - {first}
    assert f"a signing key that no record names is left over: elsewhere:{left}" in caplog.text


def test_an_answer_that_is_no_key_of_the_algorithm_is_not_stored(
    one: Far, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what was made for it is destroyed."""
    create = Elsewhere.create_signing_key
    for public in (b"no key", SigningKey.generate("ECDSA-P384").public.der()):

        def other(side: Elsewhere, *asked: object, public: bytes = public) -> object:
            return create(side, *asked)._replace(public_key=public)  # type: ignore[arg-type]

        monkeypatch.setattr(Elsewhere, "create_signing_key", other)
        with pytest.raises(CustodianUnavailableError, match="cannot be used"):
            one.make()
    assert one.kept == set()
    assert not one.provider.store.keys.has("release")


# What is not as the record says ---------------------------------------------------------------


def test_a_key_that_was_replaced_there_is_found_before_its_signature_goes_out(one: Far) -> None:
    """It is tampering, and no outage."""
    key = one.make()
    path = one.side.folder / f"{name_of(key.latest)}.pem"
    path.write_bytes(SigningKey.generate(SIGNING).private_pem())
    with pytest.raises(StoreIntegrityError, match="release:v1 signs with another key"):
        one.keyring.sign(b"data", key_id="release")
    with pytest.raises(StoreIntegrityError, match="was replaced"):
        one.provider.keys.external.check(key, key.latest)


def test_a_signature_of_something_else_is_an_outage(one: Far) -> None:
    """An answer to another question is nobody's signature."""
    one.make()
    one.keyring.sign(b"first", key_id="release")
    one.is_now("swapped")
    with pytest.raises(CustodianUnavailableError, match="cannot be used"):
        one.keyring.sign_stream(io.BytesIO(b"second"), key_id="release")


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (CustodianUnavailableError("silent"), CustodianUnavailableError),
        (CustodianDeniedError("no such key"), CustodianDeniedError),
    ],
)
def test_whether_another_key_signs_is_asked_of_the_custodian(
    one: Far, monkeypatch: pytest.MonkeyPatch, raised: Exception, expected: type[Exception]
) -> None:
    """Where that does not answer it is an outage, and where it refuses a refusal."""
    one.make()

    def refuse(*_: object) -> bytes:
        raise raised

    monkeypatch.setattr(Elsewhere, "sign", lambda *_: bytes(64))
    monkeypatch.setattr(Elsewhere, "signing_public_key", refuse)
    with pytest.raises(expected):
        one.keyring.sign(b"data", key_id="release")


def test_outage_and_refusal_reach_who_wants_a_signature(one: Far) -> None:
    """As themselves; what was signed verifies all the same."""
    one.make()
    signature = one.keyring.sign(b"data", key_id="release")
    one.is_now("denied")
    with pytest.raises(CustodianDeniedError):
        one.keyring.sign(b"data", key_id="release")
    one.is_now("down")
    with pytest.raises(CustodianUnavailableError):
        one.keyring.sign(b"data", key_id="release")
    assert one.keyring.verify(b"data", signature, key_id="release") == "release:v1"


def test_a_key_of_another_custodian_is_not_asked_for_here(
    one: Far, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record says whose it is."""
    key = one.make()
    moved = replace(key.latest, external="vault:mfn-signing-1")
    for use in (one.provider.keys.external.check, one.provider.keys.external.signer):
        with pytest.raises(MasterKeyError, match=r"another custodian \(vault\)"):
            use(key, moved)
    monkeypatch.setattr(one.provider.wrapping, "custodian", _Plain())
    with pytest.raises(CustodianDeniedError, match="keeps no signing keys"):
        one.provider.keys.external.check(key, key.latest)


class _Plain:
    scheme: ClassVar[str] = "elsewhere"

    @property
    def parts(self) -> tuple[object, ...]:
        return (self,)


class _Second(Elsewhere):
    """A second machine of that kind, with a master key of another name."""

    def newest_id(self) -> str:
        return "elsewhere:second"

    def holds(self, kek_id: str) -> bool:
        return kek_id == "elsewhere:second"


def test_a_former_custodian_signs_with_what_it_has_and_makes_nothing_new(
    one: Far, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next version is made by the present one; of two of a kind the public key tells which."""
    one.make()
    Elsewhere.create(tmp_path / "other")
    other = _Second(tmp_path / "other")
    present = RemoteCustodian(lambda: other, QUICK)
    several = SeveralCustodians(present, [one.provider.custodian])
    monkeypatch.setattr(one.provider.wrapping, "custodian", several)
    one.keyring.sign(b"data", key_id="release")
    assert (one.side.calls.count("sign"), other.calls.count("sign")) == (1, 0)
    one.provider.rotate_key("release")
    one.keyring.refresh()
    one.keyring.sign(b"data", key_id="release")
    assert (one.side.calls.count("sign"), other.calls.count("sign")) == (1, 1)
    first, second = one.provider.keys.get("release").versions
    for version in (first, second):
        one.provider.keys.external.check(one.provider.keys.get("release"), version)
    (tmp_path / "other" / f"{name_of(first)}.pem").write_bytes(
        SigningKey.generate(SIGNING).private_pem()
    )  # another key of that name, with the present one
    one.provider.keys.external.check(one.provider.keys.get("release"), first)


@pytest.mark.parametrize(
    "edit",
    [
        "external = 'elsewhere:mfn-signing-other'",
        "external = NULL",
        "external = x'00'",
        "external_gone_at = 1",
        "external_gone_at = 'soon'",
    ],
)
def test_a_reference_that_was_edited_is_refused(one: Far, edit: str) -> None:
    """It stands under the MAC of its record."""
    one.make()
    with one.provider.store.database.write() as connection:
        connection.execute(text(f"UPDATE mfn_key_versions SET {edit}"))
    with pytest.raises(StoreIntegrityError, match="release"):
        one.provider.keys.get("release")


def test_a_record_that_is_refused_keeps_no_other_from_being_looked_at(one: Far) -> None:
    """Of the keys whose private keys are with the custodian."""
    one.make()
    one.make(key_id="builds")
    with one.provider.store.database.write() as connection:
        connection.execute(text("UPDATE mfn_keys SET publish = 1 WHERE key_id = 'builds'"))
    assert [each.key_id for each in one.provider.keys.external_keys()] == ["release"]


# States and the way out -----------------------------------------------------------------------


def test_a_state_forbids_what_the_custodian_would_do(one: Far) -> None:
    """It is not even asked."""
    one.make()
    one.provider.states.apply(Verb.SUSPEND, "release")
    one.keyring.refresh()
    with pytest.raises(KeyStateError):
        one.keyring.sign(b"data", key_id="release")
    one.provider.states.apply(Verb.ACTIVATE, "release")
    one.keyring.refresh()
    one.keyring.sign(b"data", key_id="release")
    assert one.side.calls.count("sign") == 1


def going(far: Far) -> Key:
    """A key whose first version's recovery window is over."""
    far.make()
    far.provider.rotate_key("release")
    key = far.provider.states.apply(Verb.DESTROY, "release:v1", window_days=7)
    far.clock.forward(days=8)
    return key


def test_a_version_is_destroyed_with_its_custodian_when_its_window_is_over(far: Far) -> None:
    """And not before; the record keeps where it was, when it went, and its public key."""
    far.make()
    signature = far.keyring.sign(b"data", key_id="release")
    far.provider.rotate_key("release")
    far.provider.states.apply(Verb.DESTROY, "release:v1", window_days=7)
    assert far.provider.states.erase_due("release").version(1).has_key
    assert len(far.kept) == 2
    far.clock.forward(days=8)
    gone = far.provider.states.erase_due("release", now=far.clock()).version(1)
    assert (gone.state, gone.external_gone_at) == (KeyState.DESTROYED, far.clock())
    assert (gone.has_key, gone.lingers) == (False, False)
    assert far.kept == {name_of(far.provider.keys.get("release").latest)}
    assert name_of(gone).startswith("mfn-signing-")
    far.keyring.refresh()
    assert far.keyring.verify(b"data", signature, key_id="release") == "release:v1"
    assert far.side.calls.count("destroy") == 1
    far.provider.states.erase_due("release", now=far.clock())
    assert far.side.calls.count("destroy") == 1


def test_where_the_custodian_does_not_answer_it_is_destroyed_later(one: Far) -> None:
    """The version is destroyed at once, so that nobody brings it back in between."""
    going(one)
    one.is_now("down")
    with pytest.raises(CustodianUnavailableError):
        one.provider.states.erase_due("release", now=one.clock())
    key = one.provider.keys.get("release")
    assert (key.version(1).state, key.version(1).lingers) == (KeyState.DESTROYED, True)
    assert due_at(key, processed=None) is not None
    assert len(one.kept) == 2
    with pytest.raises(KeyStateError):
        one.provider.states.apply(Verb.CANCEL_DESTRUCTION, "release:v1")
    one.is_now("up")
    one.provider.states.erase_due("release", now=one.clock())
    assert not one.provider.keys.get("release").version(1).lingers
    assert len(one.kept) == 1


def test_a_scheduler_destroys_it_and_comes_back_for_what_was_refused(
    one: Far, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each look tells of it until somebody gives the permission."""
    going(one)
    monkeypatch.setattr(one.provider.store.database, "now", lambda: one.clock())
    scheduler = KeyRotationScheduler(one.provider, clock=one.clock)
    scheduler.run_once()
    one.clock.forward(days=2)  # the clock jumped ahead, and nothing is erased for a day
    one.is_now("denied")
    for _ in range(2):
        assert scheduler.run_once().failed == (("release", "the key is disabled"),)
        one.clock.forward(hours=1)
    one.is_now("up")
    assert scheduler.run_once().failed == ()
    assert not one.provider.keys.get("release").version(1).lingers


@pytest.mark.parametrize("mode", ["down", "denied", "other"])
def test_what_a_custodian_that_is_gone_cannot_destroy_is_given_up(one: Far, mode: str) -> None:
    """By a word of its own, with a reason; from then on nobody tries."""
    going(one)
    one.is_now("down")
    with pytest.raises(CustodianUnavailableError):
        one.provider.states.erase_due("release", now=one.clock())
    one.is_now("up" if mode == "other" else mode)
    states = one.provider.states
    if mode == "other":  # the store was moved, and the former one is not named any more
        local = LocalCustodian.create(one.side.folder / "master.key", Policy(), store_id=bytes(16))
        both = over(one, local, one.provider.custodian)
        both.master_keys.migrate()
        states = over(one, local).states
    given_up = states.abandon("release:v1", reason="that server was scrapped").version(1)
    assert (given_up.state, given_up.lingers) == (KeyState.DESTROYED, False)
    assert len(one.kept) == 2
    assert not states.erase_due("release", now=one.clock()).version(1).lingers


def over(far: Far, *custodians: Custodian) -> StoredKeyProvider:
    """The same store over these custodians."""
    several = SeveralCustodians(custodians[0], custodians[1:])
    found = far.provider
    return StoredKeyProvider(
        found.store, several, Policy(), store_id=found.store_id, clock=far.clock
    )


def test_what_can_still_be_destroyed_is_destroyed_and_not_given_up(one: Far) -> None:
    """The word is no way to keep a key, nor to give up one that is in use."""
    going(one)
    states = one.provider.states
    for version in ("release:v1", "release:v2"):  # the one waits, the other signs
        with pytest.raises(KeyStateError, match="no destroyed one"):
            states.abandon(version, reason="none")
    for named, reason in (("release", "gone"), ("release:v1", " ")):
        with pytest.raises(InvalidInputError):
            states.abandon(named, reason=reason)
    one.is_now("down")
    with pytest.raises(CustodianUnavailableError):
        states.erase_due("release", now=one.clock())
    one.is_now("up")
    assert not states.abandon("release:v1", reason="gone").version(1).lingers
    assert len(one.kept) == 1


def test_two_that_destroy_at_once_write_it_once(one: Far, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gone is gone."""
    going(one)
    destroy = Elsewhere.destroy_signing_key

    def meanwhile(side: Elsewhere, reference: str) -> None:
        monkeypatch.setattr(Elsewhere, "destroy_signing_key", destroy)
        one.provider.states.erase_due("release", now=one.clock())
        side.destroy_signing_key(reference)

    monkeypatch.setattr(Elsewhere, "destroy_signing_key", meanwhile)
    before = one.provider.keys.get("release").revision
    assert one.provider.states.erase_due("release", now=one.clock()).revision == before + 2


def test_a_master_key_is_moved_past_it(one: Far) -> None:
    """Nothing of it is wrapped; beside it what is wrapped moves."""
    key = one.make()
    one.provider.keys.create("orders")
    moved = one.provider.keys._under(key, "elsewhere:1", {})
    assert moved.latest == key.latest
    assert "rewrap" not in one.side.calls


def test_threads_that_wait_for_the_store_ask_for_no_signature(one: Far) -> None:
    """And a use that did not happen is not counted."""
    one.make()
    one.keyring.sign(b"data", key_id="release")
    with blocking.refusing(), pytest.raises(WouldBlockError):
        one.keyring.sign(b"data", key_id="release")
    one.keyring.flush()
    handle = one.provider.keys.get("release").latest.handle
    (use,) = one.keyring.usage.summaries([handle])
    assert use.count == 1


def test_nothing_is_brought_into_it_or_exported(one: Far) -> None:
    """Its keys are the custodian's."""
    one.make()
    with pytest.raises(KeyUsageError, match="made by its custodian"):
        one.provider.imports.begin("release", existing=True)
    with pytest.raises(InvalidInputError, match="never exportable"):
        one.provider.keys.create("builds", "signing", external=True, exportable=True)
