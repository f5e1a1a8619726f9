"""The configuration: one TOML file, every field typed, documented and checked."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import tomllib
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from engines.models import SHIPPED

_MIB = 2**20
#: The reference of normal lungs that ships.
NORMAL = Path(__file__).resolve().parent / "references" / "lesion-free.json"
_ADDRESS = re.compile(r"(\[[0-9a-fA-F:]+\]|[^:\s\0]+):([0-9]{1,5})")
_MOST_PORT = 2**16 - 1


def _address(text: str) -> str:
    found = _ADDRESS.fullmatch(text)
    if not found:
        raise ValueError("an address must be HOST:PORT")
    if int(found[2]) > _MOST_PORT:
        raise ValueError(f"there is no port {found[2]}, the last one is {_MOST_PORT}")
    return text


def _place(path: Path) -> Path:
    if "\0" in str(path):
        raise ValueError("a path must not hold a NUL character")
    return path


Address = Annotated[str, AfterValidator(_address)]
Place = Annotated[Path, AfterValidator(_place)]
#: A file; $NAME stands for a variable of the environment, as systemd's $CREDENTIALS_DIRECTORY.
File = Annotated[Place, AfterValidator(lambda path: Path(os.path.expandvars(path)))]
Names = tuple[Annotated[str, Field(min_length=1, max_length=64)], ...]


class ConfigError(Exception):
    """A configuration that cannot be used; the message names file, field and fault."""


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ServerConfig(_Table):
    """Where the daemon listens."""

    listen: Address = Field("127.0.0.1:50051", description="gRPC address, HOST:PORT")
    http: Address = Field(
        "127.0.0.1:9464", description="HTTP address for metrics, health and the triage page"
    )
    max_message_mib: int = Field(
        16,
        ge=1,
        le=60,
        description="Larger slices are refused, MiB of the message; 2048 x 2048 pixels are 8",
    )
    in_hand_mib: int = Field(
        256,
        ge=1,
        description="Slices of all streams worked on before more are read, MiB; the memory they "
        "take is up to three times that",
    )
    max_calls: int = Field(256, ge=8, description="More calls at once are refused")
    max_calls_each: int = Field(
        80, ge=1, description="The same of one caller, by its certificate or the host it calls from"
    )
    request_s: float = Field(
        10.0, gt=0, description="A connection or call that asks nothing for so long is closed, s"
    )
    connections: int = Field(
        512, ge=16, description="gRPC connections at once; more are closed at once"
    )
    http_connections: int = Field(
        128, ge=8, description="HTTP connections at once; more are closed at once"
    )
    http_connections_each: int = Field(
        32, ge=1, description="The same from one host (a proxy that all come through is one)"
    )
    stalled_s: float = Field(
        60.0, gt=0, description="A caller that reads nothing for so long is given up, s"
    )
    readers: int | None = Field(
        None,
        ge=0,
        le=64,
        description="Processes that read DICOM, so that a decoder that dies costs one slice at "
        "most; as many as there are cores when not set, as many more while those hang; 0: the "
        "daemon reads itself",
    )
    slices_in_flight: int = Field(
        16, ge=1, le=256, description="Slices of one stream worked on before more are read"
    )
    shutdown_grace_s: float = Field(
        10.0, ge=0, description="How long complete scans may take to end when the daemon stops, s"
    )

    @property
    def max_message_bytes(self) -> int:
        return self.max_message_mib * _MIB

    @property
    def in_hand_bytes(self) -> int:
        return self.in_hand_mib * _MIB


class TlsConfig(_Table):
    """Encryption, and who callers are. Files are read again when they change."""

    certificate: File | None = Field(
        None, description="The appliance's certificate with its chain, PEM; none: no TLS"
    )
    key: File | None = Field(None, description="Its private key, PEM")
    client_ca: File | None = Field(
        None, description="Who signs callers' certificates, PEM; set: a caller must have one"
    )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("a certificate and its key belong together, one of them is missing")
        if self.client_ca and not self.certificate:
            raise ValueError("client_ca needs a certificate and a key of the appliance, too")
        return self


class AccessConfig(_Table):
    """Who may do what, by the names in the callers' certificates (common or alternative)."""

    consoles: Names = Field((), description="Send scans, and read reports of those they sent")
    dashboards: Names = Field((), description="Watch every scan; read every report")
    operators: Names = Field((), description="Say which models serve; read metrics")
    monitors: Names = Field((), description="Read metrics, and which models serve")
    unencrypted: bool = Field(
        False, description="Listen beyond the loopback without TLS: anyone there reads everything"
    )
    unidentified: bool = Field(
        False, description="Serve callers without certificate beyond the loopback: all may do all"
    )


