"""Whether the patient moved while a slice was taken.

Views of a moving body contradict each other. Reconstructed, they leave dark streaks
where nothing is that dark: lung darker than inflated lung, fat and muscle darker than
fat. A slice is taken for moved when it shows both; emphysema shows the first alone.

The thresholds come from movement made on real slices: views of a half rotation taken
from a body that moves meanwhile, reconstructed as if it lay still
(:mod:`calibration.quality.motion`). ``python -m calibration.quality --data CASES
--slices 3`` measures them: on 36 slices of 11 patients none at rest was called moved
(specificity at least 0.90 with 95 % confidence), and of those whose front wall moved 3, 6
and 10 mm in a breath 47, 94 and 100 % were (AUC 0.92, 0.99, 1.00), while the mean PO found
in them rose from 3.8 to 4.8, 6.5 and 9.6. With the cut picked on the other patients it is
83, 94 and 100 %, and none at rest. The thresholds were chosen on other slices of the same
patients. The beating heart is not seen (AUC 0.63 at 10 mm), and moves PO by 0.1. Nobody
looked at emphysema, at other scanners' streaks, or at movement that was not made.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from appliance.quantify.squares import Squares, grown

#: Inflated lung is not darker than this over a few millimetres, nor fat than that, HU.
DARK_LUNG_HU, DARK_TISSUE_HU = -960, -130
#: Shares of inner lung, and of tissue near lung, from which a slice was moved.
DARK_LUNG_SHARE, DARK_TISSUE_SHARE = 0.004, 0.004
#: With fewer squares of either, a slice says nothing.
FEWEST_SQUARES = 40


@dataclass(frozen=True, slots=True)
class MotionCounts:
    """Squares of inner lung and of tissue near lung, and the dark ones among them."""

    lung: int = 0
    dark_lung: int = 0
    tissue: int = 0
    dark_tissue: int = 0

    @property
    def says_something(self) -> bool:
        return min(self.lung, self.tissue) >= FEWEST_SQUARES

    @property
    def moved(self) -> bool:
        """True when both lung and tissue have dark streaks."""
        return (
            self.says_something
            and self.dark_lung >= DARK_LUNG_SHARE * self.lung
            and self.dark_tissue >= DARK_TISSUE_SHARE * self.tissue
        )


NOTHING_SEEN = MotionCounts()


def count_motion(squares: Squares) -> MotionCounts:
    """Count the dark squares of one slice."""
    lung = squares.inner_lung
    tissue = squares.off_lung & squares.near_lung & ~grown(squares.any_lung)
    return MotionCounts(
        lung=int(np.count_nonzero(lung)),
        dark_lung=int(np.count_nonzero(lung & squares.below(DARK_LUNG_HU))),
        tissue=int(np.count_nonzero(tissue)),
        dark_tissue=int(np.count_nonzero(tissue & squares.below(DARK_TISSUE_HU))),
    )
