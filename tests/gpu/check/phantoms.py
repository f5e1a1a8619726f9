"""The phantoms of the check, each made once."""

from __future__ import annotations

import functools

from calibration.phantom import Phantom, Section, make_phantom

#: Of a real scan of each section.
SLICES = {Section.THIN: 300, Section.THICK: 60}
_SEED = 1


@functools.cache
def phantom(section: Section, slices: int, matrix: int) -> Phantom:
    """A chest with pneumonia."""
    return make_phantom(_SEED, section=section, slices=slices, matrix=matrix)
