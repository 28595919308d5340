"""The service under load: a soak, and more than it can do."""
