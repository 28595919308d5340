"""Every setting and every variable that takes text: read from a file, and from the environment."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_origin

import msgspec

from campaigns.misuse.commands import Ran, ran
from campaigns.misuse.in_turn import begun, count, in_turn
from campaigns.misuse.lines import faults_of_lines
from campaigns.misuse.payloads import MARK, Payload, chosen
from campaigns.misuse.places import work_folder
from mycelium_fractal_net import initialise
from mycelium_fractal_net.config import VARIABLES, Settings
from mycelium_fractal_net.security.errors import ExitCode

if TYPE_CHECKING:
    from campaigns.frame.campaign import Figures
    from campaigns.frame.run import Run


def settings(kind: Any = Settings, path: str = "") -> Iterator[str]:
    """Every setting by its dotted path: numbers and truths too, which text stands for here."""
    for field in msgspec.structs.fields(kind):
        inner = f"{path}.{field.encode_name}".lstrip(".")
        records = [
            each
            for each in (field.type, *get_args(field.type))
            if isinstance(each, type) and issubclass(each, msgspec.Struct)
        ]
        if records and get_origin(field.type) is None:
            yield from settings(records[0], inner)
        else:
            yield inner


def document(path: str, value: object) -> dict[str, Any]:
    """A configuration with one setting."""
    made: dict[str, Any] = {}
    *sections, name = path.split(".")
    inner = made
    for section in sections:
        inner = inner.setdefault(section, {})
    inner[name] = value
    return made


@contextmanager
def _variable(name: str, value: str) -> Iterator[None]:
    former = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if former is None:
            del os.environ[name]
        else:
            os.environ[name] = former


def work(run: Run) -> Figures:
    """Each payload in each setting and variable, and a command that uses what was read."""
    state = begun(run)
    failures = state["failures"]
    run.folder = run.folder.absolute()  # this part works in a folder of its own
    folder, before = work_folder(), Path.cwd()
    try:
        home, place = folder / "home", folder / "place"
        initialise(home=home).close()
        place.mkdir()
        os.chdir(place)
        wanted = [*settings(), *VARIABLES, "MFN_CONFIG", "a setting's name"]
        wanted = wanted[:: 3 if run.quick else 1]
        for number, name in in_turn(run, state, wanted, "settings"):
            for payload in chosen(number, quick=run.quick):
                for done in _tried(home, name, payload):
                    count(state, done.code)
                    failures += [
                        f"{name}, {payload.kind} {payload.text[:20]!a}: {each}"
                        for each in _faults(done)
                    ]
            left = {path.name for path in folder.iterdir()} - {"home", "place"}
            failures += [f"{name}: left {each}" for each in left]
    finally:
        os.chdir(before)
        shutil.rmtree(folder)
    return {
        "settings": len(wanted),
        "runs": sum(state["counts"].values()),
        "codes": state["counts"],
        "failures": failures[:200],
    }


def _tried(home: Path, name: str, payload: Payload) -> Iterator[Ran]:
    command = ("--home", str(home), "key", "list")
    if name.startswith("MFN_"):
        text = payload.in_arguments
        if text is not None:
            with _variable(name, text):
                yield ran(*command)
        return
    file = Path("settings.json")
    if name == "a setting's name":
        made = [{payload.text: payload.text}, {"server": {payload.text: 1}}]
    else:
        made = [document(name, payload.text), document(name, [payload.text])]
    for each in made:
        file.write_text(json.dumps(each))
        yield ran("--config", str(file), *command)


def _faults(done: Ran) -> list[str]:
    faults = faults_of_lines(done.err, of="standard error")
    faults += faults_of_lines(done.out.decode(errors="replace"), of="standard output")
    if done.code == ExitCode.UNEXPECTED or "Traceback" in done.err:
        faults.append(f"an error that nobody expected: {done.err[:200]}")
    if Path(MARK).exists():
        faults.append("a shell ran it")
    return faults
