"""`/imports` and `/keys/{key_id}/export`: keys brought along, and taken along."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query

from mycelium_fractal_net.api.endpoints.context import Authenticated
from mycelium_fractal_net.api.endpoints.spec import Routes
from mycelium_fractal_net.api.parsing.base64_text import base64_bytes
from mycelium_fractal_net.api.routes.common import key_in_path, listed, record_in_path
from mycelium_fractal_net.api.schemas.transport import (
    BeginImportRequest,
    ExportRequest,
    FinishImportRequest,
    ImportList,
    ImportQuery,
)
from mycelium_fractal_net.security.records.imports import IMPORT_ID
from mycelium_fractal_net.shapes.keys import KeyAnswer, key_shape
from mycelium_fractal_net.shapes.transport import (
    CancelledImportAnswer,
    ExportAnswer,
    ImportAnswer,
    cancelled_shape,
    export_shape,
    import_shape,
)

routes = Routes("keys")


@routes.change(
    "/imports", "import.begin", ImportAnswer, status=201, scope="keys:admin",
    problems=("not-found", "exists", "algorithm", "key-usage"),
)  # fmt: skip
def begin_import(context: Authenticated, body: BeginImportRequest) -> ImportAnswer:
    """Make a one-time public key, for which a key is wrapped elsewhere. Scope: `keys:admin`.

    Its private half is kept here for an hour, and for one `finish`.
    """
    context.key = body.key_id
    pending = context.provider.imports.begin(
        body.key_id,
        body.type,
        existing=body.existing,
        algorithm=body.algorithm,
        use=body.use,
        publish=body.publish,
        exportable=body.exportable,
        method=body.method,
    )
    context.subject = pending.import_id
    return import_shape(pending, pending.created_at)


@routes.add(
    "GET", "/imports", "import.list", ImportList, scope="keys:read", in_thread=True,
)  # fmt: skip
def list_imports(context: Authenticated, query: Annotated[ImportQuery, Query()]) -> dict[str, Any]:
    """List imports that wait for their key, and expired ones that are not yet deleted, in order of
    their ids, a page at a time. Scope: `keys:read`."""
    imports = context.provider.imports
    now = imports.clock()
    return listed(imports, query, IMPORT_ID, lambda each: import_shape(each, now))


@routes.add(
    "GET", "/imports/{import_id}", "import.show", ImportAnswer, scope="keys:read",
    in_thread=True, problems=("not-found",),
)  # fmt: skip
def show_import(context: Authenticated, import_id: str) -> ImportAnswer:
    """Show an import with its one-time public key. Scope: `keys:read`."""
    imports = context.provider.imports
    return import_shape(record_in_path(context, imports, IMPORT_ID, import_id), imports.clock())


@routes.change(
    "/imports/{import_id}/cancel", "import.cancel", CancelledImportAnswer, scope="keys:admin",
    problems=("not-found",),
)  # fmt: skip
def cancel_import(context: Authenticated, import_id: str) -> CancelledImportAnswer:
    """End an import for good, with the private half of its key. Scope: `keys:admin`.

    Also one that has expired, and one whose record is damaged.
    """
    if IMPORT_ID.fullmatch(import_id) is not None:
        context.subject = import_id
    context.provider.imports.cancel(import_id)
    return cancelled_shape(import_id)


@routes.change(
    "/imports/{import_id}/finish", "key.import", KeyAnswer, status=201, scope="keys:admin",
    problems=("not-found", "exists", "algorithm"),
)  # fmt: skip
def finish_import(context: Authenticated, import_id: str, body: FinishImportRequest) -> KeyAnswer:
    """Take in the key that was wrapped for an import. Scope: `keys:admin`.

    An import is used once, also by what is no key of its algorithm: that is `invalid`, with one
    text whatever is wrong with it. Used, expired and unknown imports are all `not-found`.
    """
    if IMPORT_ID.fullmatch(import_id) is not None:
        context.subject = import_id
    wrapped = base64_bytes(body.wrapped, "/wrapped")
    return key_shape(context.provider.imports.finish(import_id, wrapped))


@routes.change(
    "/keys/{key_id}/export", "key.export", ExportAnswer, scope="keys:admin",
    problems=("not-found", "not-exportable", "key-state", "algorithm"),
)  # fmt: skip
def export_key(context: Authenticated, key_id: str, body: ExportRequest) -> ExportAnswer:
    """Wrap a version for the holder of a public key, where it may leave. Scope: `keys:admin`.

    Only keys that were made exportable. Of a bare key id it is the version that protects. It is
    recorded before the key is unwrapped, and that it left before the answer.
    """
    key_in_path(context, key_id)
    exported = context.provider.exports.wrap_for(body.public_key.encode(), key_id, body.method)
    return export_shape(exported)
