"""Models and what runs them; knows no DICOM, no network, no scans in progress."""

import sys

# Whoever imports openvino tells Google Analytics so, unless this package is not there.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
