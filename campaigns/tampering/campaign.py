"""Tampering: every bit of every form, and decoders that are held against each other."""

from __future__ import annotations

from typing import Any

from campaigns.frame.campaign import Campaign, Part, Results
from campaigns.frame.pages import table
from campaigns.tampering.bits import every_bit
from campaigns.tampering.decoders import both
from campaigns.tampering.messages_of_http import fields, signatures
from campaigns.tampering.rows import every_cell


def section(results: Results) -> str:
    parts = results.parts
    text = [
        "Whatever is written is changed in every single way that is small: each bit flipped, each"
        " cut, each byte gone or doubled, blocks of 16 bytes that change places. A changed one is"
        " refused with the one error of its form, and of a ciphertext with one text, or taken where"
        " the change says nothing, which is counted by its reason. That what is unchanged opens is"
        " seen beside it, so a reader that refuses everything fails."
    ]
    if found := parts.get("bits"):
        text += _of_bits(found)
    if found := parts.get("rows"):
        text += _of_rows(found)
    text.append(
        "**Differential.** `tests/interop/decoder.mjs` reads all that `docs/format.md` specifies"
        " but ML-DSA; it is in JavaScript, on Node's own cryptography, and was written from that"
        " page alone. The product and it get the same inputs: both read the same or both refuse."
        " Crafted messages are sealed right by somebody who has the key and are wrong in shape: a"
        " full last chunk, one more chunk, a short one in the middle, another label or form."
        " Requests that we or `http-message-signatures` signed are changed and given to both, and"
        " structured fields to us and `http_sfv`: what we take they take, and read alike."
    )
    if found := parts.get("decoders"):
        text += _of_decoders(found)
    text += _of_http(parts)
    text.append(f"Machine: {results.machine}; {results.ended}.")
    text.append(
        "Not tested: two changes of one thing at once, but at random in the differential; rows of"
        " PostgreSQL, whose types refuse some of what SQLite keeps; ML-DSA by a second"
        " implementation; what a holder of the master key writes into a store."
    )
    return "\n\n".join(text)


def _of_bits(found: dict[str, Any]) -> list[str]:
    forms: dict[str, dict[str, Any]] = found["forms"]
    rows = [
        (
            name,
            f"{each['bytes']:,}",
            f"{each['changes']:,}",
            f"{each['refused']:,}",
            each["texts"],
            "; ".join(f"{count:,}: {reason}" for reason, count in each["harmless"].items()) or "0",
        )
        for name, each in forms.items()
    ]
    changes = sum(each["changes"] for each in forms.values())
    failures = len(found["failures"])
    said = f"{len(forms)} forms, {changes:,} changes; {failures} that should not have been taken."
    head = ("form", "bytes", "changes", "refused", "texts of refusal", "harmless")
    return [said, table(head, rows)]


def _of_rows(found: dict[str, Any]) -> list[str]:
    rows = [
        (
            f"`{name}`",
            f"{each['changes']:,}",
            f"{each['refused']:,}",
            f"{each['by the database']:,}",
            "; ".join(f"{count:,}: {reason}" for reason, count in each["harmless"].items()) or "0",
        )
        for name, each in found["tables"].items()
    ]
    said = (
        "**Rows of the key store**, in a real SQLite file that somebody else writes to: each bit of"
        " each cell, nothing in its place, and values of other types. Of a key its material is"
        " unwrapped as well."
    )
    return [said, table(("table", "changes", "refused", "by SQLite", "harmless"), rows)]


def _of_decoders(found: dict[str, Any]) -> list[str]:
    rows = [
        (name, f"{each['read']:,}", f"{each['refused']:,}")
        for name, each in sorted(found["counts"].items())
    ]
    said = f"{found['inputs']:,} inputs to both decoders; {len(found['failures'])} disagreements."
    if "unfinished" in found:
        said += f" {found['unfinished']}; the same command goes on."
    return [said, table(("form", "both read", "both refuse"), rows)]


def _of_http(parts: Any) -> list[str]:
    kinds = ("both take", "both refuse", "we refuse")
    rows = [
        (what, f"{found['inputs']:,}", *(f"{found['counts'].get(kind, 0):,}" for kind in kinds))
        for name, what in (
            ("signatures", "signed requests, `http-message-signatures`"),
            ("fields", "structured fields, `http_sfv`"),
        )
        if (found := parts.get(name))
    ]
    head = ("beside", "inputs", "both take", "both refuse", "we alone refuse")
    text = [table(head, rows)] if rows else []
    there = [parts[name] for name in ("signatures", "fields") if name in parts]
    short = [each["unfinished"] for each in there if "unfinished" in each]
    return [*text, f"{'; '.join(short)}; the same command goes on."] if short else text


CAMPAIGN = Campaign(
    name="tampering",
    about="every bit of every form, and decoders held against each other",
    page="security_testing.md",
    parts=[
        Part("bits", every_bit),
        Part("rows", every_cell),
        Part("fields", fields),
        Part("signatures", signatures),
        Part("decoders", both),
    ],
    section=section,
)
