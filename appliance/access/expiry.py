"""Until when the certificates of the appliance and of those who sign its callers' are valid.

Read from their DER (RFC 5280, 4.1): the standard library shows the dates of a peer's certificate,
and not those of one's own.
"""

from __future__ import annotations

import datetime
import re
import ssl
from collections.abc import Mapping
from typing import NamedTuple

from appliance.access.tls import TlsMaterial

_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_VERSION, _UTC_TIME, _GENERALIZED_TIME = 0xA0, 0x17, 0x18
_FORMATS = {_UTC_TIME: "%y%m%d%H%M%SZ", _GENERALIZED_TIME: "%Y%m%d%H%M%SZ"}


def expiries(material: TlsMaterial) -> Mapping[str, float]:
    """When the first certificate of a file expires, s since the epoch, by what the file is."""
    files = {"certificate": material.certificate, "client_ca": material.client_ca or b""}
    times = {name: _first_expiry(pem) for name, pem in files.items()}
    return {name: time for name, time in times.items() if time is not None}


def _first_expiry(pem: bytes) -> float | None:
    """Of the certificates in a file; None when it has none that can be read."""
    try:
        blocks = [block.decode("ascii") for block in _PEM.findall(pem)]
        return min((_not_after(ssl.PEM_cert_to_DER_cert(block)) for block in blocks), default=None)
    except (ValueError, LookupError):
        return None


class _Part(NamedTuple):
    """A DER value: its tag and what it holds; what follows it is `rest`."""

    tag: int
    content: bytes
    rest: bytes


def _part(data: bytes) -> _Part:
    length, begin = data[1], 2
    if length & 0x80:
        begin += length & 0x7F
        length = int.from_bytes(data[2:begin], "big")
    return _Part(data[0], data[begin : begin + length], data[begin + length :])


def _not_after(certificate: bytes) -> float:
    """From serial number, signature and issuer on to the validity, and there to its end."""
    rest = _part(_part(certificate).content).content
    before = 4 if rest[0] == _VERSION else 3
    for _ in range(before):
        rest = _part(rest).rest
    validity = _part(rest).content
    end = _part(_part(validity).rest)
    moment = datetime.datetime.strptime(end.content.decode("ascii"), _FORMATS[end.tag])
    return moment.replace(tzinfo=datetime.UTC).timestamp()
