"""The decoder in JavaScript, in one process of Node (Debian: nodejs) that is asked in lines."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final

DECODER: Final = Path(__file__).with_name("decoder.mjs")
_AT_ONCE: Final = 64  # questions whose answers fit into a pipe, so that neither side waits
_LINE_BYTES: Final = 48_000  # of questions at once


class NodeDecoder:
    """Asks the decoder. ``None`` in an answer's place: it refuses. Close it at the end."""

    def __init__(self, path: str = "node") -> None:
        self._process = subprocess.Popen(
            [path, str(DECODER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(10)

    def ask(self, questions: Iterable[dict[str, Any]]) -> list[bytes | None]:
        """The answers, in order: what the decoder reads, or None."""
        left = iter(questions)
        answers: list[bytes | None] = []
        while several := list(islice(left, _AT_ONCE)):
            answers += self._ask(several)
        return answers

    def _ask(self, several: Sequence[dict[str, Any]]) -> list[bytes | None]:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        found: list[bytes | None] = []
        lines = [json.dumps(each).encode() + b"\n" for each in several]
        while lines:
            size, count = 0, 0
            while count < len(lines) and (not count or size + len(lines[count]) < _LINE_BYTES):
                size += len(lines[count])
                count += 1
            stdin.write(b"".join(lines[:count]))
            stdin.flush()
            for _ in range(count):
                answer = json.loads(stdout.readline())
                found.append(bytes.fromhex(answer["ok"]) if "ok" in answer else None)
            lines = lines[count:]
        return found
