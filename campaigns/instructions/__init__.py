"""Instruction counts: the same number whatever the secret is."""
