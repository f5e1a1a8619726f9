"""Corrected scans as training data: a folder of them, its ledger, and models made from it."""

from calibration.review.folder import ReviewError, ReviewFolder, ReviewScan
from calibration.review.ledger import Ledger

__all__ = ["Ledger", "ReviewError", "ReviewFolder", "ReviewScan"]
