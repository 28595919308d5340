"""Decoders in another language, written from docs/format.md alone."""
