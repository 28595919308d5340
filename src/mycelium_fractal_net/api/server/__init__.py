"""The processes of ``mfn serve``: a socket, a supervisor, and one uvicorn per worker."""
