"""What the service takes and answers, as pydantic models; the OpenAPI document shows them."""
