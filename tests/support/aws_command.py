"""As much of AWS's command line as the documents name: ``aws kms OPERATION --option VALUE …``.

AWS's own is no package for tests: it brings its own Python. Names and shapes are botocore's, so
that an option that KMS does not take is refused here too. ``--constraints`` takes the short form of
one map.
"""

from __future__ import annotations

import re
import sys
from typing import Any

import jmespath
from botocore.session import Session


def main(arguments: list[str]) -> None:
    service, operation, *rest = arguments
    options: dict[str, list[str]] = {}
    for word in rest:
        if word.startswith("--"):
            options[word[2:]] = []
        else:
            options[next(reversed(options))].append(word)
    region = options.pop("region", [None])[0]
    query = options.pop("query", [None])[0]
    assert options.pop("output", ["text"]) == ["text"]
    client: Any = Session().create_client(service, region_name=region)
    model = client.meta.service_model.operation_model(
        "".join(part.capitalize() for part in operation.split("-"))
    )
    asked = {}
    for name, values in options.items():
        member = "".join(part.capitalize() for part in name.split("-"))
        kind = model.input_shape.members[member].type_name
        asked[member] = (
            values if kind == "list" else _map(values[0]) if kind == "structure" else values[0]
        )
    answer = getattr(client, operation.replace("-", "_"))(**asked)
    client.close()
    if query is not None:
        print(jmespath.search(query, answer))


def _map(text: str) -> dict[str, dict[str, str]]:
    found = re.fullmatch(r"(\w+)=\{([\w-]+)=(\w+)\}", text)
    assert found is not None, text
    return {found[1]: {found[2]: found[3]}}


if __name__ == "__main__":
    main(sys.argv[1:])
