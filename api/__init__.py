"""The HTTP and WebSocket face of the system: a Litestar app over the domain."""
