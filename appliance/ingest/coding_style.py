"""What decoding a JPEG 2000 frame costs beside its pixels, read before a decoder sees it.

A frame is divided into tiles, precincts, layers and code-blocks as finely as its encoder
likes, and a decoder keeps a record of every one of them, coded or not: 800 bytes can ask
for seconds and gigabytes. Encoders of CT slices stay a hundredfold below the limits here.

References
----------
ITU-T T.800 A.6.1 (COD), A.6.2 (COC), B.6 (precincts), B.7 (code-blocks).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from appliance.ingest.errors import refuse
from appliance.scan.verdicts import RefusalReason

#: Precincts of all tiles and resolutions, and packets: one a precinct and layer. A frame of
#: 2048 x 2048 has 350 precincts of 128 x 128; scanners write 1 to 12 layers.
MOST_PRECINCTS = 8192
MOST_PACKETS = 32_768
#: 2048 x 2048 pixels in blocks of 64 x 64 are 1400, in blocks of 16 x 16 22,000.
MOST_BLOCKS = 32_768
#: COD and COC segments with values that a decoder takes, wherever they stand: a decoder reads
#: them in the header of any tile-part, too. That coded data look like one is next to impossible.
_COD = re.compile(
    rb"\xff\x52\x00[\x0c-\x2d]([\x00-\x07])[\x00-\x04](..)[\x00\x01]"
    rb"([\x00-\x20])([\x00-\x08])([\x00-\x08]).[\x00\x01](.{0,33})",
    re.DOTALL,
)
_COC = re.compile(
    rb"\xff\x53\x00[\x09-\x2a]\x00([\x00\x01])"
    rb"([\x00-\x20])([\x00-\x08])([\x00-\x08]).[\x00\x01](.{0,33})",
    re.DOTALL,
)
_SIZ = struct.Struct(">8L")
_SIZ_POSITION = 8
_OWN_PRECINCTS = 1
_WHOLE = 0xFF


@dataclass(frozen=True, slots=True)
class CodingStyle:
    """How finely a frame is divided.

    Parameters
    ----------
    layers
        Of quality.
    levels
        Of the wavelet; there is one resolution more.
    block
        Rows and columns of a code-block, as powers of two.
    precincts
        A byte a resolution, smallest first: the powers of two of rows (upper half) and columns.
    """

    layers: int
    levels: int
    block: tuple[int, int]
    precincts: bytes

    def count_precincts(self, rows: int, columns: int) -> int:
        """Precincts of a tile of so many pixels."""
        total = 0
        for resolution, power in enumerate(self.precincts[: self.levels + 1]):
            shrunk = self.levels - resolution
            down = -(-rows >> shrunk + (power >> 4))
            across = -(-columns >> shrunk + (power & 0x0F))
            total += max(down, 1) * max(across, 1)
        return total

    def count_blocks(self, rows: int, columns: int) -> int:
        """Code-blocks of a tile of so many pixels, near enough."""
        down, across = (
            -(-size >> power) for size, power in zip((rows, columns), self.block, strict=True)
        )
        return down * across


def check_coding_style(frame: bytes) -> None:
    """Refuse a frame that is divided more finely than any encoder divides a CT slice.

    Parameters
    ----------
    frame
        A codestream whose image and tile sizes are plausible.

    Raises
    ------
    SliceRefusedError
        TOO_LARGE.
    """
    width, height, left, top, tile_width, tile_height, *_ = _SIZ.unpack_from(frame, _SIZ_POSITION)
    rows, columns = min(tile_height, height - top), min(tile_width, width - left)
    tiles = -(-height // max(tile_height, 1)) * -(-width // max(tile_width, 1))
    for style in _styles(frame):
        precincts = tiles * style.count_precincts(rows, columns)
        blocks = tiles * style.count_blocks(rows, columns)
        if (
            precincts > MOST_PRECINCTS
            or precincts * style.layers > MOST_PACKETS
            or blocks > MOST_BLOCKS
        ):
            raise refuse(
                RefusalReason.TOO_LARGE,
                "The JPEG 2000 data are divided into more parts than are allowed.",
                precincts=precincts,
                layers=style.layers,
                blocks=blocks,
            )


def _styles(frame: bytes) -> Iterator[CodingStyle]:
    most_layers = 1
    for found in _COD.finditer(frame):
        own, layers, *rest = found.groups()
        most_layers = max(most_layers, int.from_bytes(layers))
        yield _style(own[0], int.from_bytes(layers), *rest)
    for found in _COC.finditer(frame):
        own, *rest = found.groups()
        yield _style(own[0], most_layers, *rest)


def _style(
    own: int, layers: int, levels: bytes, down: bytes, across: bytes, sizes: bytes
) -> CodingStyle:
    resolutions = levels[0] + 1
    precincts = sizes[:resolutions] if own & _OWN_PRECINCTS else b""
    whole = precincts.ljust(resolutions, bytes((_WHOLE,)))
    return CodingStyle(layers, levels[0], (down[0] + 2, across[0] + 2), whole)
