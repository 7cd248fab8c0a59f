"""Everything that Dagster shows and runs: ``assets.definitions`` loads each module here.

A module holds the assets of one table group with their freshness policies, checks, job and
schedule. Sensors are in ``assets.defs.sensors``. What a pipeline does lies in
``zmart_pipelines``. Only Dagster objects that shall be registered may be module-level names or
lists; everything else that looks like one must be a tuple or a mapping.
"""
