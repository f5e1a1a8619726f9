"""Training: cases, sampling, augmentation, loss, loop, evaluation, export to ONNX."""
