"""Which failures of CUDA lose the device.

PyCUDA's message names the call and gives the driver's text for the code; TensorRT puts the
same text into its log, DALI into its exception. After a sticky error every later call of the
process fails with it, so the device can do no more until the daemon is started again.

References
----------
CUDA Driver API, "Data types used by CUDA driver", CUresult: "the process must be terminated
and relaunched" marks the sticky ones. PyCUDA, src/cpp/cuda.hpp: the message is
"CALL failed: TEXT", TEXT by cuGetErrorString.
"""

from __future__ import annotations

from engines.runtimes.base import DeviceError, DeviceLostError

#: CUresult by the text that cuGetErrorString gives for it: the context is broken for good.
STICKY = {
    "an illegal memory access was encountered": "CUDA_ERROR_ILLEGAL_ADDRESS",
    "an illegal instruction was encountered": "CUDA_ERROR_ILLEGAL_INSTRUCTION",
    "misaligned address": "CUDA_ERROR_MISALIGNED_ADDRESS",
    "operation not supported on global/shared address space": "CUDA_ERROR_INVALID_ADDRESS_SPACE",
    "invalid program counter": "CUDA_ERROR_INVALID_PC",
    "hardware stack error": "CUDA_ERROR_HARDWARE_STACK_ERROR",
    "device-side assert triggered": "CUDA_ERROR_ASSERT",
    "unspecified launch failure": "CUDA_ERROR_LAUNCH_FAILED",
    "the launch timed out and was terminated": "CUDA_ERROR_LAUNCH_TIMEOUT",
    "tensor memory not completely freed": "CUDA_ERROR_TENSOR_MEMORY_LEAK",
    "uncorrectable ECC error encountered": "CUDA_ERROR_ECC_UNCORRECTABLE",
    "uncorrectable NVLink error detected during the execution": "CUDA_ERROR_NVLINK_UNCORRECTABLE",
    "Invalid access of peer GPU memory over nvlink or a hardware error": "CUDA_ERROR_CONTAINED",
    "an async error has occured in external entity outside of CUDA": "CUDA_ERROR_EXTERNAL_DEVICE",
    "the MPS client has been terminated by the server": "CUDA_ERROR_MPS_CLIENT_TERMINATED",
    "context is destroyed": "CUDA_ERROR_CONTEXT_IS_DESTROYED",
    "invalid device context": "CUDA_ERROR_INVALID_CONTEXT",
    "driver shutting down": "CUDA_ERROR_DEINITIALIZED",
    "unknown error": "CUDA_ERROR_UNKNOWN",
}
#: The device cannot be had at all: it fell off the bus, or others hold it.
GONE = {
    "no CUDA-capable device is detected": "CUDA_ERROR_NO_DEVICE",
    "invalid device ordinal": "CUDA_ERROR_INVALID_DEVICE",
    "CUDA-capable device(s) is/are busy or unavailable": "CUDA_ERROR_DEVICE_UNAVAILABLE",
    "initialization error": "CUDA_ERROR_NOT_INITIALIZED",
    "system not yet initialized": "CUDA_ERROR_SYSTEM_NOT_READY",
    "system has unsupported display driver / cuda driver combination": (
        "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH"
    ),
}
#: No memory is left: buffers are made when engines load, so another try finds no more.
NO_MEMORY = {
    "out of memory": "CUDA_ERROR_OUT_OF_MEMORY",
    "OutOfMemory": "CUDA_ERROR_OUT_OF_MEMORY",  # TensorRT's ErrorCode::kOUT_OF_MEMORY
    "bytes) could not be allocated": "CUDA_ERROR_OUT_OF_MEMORY",  # TensorRT's allocator
    "CUDA allocation failed": "CUDA_ERROR_OUT_OF_MEMORY",  # DALI
    "bytes on device": "CUDA_ERROR_OUT_OF_MEMORY",  # DALI: "Can't allocate N bytes on device M."
}
_FATAL = STICKY | GONE | NO_MEMORY


def named_fault(model: str, error: Exception) -> DeviceError:
    """What failed on the device, to be raised from `error`.

    Parameters
    ----------
    model
        Name of the model whose inference or loading failed.
    error
        Of PyCUDA or DALI, or with the words of TensorRT's log.

    Returns
    -------
    DeviceLostError where the device can do no more in this process, else DeviceError.
    """
    text = str(error)
    message = text if text.startswith(f"{model}: ") else f"{model}: {text}"
    if isinstance(error, DeviceLostError):
        return DeviceLostError(message)
    code = next((code for phrase, code in _FATAL.items() if phrase in text), None)
    if code is None:
        return DeviceError(message)
    return DeviceLostError(f"{message} ({code})")