class StorageConfig(_Table):
    """What is kept, and for how long."""

    state_dir: Place = Field(
        Path("/var/lib/breathhold"), description="Folder of the spool and the results"
    )
    keep_slices_hours: float = Field(
        24.0,
        ge=0,
        description="Slices of a reported scan are kept this long, hours, by the box's own time",
    )
    keep_results_days: float = Field(
        30.0,
        ge=0,
        description="Reports and masks are kept this long, days, by the box's own time: a wall "
        "clock that is set wrong does not shorten it, and time off counts when the box ran 6 h",
    )
    tight_mib: int = Field(
        4096, ge=0, description="With less free on the disk, reported slices go before their time"
    )
    full_mib: int = Field(
        1024, ge=0, description="With less free on the disk, new scans are refused, MiB"
    )
    stall_s: float = Field(
        30.0,
        gt=0,
        description="A sync or a change of the results that takes longer makes the daemon "
        "unhealthy, and whoever waits is told so, s",
    )

    retry_s: float = Field(
        5.0,
        gt=0,
        le=60,
        description="A report that could not be kept is tried again after this, then each time "
        "after twice as long, up to a minute, s",
    )
    busy_s: float = Field(
        5.0,
        ge=0,
        le=60,
        description="A report waits so long for another process that holds the results before "
        "its caller is told, s",
    )

    @property
    def tight_bytes(self) -> int:
        return self.tight_mib * _MIB

    @property
    def full_bytes(self) -> int:
        return self.full_mib * _MIB

    patient_salt: File | None = Field(
        None,
        description="Salt of the hashes that link a patient's scans, 16 bytes or more; "
        "made once in state_dir when not set",
    )


class AuditConfig(_Table):
    """The trail of who did what, in the folder `audit` of the state folder."""

    file_mib: int = Field(16, ge=1, description="A file of the trail is closed at this size, MiB")
    files: int = Field(20, ge=1, description="Files of the trail that are kept, oldest dropped")
    keep_days: float = Field(
        365.0, gt=0, description="A file of the trail all of which is older is dropped, days"
    )
    uids: bool = Field(False, description="Name the DICOM UIDs of study and series in the trail")


class ScanConfig(_Table):
    """When a scan is complete, and what it takes to be one."""

    quiet_s: float = Field(
        60.0, gt=0, description="A silent scan whose stream is open is complete after this, s"
    )
    abandon_s: float = Field(
        300.0, gt=0, description="A scan whose caller is gone is abandoned after this, s"
    )
    max_open_scans: int = Field(64, ge=1, description="More scans in progress are refused")
    max_slices: int = Field(3000, ge=1, description="More slices of one scan are refused")
    longest_s: float = Field(
        7200.0, gt=0, description="A scan in progress for longer is abandoned, s"
    )
    min_slices: int = Field(10, ge=1, description="A scan with fewer slices gets no score")
    min_extent_mm: float = Field(100.0, ge=0, description="A shorter scan gets no score, mm")


class ScoresConfig(_Table):
    """What scans are measured against."""

    normal: File | None = Field(
        NORMAL,
        description="HU of normal lungs, as `breathhold reference build` makes it; the shipped "
        "one is lesion-free lung of patients with COVID-19, not of healthy people",
    )
    severity: File | None = Field(
        None, description="Coefficients of severity, as `breathhold fit-severity` makes them"
    )


