"""TensorRT and TensorRT-RTX: plans built from ONNX, kept on disk, executed through PyCUDA.

A plan is what TensorRT makes of a network for one kind of GPU. TensorRT builds on the GPU
it builds for; TensorRT-RTX builds ahead of time, on a machine without a GPU too.
"""

from engines.runtimes.tensorrt.runtime import TensorRtRuntime

__all__ = ["TensorRtRuntime"]
