"""Requests that are made from the OpenAPI document, by three kinds of caller."""
