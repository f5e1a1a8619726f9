"""Links a report to the earlier ones of its patient."""

from __future__ import annotations

from collections.abc import Iterable

from appliance.followup.course import follow_up
from appliance.followup.patients import PatientKeys
from appliance.scan.slice import Acquisition
from appliance.storage.results import CourseScan, Origin, ResultsStore
from breathhold.v1 import scan_pb2, types_pb2

PATIENT_MIXED = types_pb2.Warning(
    reason="PATIENT_MIXED",
    message="The slices name different patients: the scan is compared with no earlier one.",
)


class FollowUps:
    """Knows whose scans the results are.

    Parameters
    ----------
    results
        Where earlier reports are.
    keys
        Of the patients.
    """

    def __init__(self, results: ResultsStore, keys: PatientKeys) -> None:
        self._results, self._keys = results, keys

    async def link(
        self,
        report: types_pb2.Report,
        slices: Iterable[Acquisition],
        opened: scan_pb2.OpenScan,
    ) -> Origin:
        """Say in a report what has changed since the patient's last scan.

        Parameters
        ----------
        report
            With scores and timing. A study that only the slices name is filled in.
        slices
            What each accepted slice says, in any order.
        opened
            What its caller says of the scan, where the slices say nothing.

        Returns
        -------
        Whose scan it is, to be saved with the report.

        Raises
        ------
        StorageError
            When the earlier reports cannot be read.
        """
        acquisitions = list(slices)
        report.study_instance_uid = report.study_instance_uid or _study(acquisitions)
        patients = _patients(acquisitions) or {(opened.patient_id, "")}
        moment = _moment(acquisitions, opened) or report.timing.opened_unix_s
        if len(patients) > 1:
            report.warnings.append(PATIENT_MIXED)
            return Origin(acquired_unix_s=moment)
        origin = Origin(self._keys.key(*patients.pop()), moment)
        if origin.patient_key:
            course = await self._results.run(self._results.course, origin.patient_key)
            found = follow_up(CourseScan(report, moment), course, origin.patient_key)
            if found.previous_scan_id:
                report.follow_up.CopyFrom(found)
                earlier = (one.report for one in course)
                previous = next(one for one in earlier if one.scan_id == found.previous_scan_id)
                if since := _other_versions(previous, report):
                    report.warnings.append(_models_since(since))
        return origin


def _other_versions(before: types_pb2.Report, now: types_pb2.Report) -> str:
    """The models that inferred both scans in other versions, in words; else empty."""
    return ", ".join(
        f"{model.name} {before.models[role].version}, now {model.version}"
        for role, model in sorted(now.models.items())
        if role in before.models
        and before.models[role].name == model.name
        and before.models[role].version != model.version
    )


def _models_since(versions: str) -> types_pb2.Warning:
    return types_pb2.Warning(
        reason="MODELS_CHANGED_SINCE",
        message="The scan before was inferred with other versions of models, so part of a change "
        f"may be theirs: {versions}.",
    )


def _patients(acquisitions: Iterable[Acquisition]) -> set[tuple[str, str]]:
    return {(one.patient_id, one.issuer) for one in acquisitions if one.patient_id}


def _study(acquisitions: Iterable[Acquisition]) -> str:
    """The study that all slices name; empty when they name none, or several."""
    studies = {one.study_instance_uid for one in acquisitions}
    return studies.pop() if len(studies) == 1 else ""


def _moment(acquisitions: Iterable[Acquisition], opened: scan_pb2.OpenScan) -> float | None:
    """The first slice's moment, else what the caller said; None when nobody said."""
    known = [one.unix_s for one in acquisitions if one.unix_s is not None]
    return min(known, default=opened.acquired_unix_s or None)
