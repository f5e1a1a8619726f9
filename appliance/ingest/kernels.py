"""Which reconstruction kernels are sharp.

Sharp (lung, bone, edge) kernels overshoot at vessel walls and raise noise,
which moves the voxels above an HU threshold. DICOM has no field for it: the
vendor's name of the kernel must be read. The lists follow the names in common
use in chest protocols and know no kernel beyond them. GE: LUNG, BONE, BONEPLUS,
EDGE, ULTRA. Siemens: letters and a sharpness number, sharp from 60. Philips: L,
D, E and YA to YE. Canon and Toshiba: FC30 to FC39 (bone), FC50 to FC59 (lung)
and FC80 to FC89 (high resolution).
"""

from __future__ import annotations

import re

_SHARP_NAMES = frozenset(
    (
        "LUNG", "BONE", "BONEPLUS", "BONE PLUS", "EDGE", "ULTRA", "CHEST", "HD LUNG", "HD BONE",
        "L", "D", "E", "YA", "YB", "YC", "YD", "YE", "LUNG ENHANCED",
    )
)  # fmt: skip
_SIEMENS = re.compile(r"[BIHTUQ][A-Z]?(\d\d)[A-Z]?")
_SIEMENS_SHARP_FROM = 60
_CANON = re.compile(r"FC(\d\d)")
_CANON_SHARP = frozenset((*range(30, 40), *range(50, 60), *range(80, 90)))


def is_sharp(kernel: str) -> bool:
    """True when a ConvolutionKernel (0018,1210) is known to be a sharp one.

    Parameters
    ----------
    kernel
        The vendor's name, any case; an unknown one is not sharp.
    """
    name = kernel.strip().upper()
    if name in _SHARP_NAMES:
        return True
    if siemens := _SIEMENS.match(name):
        return int(siemens[1]) >= _SIEMENS_SHARP_FROM
    canon = _CANON.match(name)
    return canon is not None and int(canon[1]) in _CANON_SHARP
