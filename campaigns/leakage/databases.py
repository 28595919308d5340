"""What PostgreSQL has of a store's secrets: its dump, and every file of the server."""

from __future__ import annotations

import os
import subprocess
from collections import Counter

from campaigns.frame.campaign import Figures
from campaigns.frame.run import Run
from campaigns.leakage.search import Searcher
from campaigns.leakage.stores import made, secrets_in
from mycelium_fractal_net import open_keyring
from tests.support import postgres


def postgresql(run: Run) -> Figures:
    """A store in use; then pg_dump, tables, indexes and write-ahead log. Not in the quick form."""
    if run.quick:
        return {"places": {}}
    home = run.folder / f"store-{os.getpid()}" / "home"
    with postgres.running(durable=True) as server:
        url = postgres.create_database(server.url, "leakage")
        made(home, store=url)
        markers = secrets_in(home, store=url)
        with open_keyring(home=home, store=url) as keyring:
            keyring.decrypt(keyring.encrypt(b"x", key_id="orders"))
            keyring.provider.rotate_key("orders")
        searcher = Searcher(markers)
        folder = postgres.binaries()
        assert folder is not None
        plain = url.replace("+psycopg", "")
        dump = subprocess.run(
            [folder / "pg_dump", "--dbname", plain], check=True, capture_output=True
        ).stdout
        places = {"pg_dump": Counter(hit.kind for hit in searcher.hits(dump))}
        files = searcher.folder(server.base)
        places["files of the server"] = Counter(
            kind for counts in files.values() for kind, _ in counts.elements()
        )
    return {
        "dump_bytes": len(dump),
        "markers": len(markers),
        "places": {place: dict(counts) for place, counts in places.items()},
        "failures": [f"{dict(counts)} in {place}" for place, counts in places.items() if counts],
    }
