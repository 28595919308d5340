"""Makes ``tests/vectors/backup_vectors.json``: backups with the files of their master keys.

python scripts/make_backup_vectors.py
"""

from __future__ import annotations

import base64
import io
import json
import tempfile
from pathlib import Path

from mycelium_fractal_net import initialise
from mycelium_fractal_net.security.backup import write_backup

TARGET = Path(__file__).parent.parent / "tests" / "vectors" / "backup_vectors.json"
PASSPHRASE = "a passphrase f\u00fcr tests"  # noqa: S105 - of the vectors


def vector(home: Path, passphrase: str | None) -> dict[str, object]:
    """A backup of a new store, its master key's file, and what is in it."""
    given = None if passphrase is None else passphrase.encode()
    with initialise(home=home, passphrase=given) as keyring:
        writer = io.BytesIO()
        backup = write_backup(keyring.provider, writer)
    return {
        "passphrase": passphrase,
        "master_key_file": json.loads((home / "master.key").read_text()),
        "backup": base64.b64encode(writer.getvalue()).decode(),
        "backup_id": backup.made.backup_id,
        "rows": backup.rows,
    }


def main() -> None:
    """Write both."""
    with tempfile.TemporaryDirectory() as folder:
        vectors = [
            vector(Path(folder) / str(number), passphrase)
            for number, passphrase in enumerate((None, PASSPHRASE))
        ]
    TARGET.write_text(json.dumps({"format": "docs/format.md", "backups": vectors}, indent=1) + "\n")


if __name__ == "__main__":
    main()
