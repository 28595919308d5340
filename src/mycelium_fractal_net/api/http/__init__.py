"""Requests and responses of HTTP: how a head and a body are read, and how answers are sent."""
