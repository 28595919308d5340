"""The campaigns' own logic: what finds, counts and decides."""
