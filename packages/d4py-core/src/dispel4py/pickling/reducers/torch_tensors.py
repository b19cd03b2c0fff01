"""PyTorch's tensors: as NumPy's arrays, which stay out of the pickle.

PyTorch pickles the whole storage of a tensor, also for a part of it.  As with NumPy, two tensors
that share a storage do not share one any more.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any


def reducers(torch: Any) -> dict[type, Callable[[Any], Any]]:
    """Return the reducers of tensors, by type."""
    return {torch.Tensor: _reduce}


def _reduce(tensor: Any) -> Any:
    torch = import_module("torch")
    is_plain = (
        tensor.device.type == "cpu"
        and tensor.layout is torch.strided
        and not (tensor.requires_grad or tensor.is_conj() or tensor.is_neg())
        and not (tensor.is_quantized or vars(tensor))
    )
    if not is_plain:
        return tensor.__reduce_ex__(5)
    if tensor.dtype is torch.bfloat16:
        return _from_array, (tensor.view(torch.int16).numpy(), tensor.dtype)
    try:
        return _from_array, (tensor.numpy(), tensor.dtype)
    except (RuntimeError, TypeError):  # NumPy is missing, or has no such numbers
        return tensor.__reduce_ex__(5)


def _from_array(array: Any, dtype: Any) -> Any:
    tensor = import_module("torch").from_numpy(array)
    return tensor if tensor.dtype is dtype else tensor.view(dtype)
