"""The commands of ``mfn``: a file for each, or for each group of them."""
