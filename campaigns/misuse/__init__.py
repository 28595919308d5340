"""Texts and requests that are made to be read as something else than they are."""
