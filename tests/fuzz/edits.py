"""A few bytes that say how a file is damaged, so that long files are fuzzed by short inputs."""

from __future__ import annotations

from collections.abc import Sequence

from tests.fuzz.seeds import deflated
from tests.ingest import synthetic as dicom

_STEP = 8
_HEADER_BYTES = 2000
#: What steers a reader: types, delimiters, an escape into another character set, markers.
TOKENS = (
    *(b"SQ", b"UN", b"OB", b"DS", b"US", b"FD", b"AT", b"PN", b"ZZ", b"U\0"),
    *(dicom.ITEM, dicom.ITEM_END, dicom.SEQUENCE_END, dicom.UNDEFINED),
    *(b"\x08\0\x05\0CS", b"\x1b$B", b"\xe0\x7f\x10\0OW\0\0"),
    *(b"\xff\xd8", b"\xff\xd9", b"\xff\xc3", b"\xff\xd0", b"\xff\x51", b"\xff\x52", b"\xff\x90"),
    *(b"\xff\xff\xff\x7f", b"\0\0\0\x80", bytes(8)),
)


def damaged(bases: Sequence[bytes], orders: bytes) -> bytes:
    """A file damaged as ordered.

    Parameters
    ----------
    bases
        The files.
    orders
        Which file (one byte), whether it is deflated afterwards (one byte), then eight bytes an
        edit: what is done, where (three), how long, and three bytes to put there.
    """
    if len(orders) < 2:
        return orders
    file = bytearray(bases[orders[0] % len(bases)])
    for at in range(2, len(orders) - _STEP + 1, _STEP):
        _edit(file, orders[at : at + _STEP])
    if orders[1] == 1:
        return deflated(bytes(file[len(dicom.file_meta(dicom.EXPLICIT)) :]))
    return bytes(file)


def _edit(file: bytearray, order: bytes) -> None:
    kind, length = order[0], order[4]
    end = min(len(file), _HEADER_BYTES) if kind & 0x10 else len(file)
    place = int.from_bytes(order[1:4], "little") % max(end, 1)
    piece = TOKENS[length % len(TOKENS)] if kind & 0x20 else order[5 : 5 + 1 + length % 3]
    match kind % 5:
        case 0:
            file[place : place + len(piece)] = piece
        case 1:
            file[place:place] = piece
        case 2:
            del file[place : place + length]
        case 3:
            del file[place:]
        case 4:
            file[place:place] = file[place : place + length] * (1 + order[5])
