"""A reference of normal lungs from folders of scans, with a bar on stderr."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from appliance.cli.errors import CliError
from appliance.inference.volume import SliceResult, VolumeError, segment_volume
from appliance.ingest import SliceRefusedError, find_series, read_dicom
from appliance.ingest.limits import DEFAULT_LIMITS
from appliance.quantify.histogram import HuCounts, volume_histogram
from appliance.quantify.normal import NormalReference, average_reference
from appliance.quantify.scores import MINIMUM_LUNG_ML
from appliance.scan.scan import ScanPolicy
from appliance.scan.slice import Slice
from appliance.scan.stack import Stack
from calibration.evaluation import EvaluationError, find_cases, load_engines, read_case
from engines.segmenter import Segmenter

#: Volume of each bin, ml.
Histogram = tuple[float, ...]
#: What is counted: a labelled case, or the files of a DICOM series.
Source = Path | tuple[Path, ...]


def build_reference(
    folders: Sequence[Path],
    cases: Sequence[str],
    name: str,
    made_of: str | None,
    *,
    without_lesion: bool,
) -> NormalReference:
    """Count the lungs of every scan, each scan the same.

    Parameters
    ----------
    folders
        Of DICOM, whose lungs the models find; or of labelled cases, whose lungs are labelled.
    cases
        Only these labelled cases; all when empty.
    name, made_of
        Of the reference; by default it says how many scans there were.
    without_lesion
        Whether lung that is lesion, by the models or the labels, is left out.

    Raises
    ------
    CliError
        When a folder holds no scan, or a scan cannot be read or has no lung.
    """
    sources = [source for folder in folders for source in _sources(folder, cases)]
    models = _Models()
    counted = [_counted(source, models, without_lesion) for source in _shown(sources)]
    histograms = [histogram for histogram in counted if histogram]
    words = made_of or f"{'lesion-free ' if without_lesion else ''}lung of {len(histograms)} scans"
    try:
        return average_reference(name, words, histograms)
    except ValueError as error:
        raise CliError(str(error)) from error


class _Models:
    """The shipped models, loaded when the first scan needs them."""

    def __init__(self) -> None:
        self._loaded: tuple[Segmenter, ScanPolicy] | None = None

    def segment(self, slices: Sequence[Slice]) -> list[SliceResult]:
        self._loaded = self._loaded or load_engines()
        return segment_volume(slices, *self._loaded)


def _sources(folder: Path, cases: Sequence[str]) -> list[Source]:
    if not folder.is_dir():
        raise CliError(f"{folder} is no folder")
    if any(folder.glob("image.nii*")) or any(folder.glob("*/image.nii*")):
        try:
            return list(find_cases(folder, cases))
        except EvaluationError as error:
            raise CliError(str(error)) from error
    series = find_series(folder).series
    if not series:
        raise CliError(f"{folder} holds neither DICOM nor labelled cases")
    return [one.files for one in series]


def _counted(source: Source, models: _Models, without_lesion: bool) -> Histogram | None:
    """None for a series that is no CT scan, as those of localizers."""
    if isinstance(source, Path):
        return _labelled(source, without_lesion)
    return _found(source, models, without_lesion)


def _labelled(folder: Path, without_lesion: bool) -> Histogram:
    try:
        case = read_case(folder)
    except EvaluationError as error:
        raise CliError(str(error)) from error
    inside = case.lung == 1
    if without_lesion:
        inside &= case.lesion == 0
    histogram = volume_histogram([HuCounts.of(case.hu[inside])], [1000 * case.pixel_ml])
    return _enough(histogram, folder.name)


def _found(files: Sequence[Path], models: _Models, without_lesion: bool) -> Histogram | None:
    slices = list(_read(files))
    if not slices:
        return None
    try:
        results = models.segment(slices)
    except VolumeError as error:
        raise CliError(f"{files[0].parent}: {error}") from error
    hu = {item.header.sop_instance_uid: item.hu for item in slices}
    counts = [
        HuCounts.of(hu[one.header.sop_instance_uid][_inside(one, without_lesion)])
        for one in results
    ]
    stack = Stack()
    for one in results:
        stack.insert(one.header.geometry.along_mm, one.header.sop_instance_uid)
    areas = [one.header.geometry.pixel_area_mm2 for one in results]
    lengths = stack.lengths_mm()
    sizes = [area * length for area, length in zip(areas, lengths, strict=True)]
    return _enough(volume_histogram(counts, sizes), str(files[0].parent))


def _inside(result: SliceResult, without_lesion: bool) -> npt.NDArray[np.bool_]:
    return result.lung & ~result.lesion if without_lesion else result.lung


def _read(files: Sequence[Path]) -> Iterator[Slice]:
    """The slices that can be used."""
    for path in files:
        try:
            yield read_dicom(path.read_bytes(), DEFAULT_LIMITS)
        except SliceRefusedError:
            continue


def _enough(histogram: Histogram, name: str) -> Histogram:
    if sum(histogram) < MINIMUM_LUNG_ML:
        raise CliError(f"{name} shows no lungs: {sum(histogram):.0f} ml were found")
    return histogram


def _shown(sources: Sequence[Source]) -> Iterator[Source]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True)) as progress:
        yield from progress.track(sources, description="scans")
