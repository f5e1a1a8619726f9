"""What decodes compressed frames, by the configuration."""

from __future__ import annotations

from appliance.cli.checking.check import Check
from appliance.config import EngineConfig
from appliance.ingest.acceleration import gpu_accelerator, gpu_to_decode
from engines.runtimes import RuntimeUnavailableError, choose

_TITLE = "decoding"
_PATIENCE_S = 60.0


def decoding_check(engine: EngineConfig) -> Check:
    """Whether a GPU decodes, and what: it is tried on frames whose samples are known."""
    gpu = gpu_to_decode(engine.decode, _devices(engine))
    if gpu is None:
        why = "engine.decode says so" if engine.decode == "cpu" else "no GPU infers here"
        return Check(_TITLE, True, False, f"all on the CPU: {why}")
    accelerator = gpu_accelerator(gpu)
    codings = sorted(coding.value for coding in accelerator.codings(_PATIENCE_S))
    accelerator.close()
    if not codings:
        detail = f"gpu{gpu} decodes nothing exactly: the CPU decodes"
        return Check(_TITLE, False, False, detail, "breathhold serve: its log says why")
    return Check(_TITLE, True, False, f"{', '.join(codings)} on gpu{gpu}, all else on the CPU")


def _devices(engine: EngineConfig) -> list[str]:
    """The devices that would infer, as far as they are here."""
    try:
        there = list(choose(engine.runtime).by_device())
    except RuntimeUnavailableError:
        return []
    return there if engine.devices == "auto" else [one for one in engine.devices if one in there]
