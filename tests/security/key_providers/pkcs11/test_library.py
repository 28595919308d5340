"""A library of PKCS #11: once in a process, initialised anew in a child and after an outage."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net.security.errors import (
    ConfigurationError,
    CustodianDeniedError,
    CustodianUnavailableError,
)
from mycelium_fractal_net.security.key_providers.pkcs11 import PKCS11Custodian, cryptoki
from mycelium_fractal_net.security.key_providers.pkcs11 import library as libraries
from mycelium_fractal_net.security.key_providers.pkcs11.library import Library, library_at
from mycelium_fractal_net.security.key_providers.remote import RemoteCustodian
from tests.security.key_providers.pkcs11.conftest import bound, reached
from tests.security.key_providers.pkcs11.faults import Always, Once, answering
from tests.support.custodians.pkcs11 import MODULE, PKCS11Harness

if TYPE_CHECKING:
    from pathlib import Path

CANT_LOCK, ALREADY_INITIALIZED, FUNCTION_FAILED = 0xA, 0x191, 0x6


def test_a_process_has_a_library_once(custodian: PKCS11Custodian, tmp_path: Path) -> None:
    """Whoever names it, and by whichever link: it is initialised for the whole process."""
    link = tmp_path / "p11.so"
    link.symlink_to(MODULE)
    assert library_at(str(link)) is library_at(str(MODULE)) is custodian._token.library


@pytest.mark.parametrize("what", ["absent", "text", "another"])
def test_what_is_no_library_of_pkcs11_is_a_wrong_setting(tmp_path: Path, what: str) -> None:
    """The message names it; nothing of the loader's is shown."""
    path = tmp_path / "p11.so"
    if what == "text":
        path.write_text("no library")
    elif what == "another":
        import _ctypes

        path = type(tmp_path)(_ctypes.__file__)
    with pytest.raises(ConfigurationError, match=r"module-path of MFN_PKCS11_URI: .*p11|_ctypes"):
        library_at(str(path))


def test_a_library_that_gives_no_functions_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its C_GetFunctionList fails."""

    class Empty:
        class C_GetFunctionList:
            def __new__(cls, _: object) -> int:  # type: ignore[misc]
                return FUNCTION_FAILED

    monkeypatch.setattr("ctypes.CDLL", lambda _: Empty)
    with pytest.raises(OSError, match="gives nothing"):
        cryptoki.function_list("p11.so")


def test_a_function_that_a_library_has_not_is_a_refusal(custodian: PKCS11Custodian) -> None:
    """A null pointer is not called."""
    library = custodian._token.library
    custodian.ping()
    real = library._functions
    library._functions = cryptoki.FunctionList.from_buffer_copy(real)
    library._functions.C_EncryptInit = type(real.C_EncryptInit)()
    try:
        with pytest.raises(CustodianDeniedError, match="the library cannot do it"):
            custodian.ping()
    finally:
        library._functions = real


def fresh() -> Library:
    """SoftHSM's functions, for answers at its initialisation."""
    return Library(str(MODULE), library_at(str(MODULE))._functions)


