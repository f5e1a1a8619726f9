"""New UIDs for a series that is sent again as another scan."""

from __future__ import annotations

import io
import logging
import warnings

import pydicom
from pydicom.dataset import FileDataset
from pydicom.uid import UID, generate_uid

logger = logging.getLogger(__name__)

_KEYWORDS = ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "SOPInstanceUID")


class FreshUids:
    """Gives each UID a new one, always the same for the same old one."""

    def __init__(self) -> None:
        self._fresh: dict[str, str] = {}

    def uid(self, old: str) -> str:
        """The new UID (under the root 2.25, PS3.5 B.2); empty for an empty one."""
        if not old:
            return old
        return self._fresh.setdefault(old, generate_uid(prefix=None))

    def rewrite(self, data: bytes) -> bytes:
        """A DICOM file under its new UIDs, everything else as it was.

        A file that pydicom cannot write again stays as it is: the appliance refuses
        it as another series' slice, and the scan goes on without it.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                return self._rewritten(pydicom.dcmread(io.BytesIO(data), force=True))
            except (ValueError, TypeError, AttributeError, NotImplementedError, KeyError) as error:
                logger.warning("a file keeps its UIDs: %s", type(error).__name__)
                return data

    def _rewritten(self, dataset: FileDataset) -> bytes:
        for keyword in _KEYWORDS:
            if keyword in dataset:
                setattr(dataset, keyword, UID(self.uid(str(dataset.get(keyword)))))
        if "MediaStorageSOPInstanceUID" in dataset.file_meta:
            dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        buffer = io.BytesIO()
        dataset.save_as(buffer)
        return buffer.getvalue()
