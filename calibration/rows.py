"""Rows of a CSV table that a site made."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

_Row = TypeVar("_Row")


def read_rows(
    path: Path,
    error: type[Exception],
    check: Callable[[Sequence[str]], None],
    row: Callable[[dict[str, str], str], _Row],
) -> list[_Row]:
    """Read a CSV in UTF-8; case and spaces around names and cells mean nothing.

    Parameters
    ----------
    path
        The file.
    error
        Raised when it is no such table.
    check
        Called with the names of the columns; raises when one is missing.
    row
        Makes a row of its cells by name ("" where there is none) and its place, such as
        "table.csv, line 2", for messages.

    Raises
    ------
    OSError
        When it cannot be read.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            names = [name.strip().lower() for name in reader.fieldnames or ()]
            if len(names) == 1 and ";" in names[0]:
                raise error(f"{path}: columns are parted by commas, not by semicolons")
            check(names)
            reader.fieldnames = names
            return [
                row(
                    {name: (cells.get(name) or "").strip() for name in names},
                    f"{path}, line {reader.line_num}",
                )
                for cells in reader
            ]
    except (UnicodeDecodeError, csv.Error) as fault:
        raise error(f"{path} is no table in CSV: {fault}") from fault
