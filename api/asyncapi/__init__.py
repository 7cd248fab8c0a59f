"""The AsyncAPI document of the live stream, and its page."""
