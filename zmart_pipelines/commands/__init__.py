"""The commands of ``zmart``, one subject per module."""
