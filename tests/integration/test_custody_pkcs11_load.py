"""A token under load: eight threads for a minute, and the workers of a service."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, cast

import pytest

from mycelium_fractal_net.security.errors import StoreIntegrityError
from mycelium_fractal_net.security.key_providers.remote import RemoteCustodian
from tests.security.key_providers.pkcs11.conftest import bound, reached
from tests.support.custodians import new_harness

if TYPE_CHECKING:
    from tests.support.custodians.pkcs11 import PKCS11Harness

pytestmark = pytest.mark.long

THREADS = 8
SECONDS = float(os.environ.get("MFN_TEST_HSM_SECONDS", "4"))  # a minute in the long form


def test_eight_threads_get_each_its_own_keys() -> None:
    """For a minute; beside them rows that were edited, and signatures."""
    token = cast("PKCS11Harness", new_harness("pkcs11"))
    token.make_key()
    custodian = RemoteCustodian(lambda: reached(token))
    newest = custodian.newest_id()
    signing = custodian.create_signing_key("ECDSA-P256", bound(0))
    end = time.monotonic() + SECONDS
    done, failed = [0] * THREADS, []

    def work(number: int) -> None:
        try:
            while time.monotonic() < end:
                done[number] += 1
                material, binding = bytes([number]) * 32, bound(number * 1_000_000 + done[number])
                (wrapped,) = custodian.wrap_many(newest, [(material, binding)])
                assert custodian.unwrap_many(newest, [(wrapped, binding)]) == [material]
                if done[number] % 10 == 0:
                    edited = wrapped[:-1] + bytes([wrapped[-1] ^ 1])
                    with pytest.raises(StoreIntegrityError):
                        custodian.unwrap_many(newest, [(edited, binding)])
                    assert custodian.sign(signing.reference, "ECDSA-P256", b"m")
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=[number]) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert min(done) > 10
    assert custodian.statistics().stuck_threads == 0
    custodian.close()
    token.close()
