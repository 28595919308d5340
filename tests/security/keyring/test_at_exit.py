"""The end of a keyring and of its process: what was counted is written, and nothing goes on."""

from __future__ import annotations

import io
import multiprocessing.util
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net import initialise, open_keyring
from mycelium_fractal_net.security.errors import StoreUnavailableError
from mycelium_fractal_net.security.keyring import at_exit
from tests.support.cli import environment

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mycelium_fractal_net.security.keyring.keyring import Keyring


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with keys of three types, to be copied."""
    folder = tmp_path_factory.mktemp("made") / "home"
    with initialise(home=folder) as keyring:
        keyring.provider.keys.create("orders")
        keyring.provider.keys.create("release", "signing")
        keyring.provider.keys.create("rows", "mac")
    return folder


@pytest.fixture
def home(made: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return shutil.copytree(made, tmp_path / "home")


def counted(home: Path) -> int:
    """How often ``orders`` was used to protect."""
    with open_keyring(home=home) as keyring:
        handle = keyring.provider.keys.get("orders").latest.handle
        return sum(day.count for day in keyring.usage.days([handle]) if day.kind == "protect")


USES: list[Callable[[Keyring], object]] = [
    lambda keyring: keyring.encrypt(b"data", key_id="orders"),
    lambda keyring: keyring.encrypt(b"data", key_id="orders", format="raw"),
    lambda keyring: keyring.encrypt_stream(io.BytesIO(b"data"), io.BytesIO(), key_id="orders"),
    lambda keyring: keyring.encryptor(key_id="orders"),
    lambda keyring: keyring.data_key(key_id="orders"),
    lambda keyring: keyring.protecting_key("orders"),
    lambda keyring: keyring.sign(b"data", key_id="release"),
    lambda keyring: keyring.verify(b"data", b"signature", key_id="release"),
    lambda keyring: keyring.public_key("release"),
    lambda keyring: keyring.published_keys(),
    lambda keyring: keyring.mac(b"data", key_id="rows"),
    lambda keyring: keyring.algorithm_of("orders"),
    lambda keyring: keyring.refresh(),
]


@pytest.mark.parametrize("use", USES)
def test_nothing_goes_on_after_the_end(home: Path, use: Callable[[Keyring], object]) -> None:
    """What was cached is not used either, which nobody would count."""
    keyring = open_keyring(home=home)
    if use not in USES[7:8]:  # a signature that is none
        use(keyring)
    keyring.close()
    with pytest.raises(StoreUnavailableError, match="the keyring was closed"):
        use(keyring)
    keyring.close()  # twice is no mistake


def test_messages_that_were_sealed_before_do_not_open_after(home: Path) -> None:
    """As in every other use, and the message is not what is at fault."""
    keyring = open_keyring(home=home)
    message = keyring.encrypt(b"data", key_id="orders")
    assert keyring.decrypt(message) == b"data"
    keyring.close()
    for use in (keyring.decrypt, keyring.rewrap, keyring.describe):
        with pytest.raises(StoreUnavailableError, match="closed"):
            use(message)


def test_a_child_of_a_closed_keyring_has_none(home: Path) -> None:
    """A fork begins much anew, and not this."""
    keyring = open_keyring(home=home)
    keyring.close()
    child = os.fork()
    if not child:
        try:
            keyring.encrypt(b"data", key_id="orders")
        except StoreUnavailableError:
            os._exit(0)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_an_end_that_the_store_does_not_take_is_told(
    home: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the end of a process there is nobody to raise it to."""
    with open_keyring(home=home) as keyring:
        keyring.encrypt(b"data", key_id="orders")
        keyring.encrypt(b"data", key_id="orders")

        def silent(_: object) -> None:
            raise StoreUnavailableError("it does not answer")

        monkeypatch.setattr(keyring.usage, "add", silent)
        at_exit._write_all()
        assert "counts of use were not written: it does not answer" in caplog.text


_UNCLOSED = """
import sys
from mycelium_fractal_net import open_keyring
keyring = open_keyring(home=sys.argv[1])
for _ in range(100):
    keyring.encrypt(b"data", key_id="orders")
"""
_IN_THE_END = {
    "it ends": "",
    "it exits": "sys.exit(3)",
    "it fails": "1 / 0",
    "a child that was forked": """
import os
if not (child := os.fork()):
    for _ in range(10):
        keyring.encrypt(b"data", key_id="orders")
    sys.exit()
os.waitpid(child, 0)
""",
    "workers that inherit it": """
import multiprocessing
def work(_):
    keyring.encrypt(b"data", key_id="orders")
pool = multiprocessing.get_context("fork").Pool(2)
pool.map(work, range(10))
pool.close()
pool.join()
""",
    "workers with their own": """
import multiprocessing
def begin():
    global mine
    mine = open_keyring(home=sys.argv[1])
def work(_):
    mine.encrypt(b"data", key_id="orders")
pool = multiprocessing.get_context("fork").Pool(2, begin)
pool.map(work, range(10))
pool.close()
pool.join()
""",
}


@pytest.mark.parametrize("end", _IN_THE_END)
def test_what_was_counted_is_written_at_the_end_of_a_process(home: Path, end: str) -> None:
    """Of a program that never closes its keyring, and of its children."""
    script = _UNCLOSED + _IN_THE_END[end]
    subprocess.run(
        [sys.executable, "-c", script, str(home)],
        env=environment(),
        check=False,
        stderr=subprocess.DEVNULL,
    )
    assert counted(home) == 110 if "child" in end or "workers" in end else counted(home) == 100


def test_multiprocessing_is_told_where_it_is_used(home: Path) -> None:
    """It runs nothing else at the end of its children."""
    with open_keyring(home=home) as keyring:
        told = multiprocessing.util._finalizer_registry.values()  # type: ignore[attr-defined]
        assert any(each._callback is at_exit._write_all for each in told)
        assert keyring.encrypt(b"data", key_id="orders")


def test_multiprocessing_is_not_loaded_for_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program without it pays nothing."""
    monkeypatch.delitem(sys.modules, "multiprocessing.util", raising=False)
    with open_keyring(home=home):
        assert "multiprocessing.util" not in sys.modules
