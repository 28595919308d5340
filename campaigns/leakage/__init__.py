"""Where secrets are found after use: logs, files, databases, core dumps and memory."""
