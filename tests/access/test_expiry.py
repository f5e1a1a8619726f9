"""When certificates expire."""

from __future__ import annotations

import datetime
import re
import urllib.request
from pathlib import Path
from ssl import create_default_context

import pytest
import trustme

from appliance.access.expiry import expiries
from appliance.access.tls import TlsMaterial
from tests.access.authority import Authority, Files
from tests.box import Box

SOON = datetime.datetime(2031, 2, 3, 4, 5, 6, tzinfo=datetime.UTC)
#: Past the year 2049 a certificate tells its dates in another form.
LATE = datetime.datetime(2061, 2, 3, 4, 5, 6, tzinfo=datetime.UTC)


def issued(*ends: datetime.datetime, kind: trustme.KeyType = trustme.KeyType.RSA) -> bytes:
    authority = trustme.CA(key_type=kind)
    made = [authority.issue_cert("box.hospital", not_after=end, key_type=kind) for end in ends]
    return b"".join(one.cert_chain_pems[0].bytes() for one in made)


@pytest.mark.parametrize("end", [SOON, LATE])
@pytest.mark.parametrize("kind", [*trustme.KeyType])
def test_the_end_of_a_certificate_is_read(end: datetime.datetime, kind: trustme.KeyType) -> None:
    pem = issued(end, kind=kind)
    assert expiries(TlsMaterial(pem, b"", None)) == {"certificate": end.timestamp()}


def test_of_several_the_first_to_expire_counts() -> None:
    found = expiries(TlsMaterial(issued(SOON), b"", b"# ours\n" + issued(LATE, SOON, LATE)))
    assert found == {"certificate": SOON.timestamp(), "client_ca": SOON.timestamp()}


@pytest.mark.parametrize("spoil", [slice(0), slice(300), slice(27, None)])
def test_what_cannot_be_read_has_no_end(spoil: slice) -> None:
    spoilt = issued(SOON)[spoil]
    assert expiries(TlsMaterial(spoilt, b"", issued(LATE))) == {"client_ca": LATE.timestamp()}


def test_a_der_that_is_cut_off_has_no_end() -> None:
    lines = issued(SOON).split(b"\n")
    for kept in range(1, 5):
        cut = b"\n".join([*lines[:kept], lines[-2], b""])
        assert expiries(TlsMaterial(cut, b"", None)) == {}


def test_it_is_among_the_metrics(
    box: Box, authority: Authority, callers: dict[str, Files], server: Files
) -> None:
    context = create_default_context(cafile=str(authority.ca))
    context.load_cert_chain(callers["monitor"].certificate, callers["monitor"].key)
    with urllib.request.urlopen(f"https://{box.http}/metrics", context=context) as answer:
        text = answer.read().decode()
    name = "breathhold_certificate_not_after_timestamp_seconds"
    told = dict(re.findall(rf'^{name}{{file="(\w+)"}} (\S+)$', text, re.MULTILINE))
    material = TlsMaterial(server.certificate.read_bytes(), b"", Path(authority.ca).read_bytes())
    assert {file: float(value) for file, value in told.items()} == expiries(material)