class EngineConfig(_Table):
    """Which models run, and on what."""

    repository: Place = Field(SHIPPED, description="Model repository in Triton's layout")
    runtime: str | None = Field(
        None,
        description="openvino, tensorrt or tensorrt-rtx; the best one here when not set. On a "
        "GPU box name it: without its GPU scans are then scored on the CPU with the warning "
        "DEVICE_LOST in each report, and not slower without a word",
    )
    precision: Literal["fp32", "fp16", "int8"] | None = Field(
        None,
        description="Precision of every model (fp16: on GPUs only); when not set the best one "
        "that may be served: on a GPU the faster of int8 and fp16",
    )
    devices: Literal["auto"] | Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        "auto",
        description='Devices that infer, one worker each: "auto" or names as ["gpu0", "gpu1"]',
    )
    decode: Literal["auto", "cpu"] = Field(
        "auto",
        description="What decodes lossless JPEG, JPEG 2000 and HTJ2K: the first GPU that infers, "
        "where it gives the very values the CPU gives, or the CPU",
    )
    batch: int = Field(8, ge=1, le=64, description="Most slabs worked on at once")
    stall_s: float = Field(
        30.0, gt=0, description="A batch that takes longer makes the daemon unhealthy, s"
    )
    hu_cache_mib: int = Field(384, ge=16, description="Memory for HU planes, MiB")
    plane_cache_mib: int = Field(256, ge=16, description="Memory for prepared planes, MiB")

    @property
    def hu_cache_bytes(self) -> int:
        return self.hu_cache_mib * _MIB

    @property
    def plane_cache_bytes(self) -> int:
        return self.plane_cache_mib * _MIB


class Config(_Table):
    """The whole configuration of a daemon."""

    server: ServerConfig = ServerConfig()
    tls: TlsConfig = TlsConfig()
    access: AccessConfig = AccessConfig()
    storage: StorageConfig = StorageConfig()
    audit: AuditConfig = AuditConfig()
    scan: ScanConfig = ScanConfig()
    scores: ScoresConfig = ScoresConfig()
    engine: EngineConfig = EngineConfig()

    @model_validator(mode="after")
    def _tight_before_full(self) -> Self:
        if self.storage.tight_mib < self.storage.full_mib:
            raise ValueError("storage.tight_mib must not be below storage.full_mib")
        return self

    @model_validator(mode="after")
    def _busy_before_stalled(self) -> Self:
        if self.storage.stall_s <= self.storage.busy_s:
            raise ValueError("storage.stall_s must be above storage.busy_s")
        return self

    @model_validator(mode="after")
    def _exposed_knowingly(self) -> Self:
        """Beyond the loopback only with TLS and known callers, unless told otherwise."""
        for field in ("listen", "http"):
            address: str = getattr(self.server, field)
            if is_loopback(address):
                continue
            if not (self.tls.certificate or self.access.unencrypted):
                raise ValueError(
                    f"server.{field} = {address} lies beyond the loopback: set tls.certificate and "
                    "tls.key, or say access.unencrypted = true"
                )
            if not (self.tls.client_ca or self.access.unidentified):
                raise ValueError(
                    f"server.{field} = {address} lies beyond the loopback: set tls.client_ca, so "
                    "that callers are known, or say access.unidentified = true"
                )
        return self


def is_loopback(address: str) -> bool:
    """Whether HOST:PORT can be reached from this machine alone."""
    host = address.rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def load_config(path: Path | None = None) -> Config:
    """Read a configuration file; the defaults without one.

    Raises
    ------
    ConfigError
        When the file cannot be read, is no TOML, or a field is unknown or wrong.
    """
    if path is None:
        return Config()
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        return Config.model_validate(table)
    except ValidationError as error:
        faults = "; ".join(_fault(detail["loc"], detail["msg"]) for detail in error.errors())
        raise ConfigError(f"{path}: {faults}") from error
    except RecursionError:
        raise ConfigError(f"{path}: its values are nested too deeply") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: {error}") from error


def _fault(place: tuple[int | str, ...], message: str) -> str:
    message = message.removeprefix("Value error, ")
    return f"{'.'.join(map(str, place))}: {message}" if place else message


def describe(config: Config) -> str:
    """The configuration as TOML, each field with its description, ready to be edited."""
    lines = ["# Breathhold. Fields that are left out keep the values shown here.", ""]
    for section in Config.model_fields:
        table: BaseModel = getattr(config, section)
        lines.append(f"[{section}]  # {(type(table).__doc__ or '').strip()}")
        for name, field in type(table).model_fields.items():
            lines.append(f"# {field.description}")
            lines.append(_assignment(name, getattr(table, name)))
        lines.append("")
    return "\n".join(lines)


def _assignment(name: str, value: object) -> str:
    if value is None:
        return f"# {name} = "
    if isinstance(value, (str, Path)):
        escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
        return f'{name} = "{escaped}"'
    if isinstance(value, tuple | bool):
        return f"{name} = {json.dumps(value)}"
    return f"{name} = {value}"
