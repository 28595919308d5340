"""What one process of the service holds: keyring, directories, threads, audit and metrics."""
