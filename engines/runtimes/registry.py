"""The runtimes there are, and the choice among them."""

from __future__ import annotations

from engines.runtimes.base import InstalledRuntime, NoDeviceError, RuntimeUnavailableError
from engines.runtimes.onnxruntime import OnnxRuntime
from engines.runtimes.openvino import OpenVinoRuntime
from engines.runtimes.tensorrt import TensorRtRuntime
from engines.runtimes.tensorrt.flavours import TENSORRT, TENSORRT_RTX

_ALL: tuple[InstalledRuntime, ...] = (
    TensorRtRuntime(TENSORRT),
    TensorRtRuntime(TENSORRT_RTX),
    OpenVinoRuntime(),
    OnnxRuntime(),
)
#: By name, the preferred one first.
RUNTIMES: dict[str, InstalledRuntime] = {runtime.name: runtime for runtime in _ALL}


def choose(name: str | None = None) -> InstalledRuntime:
    """A runtime by name, or the first that can run here.

    Raises
    ------
    RuntimeUnavailableError
        When the named one is unknown or cannot run here, or none can; NoDeviceError when it
        is installed and nothing is there that it could run on.
    """
    if name is not None:
        return _named(name)
    reasons = []
    for runtime in RUNTIMES.values():
        if runtime.by_name_only:
            continue
        reason = runtime.unavailable()
        if reason is None:
            return runtime
        reasons.append(f"{runtime.name}: {reason}")
    raise RuntimeUnavailableError("no runtime can run here: " + "; ".join(reasons))


def _named(name: str) -> InstalledRuntime:
    runtime = RUNTIMES.get(name)
    if runtime is None:
        raise RuntimeUnavailableError(f"no runtime is called {name!r}; there are {list(RUNTIMES)}")
    if reason := runtime.unavailable():
        kind = RuntimeUnavailableError if runtime.missing() else NoDeviceError
        raise kind(f"{name}: {reason}")
    return runtime
