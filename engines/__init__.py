"""Models and what runs them; knows no DICOM, no network, no scans in progress."""
