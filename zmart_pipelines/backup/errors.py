"""The error of everything here that can fail for a reason that operators can change."""


class BackupError(Exception):
    """A backup cannot be taken, verified or restored; the message names the remedy, if any."""
