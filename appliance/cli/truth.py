"""The true scores of a phantom."""

from __future__ import annotations

import numpy as np

from calibration.phantom import Phantom

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
