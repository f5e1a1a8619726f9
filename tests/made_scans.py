"""Small made-up scans as messages of the wire, for tests of the daemon."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from breathhold.v1 import scan_pb2 as pb

ROWS = COLUMNS = 64


def plane(index: int, count: int, *, lesion: bool = True) -> npt.NDArray[np.int16]:
    """A body of 40 HU with a lung that swells and shrinks, and a patch of ground glass in it."""
    y, x = np.mgrid[0:ROWS, 0:COLUMNS]
    size = 8 + 18 * np.sin(np.pi * (index + 0.5) / count)
    hu = np.full((ROWS, COLUMNS), 40, np.int16)
    hu[(x - 32) ** 2 + (y - 32) ** 2 < size**2] = -850
    if lesion and count // 3 <= index < 2 * count // 3:
        hu[(x - 36) ** 2 + (y - 30) ** 2 < (5 + index % 3) ** 2] = -500
        hu[(x - 36) ** 2 + (y - 30) ** 2 < 4] = -50
    return hu


def raw_slices(
    count: int = 30, spacing_mm: float = 5.0, series: str = "1.2.3", *, lesion: bool = True
) -> list[pb.Slice]:
    """Slices from foot to head, as a console without DICOM sends them."""
    return [
        pb.Slice(
            sequence=index + 1,
            raw=pb.RawSlice(
                sop_instance_uid=f"{series}.{index + 1}",
                rows=ROWS,
                columns=COLUMNS,
                pixels=plane(index, count, lesion=lesion).astype("<i2").tobytes(),
                rescale_slope=1.0,
                rescale_intercept=0.0,
                image_position=[-160.0, -160.0, -300.0 + index * spacing_mm],
                image_orientation=[1, 0, 0, 0, 1, 0],
                pixel_spacing=[5.0, 5.0],
                slice_thickness=spacing_mm,
            ),
        )
        for index in range(count)
    ]
