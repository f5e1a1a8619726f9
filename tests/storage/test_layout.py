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


def set_aside(folder: SpoolFolder, scan_id: str) -> Path:
    """As a damaged log is of which nothing is left."""
    add(folder, scan_id)
    folder.begin_salvage(scan_id)
    return folder.exchange(scan_id)


def test_a_scan_can_be_damaged_twice(tmp_path: Path) -> None:
    folder = SpoolFolder(tmp_path / "spool")
    names = []
    for _ in range(2):
        names.append(set_aside(folder, "0a").name)
        assert folder.was_damaged("0a")
        assert folder.scans() == []
        folder.remove("0a")
        assert not folder.was_damaged("0a")
    assert names == ["0a.corrupt-1", "0a.corrupt-2"]


def test_a_damaged_log_is_kept_as_long_as_its_scan(tmp_path: Path) -> None:
    folder = SpoolFolder(tmp_path / "spool")
    aside = set_aside(folder, "0a")
    folder.log_path("0a").write_bytes(b"salvaged")
    assert folder.remove_aside([aside.name]) == []
    folder.remove("0a")
    assert folder.remove_aside([aside.name]) == ["0a"]
    assert list(folder.path.iterdir()) == []


def test_of_a_log_that_left_nothing_nothing_stays(tmp_path: Path) -> None:
    folder = SpoolFolder(tmp_path / "spool")
    assert folder.remove_aside([set_aside(folder, "0a").name]) == ["0a"]
    assert list(folder.path.iterdir()) == []


@pytest.mark.parametrize("moved", [True, False])
def test_an_exchange_that_was_cut_short_is_finished(tmp_path: Path, moved: bool) -> None:
    folder = SpoolFolder(tmp_path / "spool")
    damaged = add(folder, "0a").parent
    folder.begin_salvage("0a").write_bytes(b"salvaged")
    if moved:
        damaged.rename(folder.path / "0a.corrupt-1")
    again = SpoolFolder(folder.path)
    assert again.log_path("0a").read_bytes() == (b"salvaged" if moved else b"12345")
    assert again.was_damaged("0a") == moved
    assert not list(folder.path.glob("*.salvaged"))
