"""Generation of the client libraries' types and calls from the API's OpenAPI document."""
