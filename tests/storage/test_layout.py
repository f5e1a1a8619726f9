from pathlib import Path

import pytest

from appliance.storage.layout import SpoolFolder


def add(folder: SpoolFolder, scan_id: str) -> Path:
    path = folder.log_path(scan_id)
    path.parent.mkdir()
    path.write_bytes(b"12345")
    return path


def test_only_scans_with_a_log_are_scans(tmp_path: Path) -> None:
    folder = SpoolFolder(tmp_path / "spool")
    add(folder, "0b")
    add(folder, "0a")
    (folder.path / "0c").mkdir()
    (folder.path / "readme.txt").write_bytes(b"1")
    assert folder.scans() == ["0a", "0b"]
    assert folder.bytes_used() == 11


@pytest.mark.parametrize("scan_id", ["", "../a", "A", "a" * 65, "a.removed", "a\n"])
def test_a_scan_id_is_no_path(tmp_path: Path, scan_id: str) -> None:
    with pytest.raises(ValueError, match="hexadecimal"):
        SpoolFolder(tmp_path / "spool").log_path(scan_id)


def test_a_removal_that_was_cut_short_is_finished(tmp_path: Path) -> None:
    folder = SpoolFolder(tmp_path / "spool")
    add(folder, "0a").parent.rename(folder.path / "0a.removed")
    assert folder.scans() == []
    assert SpoolFolder(folder.path).bytes_used() == 0


def test_removing_what_is_not_there_does_nothing(tmp_path: Path) -> None:
    folder = SpoolFolder(tmp_path / "spool")
    add(folder, "0a")
    folder.remove("0b")
    folder.remove("0a")
    folder.remove("0a")
    assert folder.scans() == []


def test_a_scan_can_be_damaged_twice(tmp_path: Path) -> None:
    folder = SpoolFolder(tmp_path / "spool")
    for _ in range(2):
        add(folder, "0a")
        folder.move_aside("0a")
    assert [path.name for path in folder.aside()] == ["0a.corrupt-1", "0a.corrupt-2"]
    assert folder.scans() == []
