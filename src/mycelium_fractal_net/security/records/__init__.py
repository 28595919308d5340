"""Frozen records of keys, credentials and signers, with their states and transitions; no I/O."""
