"""The sealed message: its format, and what seals and opens it, whole, as a stream or in part."""
