import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.storage import files


@given(buffers=st.lists(st.binary(max_size=5), max_size=8), count=st.integers(0, 40))
def test_what_a_short_write_left_is_what_is_written_next(buffers: list[bytes], count: int) -> None:
    left = files._drop([memoryview(buffer) for buffer in buffers], count)
    assert b"".join(left) == b"".join(buffers)[count:]


def test_more_buffers_than_one_call_takes_are_all_written(tmp_path: Path) -> None:
    buffers = [bytes([number % 256]) * 3 for number in range(2500)]
    fd = files.create_file(tmp_path / "log")
    assert files.write_all(fd, [b"xy", b"", *buffers], 0) == 2 + 7500
    assert files.write_all(fd, [b"ab"], 1) == 3
    os.close(fd)
    assert (tmp_path / "log").read_bytes() == b"xab" + b"".join(buffers)[1:]


def test_files_and_folders_are_private(tmp_path: Path) -> None:
    files.make_folder(tmp_path / "a" / "b")
    os.close(files.create_file(tmp_path / "a" / "b" / "log"))
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "a" / "b" / "log").stat().st_mode) == 0o600


def test_a_file_is_created_once(tmp_path: Path) -> None:
    os.close(files.create_file(tmp_path / "log"))
    with pytest.raises(FileExistsError):
        files.create_file(tmp_path / "log")


def test_a_renamed_folder_is_removed_with_its_files(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "log").write_bytes(b"12345")
    (tmp_path / "top").write_bytes(b"12")
    assert files.size_of(tmp_path) == 7
    files.rename(tmp_path / "a", tmp_path / "b")
    files.remove_folder(tmp_path / "b")
    assert [path.name for path in tmp_path.iterdir()] == ["top"]
