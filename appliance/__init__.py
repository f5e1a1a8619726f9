"""Everything between a slice arriving and a score leaving; knows no CUDA."""
