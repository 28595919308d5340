"""Reading callgrind's dumps, and that a count which depends on a secret fails."""

from __future__ import annotations

import pytest

from campaigns.instructions.campaign import failures, summed_up
from campaigns.instructions.counted import CONTROL, sections, works
from campaigns.instructions.counting import by_work


def test_a_count_is_the_difference_of_many_calls_and_few() -> None:
    """What stands around the calls goes away: a section is every second dump."""
    said = [["work", "one", 10], ["work", "one", 20], ["work", "two", 10], ["work", "two", 20]]
    dumps = {1: 9999, 2: 1500, 3: 7, 4: 2500, 5: 7, 6: 1700, 7: 7, 8: 3700, 9: 7}
    assert by_work(said, dumps) == {"work": {"one": [100], "two": [200]}}


@pytest.mark.parametrize(
    ("work", "counts", "missed"),
    [("a work", [1000, 1001], 0), ("a work", [1000, 1100], 1), (CONTROL, [1000, 5000], 0),
     (CONTROL, [1000, 1000], 1)],
)  # fmt: skip
def test_what_differs_fails_and_what_must_differ_too(
    work: str, counts: list[int], missed: int
) -> None:
    """The control shows that a difference would be seen."""
    found = {work: summed_up({str(n): [count] * 3 for n, count in enumerate(counts)})}
    assert len(failures(found)) == missed


def test_each_work_does_what_is_counted() -> None:
    """Every input is refused or opened as it is meant, and has the length of the others."""
    for _, _, _, function, given in sections(works(whole=False)):
        function(*given)
