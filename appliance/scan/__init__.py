"""The pure core: order, geometry, slabs and completeness of one scan.

No input or output, no clock, no threads. Imports numpy and its own modules
only, so that every property of it can be tested by itself.
"""
