"""Alembic's entry: runs the migrations on the connection that ``store.migrate`` opened."""

from __future__ import annotations

from alembic import context

from zmart_pipelines.store.migrate import VERSION_SCHEMA, VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    version_table=VERSION_TABLE,
    version_table_schema=VERSION_SCHEMA,
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
