"""The HTTP service beside plain FastAPI, over loopback."""
