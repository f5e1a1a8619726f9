"""The way of a slab that stays on the device: planes, kernels, and bits for masks."""
