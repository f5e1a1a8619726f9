"""A CT phantom with exact truth: chest with pneumonia, and anatomies without lung."""

from calibration.phantom.dicom import write_dicom_series
from calibration.phantom.labelled import write_labelled
from calibration.phantom.phantom import Anatomy, Lobe, Phantom, Section, make_phantom

__all__ = [
    "Anatomy",
    "Lobe",
    "Phantom",
    "Section",
    "make_phantom",
    "write_dicom_series",
    "write_labelled",
]
