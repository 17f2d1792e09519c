"""A Ray cluster of several nodes on this machine; nodes are killed and join as a test likes."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from watching import processes_in

if TYPE_CHECKING:
    from ray._private.node import Node

# What its nodes and whoever connects find in the environment: it listens on loopback alone.
VARIABLES = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": "5" * 64,
    "RAY_USAGE_STATS_ENABLED": "0",
    # How soon a node that does not answer is taken for dead.
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "3000",
    "RAY_health_check_failure_threshold": "3",
}
_OBJECT_STORE = 80 * 1024**2  # bytes


class Nodes:
    """The cluster; it begins with one node.

    Args:
        resources: what each node has besides one CPU.
    """

    def __init__(self, **resources: float) -> None:
        self._resources = resources
        self._stopped: list[int] = []
        # Short: Ray keeps sockets there.
        self._folder = Path(tempfile.mkdtemp(prefix="sinesweep-nodes-", dir="/tmp"))
        # Ray reads them when it is imported.
        os.environ.update(VARIABLES, RAY_TMPDIR=str(self._folder))
        from ray.cluster_utils import Cluster

        self._cluster = Cluster()
        self.first = self.add()

    @property
    def address(self) -> str:
        """Where it is joined."""
        return self._cluster.address

    def add(self, num_cpus: int = 1, **resources: float) -> Node:
        """Have a node join, which may have more than the others."""
        return self._cluster.add_node(
            num_cpus=num_cpus,
            resources={**self._resources, **resources},
            object_store_memory=_OBJECT_STORE,
            include_dashboard=False,
        )

    def kill(self, node: Node) -> None:
        """Kill a node's processes."""
        self._cluster.remove_node(node, allow_graceful=False)

    def stop(self, node: Node) -> None:
        """Have a node's processes hang."""
        (raylet,) = node.all_processes["raylet"]
        found = [*processes_in(raylet.process.pid), raylet.process.pid]
        self._stopped += found
        for pid in found:
            os.kill(pid, signal.SIGSTOP)

    def close(self) -> None:
        """Kill all that is left."""
        for pid in self._stopped:  # agents end with their raylet, but not while they hang
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._cluster.shutdown()
        for name in (*VARIABLES, "RAY_TMPDIR"):
            os.environ.pop(name, None)
        shutil.rmtree(self._folder, ignore_errors=True)
