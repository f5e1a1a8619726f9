"""INT8 calibration, the accuracy gate, and the phantom."""
