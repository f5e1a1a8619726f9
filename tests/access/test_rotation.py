"""Keys that are replaced while a scan comes in."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue

from aiohttp import web
from cryptography import x509

from appliance.access.audit import AuditTrail
from appliance.access.rotation import follow_files
from appliance.access.tls import TlsFiles
from appliance.config import AuditConfig, ServerConfig, TlsConfig
from appliance.serve.listening import HttpPort, http_runner
from breathhold.v1 import scan_pb2 as pb
from breathhold.v1 import scan_pb2_grpc
from tests.access import calls
from tests.access.authority import Authority, Files
from tests.box import Box
from tests.made_scans import raw_slices


def serial(address: str, authority: Authority) -> int:
    """Of the certificate that the gRPC port shows to a newcomer."""
    host, port = address.split(":")
    pem = ssl.get_server_certificate((host, int(port)), ca_certs=str(authority.ca))
    return x509.load_pem_x509_certificate(pem.encode()).serial_number


def test_half_a_rotation_between_two_whole_ones_ends_nothing(tmp_path: Path) -> None:
    """gRPC takes the second pair by itself; then comes half a key; then the third pair."""
    authority = Authority(tmp_path)

    def issue() -> Files:
        return authority.issue("appliance", "localhost", "127.0.0.1")

    async def run() -> list[tuple[int, str]]:
        pair = issue()
        files = TlsFiles(TlsConfig(certificate=pair.certificate, key=pair.key))
        config = ServerConfig(http="127.0.0.1:0")
        runner = http_runner(web.Application(), config)
        await runner.setup()
        port = HttpPort(runner, config, 2**20, files.current.context())
        address = await port.start()
        trail = AuditTrail(tmp_path / "audit", AuditConfig())
        following = asyncio.create_task(follow_files(files, port.use, trail, 0.2))
        await asyncio.sleep(0)
        seen = [await asyncio.to_thread(serial, address, authority)]
        issue()
        assert files.current.certificate == pair.certificate.read_bytes()
        pair.key.write_bytes(pair.key.read_bytes()[:100])
        await asyncio.sleep(0.5)
        issue()
        async with asyncio.timeout(5):
            while len(seen) < 3:
                newest = await asyncio.to_thread(serial, address, authority)
                if newest != seen[-1]:
                    seen.append(newest)
                issued = x509.load_pem_x509_certificate(pair.certificate.read_bytes())
                if newest == issued.serial_number:
                    break
        following.cancel()
        await port.stop()
        await runner.cleanup()
        lines = map(json.loads, trail.path.read_text().splitlines())
        return [
            (line["EventOutcomeIndicator"], line.get("EventOutcomeDescription", ""))
            for line in lines
        ]

    noted = asyncio.run(run())
    assert [outcome for outcome, _ in noted] == [0, 4, 0]
    assert "no usable PEM" in noted[1][1]


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
