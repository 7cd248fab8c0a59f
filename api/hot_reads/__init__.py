"""The reads that are asked most: rows and bodies that are encoded once, asked on the event loop."""
