from __future__ import annotations

import pytest

from appliance.ingest.kernels import is_sharp


@pytest.mark.parametrize(
    "kernel", ["LUNG", "bone", "EDGE ", "B60f", "B80s", "Br64d", "I70f", "Bl64f", "YC", "L", "FC52"]
)
def test_sharp(kernel: str) -> None:
    assert is_sharp(kernel)


@pytest.mark.parametrize(
    "kernel",
    ["", "STANDARD", "SOFT", "B30s", "Br38f", "B40f", "C", "UB", "B", "FC08", "11"],
)
def test_not_sharp(kernel: str) -> None:
    assert not is_sharp(kernel)
