"""The check of a GPU box: ``make gpu-check``, or ``python -m tests.gpu.check``."""