def test_a_library_without_locks_is_called_by_one_thread_at_a_time(token: PKCS11Harness) -> None:
    """Where it says so when it is initialised."""
    library, inside, most = fresh(), [0], [0]

    def slowly(*_: object) -> int:
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        time.sleep(0.02)
        inside[0] -= 1
        return 0

    def call() -> None:
        with library.using():
            library.call("C_CloseSession", 0)

    starts = Once(CANT_LOCK)
    starts_ok = lambda *_: 0 if starts() is None else CANT_LOCK  # noqa: E731
    with answering(library, C_Initialize=starts_ok, C_CloseSession=slowly):
        threads = [threading.Thread(target=call) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert (most, starts.calls) == ([1], 2)


def test_a_library_that_does_not_start_is_an_outage(token: PKCS11Harness) -> None:
    """It is tried again by who comes next."""
    library = fresh()
    with answering(library, C_Initialize=Once(FUNCTION_FAILED)):
        with pytest.raises(CustodianUnavailableError, match=r"not start \(CKR_FUNCTION_FAILED\)"):
            with library.using():
                pass
        with library.using() as generation:
            assert generation == 0


def test_what_another_initialised_in_this_process_is_left_to_it(token: PKCS11Harness) -> None:
    """Neither finalised by us after an outage, nor at the end."""
    library, finalised = fresh(), Always(0)
    with answering(library, C_Initialize=Always(ALREADY_INITIALIZED), C_Finalize=finalised):
        with library.using() as generation:
            pass
        library.begin_anew(generation)
        library._at_exit()
        with library.using() as after:
            assert after == generation + 1
    assert finalised.calls == 0


def test_of_threads_that_saw_an_outage_one_begins_anew(token: PKCS11Harness) -> None:
    """The others saw the same, and go on with what it made."""
    library, starts, ends = fresh(), Always(0), Always(0)
    with answering(library, C_Initialize=starts, C_Finalize=ends):
        with library.using() as generation:
            pass
        for _ in range(3):
            library.begin_anew(generation)
        assert (library.generation, starts.calls, ends.calls) == (generation + 1, 2, 1)
        library._at_exit()
        assert ends.calls == 2
        library._at_exit()
        assert ends.calls == 2


def test_a_library_is_not_begun_anew_beneath_a_call(
    token: PKCS11Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that does not come back keeps it as it is; that is said."""
    library, ends = fresh(), Always(0)
    monkeypatch.setattr(libraries, "_WAIT_SECONDS", 0.05)
    monkeypatch.setattr(libraries, "_FORK_SECONDS", 0.05)
    with answering(library, C_Initialize=Always(0), C_Finalize=ends):
        with library.using() as generation:
            assert library.calls_under_way == 1
            with pytest.raises(CustodianUnavailableError, match="1 calls to the HSM do not end"):
                library.begin_anew(generation)
            library._at_exit()
        assert ends.calls == 0


def test_two_threads_that_come_first_initialise_it_once(token: PKCS11Harness) -> None:
    """The second finds it done."""
    library, starts = fresh(), Always(0)
    with answering(library, C_Initialize=starts):
        with library.using():
            pass
        library._initialise()
    assert starts.calls == 1


def test_a_call_that_does_not_return_keeps_no_other_thread(own_token: PKCS11Harness) -> None:
    """SoftHSM waits for a lock on the token's files, which another process has; its callers are
    told in time, and are counted."""
    direct = reached(own_token)
    direct.make_first()
    from mycelium_fractal_net.security.key_providers.call_limits import CallLimits

    custodian = RemoteCustodian(lambda: direct, CallLimits(deadline_seconds=0.5, attempts=1))
    managing = custodian.managing()
    assert managing is not None
    with locked(own_token.folder):
        begun = time.monotonic()
        with pytest.raises(CustodianUnavailableError, match="does not answer within"):
            managing.add()
        assert time.monotonic() - begun < 2.0
        assert custodian.statistics().stuck_threads == 1
        assert direct._token.library.calls_under_way >= 1
    end = time.monotonic() + 10
    while custodian.statistics().stuck_threads and time.monotonic() < end:
        time.sleep(0.01)
    assert custodian.statistics().stuck_threads == 0
    assert len(direct.inspect().kek_ids) == 2  # it was made all the same
    custodian.close()


_LOCK = """
import fcntl, pathlib, sys
files = [open(each, "r+b") for each in pathlib.Path(sys.argv[1]).iterdir()]
for each in files:
    fcntl.lockf(each, fcntl.LOCK_EX)
print("locked", flush=True)
sys.stdin.read()
"""


class locked:
    """Another process has the locks of a token's files within the block."""

    def __init__(self, folder: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _LOCK, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> None:
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "locked\n"

    def __exit__(self, *_: object) -> None:
        self._process.communicate()


def test_a_child_initialises_it_anew_and_leaves_the_parent_as_it_is(
    custodian: PKCS11Custodian,
) -> None:
    """What the parent initialised, its sessions and its login, is none of a child's."""
    behind = RemoteCustodian(lambda: custodian)
    newest = behind.newest_id()
    (sealed,) = behind.wrap_many(newest, [(b"k" * 32, bound())])
    generation = custodian._token.library.generation
    read, write = os.pipe()
    child = os.fork()
    if child == 0:  # pragma: no cover - another process
        try:
            same = behind.unwrap_many(newest, [(sealed, bound())]) == [b"k" * 32]
            os.write(write, f"{same} {custodian._token.library.generation - generation}".encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as answer:
        assert answer.read() == "True 1"
    os.waitpid(child, 0)
    assert behind.unwrap_many(newest, [(sealed, bound())]) == [b"k" * 32]
    assert custodian._token.library.generation == generation


@pytest.mark.parametrize("forks", [2, pytest.param(10, marks=pytest.mark.long)])
def test_a_process_forks_while_threads_are_in_the_library(
    token: PKCS11Harness, custodian: PKCS11Custodian, forks: int
) -> None:
    """None of them is in it at that moment: a lock that is copied held is held for ever."""
    newest = custodian.newest_id()
    (sealed,) = custodian.wrap_many(newest, [(b"k" * 32, bound())])
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            custodian.unwrap_many(newest, [(sealed, bound())])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(forks):
            child = os.fork()
            if child == 0:  # pragma: no cover - another process
                code = 1
                try:
                    own = reached(token)
                    code = int(own.unwrap_many(newest, [(sealed, bound())]) != [b"k" * 32])
                finally:
                    os._exit(code)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_at_the_end_the_hsm_is_told(custodian: PKCS11Custodian) -> None:
    """Sessions of a process that is gone count against those that a token has."""
    library = custodian._token.library
    custodian.ping()
    ends = Once(0, times=0)
    with answering(library, C_Finalize=ends):
        libraries._at_exit()
    assert ends.calls == 1
    library.begin_anew(library.generation)  # this process goes on
    custodian.ping()
