"""`/docs`: the document as pages, by Swagger UI out of this package: API keys are pasted there, so
nothing comes from anywhere else, and a content security policy holds the pages to that.

The files are those of the npm package `swagger-ui-dist`, compressed, under their licence (Apache
2.0), which lies beside them.
"""

from __future__ import annotations

import functools
import gzip
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from starlette.responses import Response
from starlette.routing import Route

if TYPE_CHECKING:
    from starlette.requests import Request

VERSION: Final = "5.35.0"
SHA256: Final = {
    "swagger-ui-bundle.js": "e6a898692f2d768e807c3ba4626068a69a2c5dd960dd6c76f3e4d3a3de180af2",
    "swagger-ui.css": "5ed08757e53da3e026d6cbecc61fe5d43585c9560b302d534ad56692519a273d",
}
"""Of the files as npm has them, before they are compressed."""

_HEADERS: Final = {
    # Swagger UI sets styles in attributes, and its style sheet has images in it.
    "content-security-policy": "default-src 'none'; script-src 'self'; connect-src 'self';"
    " style-src 'self' 'unsafe-inline'; img-src 'self' data:; base-uri 'none';"
    " form-action 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-cache",
}
_PAGE: Final = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>MyceliumFractalNet Security</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""
_START: Final = """\
window.ui = SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  layout: "BaseLayout",
  presets: [SwaggerUIBundle.presets.apis],
  validatorUrl: null,
});
"""
_TYPES: Final = {"js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8"}


def documentation_pages() -> list[Route]:
    """The routes of the pages."""
    routes = [
        Route("/docs", functools.partial(_text, _PAGE, "text/html"), include_in_schema=False),
        Route("/docs/start.js", functools.partial(_text, _START, _TYPES["js"])),
    ]
    return routes + [Route(f"/docs/{name}", functools.partial(_file, name)) for name in SHA256]


async def _text(content: str, media_type: str, _request: Request) -> Response:
    return Response(content, media_type=media_type, headers=_HEADERS)


async def _file(name: str, request: Request) -> Response:
    media_type, content, headers = _TYPES[name.rpartition(".")[2]], compressed(name), _HEADERS
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers = {**_HEADERS, "content-encoding": "gzip"}
    else:
        content = gzip.decompress(content)
    return Response(content, media_type=media_type, headers={**headers, "vary": "accept-encoding"})


@functools.cache
def compressed(name: str) -> bytes:
    """A file of Swagger UI, as gzip has it."""
    return (files(__package__) / "swagger_ui" / f"{name}.gz").read_bytes()
