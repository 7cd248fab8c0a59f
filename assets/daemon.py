"""``python -m assets.daemon``: ``dagster-daemon`` with the logs of all other processes.

Takes the options of ``dagster-daemon``.
"""

from __future__ import annotations

import sys

from assets.dagster_internals import run_daemon
from assets.process_logs import configure_dagster_logs

if __name__ == "__main__":
    configure_dagster_logs("daemon")
    run_daemon(sys.argv[1:], "python -m assets.daemon")
