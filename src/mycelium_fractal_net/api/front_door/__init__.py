"""The front door of ``mfn serve``: what is decided about a client before a route sees a request.

:mod:`listening` accepts, :mod:`connections` counts, :mod:`heads` reads a head strictly,
:mod:`pace` sees who moves too slowly, and :mod:`refusals` says no in one write.
"""
