"""What other libraries hold keys of this one by: one file for each, and each an extra."""
