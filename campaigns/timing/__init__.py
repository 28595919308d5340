"""Timing: no refusal takes longer for a reason that its sender may not know."""
