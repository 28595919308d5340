"""Where a request is worked on: what costs much does not stop those that cost little."""

from __future__ import annotations

import concurrent.futures
import time
from typing import TYPE_CHECKING

from mycelium_fractal_net.api.service.costs import SIGNATURE_SECONDS, signature_cost
from mycelium_fractal_net.security.policy import Policy
from mycelium_fractal_net.security.signatures.signing_key import ALGORITHMS
from tests.support.service import Running, b64
from tests.test_crypto_api import HELLO, ok

if TYPE_CHECKING:
    import httpx


def test_every_algorithm_has_a_measured_cost() -> None:
    """One that is added is measured; until then it counts as the slowest there is."""
    for seconds in SIGNATURE_SECONDS.values():
        assert set(seconds) == set(ALGORITHMS)
    assert signature_cost("sign", "of tomorrow") == signature_cost("sign", "ML-DSA-65")


def test_a_small_batch_of_slow_signatures_stops_nobody(
    service: Running, client: httpx.Client
) -> None:
    """A thousand of ML-DSA-65 in 30 kB take a second or more of a processor, and no other waits."""
    for algorithm in filter(Policy().allows, ("ML-DSA-65", "ECDSA-P384")):
        key_id = f"slow-{algorithm.lower()}"
        asked = {"key_id": key_id, "type": "signing", "algorithm": algorithm}
        assert client.post("/keys", json=asked).status_code == 201
        body = {"items": [{"data": b64(b"x"), "key_id": key_id}] * 1000}
        waits = []
        with concurrent.futures.ThreadPoolExecutor(1) as pool, service.client() as other:
            ok(other.post("/crypto/encrypt", json={"data": HELLO}))
            batch = pool.submit(client.post, "/crypto/sign/batch", json=body)
            while not batch.done():
                began = time.monotonic()
                ok(other.post("/crypto/encrypt", json={"data": HELLO}))
                waits.append(time.monotonic() - began)
            items = ok(batch.result())["items"]
        assert all(each["algorithm"] == algorithm for each in items)
        assert len(waits) > 5, waits  # on the loop, one of them would have waited for all of it
