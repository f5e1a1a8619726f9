"""What a slice may cost, checked before anything is allocated for it."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.ingest.syntaxes import TRANSFER_SYNTAXES


@dataclass(frozen=True, slots=True)
class IngestLimits:
    """Every limit of ingest; the defaults are wide for chest CT and harmless for the box."""

    max_bytes: int = 64 * 1024 * 1024
    """Bytes of one message. A native 2048 x 2048 slice is 8 MiB; the rest is room for private
    elements."""

    max_inflated_bytes: int = 16 * 1024 * 1024
    """Bytes of a deflated data set after inflation, which has to be allocated."""

    max_rows: int = 2048
    """Rows. Photon-counting scanners reconstruct up to 2048; most send 512 or 768."""

    max_columns: int = 2048
    """Columns; as `max_rows`."""

    min_matrix: int = 32
    """Fewest rows and columns; below this an image cannot show a chest."""

    small_matrix: int = 256
    """Fewer rows or columns than this earn the notice SMALL_MATRIX."""

    max_inflation: int = 100
    """How many bytes one deflated byte may become. CT slices reach 10, a deflate bomb 1000."""

    max_elements: int = 5_000
    """Data elements and items of one file at all depths, and fragments of its pixel
    data. Slices of clinical scanners have 100 to 2000."""

    max_sequence_depth: int = 16
    """Sequences inside sequences. CT objects need 4."""

    max_value_bytes: int = 4096
    """Bytes of one header value that is read (UIDs, numbers, kernel names)."""

    max_character_set_bytes: int = 4096
    """Bytes of all Specific Character Set elements of one file together; each has about
    10. pydicom looks every name of them up while it reads, at a cost of 16 us."""

    allowed_transfer_syntaxes: frozenset[str] = frozenset(TRANSFER_SYNTAXES)
    """UIDs that are accepted; only those of
    :data:`~appliance.ingest.syntaxes.TRANSFER_SYNTAXES` can be read at all."""

    max_tilt_degrees: float = 25.0
    """A plane tilted further out of the axial plane is refused. Gantries tilt to 30
    degrees at most; whether slices tilted less make a sheared stack shows only where
    several are seen, so that is the scan's to refuse."""

    notice_tilt_degrees: float = 1.0
    """A smaller tilt than `max_tilt_degrees` but above this earns the notice GANTRY_TILT."""

    max_hu_step: float = 8.0
    """HU between neighbouring stored values; coarser data cannot be measured at a
    threshold in HU. Original CT has 1, 12-bit JPEG copies about 2, 8-bit copies 16 to 32."""


DEFAULT_LIMITS = IngestLimits()
