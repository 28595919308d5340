"""Every way to change what was written, and two decoders that must refuse and read the same."""
