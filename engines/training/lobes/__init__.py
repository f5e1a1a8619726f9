"""Training of a lobes model: scans, augmentation, loop, export."""
