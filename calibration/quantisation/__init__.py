"""INT8: ranges measured on real scans, and Q/DQ ONNX in every runtime's dialect from one table."""
