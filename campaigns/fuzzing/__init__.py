"""Coverage-guided fuzzing of every parser for hours: what it reached, and since when nothing new."""
