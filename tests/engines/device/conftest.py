from __future__ import annotations

import ctypes

import pytest

from tests.engines.device.host_device import HostDevice, kernel_library


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    return kernel_library(tmp_path_factory.mktemp("kernels"))


@pytest.fixture
def device(library: ctypes.CDLL) -> HostDevice:
    return HostDevice(library)
