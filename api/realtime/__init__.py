"""Live updates over WebSocket: one hub per process, fed from the stream in Postgres."""
