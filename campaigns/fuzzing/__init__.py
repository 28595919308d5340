"""Fuzzing of every parser for hours: what coverage led to, and since when to nothing new."""
