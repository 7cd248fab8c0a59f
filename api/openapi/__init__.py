"""The OpenAPI document: what is generated, and what is added to it."""
