"""A GPU whose context is broken for good is lost, and the process lives on without it."""

from __future__ import annotations

import gc
import os
import subprocess
import sys

import numpy as np
import pytest

from engines.device.planes import PlaneArena
from engines.device.preparer import DevicePreparer
from engines.device.slabs import blend
from engines.preprocess import Frame, Image
from engines.runtimes import DeviceLostError
from engines.runtimes.tensorrt.cuda import cuda_device
from engines.runtimes.tensorrt.driver import Gpu
from tests.gpu.check.machine import ROOT

_NOBODYS_ADDRESS = 16


def lose() -> None:
    """Write where nothing is, and let go of all that was made; in a process of its own."""
    device = cuda_device(0)
    preparer = DevicePreparer(PlaneArena(device, (64, 64)), (-1350.0, 250.0), batch=4)
    image = Image(np.zeros((64, 64), np.int16), Frame(64, 64))
    planes = preparer.prepare([image])
    for attempt in ("first", "second"):
        try:
            with device.working():
                blend(device, [1.0], planes, _NOBODYS_ADDRESS)
                device.synchronize()
        except DeviceLostError as error:
            print(attempt, error)
    try:
        preparer.prepare([image])
    except DeviceLostError as error:
        print("DALI", str(error).splitlines()[0])
    del preparer, planes
    gc.collect()
    print("alive", flush=True)
    os._exit(0)  # what CUDA makes of the end of such a process is not ours


def test_the_process_outlives_its_gpu(gpu: Gpu) -> None:
    pytest.importorskip("pycuda.driver", exc_type=ImportError)
    program = "from tests.gpu.test_loss import lose; lose()"
    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    told = ran.stdout.splitlines()
    assert told[0].startswith("first gpu0: ")
    assert "CUDA_ERROR_ILLEGAL_ADDRESS" in told[0]
    assert told[1].startswith("second gpu0: ")
    assert told[2].startswith("DALI ")
    assert told[-1] == "alive"
