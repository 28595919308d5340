"""What callers send, read strictly: JSON, query strings and base64 that have one meaning."""
