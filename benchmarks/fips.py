"""FIPS mode beside the normal one: the same work in processes of either mode, by turns.

python -m benchmarks --fips [--quick] [--out FOLDER]

Both work over one store, whose signing key is for ECDSA-P256. The module is the one of ``make
fips-module``, or what MFN_TEST_FIPS_MODULE names. ``python -m benchmarks.fips`` is the process that
is measured: it prints, as JSON, the seconds that each piece of work took, a call.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from benchmarks.files import MFN, environment
from benchmarks.harness import Figure, figures, number_for, run, seconds_of, turns

MODES: Final = ("normal", "FIPS")
SIZES: Final = {"64 B": 64, "1 MiB": 1 << 20}
START: Final = "start: mfn key list"
_ROOT: Final = Path(__file__).parents[1]


def module() -> Path:
    """The provider's file. Raises :class:`SystemExit` where there is none."""
    path = Path(os.environ.get("MFN_TEST_FIPS_MODULE", _ROOT / ".venv" / "fips" / "fips.so"))
    if not path.exists():
        raise SystemExit("no FIPS module: make fips-module, or MFN_TEST_FIPS_MODULE")
    return path


def measure(rounds: int, budget: float) -> dict[str, list[Figure]]:
    """By piece of work: the normal mode, which is the reference, and FIPS mode."""
    times: dict[str, dict[str, list[float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        base = environment(Path(folder) / "home")
        env = {
            "normal": {**base, "MFN_FIPS_MODE": "false"},
            "FIPS": {**base, "MFN_FIPS_MODE": "true"},
        }
        _prepare(env["normal"])
        for order in turns(list(MODES), rounds):
            for mode in order:
                for work, seconds in _round(env[mode], budget).items():
                    times.setdefault(work, {name: [] for name in MODES})[mode].append(seconds)
    return {work: figures(found) for work, found in times.items()}


def _prepare(env: dict[str, str]) -> None:
    from mycelium_fractal_net.security.fips.installed import install
    from tests.support.fips_module import sha256_of

    run([*MFN, "init"], env=env)
    signing = ("--type", "signing", "--algorithm", "ECDSA-P256")
    run([*MFN, "key", "create", "bench-signing", *signing], env=env)
    install(module(), sha256_of(module()), Path(env["MFN_HOME"]) / "fips")


def _round(env: dict[str, str], budget: float) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.fips", str(budget)],
        env={**env, "PYTHONPATH": os.pathsep.join((str(_ROOT), str(_ROOT / "src")))},
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, float] = json.loads(done.stdout)
    return {**found, START: run([*MFN, "key", "list"], env=env).cpu}


def work() -> dict[str, Callable[[], object]]:
    """Each piece of work of this process, over the store that the environment names."""
    from mycelium_fractal_net import open_keyring

    keyring, found = open_keyring(), {}
    for name, size in SIZES.items():
        plain = os.urandom(size)
        for form in ("sealed", "raw"):
            message = keyring.encrypt(plain, format=form)
            found[f"encrypt {name}, {form}"] = _bound(keyring.encrypt, plain, format=form)
            options = {} if form == "sealed" else {"format": form, "key_id": "default-encryption"}
            found[f"decrypt {name}, {form}"] = _bound(keyring.decrypt, message, **options)
    signature = keyring.sign(b"message", key_id="bench-signing")
    found["sign, ECDSA-P256"] = _bound(keyring.sign, b"message", key_id="bench-signing")
    found["verify, ECDSA-P256"] = _bound(
        keyring.verify, b"message", signature, key_id="bench-signing"
    )
    return found


def _bound(
    call: Callable[..., object], *arguments: object, **options: object
) -> Callable[[], object]:
    return lambda: call(*arguments, **options)


def markdown(results: dict[str, list[Figure]]) -> str:
    """The table."""
    lines = [
        "# FIPS mode beside the normal one",
        "",
        f'`make bench BENCH="--fips"`, Python {platform.python_version()}, {platform.machine()},'
        f" {os.cpu_count()} cores. The normal mode is 1; the median of rounds by turns, with the"
        " least and the greatest. Of the start it is processor time.",
        "",
        "| work | normal | FIPS | ratio |",
        "| --- | --- | --- | --- |",
    ]
    for name, (normal, fips) in results.items():
        spread = f"{fips.ratio:.2f} ({fips.least:.2f} to {fips.greatest:.2f})"
        lines.append(f"| {name} | {_time(normal.seconds)} | {_time(fips.seconds)} | {spread} |")
    return "\n".join([*lines, ""])


def _time(seconds: float) -> str:
    return f"{seconds * 1e6:.1f} us" if seconds < 1e-2 else f"{seconds * 1e3:.0f} ms"


def report(out: Path, *, quick: bool) -> None:
    """Measure, and write ``fips.md`` and ``fips.json``."""
    results = measure(3 if quick else 9, 0.02 if quick else 0.2)
    out.mkdir(parents=True, exist_ok=True)
    (out / "fips.md").write_text(markdown(results))
    shape = {name: [each.to_dict() for each in found] for name, found in results.items()}
    (out / "fips.json").write_text(json.dumps(shape, indent=2) + "\n")
    print(markdown(results))


def main() -> None:
    """The process that is measured."""
    budget = float(sys.argv[1])
    times = {name: seconds_of(each, number_for(each, budget)) for name, each in work().items()}
    print(json.dumps(times))


if __name__ == "__main__":
    main()
