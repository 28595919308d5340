"""The keyring, what it caches, and its streams and signatures."""
