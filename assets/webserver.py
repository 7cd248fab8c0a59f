"""``python -m assets.webserver``: Dagster's webserver behind :mod:`assets.webserver_guard`.

Takes the options of ``dagster-webserver``. The setting ``DAGSTER_ORIGINS`` names the addresses
under which a proxy offers it.
"""

from __future__ import annotations

import ipaddress

from assets.dagster_internals import run_webserver
from assets.process_logs import configure_dagster_logs
from assets.webserver_guard import WebserverGuard
from zmart_pipelines.settings import Settings, settings


def own_hosts(settings: Settings) -> frozenset[str]:
    """Return the listening address as a browser would name it; none where it is a wildcard."""
    host = settings.dagster_host
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return frozenset({host})
    if address.is_unspecified:
        return frozenset()
    return frozenset({f"[{host}]" if address.version == 6 else host})


if __name__ == "__main__":
    configure_dagster_logs("webserver")
    found = settings()
    run_webserver(lambda app: WebserverGuard(app, own_hosts(found), found.dagster_origin_list))
