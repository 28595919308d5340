"""What a line of the log says, and how often."""

from __future__ import annotations

import io
import json
import logging

import pytest

from mycelium_fractal_net.bootstrap import logs
from mycelium_fractal_net.bootstrap.logs import ACCESS


class Log:
    """A handler of ours over a text, and a clock in the test's hand."""

    def __init__(self, format: logging.Formatter) -> None:
        self.now = 100.0
        self.text = io.StringIO()
        self.handler = logs._Summing(lambda: self.now)
        self.handler.setFormatter(format)
        self.handler.setStream(self.text)

    def say(self, text: str, name: str = "mycelium_fractal_net.a", **more: object) -> None:
        record = logging.LogRecord(name, logging.ERROR, __file__, 1, text, None, None)
        record.__dict__.update(more)
        self.handler.handle(record)

    def lines(self) -> list[str]:
        return self.text.getvalue().splitlines()


def test_what_is_said_again_is_counted() -> None:
    """A full disk says the same twenty times a second: once, and then how often."""
    log = Log(logs._Line())
    for _ in range(20):
        log.say("the disk is full")
    log.say("something else")
    assert len(log.lines()) == 2
    log.now += 11
    log.say("a third")
    assert [line.partition("]: ")[2] for line in log.lines()[2:]] == [
        "the disk is full (19 more times)",
        "a third",
    ]
    log.say("a third")
    log.handler.close()
    assert log.lines()[-1].endswith("a third (1 more times)")


def test_what_differs_is_not_kept_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond a number of different lines each is written; nor are those of requests counted."""
    monkeypatch.setattr(logs, "_MOST_SUMMED", 2)
    log = Log(logs._Line())
    for text in ("a", "b", "c", "c"):
        log.say(text)
    for _ in range(2):
        log.say("served", ACCESS)
    assert [line.partition("]: ")[2] for line in log.lines()] == [
        "a", "b", "c", "c", "served", "served",
    ]  # fmt: skip


def test_an_unexpected_error_shows_its_place_and_not_its_text() -> None:
    """Which could quote what a request held."""
    log = Log(logs._Json())
    try:
        raise ValueError(bytes.fromhex("6120706c61696e74657874").decode())
    except ValueError as error:
        log.say("it failed", exc_info=(ValueError, error, None), request="00ff")
    said = json.loads(log.lines()[0])
    assert said["error"].startswith("ValueError")
    assert "a plaintext" not in log.text.getvalue()
    assert (said["request"], said["message"], said["level"]) == ("00ff", "it failed", "ERROR")


HOSTILE = (
    "a\r\n2026-01-01T00:00:00Z CRITICAL forged"
    "\x1b[2J\x9b\x7f\u202e\u200b\u2028\udcff \u00e9 \U0001f511"
)


@pytest.mark.parametrize("format", [logs._Line(), logs._Json()], ids=["text", "JSON"])
def test_whatever_a_line_quotes_it_is_one_line(format: logging.Formatter) -> None:
    """No record is forged, no terminal is written to, no text is turned round."""
    log = Log(format)
    log.say(f"cannot read {HOSTILE}")
    (line,) = log.text.getvalue().split("\n")[:-1]
    assert line.isprintable()
    if isinstance(format, logs._Json):
        assert line.isascii()
        assert json.loads(line)["message"] == f"cannot read {HOSTILE}"
    else:
        assert "\\r\\n2026-01-01T00:00:00Z CRITICAL forged\\x1b[2J\\x9b\\x7f\\u202e" in line
