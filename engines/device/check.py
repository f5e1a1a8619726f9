"""The first slice through a device's path must give the mask that the host makes of it."""

from __future__ import annotations

import numpy as np

from engines.device.path import DevicePath
from engines.preprocess import Frame, Image, Preparer, Restorer
from engines.requests import SegmentRequest
from engines.runtimes import DeviceError
from engines.warm_up import Engine, warm_up_input

#: Of a prepared plane; the least HU is 1/1600 of the window.
_PLANE_TOLERANCE = 1e-3
#: Share of pixels of the mask, which is of other arithmetic and of another plane.
_MASK_TOLERANCE = 1e-3


def check_device_path(path: DevicePath, lung: Engine) -> None:
    """Send the warm-up slice both ways.

    Raises
    ------
    DeviceError
        When DALI, the kernels or the copies on the device do other than on the host.
    """
    image = _warm_up_image(lung)
    (plane,) = path.prepare([image])
    on_device = plane.to_host()
    (on_host,) = Preparer(lung.spec.window_hu, lung.spec.size, 1).prepare([image])
    if not np.allclose(on_device, on_host, rtol=0, atol=_PLANE_TOLERANCE):
        apart = float(np.abs(on_device - on_host).max())
        raise DeviceError(f"{path.name}: DALI prepares other planes than on the CPU, by {apart:g}")
    (masks,) = path.segment([SegmentRequest(lung.spec.name, (plane,), image.frame)])
    probability = lung.executable.run(on_device[None, None])
    (expected,) = Restorer(lung.spec.threshold, 1).restore(list(probability), [image.frame])
    differing = np.count_nonzero(masks.lung != expected)
    if differing > _MASK_TOLERANCE * expected.size:
        raise DeviceError(
            f"{path.name}: {differing} of {expected.size} pixels of a lung mask "
            "differ from those made on the host"
        )


def _warm_up_image(lung: Engine) -> Image:
    """The warm-up slab as HU, on a grid twice as fine and a little narrower than high."""
    low, high = lung.spec.window_hu
    level = warm_up_input(lung.spec)[0, 0].repeat(2, axis=0).repeat(2, axis=1)[:, 5:]
    hu = np.rint(low + level * (high - low)).astype(np.int16)
    return Image(hu, Frame(*hu.shape))
