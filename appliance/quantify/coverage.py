"""Whether the scan shows the whole lung."""

from __future__ import annotations

from collections.abc import Sequence

#: Lung on an end slice above this share of the largest slice's lung is cut off.
CUT_OFF_SHARE = 0.2


def lung_cut_off(lung_px: Sequence[int], share: float = CUT_OFF_SHARE) -> tuple[bool, bool]:
    """Whether lung is cut off at the bottom, and at the top, of a scan.

    Parameters
    ----------
    lung_px
        Lung pixels of each slice, foot to head.
    share
        Of the largest slice's lung, above which an end slice shows a cut lung.
    """
    bottom, top = lung_at_ends(lung_px) or (0.0, 0.0)
    return bottom > share, top > share


def lung_at_ends(lung_px: Sequence[int]) -> tuple[float, float] | None:
    """Lung on the lowest and on the highest slice, over that on the slice with most.

    None without lung.
    """
    largest = max(lung_px, default=0)
    return (lung_px[0] / largest, lung_px[-1] / largest) if largest else None
