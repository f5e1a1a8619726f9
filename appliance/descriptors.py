"""File descriptors: as many as the system allows, and who may take them.

Every connection takes one. What keeps slices must never be refused one because of callers, so the
ports stop taking connections while some are still left.
"""

from __future__ import annotations

import logging
import resource
from dataclasses import dataclass
from pathlib import Path

from appliance.config import Config

logger = logging.getLogger(__name__)

#: More than this nobody needs, whatever the system allows.
_MOST = 65_536
#: What is kept back for files: so many, and one for each scan that may be in progress.
_KEPT_BACK = 64
#: gRPC is left so many connections even where there are too few descriptors for it.
_FEWEST = 16


def raise_limit() -> int:
    """Let this process open as many files as it may; returns how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MOST if hard == resource.RLIM_INFINITY else min(hard, _MOST)
    if soft == resource.RLIM_INFINITY or soft >= most:
        return most if soft == resource.RLIM_INFINITY else soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    except (ValueError, OSError) as error:
        logger.warning("the limit of open files stays at %d: %s", soft, error)
        return soft
    return most


@dataclass(frozen=True, slots=True)
class Share:
    """What the ports may take.

    Parameters
    ----------
    http_below
        HTTP takes no descriptor with this number or a higher one.
    grpc
        gRPC connections at once.
    """

    http_below: int
    grpc: int


def share(limit: int, config: Config) -> Share:
    """Of `limit` descriptors, now that everything but the ports has what it needs to start."""
    kept_back = min(_KEPT_BACK + config.scan.max_open_scans, limit // 2)
    in_use = len(list(Path("/proc/self/fd").iterdir()))
    below = limit - kept_back
    left = below - in_use - config.server.http_connections
    if left < config.server.connections:
        logger.warning(
            "%d open files are allowed, too few for %d gRPC connections beside the rest",
            limit,
            config.server.connections,
        )
    return Share(below, min(config.server.connections, max(left, _FEWEST)))
