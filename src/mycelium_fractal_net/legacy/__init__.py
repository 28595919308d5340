"""The way out of the XOR cipher, all of it, so that it can be deleted one day."""
