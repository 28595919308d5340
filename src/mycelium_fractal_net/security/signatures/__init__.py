"""Signing and verifying: the keys, their encodings, and ``.sig`` files."""
