"""``python -m assets.code_server``: Dagster's code server with run workers that start warm.

Takes the options of ``dagster api grpc``. It differs in two ways: a run's process is forked
from a warm one (:mod:`assets.run_workers`), and a run that is delivered twice, even to two code
servers at the same moment, is executed once.
"""

from __future__ import annotations

import signal

from assets.run_workers import start_fork_server

if __name__ == "__main__":
    # A shell may have ignored SIGINT for a background job. Dagster gives SIGTERM the handler of
    # SIGINT, so that the server could not be stopped.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # First of all: it has to fork while there is one thread.
    run_workers = start_fork_server()

    from assets.forking_api_server import serve

    serve(run_workers)
