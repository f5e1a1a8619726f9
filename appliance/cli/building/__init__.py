"""Plans for GPUs, built from the command line."""
