"""The OpenAPI document: FastAPI's description of the routes, made exact and complete."""
