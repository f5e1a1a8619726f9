"""The transfer syntaxes a CT slice may come in (DICOM PS3.5 section 10 and annex A)."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


class Codec(enum.Enum):
    """How the pixels are packed."""

    NATIVE = "native"
    RLE = "RLE"
    JPEG = "JPEG"
    JPEG_LS = "JPEG-LS"
    JPEG_2000 = "JPEG 2000"


@dataclass(frozen=True, slots=True)
class TransferSyntax:
    """One transfer syntax.

    Parameters
    ----------
    uid, name
        As in PS3.6 annex A.
    codec
        How the pixels are packed.
    implicit, big_endian, deflated
        How the data set is written.
    may_be_lossy
        True when the codec may have thrown pixel values away.
    """

    uid: str
    name: str
    codec: Codec = Codec.NATIVE
    implicit: bool = False
    big_endian: bool = False
    deflated: bool = False
    may_be_lossy: bool = False


JPEG_BASELINE = "1.2.840.10008.1.2.4.50"

_KNOWN = (
    TransferSyntax("1.2.840.10008.1.2", "Implicit VR Little Endian", implicit=True),
    TransferSyntax("1.2.840.10008.1.2.1", "Explicit VR Little Endian"),
    TransferSyntax("1.2.840.10008.1.2.1.99", "Deflated Explicit VR Little Endian", deflated=True),
    TransferSyntax("1.2.840.10008.1.2.2", "Explicit VR Big Endian", big_endian=True),
    TransferSyntax("1.2.840.10008.1.2.5", "RLE Lossless", Codec.RLE),
    TransferSyntax(JPEG_BASELINE, "JPEG Baseline, 8 bit", Codec.JPEG, may_be_lossy=True),
    TransferSyntax(
        "1.2.840.10008.1.2.4.51", "JPEG Extended, 12 bit", Codec.JPEG, may_be_lossy=True
    ),
    TransferSyntax("1.2.840.10008.1.2.4.57", "JPEG Lossless", Codec.JPEG),
    TransferSyntax("1.2.840.10008.1.2.4.70", "JPEG Lossless SV1", Codec.JPEG),
    TransferSyntax("1.2.840.10008.1.2.4.80", "JPEG-LS Lossless", Codec.JPEG_LS),
    TransferSyntax(
        "1.2.840.10008.1.2.4.81", "JPEG-LS Near-lossless", Codec.JPEG_LS, may_be_lossy=True
    ),
    TransferSyntax("1.2.840.10008.1.2.4.90", "JPEG 2000 Lossless", Codec.JPEG_2000),
    TransferSyntax("1.2.840.10008.1.2.4.91", "JPEG 2000", Codec.JPEG_2000, may_be_lossy=True),
    TransferSyntax("1.2.840.10008.1.2.4.201", "HTJ2K Lossless", Codec.JPEG_2000),
    TransferSyntax("1.2.840.10008.1.2.4.202", "HTJ2K Lossless RPCL", Codec.JPEG_2000),
    TransferSyntax("1.2.840.10008.1.2.4.203", "HTJ2K", Codec.JPEG_2000, may_be_lossy=True),
)

#: Every transfer syntax that can be read, by UID. The retired JPEG processes
#: (.53, .55) are not among them: hardly any decoder reads them.
TRANSFER_SYNTAXES: Mapping[str, TransferSyntax] = MappingProxyType(
    {syntax.uid: syntax for syntax in _KNOWN}
)
