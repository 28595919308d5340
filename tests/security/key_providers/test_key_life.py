"""A model of the life of keys: whatever is done in whatever order, the keyring agrees with it."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
)

from mycelium_fractal_net.security.errors import KeyStateError, MfnError
from mycelium_fractal_net.security.records.keys import KeyState, Verb
from tests.support.stores import MEMORY, Clock, keyring_over, open_provider

S = KeyState
NEXT = {
    (S.ACTIVE, Verb.SUSPEND): S.SUSPENDED,
    (S.ACTIVE, Verb.DEACTIVATE): S.DEACTIVATED,
    (S.ACTIVE, Verb.COMPROMISE): S.COMPROMISED,
    (S.ACTIVE, Verb.DESTROY): S.PENDING_DESTRUCTION,
    (S.SUSPENDED, Verb.ACTIVATE): S.ACTIVE,
    (S.SUSPENDED, Verb.DEACTIVATE): S.DEACTIVATED,
    (S.SUSPENDED, Verb.COMPROMISE): S.COMPROMISED,
    (S.SUSPENDED, Verb.DESTROY): S.PENDING_DESTRUCTION,
    (S.DEACTIVATED, Verb.COMPROMISE): S.COMPROMISED,
    (S.DEACTIVATED, Verb.DESTROY): S.PENDING_DESTRUCTION,
    (S.COMPROMISED, Verb.DESTROY): S.PENDING_DESTRUCTION,
    (S.PENDING_DESTRUCTION, Verb.COMPROMISE): S.PENDING_DESTRUCTION,
    (S.PENDING_DESTRUCTION, Verb.CANCEL_DESTRUCTION): S.DEACTIVATED,
    (S.DESTROYED, Verb.COMPROMISE): S.DESTROYED,
}


@dataclass
class Version:
    """What the model knows of one version."""

    state: KeyState = S.ACTIVE
    compromised: bool = False
    due: object = None
    messages: list[tuple[bytes, bytes]] = field(default_factory=list)


class KeyLife(RuleBasedStateMachine):
    """One key, two keyrings over the same store, a clock, and every verb."""

    def __init__(self) -> None:
        super().__init__()
        self.cleanup = ExitStack()
        folder = Path(self.cleanup.enter_context(tempfile.TemporaryDirectory(dir=MEMORY)))
        home = folder / "home"
        home.mkdir(mode=0o700)
        self.clock = Clock()
        url = f"sqlite:///{home / 'keys.db'}"
        self.provider = open_provider(url, home, self.clock)
        self.keyrings = [
            self.cleanup.enter_context(keyring_over(open_provider(url, home, self.clock)))
            for _ in range(2)
        ]
        self.cleanup.callback(self.provider.store.database.close)
        self.versions: list[Version] = []

    def teardown(self) -> None:
        """Close what was opened."""
        self.cleanup.close()

    @initialize()
    def create(self) -> None:
        """The key is made with one active version."""
        self.provider.keys.create("orders")
        self.versions.append(Version())

    @rule()
    def rotate(self) -> None:
        """A new version becomes the newest."""
        self.versions.append(Version())
        assert self.provider.rotate_key("orders") == f"orders:v{len(self.versions)}"

    @rule(verb=st.sampled_from(list(Verb)), data=st.data())
    def apply(self, verb: Verb, data: st.DataObject) -> None:
        """A verb does what the table says, or is refused and changes nothing."""
        number = data.draw(st.integers(1, len(self.versions)))
        version = self.versions[number - 1]
        after = NEXT.get((version.state, verb))
        if verb is Verb.DESTROY and version.state is S.ACTIVE and number == len(self.versions):
            after = None
        if after is None:
            with pytest.raises(KeyStateError):
                self.provider.states.apply(verb, f"orders:v{number}")
            return
        self.provider.states.apply(verb, f"orders:v{number}")
        version.state = after
        version.compromised |= verb is Verb.COMPROMISE
        if verb is Verb.CANCEL_DESTRUCTION and version.compromised:
            version.state = S.COMPROMISED
        version.due = self.clock.now if verb is Verb.DESTROY else version.due

    @rule(days=st.integers(1, 40))
    def wait(self, days: int) -> None:
        """Time passes, and what is due is erased."""
        self.clock.forward(days=days)
        self.provider.states.erase_due("orders")
        for version in self.versions:
            pending = version.state is S.PENDING_DESTRUCTION
            if pending and (self.clock.now - version.due).days >= 30:  # type: ignore[operator]
                version.state = S.DESTROYED

    @rule()
    def move(self) -> None:
        """The store moves to a new master key."""
        self.provider.master_keys.rotate()

    @rule(which=st.integers(0, 1), data=st.binary(max_size=40))
    def encrypt(self, which: int, data: bytes) -> None:
        """The newest version protects if it is active, and no other ever does."""
        keyring = self.keyrings[which]
        keyring.refresh()
        newest = self.versions[-1]
        if newest.state is S.ACTIVE:
            message = keyring.encrypt(data, key_id="orders")
            assert keyring.describe(message).version == len(self.versions)
            newest.messages.append((message, data))
        else:
            with pytest.raises(KeyStateError):
                keyring.encrypt(data, key_id="orders")

    @invariant()
    def every_message_opens_as_its_version_allows(self) -> None:
        """Two keyrings agree with the model on every message that was ever made."""
        for keyring in self.keyrings:
            keyring.refresh()
            for version in self.versions:
                for message, data in version.messages[-2:]:
                    for allow in (False, True):
                        opens = version.state in (S.ACTIVE, S.DEACTIVATED) or (
                            allow and version.state is S.COMPROMISED
                        )
                        try:
                            assert keyring.decrypt(message, allow_compromised=allow) == data
                            assert opens
                        except KeyStateError:
                            assert not opens

    @invariant()
    def the_store_holds_the_states_of_the_model(self) -> None:
        """States, marks of compromise and erased material are what the model says."""
        if not self.versions:
            return
        stored = self.provider.keys.get("orders").versions
        assert [(v.state, v.compromised) for v in stored] == [
            (v.state, v.compromised) for v in self.versions
        ]
        assert [bool(v.wrapped) for v in stored] == [
            v.state is not S.DESTROYED for v in self.versions
        ]


KeyLife.TestCase.settings = settings(max_examples=12, stateful_step_count=15, deadline=None)
TestKeyLife = KeyLife.TestCase


def test_the_model_can_fail() -> None:
    """A machine that skips a compromise is caught by the invariant."""

    class Forgetful(KeyLife):
        def lie(self) -> None:
            self.provider.states.apply(Verb.COMPROMISE, "orders")

    machine = Forgetful()
    try:
        machine.create()
        machine.lie()
        with pytest.raises((AssertionError, MfnError)):
            machine.the_store_holds_the_states_of_the_model()
    finally:
        machine.teardown()
