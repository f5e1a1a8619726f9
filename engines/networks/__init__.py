"""PyTorch definitions, one file a paper."""
