"""The checks of ``zmart doctor``: every connection, key and file that the settings name."""
