"""Certificates that are replaced while the daemon runs."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable

from appliance.access.audit import AuditTrail, Event, Outcome
from appliance.access.tls import TlsFiles

logger = logging.getLogger(__name__)

_LOOK_S = 5.0


async def follow_files(
    files: TlsFiles,
    use: Callable[[ssl.SSLContext], None],
    trail: AuditTrail,
    look_s: float = _LOOK_S,
) -> None:
    """Take files that change, and note it in the trail; for as long as the daemon runs.

    Parameters
    ----------
    use
        Called with what new connections are to see.
    look_s
        Between two looks, s.
    """
    taken, trouble = files.current, files.trouble
    while True:
        await asyncio.sleep(look_s)
        try:
            found = await asyncio.to_thread(lambda: files.current)
            if found is not taken:
                use(found.context())
                taken = found
                trail.note(Event.TLS_CHANGED)
            if files.trouble and files.trouble != trouble:
                trail.note(Event.TLS_CHANGED, outcome=Outcome.MINOR_FAILURE, why=files.trouble)
            trouble = files.trouble
        except Exception:  # whatever it is, the files after these may be in order
            logger.exception("the TLS files cannot be followed; they are looked at again soon")
