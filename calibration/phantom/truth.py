"""The true scores of a phantom."""

from __future__ import annotations

import numpy as np

from appliance.quantify.regions import Region, count_regions, sum_regions
from calibration.phantom.phantom import Lobe, Phantom
from engines.parts import LOBE_NAMES

#: High opacity begins above this, HU (Chaganti et al. 2020).
_HIGH_OPACITY_HU = -200


def truth_of(phantom: Phantom) -> tuple[float | None, float | None]:
    """PO and PHO in percent; None and None without lung."""
    lung = np.count_nonzero(phantom.lung)
    if not lung:
        return None, None
    lesion = phantom.lesion > 0
    high = np.count_nonzero(lesion & (phantom.hu > _HIGH_OPACITY_HU))
    return 100.0 * np.count_nonzero(lesion) / lung, 100.0 * high / lung


def lobe_truth(phantom: Phantom) -> tuple[Region, ...]:
    """The five lobes in the order of :data:`engines.parts.LOBE_NAMES`; none without lung."""
    if not phantom.lung.any():
        return ()
    label_of = np.zeros(len(Lobe), np.uint8)
    for label, name in enumerate(LOBE_NAMES, start=1):
        label_of[Lobe[name.removesuffix("_lobe").upper()]] = label
    lung, lesion = phantom.lung.astype(np.int64), (phantom.lesion > 0).astype(np.int64)
    high = lesion * (phantom.hu > _HIGH_OPACITY_HU)
    counts = count_regions(label_of[phantom.lobes], (lung, lesion, high), len(LOBE_NAMES))
    return sum_regions(LOBE_NAMES, [counts], [float(np.prod(phantom.spacing))])
