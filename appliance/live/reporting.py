"""The final report of one scan, put together."""

from __future__ import annotations

from collections.abc import Iterable

from appliance.inference.parts import Divided
from appliance.inference.serving import Serving
from appliance.live import wire
from appliance.quantify.norms import Norms
from appliance.scan.scan import Scan
from appliance.scan.summary import summarize
from appliance.scan.verdicts import Notice, NoticeReason
from breathhold.v1 import scan_pb2 as pb
from breathhold.v1 import types_pb2

_FAILED = {
    "lobes": Notice(
        NoticeReason.LOBES_FAILED,
        "The lobes could not be told apart: there are no scores by lobe.",
    ),
    "segments": Notice(
        NoticeReason.SEGMENTS_FAILED,
        "The lung segments could not be told apart: there are no scores by segment.",
    ),
}


def make_report(
    scan_id: str,
    opened: pb.OpenScan,
    scan: Scan,
    norms: Norms,
    served: Serving,
    divided: Divided | None,
    notices: Iterable[Notice],
) -> types_pb2.Report:
    """The report of a finished scan, but for its timing.

    Parameters
    ----------
    scan_id
        The appliance's id for the scan.
    opened
        The request that opened it.
    scan
        All of it is inferred.
    norms
        What it is measured against.
    served
        What inferred it.
    divided
        Its lobes and segments; None where they were not looked for.
    notices
        What else its reader should know.
    """
    found = divided.found if divided else {}
    tallies = {role: parts.tallies for role, parts in found.items()}
    summary = summarize(scan, norms, tallies)
    engines = dict(served.engines_for(summary.section))
    engines |= {role: parts.engine for role, parts in found.items()}
    study, series = opened.study_instance_uid, opened.series_instance_uid
    report = wire.report_message(scan_id, study, series, summary, engines)
    for role in divided.failed if divided else ():
        report.warnings.append(wire.warning_message(_FAILED[role]))
    report.warnings.extend(map(wire.warning_message, notices))
    return report
