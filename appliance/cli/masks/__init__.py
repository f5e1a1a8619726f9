"""What ``--masks`` writes: NIfTI volumes and pictures."""
