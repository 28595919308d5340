"""Encryption inside the libraries that applications use."""
