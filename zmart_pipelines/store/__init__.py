"""Postgres: tables, migrations, engines, the live stream, and every statement that reads."""
