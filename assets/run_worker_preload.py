"""What is imported once before the fork, so that no run worker has to import it.

Besides the definitions these are the modules that Dagster loads only when a run starts. A
module that Dagster renames is reported by ``tests/assets/test_run_workers.py``.
"""

import gc
import importlib

from assets.dagster_internals import RUN_WORKER_MODULES, use_run_logger
from assets.definitions import defs
from assets.process_logs import run_logger

LAZY_MODULES = (
    *RUN_WORKER_MODULES,
    "dagster_postgres",
    "psycopg2.extras",
    "upath.implementations.local",
    "assets.dagster_storage",
    # What the assets import on first use. pandas and matplotlib are left out: they are 55 MB in
    # each process, and half a second in the one run a minute that needs them.
    "psycopg",
    "sqlalchemy.dialects.postgresql.psycopg",
    "zmart_pipelines.chain.connect",
)

for _name in LAZY_MODULES:
    importlib.import_module(_name)

defs.get_repository_def()
use_run_logger(run_logger)

# Objects that live as long as the process are kept out of the collector's generations: a
# collection in a worker would otherwise write to, and so copy, every inherited page.
gc.collect()
gc.freeze()
