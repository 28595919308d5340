"""Names of algorithms, and those that stand alone: MACs and key derivation."""
