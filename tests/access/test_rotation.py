"""Keys that are replaced while a scan comes in."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue

from breathhold.v1 import scan_pb2 as pb
from breathhold.v1 import scan_pb2_grpc
from tests.access import calls
from tests.access.authority import Authority
from tests.box import Box
from tests.made_scans import raw_slices


def serial(address: str, authority: Authority) -> int:
    """Of the certificate that the gRPC port shows to a newcomer."""
    host, port = address.split(":")
    pem = ssl.get_server_certificate((host, int(port)), ca_certs=str(authority.ca))
    from cryptography import x509

    return x509.load_pem_x509_certificate(pem.encode()).serial_number


def test_a_scan_in_progress_outlives_a_rotation(repository: Path, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "authority")
    files = authority.issue("appliance", "localhost", "127.0.0.1")
    toml = f'[tls]\ncertificate = "{files.certificate}"\nkey = "{files.key}"\n'
    requests: SimpleQueue[pb.StreamRequest | None] = SimpleQueue()
    slices = raw_slices(12, 20.0, "1.2.78")

    def outgoing() -> Iterator[pb.StreamRequest]:
        while (request := requests.get()) is not None:
            yield request

    with Box(tmp_path / "box", repository, toml) as box:
        before = serial(box.grpc, authority), serial(box.http, authority)
        with authority.channel(box.grpc, None) as channel:
            answers = scan_pb2_grpc.ScanServiceStub(channel).Stream(outgoing(), timeout=60)
            requests.put(pb.StreamRequest(open=pb.OpenScan(series_instance_uid="1.2.78")))
            for item in slices[:6]:
                requests.put(pb.StreamRequest(slice=item))
            while not next(answers).HasField("ack"):
                pass
            authority.issue("appliance", "localhost", "127.0.0.1")
            deadline = time.monotonic() + 20
            while serial(box.http, authority) == before[1] and time.monotonic() < deadline:
                time.sleep(0.5)
            after = serial(box.grpc, authority), serial(box.http, authority)
            for item in slices[6:]:
                requests.put(pb.StreamRequest(slice=item))
            requests.put(pb.StreamRequest(end=pb.EndScan()))
            last = list(answers)[-1]
            requests.put(None)
        with authority.channel(box.grpc, None) as channel:
            assert calls.report(channel, "1.2.78").report == last.report
    assert after[0] == after[1]
    assert after[0] not in before
    assert last.report.slices == 12
