"""The commands of docs/deployment.md, as they stand there, on a real server and a real database."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.support.custodians import NAMES, harness
from tests.support.custodians.place import Place

pytestmark = pytest.mark.long

PAGE = Path(__file__).parents[3] / "docs" / "deployment.md"


@pytest.mark.skipif("vault" not in NAMES, reason="there is no Vault here")
def test_two_services_are_deployed_by_the_commands_of_the_page(
    tmp_path: Path, postgres_url: str
) -> None:
    """Addresses, tokens and the id are those of this test; every command is run by a shell."""
    settings, first, other, serve = re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL)
    one, two = (
        Place.of(tmp_path / name / "home", harness("vault"), store=postgres_url)
        for name in ("one", "two")
    )
    named = set(re.findall(r"export (MFN_\w+)=", settings))
    assert named <= {*one.variables, "MFN_VAULT_TOKEN_FILE"}
    shell(one, first)
    store_id = one.ok("master", "status", "--json").json["store_id"]
    assert "MFN_STORE_ID=" in other
    shell(two, re.sub(r"MFN_STORE_ID=\w+", f"MFN_STORE_ID={store_id}", other))
    assert serve.strip() == "mfn serve"
    two = two.under("vault", MFN_STORE_ID=store_id)
    running = one.serve(), two.serve()
    try:
        with running[1].client(running[0].api_key) as client:
            assert client.get("/keys/orders").status_code == 200
    finally:
        assert [each.stop() for each in running] == [0, 0]


def shell(place: Place, commands: str) -> None:
    """Run them in a shell, where ``mfn`` is this one."""
    mfn = " ".join(place.command())
    script = f'set -e\nmfn() {{ {mfn} "$@"; }}\n{commands}'
    done = subprocess.run(
        ["sh", "-c", script], env=place.environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
