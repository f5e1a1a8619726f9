"""Lesion by its density: ground glass and consolidation."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.quantify.scores import Volumes


@dataclass(frozen=True, slots=True)
class Opacities:
    """Volumes in ml, and percent of the lung."""

    ggo_ml: float
    consolidation_ml: float
    ggo_percent: float
    consolidation_percent: float


def opacities(volume: Volumes) -> Opacities:
    """Ground glass and consolidation, told apart by a threshold of HU (Pan et al. 2020).

    Consolidation is the high opacity of PHO, lesion above -200 HU (Chaganti et al. 2020);
    ground glass is the rest of the lesion.

    Raises
    ------
    ValueError
        When there is no lung.
    """
    if volume.lung_ml <= 0:
        raise ValueError("opacities are shares of the lung, and there is none")
    ggo_ml = volume.lesion_ml - volume.high_opacity_ml
    return Opacities(
        ggo_ml=ggo_ml,
        consolidation_ml=volume.high_opacity_ml,
        ggo_percent=100 * ggo_ml / volume.lung_ml,
        consolidation_percent=100 * volume.high_opacity_ml / volume.lung_ml,
    )
