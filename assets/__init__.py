"""The Dagster code location: assets, checks, jobs, schedules and sensors, all of them thin.

What a pipeline does lives in ``zmart_pipelines``; here it gets a key, a trigger and a page in
the UI. ``assets.definitions`` is the entry point. This package exports nothing, so that
importing a part of it has no side effects.
"""
