"""Every private name of Dagster that tests use; the code location's are in ``assets``."""

from dagster._core.definitions.assets.graph.asset_graph import AssetGraph
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.loader import LoadingContextForTest
from dagster._core.remote_origin import (
    GrpcServerCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.remote_representation.external_data import RepositorySnap
from dagster._core.run_coordinator.queued_run_coordinator import QueuedRunCoordinator
from dagster._core.test_utils import create_run_for_test
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load import location_origins_from_yaml_paths
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster._grpc.client import DagsterGrpcClient
from dagster._grpc.types import ExecuteExternalJobArgs

# Part of an instance's configuration: launch runs at once instead of waiting for the daemon.
LAUNCH_WITHOUT_QUEUE = """
run_coordinator:
  module: dagster._core.run_coordinator
  class: DefaultRunCoordinator
"""

__all__ = [
    "LAUNCH_WITHOUT_QUEUE",
    "AssetGraph",
    "CachingStaleStatusResolver",
    "DagsterGrpcClient",
    "DagsterUserCodeUnreachableError",
    "ExecuteExternalJobArgs",
    "GrpcServerCodeLocationOrigin",
    "InstigatorType",
    "LoadingContextForTest",
    "QueuedRunCoordinator",
    "RemoteJobOrigin",
    "RemoteRepositoryOrigin",
    "RepositorySnap",
    "StaleStatus",
    "WorkspaceFileTarget",
    "WorkspaceProcessContext",
    "create_run_for_test",
    "location_origins_from_yaml_paths",
]
