"""Keys, formats, policies and the store: everything below the command line and the service."""
