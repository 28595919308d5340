"""What is decided about a client before a route sees a request, under ``mfn serve``.

:mod:`listener` accepts, :mod:`connections` counts, :mod:`protocol` parses, :mod:`heads` holds a
head to RFC 9112, and :mod:`timeouts` sees who moves too slowly.
"""
