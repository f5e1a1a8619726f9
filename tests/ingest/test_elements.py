from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from appliance.ingest import SliceRefusedError, read_dicom
from appliance.ingest.elements import (
    Elements,
    UnreadableValueError,
    join_fragments,
    read_elements,
)
from appliance.ingest.header import Tag
from appliance.scan.verdicts import RefusalReason
from tests.ingest import synthetic as dicom

CHARACTER_SET = 0x00080005
READ_ALL = """
import logging, sys, warnings
logging.basicConfig(level=logging.INFO)
from pathlib import Path
from appliance.ingest import read_dicom
for file in sys.argv[1:]:
    read_dicom(Path(file).read_bytes())
"""


def elements_of(changes: dicom.Changes, max_value_bytes: int = 1000) -> Elements:
    return read_elements(
        memoryview(dicom.data_set(changes)),
        implicit=False,
        big_endian=False,
        max_value_bytes=max_value_bytes,
    )


def test_values_are_converted_by_their_vr() -> None:
    found = elements_of({Tag.PIXEL_SPACING: "0.5\\0.75", Tag.MANUFACTURER: None})
    assert found.values(Tag.PIXEL_SPACING) == (0.5, 0.75)
    assert found.values(Tag.ROWS) == (dicom.SIZE,)
    assert found.values(Tag.MODALITY) == ("CT",)
    assert found.values(Tag.MANUFACTURER) == ()


@pytest.mark.parametrize("value", ["", "A" * 1002])
def test_empty_and_oversized_values_are_absent(value: str) -> None:
    assert elements_of({Tag.CONVOLUTION_KERNEL: value}).values(Tag.CONVOLUTION_KERNEL) == ()


def test_unreadable_value_is_not_carried_on() -> None:
    with pytest.raises(UnreadableValueError) as caught:
        elements_of({Tag.ROWS: b"odd"}).values(Tag.ROWS)
    assert str(caught.value) == ""
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("vr", [b"\x55\x00", b"ZZ", b"AT", b"SQ"])
def test_syntax_of_another_type_is_refused(vr: bytes) -> None:
    data = dicom.ct_file().replace(b"\x02\x00\x10\x00UI", b"\x02\x00\x10\x00" + vr)
    with pytest.raises(SliceRefusedError):
        read_dicom(data)


def test_what_pydicom_does_not_read_to_its_end_is_malformed() -> None:
    with pytest.raises(SliceRefusedError) as caught:
        read_elements(
            memoryview(dicom.ITEM_END + dicom.data_set()),
            implicit=False,
            big_endian=False,
            max_value_bytes=1000,
        )
    assert caught.value.refusal.reason is RefusalReason.MALFORMED


def test_fragments_are_joined_without_the_offset_table() -> None:
    items = memoryview(dicom.encapsulated([b"ab", b"cdef"]))[12:]
    assert join_fragments(items) == b"abcdef"
    with pytest.raises(SliceRefusedError):
        join_fragments(memoryview(b"no items"))


@pytest.mark.parametrize("text", ["ISO-IR 100", "nonsense", "ISO_IR 192\\ISO 2022 IR 87"])
def test_pydicom_neither_warns_nor_logs(text: str, tmp_path: Path) -> None:
    """In a process of its own: here pytest's filters stand before those of ingest."""
    file = tmp_path / "slice"
    file.write_bytes(dicom.ct_file({CHARACTER_SET: text, 0x00102000: "caf\u00e9".encode()}))
    with pytest.warns(UserWarning, match="Specific Character Set|Unknown encoding"):
        read_dicom(file.read_bytes())
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", READ_ALL, str(file)],
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")


def test_warning_as_error_is_a_refusal() -> None:
    data = dicom.ct_file({CHARACTER_SET: "nonsense"})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(SliceRefusedError):
            read_dicom(data)
