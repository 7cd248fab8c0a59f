"""``python -m assets.code_server``: Dagster's code server with run workers that start warm.

Takes the options of ``dagster api grpc``. It differs in two ways: a run's process is forked
from a warm one (:mod:`assets.run_workers`), and a run that is delivered twice, even to two code
servers at the same moment, is executed once.
"""

from __future__ import annotations

import signal

from assets.run_workers import start_fork_server
from zmart_pipelines.settings import settings
from zmart_pipelines.structured_logs import configure_logs

if __name__ == "__main__":
    # A shell may have ignored SIGINT for a background job. Dagster gives SIGTERM the handler of
    # SIGINT, so that the server could not be stopped.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # Run workers inherit it.
    configure_logs(settings(), part="code-server")
    # First of all: it has to fork while there is one thread.
    run_workers = start_fork_server()

    from assets.forking_api_server import serve
    from assets.process_logs import configure_dagster_logs

    configure_dagster_logs("code-server")
    serve(run_workers)
