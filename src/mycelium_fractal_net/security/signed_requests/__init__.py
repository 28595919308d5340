"""Signed HTTP requests: the rules of routes, the verifier, bodies and the replay guard."""
