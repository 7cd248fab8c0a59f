"""Every private name of Dagster that tests use; the code location's are in ``assets``."""

from dagster._core.definitions.assets.graph.asset_graph import AssetGraph
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.loader import LoadingContextForTest
from dagster._core.remote_origin import (
    GrpcServerCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.remote_representation.external_data import RepositorySnap
from dagster._core.run_coordinator.queued_run_coordinator import QueuedRunCoordinator
from dagster._core.test_utils import create_run_for_test
from dagster._core.workspace.load import location_origins_from_yaml_paths

__all__ = [
    "AssetGraph",
    "CachingStaleStatusResolver",
    "GrpcServerCodeLocationOrigin",
    "InstigatorType",
    "LoadingContextForTest",
    "QueuedRunCoordinator",
    "RemoteJobOrigin",
    "RemoteRepositoryOrigin",
    "RepositorySnap",
    "StaleStatus",
    "create_run_for_test",
    "location_origins_from_yaml_paths",
]
