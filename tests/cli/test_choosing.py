from __future__ import annotations

from pathlib import Path

import pydicom
import pytest

from appliance.cli.errors import CliError
from appliance.cli.sending.choosing import choose_series
from tests.made_series import write_series


def edit(folder: Path, **elements: str) -> None:
    for path in folder.iterdir():
        data = pydicom.dcmread(path)
        for keyword, value in elements.items():
            setattr(data, keyword, value)
        data.save_as(path)


def test_the_largest_series_is_sent_and_the_rest_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_series(tmp_path / "small", 4, "1.2.1")
    write_series(tmp_path / "deep" / "large", 6, "1.2.2")
    (tmp_path / "notes.txt").write_text("nothing")
    chosen = choose_series(tmp_path)
    assert [series.series_uid for series in chosen] == ["1.2.2"]
    left_out = (
        "Left out: 1 other series (4 images) and 1 files that are no readable DICOM images.\n"
    )
    assert capsys.readouterr().err == left_out


def test_a_ct_series_goes_before_a_larger_one_that_is_none(tmp_path: Path) -> None:
    write_series(tmp_path / "ct", 4, "1.2.1")
    write_series(tmp_path / "mr", 6, "1.2.2")
    edit(tmp_path / "mr", Modality="MR")
    assert [series.series_uid for series in choose_series(tmp_path)] == ["1.2.1"]


def test_a_series_can_be_named_and_all_can_be_sent(tmp_path: Path) -> None:
    write_series(tmp_path / "a", 4, "1.2.1")
    write_series(tmp_path / "b", 6, "1.2.2")
    assert choose_series(tmp_path, "1.2.1")[0].series_uid == "1.2.1"
    assert len(choose_series(tmp_path, every=True)) == 2
    with pytest.raises(CliError, match="no series of that UID"):
        choose_series(tmp_path, "1.2.3")


def test_one_file_is_a_series_of_one(tmp_path: Path) -> None:
    file = sorted(write_series(tmp_path, 4).iterdir())[0]
    assert choose_series(file)[0].files == (file,)


def test_nothing_to_send(tmp_path: Path) -> None:
    with pytest.raises(CliError, match="holds no files"):
        choose_series(tmp_path)
    (tmp_path / "one.txt").write_text("nothing")
    (tmp_path / "two.jpg").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(CliError, match="holds no DICOM images"):
        choose_series(tmp_path)
    with pytest.raises(CliError, match="does not exist"):
        choose_series(tmp_path / "none")


def test_images_without_a_series_uid(tmp_path: Path) -> None:
    write_series(tmp_path, 2)
    edit(tmp_path, SeriesInstanceUID="")
    with pytest.raises(CliError, match="no Series Instance UID"):
        choose_series(tmp_path)
