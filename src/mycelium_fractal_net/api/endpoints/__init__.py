"""How a route runs: declared by a spec, run by an endpoint, with one context for each request."""
