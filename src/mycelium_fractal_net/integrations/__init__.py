"""Encryption inside the libraries that applications use: one module each, each an extra.

Nothing below imports them, and each imports its library alone.
"""
