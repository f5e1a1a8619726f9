"""A scanner console without DICOM: `example_console.py HOST:PORT [FOLDER ROWS COLUMNS DZ DY DX]`.

FOLDER holds one *.raw file a slice, foot to head by name: signed 16-bit little-endian HU,
row-major. DZ, DY, DX: mm between slices, rows, columns. Without FOLDER a ramp of HU is sent.
"""

import array
import pathlib
import random
import sys

import grpc

from breathhold.v1 import scan_pb2, scan_pb2_grpc


def load(arguments):
    """The slices' pixels, then rows, columns and the distances between slices, rows, columns."""
    if arguments:
        folder, rows, columns, *spacing = arguments
        files = sorted(pathlib.Path(folder).glob("*.raw"))
        return [f.read_bytes() for f in files], int(rows), int(columns), *map(float, spacing)
    ramp = array.array("h", (column * 8 - 1024 for _ in range(128) for column in range(128)))
    if sys.byteorder == "big":
        ramp.byteswap()
    return [ramp.tobytes()] * 24, 128, 128, 5.0, 2.5, 2.5


def requests(slices, rows, columns, dz, dy, dx):
    series = f"2.25.{random.getrandbits(120)}"
    yield scan_pb2.StreamRequest(open=scan_pb2.OpenScan(
        series_instance_uid=series, station="example", send_masks=True))  # fmt: skip
    for number, pixels in enumerate(slices, start=1):
        raw = scan_pb2.RawSlice(
            sop_instance_uid=f"{series}.{number}", rows=rows, columns=columns, pixels=pixels,
            rescale_slope=1, rescale_intercept=0, slice_thickness=dz, pixel_spacing=[dy, dx],
            image_position=[-dx * (columns - 1) / 2, -dy * (rows - 1) / 2, dz * number],
            image_orientation=[1, 0, 0, 0, 1, 0])  # fmt: skip
        yield scan_pb2.StreamRequest(slice=scan_pb2.Slice(sequence=number, raw=raw))
    yield scan_pb2.StreamRequest(end=scan_pb2.EndScan())


def pixels_of(mask):
    """A mask as bytes 0 and 1, rows * columns, row-major: the runs alternate, zeros first."""
    told = b"".join(bytes([index % 2]) * run for index, run in enumerate(mask.runs))
    return told.ljust(mask.rows * mask.columns, b"\0")


masks = {}
with grpc.insecure_channel(sys.argv[1]) as channel:
    for response in scan_pb2_grpc.ScanServiceStub(channel).Stream(requests(*load(sys.argv[2:]))):
        kind = response.WhichOneof("response")
        if kind == "running_score":
            scores = response.running_score.scores
            print(f"running: PO {scores.po:.1f} %" if scores.HasField("po") else "no score yet")
        elif kind == "mask":
            masks[response.mask.sop_instance_uid] = sum(pixels_of(response.mask))
        elif kind in ("slice_refused", "warning", "report"):
            print(response)
print(f"{sum(masks.values())} pixels of lesion in {len(masks)} masks")
