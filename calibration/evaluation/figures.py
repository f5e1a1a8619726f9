"""What one case measured."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from calibration.evaluation.measures import percent_difference


@dataclass(frozen=True, slots=True)
class RegionFigures:
    """Lesion or lung of one case against its label, over the slices that carry it.

    None where a figure cannot be: no label, or an empty mask.

    Parameters
    ----------
    dice, jaccard
        0 to 1.
    false_negative, false_positive
        Share of the label that was missed; share of what was found that is not labelled.
    average_hausdorff_mm, mean_surface_distance_mm
        See :class:`calibration.evaluation.surfaces.SurfaceDistances`.
    volume_ml, volume_reference_ml
        Found and labelled.
    hu, hu_reference
        Mean HU in the found mask and in the label.
    """

    dice: float | None = None
    jaccard: float | None = None
    false_negative: float | None = None
    false_positive: float | None = None
    average_hausdorff_mm: float | None = None
    mean_surface_distance_mm: float | None = None
    volume_ml: float | None = None
    volume_reference_ml: float | None = None
    hu: float | None = None
    hu_reference: float | None = None

    @property
    def volume_difference_ml(self) -> float | None:
        """Found minus labelled."""
        return _difference(self.volume_ml, self.volume_reference_ml)

    @property
    def volume_difference_percent(self) -> float | None:
        """The same in percent of the labelled volume."""
        return percent_difference(self.volume_ml, self.volume_reference_ml)

    @property
    def hu_difference(self) -> float | None:
        """Mean HU in the found mask minus that in the label."""
        return _difference(self.hu, self.hu_reference)

    @property
    def hu_difference_percent(self) -> float | None:
        """The same in percent of the size of the label's mean HU; positive is denser."""
        return percent_difference(self.hu, self.hu_reference)

    def record(self) -> dict[str, float | None]:
        """All of it by name, differences included."""
        return asdict(self) | {
            "volume_difference_ml": self.volume_difference_ml,
            "volume_difference_percent": self.volume_difference_percent,
            "hu_difference": self.hu_difference,
            "hu_difference_percent": self.hu_difference_percent,
        }


@dataclass(frozen=True, slots=True)
class CaseFigures:
    """What one case measured; None where it cannot be.

    Parameters
    ----------
    case
        Its name.
    section
        "thin", "medium" or "thick", by the distance between slices.
    spacing_mm, pixel_mm
        Distance between slices; mean of the distances between rows and columns.
    slices, slices_with_both_labels
        How many; PO and PHO are counted over the latter, or over the whole scan where
        there is none.
    lesion, lung
        Against the labels. A lesion counts only inside the found lung.
    po, pho
        Percent: found lesion (above -200 HU) of found lung; None where no lung was found.
    po_reference, pho_reference
        Percent: labelled lesion (above -200 HU) of labelled lung; None where no slice
        carries both labels.
    po_whole, pho_whole, ihu_whole
        Found over all slices, labelled or not: percent, and mean HU of the found lesion; None
        where too little lung, or no lesion, was found.
    dice_lesion_b
        Against the second annotation.
    dice_annotators
        The two annotations against each other.
    seconds
        Segmenting took.
    """

    case: str
    section: str
    spacing_mm: float
    pixel_mm: float
    slices: int
    slices_with_both_labels: int
    lesion: RegionFigures
    lung: RegionFigures
    po: float | None
    po_reference: float | None
    pho: float | None
    pho_reference: float | None
    po_whole: float | None
    pho_whole: float | None
    ihu_whole: float | None
    dice_lesion_b: float | None
    dice_annotators: float | None
    seconds: float

    @property
    def po_error(self) -> float | None:
        """Found minus reference, points."""
        return _difference(self.po, self.po_reference)

    @property
    def po_error_percent(self) -> float | None:
        """The same in percent of the reference (the lesion/lung ratio of Shiri et al. 2021)."""
        return percent_difference(self.po, self.po_reference)

    @property
    def pho_error(self) -> float | None:
        """Found minus reference, points."""
        return _difference(self.pho, self.pho_reference)

    def record(self) -> dict[str, object]:
        """The case in JSON: figures of a region carry its name, ``dice_lesion``, ``dice_lung``.

        Where the unit ends a name, the region stands before it:
        ``volume_difference_lesion_ml``, ``hu_difference_lung_percent``.
        """
        flat: dict[str, object] = {
            "case": self.case,
            "dice_lesion": self.lesion.dice,
            "dice_lung": self.lung.dice,
        }
        flat |= {
            name: value for name, value in asdict(self).items() if name not in ("lesion", "lung")
        }
        for region, figures in (("lesion", self.lesion), ("lung", self.lung)):
            for name, value in figures.record().items():
                flat[region_name(name, region)] = value
        return flat | {
            "po_error": self.po_error,
            "po_error_percent": self.po_error_percent,
            "pho_error": self.pho_error,
        }


def region_name(figure: str, region: str) -> str:
    """The JSON name of a region's figure, its unit last: ``volume_lesion_ml``."""
    stem, _, unit = figure.rpartition("_")
    if unit in ("mm", "ml", "percent"):
        return f"{stem}_{region}_{unit}"
    return f"{figure}_{region}"


def _difference(found: float | None, reference: float | None) -> float | None:
    return None if found is None or reference is None else found - reference
