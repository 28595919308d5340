"""What docs/security_testing.md says of leakage, from the figures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from campaigns.frame.campaign import Results
from campaigns.frame.pages import table
from campaigns.leakage.encodings import NAMES

_HEAD = """\
Each secret is random, so that it turns up nowhere by chance, and is looked for in {forms}
forms: as it is, in hex (three ways), base64 and base64url at each of their three alignments,
UTF-16 and UTF-32, reversed (the order of OpenSSL's big numbers), as Python, JSON and URLs would
escape it, as a list of numbers and as an integer of CPython. In memory, halves count too: an
allocator writes over the first bytes of what it takes back. Stored keys are those that the
product drew itself; a second process learns them from the store, and the one that is looked at
runs nothing but the product. Memory is read as root, through `/proc/PID/mem`, all that the
process may write to."""

_MEMORY = """\
A process uses keys of four types by the library, and waits at each stage while it is looked at.
The counts are those of copies, the most of {rounds} processes. Every key that is unwrapped lies
in one `bytearray` that is overwritten when nothing refers to it any more (`SecretBytes`), and
is opened into it; AES keys that serve `raw` messages have OpenSSL's key schedule beside it, and
ECDSA keys are OpenSSL's number alone (found reversed). A key is let go at once when it makes
room for another, within 30 seconds after its lifetime in the cache, whether it is used or not,
and when the keyring is closed, and with it the master key of a key file."""

_LIMITS = """\
What remains, and what cannot be helped from here: half of an AES key, 16 of 32 bytes, in a
block of the C heap: `Cobblestone256Decryptor` of `cryptography` keeps a copy of its key and
frees it as it is. What comes and goes as `bytes` or `str` of CPython is never overwritten until
something else takes its place: plaintexts, the API keys in requests, data keys in answers, a
passphrase, what `get_key` gives. The table of the service shows that: a process that handles
plaintext has plaintext in its memory, also after it has answered. HMAC keys are hashed into
OpenSSL's states, which serve as well as the key and look like nothing; no search finds those,
and no count here says anything of them. A fresh key is drawn as `bytes` once, by the process
that makes it. What was not tested: swap space and hibernation, memory of a virtual machine seen
from its host, caches of the processor, a PKCS #11 module (SoftHSM decrypts in the process that
asks; a token of hardware does not), AWS KMS, `mfn migrate-xor`, and tracebacks of programs that
print local variables of frames of ours: `mfn`, the service and the logs never do."""


def section(results: Results) -> str:
    """The text between the markers."""
    parts = [f"On {results.machine}; {results.ended}.", _HEAD.format(forms=len(NAMES))]
    for name, write in _PARTS.items():
        if name in results.parts:
            parts.append(write(results.parts[name]))
    memory = results.parts.get("memory")
    if memory is not None:
        before = results.parts.get("memory before", {})
        parts.append(_memory(memory, before))
    custody = results.parts.get("custodian elsewhere")
    if custody is not None and custody["stages"]:
        parts.append(_custody(custody))
    parts.append(_LIMITS)
    if "suite" not in results.parts:
        parts.append("The tests themselves have not been run with markers for keys yet.")
    return "\n\n".join(parts)


def _controls(figures: Mapping[str, Any]) -> str:
    rows = [
        (place, each["planted"], each["planted"] - len(each["missed"]))
        for place, each in figures["places"].items()
    ]
    return (
        "**Controls.** One marker planted in each place, in each form that the place can hold:\n\n"
        + table(("place", "forms planted", "found"), rows)
    )


def _service(figures: Mapping[str, Any]) -> str:
    named = {name: each for name, each in figures.items() if isinstance(each, dict)}
    how, runs = " and ".join(named), named.values()
    requests = sum(each["requests"] for each in runs)
    log = sum(each["log_bytes"] for each in runs)
    places: dict[str, dict[str, int]] = {}
    for each in runs:
        for place, counts in each["places"].items():
            of_place = places.setdefault(place, {})
            for kind, count in counts.items():
                of_place[kind] = max(of_place.get(kind, 0), count)
    answers = ", ".join(
        f"{status} ({sum(each['answers'].get(status, 0) for each in runs):,})"
        for status in sorted({status for each in runs for status in each["answers"]})
    )
    return (
        f"**The service**, {how}: {requests:,} requests to every route of the OpenAPI document, as"
        " its examples have them, and wrong in the type and the text of every member, in the path,"
        f" the query and the credential. Answers: {answers}. The log at level `debug`, with access"
        f" lines, has {log:,} bytes. The names of keys that are not there are recorded on"
        " purpose; nothing else is to be found outside of memory:\n\n"
        + table(("place", "found"), ((place, _counts(found)) for place, found in places.items()))
    )


def _commands(figures: Mapping[str, Any]) -> str:
    return (
        f"**The commands**: {figures['commands']} that take a passphrase, plaintext, associated"
        " data or a wrong argument, with `--debug` where they fail:\n\n"
        + table(("place", "found"), ((place, _counts(c)) for place, c in figures["found"].items()))
    )


def _cores(figures: Mapping[str, Any]) -> str:
    rows = []
    for how in ("hardened", "not hardened"):
        each = figures[how]
        found = "; ".join(_forms(core) for core in each["found"]) or "-"
        rows.append((how, each["signal"], each["cores"], found))
    return (
        "**Core dumps.** A process with keys in use dies by SIGSEGV, its own limit of cores"
        f" lifted; `core_pattern` is `{figures['core_pattern']}`. Hardened is what the service, and"
        " `harden_process()`, makes it:\n\n"
        + table(("process", "signal", "core dumps", "found in them"), rows)
    )


def _postgresql(figures: Mapping[str, Any]) -> str:
    if not figures["places"]:
        return ""
    return (
        f"**PostgreSQL**: {figures['markers']} keys of a store in use, in `pg_dump`"
        f" ({figures['dump_bytes']:,} bytes) and in every file of the server, its write-ahead log"
        " too:\n\n"
        + table(("place", "found"), ((place, _counts(c)) for place, c in figures["places"].items()))
    )


def _suite(figures: Mapping[str, Any]) -> str:
    if not figures.get("tests"):
        return ""
    return (
        f"**The tests**: {figures['tests']:,} of them with keys and credentials drawn as markers,"
        f" {figures['drawn']:,} in all; {figures['bytes']:,} bytes of files, output and logs that"
        " they left, with what each place is for:\n\n"
        + table(
            ("place", "files or tests", "found"),
            ((each["place"], each["count"], _counts(each["found"])) for each in figures["places"]),
        )
    )


def _memory(figures: Mapping[str, Any], before: Mapping[str, Any]) -> str:
    was = {each["stage"]: each["found"] for each in before.get("stages", [])}
    rows = [
        (each["stage"], _forms(was[each["stage"]]) if was else "-", _forms(each["found"]))
        for each in figures["stages"]
    ]
    return f"**Memory.** {_MEMORY.format(rounds=figures['rounds'])}\n\n" + table(
        ("stage", f"before ({before.get('commit', '-')})", "now"), rows
    )


def _custody(figures: Mapping[str, Any]) -> str:
    rows = [(each["stage"], _forms(each["found"])) for each in figures["stages"]]
    rows.append(("(control) in the server's own memory", _forms(figures["in the server"])))
    return (
        "**A master key elsewhere.** With the master key in OpenBao's transit engine it is in no"
        " process of ours, at no time; that is the answer for whoever must not trust the memory of"
        " the machine:\n\n" + table(("stage", "found"), rows)
    )


_PARTS = {
    "controls": _controls,
    "service": _service,
    "commands": _commands,
    "PostgreSQL": _postgresql,
    "suite": _suite,
    "cores": _cores,
}


def _counts(found: Mapping[str, int]) -> str:
    return _joined(f"{kind} {count:,}" for kind, count in sorted(found.items()))


def _forms(found: Mapping[str, Mapping[str, int]]) -> str:
    return _joined(
        f"{kind}: {count} {form}"
        for kind, forms in sorted(found.items())
        for form, count in sorted(forms.items())
    )


def _joined(each: Iterable[str]) -> str:
    return "; ".join(each) or "none"
