"""What a column gives away whose equal values look equal, to who reads the database and has no key.

    python examples/leak_of_equality.py

Ten thousand people are made up, with first names as skewed as real ones are, a blood group and an
address. The attacker knows how frequent each name and each blood group is among all people, which
is public, and sees the column as it is stored: tags of a blind index, whole or cut short, or
deterministic messages. It takes the most frequent tag for the most frequent name, and so on. That
is the least that can be done; who also knows some rows, or may write some, learns more.
"""

from __future__ import annotations

import random
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from mycelium_fractal_net import Keyring, initialise

PEOPLE = 10_000
NAMES = [f"name {rank}" for rank in range(1, 1001)]
WEIGHTS = [1 / (rank + 2) for rank in range(1, 1001)]  # Zipf's law, as names of many countries have
GROUPS = {"O+": 37, "A+": 34, "B+": 9, "O-": 7, "A-": 6, "AB+": 4, "B-": 2, "AB-": 1}  # per cent
BITS = (None, 12, 8, 6, 4)
FIELDS = 10  # of which the mean is taken: which names share a tag is by chance


class Leak(NamedTuple):
    """What one way to store a column gave away, and what it costs. Shares of all people."""

    stored: str
    guessed: float  # those whose value the attacker names rightly
    unseen: float  # those whose value it names who has not seen the column: the most frequent one
    hidden_among: float  # how many values share the tag of a row
    found: float  # rows that a search brings for each that was meant


def people(seed: int = 17) -> tuple[Counter[str], Counter[str], Counter[str]]:
    """How many have each name, blood group and address; the same each time."""
    chance = random.Random(seed)
    names = Counter(chance.choices(NAMES, WEIGHTS, k=PEOPLE))
    groups = Counter(chance.choices([*GROUPS], [*GROUPS.values()], k=PEOPLE))
    return names, groups, Counter(f"user{chance.getrandbits(64)}@example" for _ in range(PEOPLE))


def attacked(
    stored_as: str, people: Counter[str], stored: Mapping[str, bytes], known: Sequence[str]
) -> Leak:
    """What is guessed by who sees the column, and knows the values, the most frequent one first.

    ``people`` says how many have each value, ``stored`` as what it is stored.
    """
    everybody, rows, sharing = people.total(), Counter[bytes](), Counter[bytes]()
    for value, count in people.items():
        rows[stored[value]] += count
        sharing[stored[value]] += 1
    by_frequency = (tag for tag, _ in rows.most_common())
    guess = dict(zip(by_frequency, known, strict=False))
    each = people.items()
    return Leak(
        stored_as,
        sum(count for value, count in each if guess.get(stored[value]) == value) / everybody,
        people[known[0]] / everybody,
        sum(count * sharing[stored[value]] for value, count in each) / everybody,
        sum(rows[stored[value]] for value, _ in each) / everybody,
    )


def mean(leaks: Sequence[Leak]) -> Leak:
    """Of the same under several keys."""
    shares = zip(*(leak[1:] for leak in leaks), strict=True)
    return Leak(leaks[0].stored, *(sum(each) / len(leaks) for each in shares))


def measure(keyring: Keyring) -> list[Leak]:
    """Every way to store, under keys that are made for it."""
    keyring.provider.keys.create("people-index", "index")
    names, groups, addresses = people()
    found = []
    for bits in BITS:
        shown = "names, whole tags" if bits is None else f"names, tags of {bits} bits"
        leaks = []
        for field in range(FIELDS):
            context = f"people.name {field}".encode()
            index = keyring.index(key_id="people-index", context=context, bits=bits)
            leaks.append(attacked(shown, names, {name: index.tag(name) for name in names}, NAMES))
        found.append(mean(leaks))
    index = keyring.index(key_id="people-index", context=b"people.email")
    listed = sorted(addresses)  # somebody has a list of them all
    tags = {address: index.tag(address) for address in addresses}
    found.append(attacked("addresses, each once, whole tags", addresses, tags, listed))
    found.append(few_values(keyring, groups))
    return found


def few_values(keyring: Keyring, groups: Counter[str]) -> Leak:
    """A column that should not be stored so: deterministic messages of eight values."""
    keyring.provider.keys.create("people-groups", "deterministic")
    messages = {
        group: keyring.encrypt(
            group.encode(),
            key_id="people-groups",
            associated_data=b"people.group",
            format="deterministic",
        )
        for group in groups
    }
    known = sorted(GROUPS, key=lambda group: -GROUPS[group])
    return attacked("blood groups, deterministic", groups, messages, known)


def table(found: list[Leak]) -> str:
    """The measures as a table of Markdown."""
    lines = [
        "| stored | guessed | without the column | values that share a tag | rows for each meant |",
        "| --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {leak.stored} | {leak.guessed:.0%} | {leak.unseen:.0%} | {leak.hidden_among:.0f}"
        f" | {leak.found:.0f} |"
        for leak in found
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, initialise(home=Path(folder)) as keyring:
        print(table(measure(keyring)))
