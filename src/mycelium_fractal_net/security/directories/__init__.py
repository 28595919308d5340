"""Credentials and signers as a process holds them, and what they permit."""
