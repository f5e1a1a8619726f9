"""The lines of the triage page: made once a second, however many look."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

from google.protobuf.json_format import MessageToDict

from appliance.live.board import Board, worst_first
from breathhold.v1 import triage_pb2 as pb

#: Scans that ended and that the page shows, beside those in progress; the list has the others.
SHOWN = 200
_FRESH_S = 1.0


class TriageLines:
    """Scans in progress and the last ones that ended, worst first, as JSON.

    Parameters
    ----------
    clock
        Seconds, monotonic.
    """

    def __init__(self, board: Board, clock: Callable[[], float] = time.monotonic) -> None:
        self._board, self._clock = board, clock
        self._made_at = float("-inf")
        self._ended: dict[str, tuple[pb.ScanSummary, str]] = {}
        self._json = b""

    def json(self) -> bytes:
        """`{"scans": [...], "more": scans on the board that are not shown}`."""
        if self._clock() - self._made_at >= _FRESH_S:
            self._json = self._made()
            self._made_at = self._clock()
        return self._json

    def _made(self) -> bytes:
        going_on, ended = self._board.in_progress(), self._board.ended()
        self._ended = {line.scan_id: (line, self._text(line)) for line in ended[:SHOWN]}
        lines = [*self._ended.values(), *((line, _text(line)) for line in going_on)]
        texts = [text for line, text in sorted(lines, key=lambda one: worst_first(one[0]))]
        more = max(0, len(ended) - SHOWN)
        return f'{{"scans": [{", ".join(texts)}], "more": {more}}}'.encode()

    def _text(self, ended: pb.ScanSummary) -> str:
        """A line that changes no more, which is made once."""
        line, text = self._ended.get(ended.scan_id, (None, ""))
        return text if line is ended else _text(ended)


def _text(line: pb.ScanSummary) -> str:
    return json.dumps(MessageToDict(line, preserving_proto_field_name=True))
