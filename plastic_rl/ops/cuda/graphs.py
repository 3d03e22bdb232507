"""Small scans as CUDA graphs: to launch their kernels one by one from Python takes longer than to run them."""

import os
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

import torch
from torch import Tensor

ENVIRONMENT_VARIABLE = "PLASTIC_RL_CUDA_GRAPHS"
DEVICES = ("cuda",)
PLAIN_CALLS = 2  # of each form before it is captured; kernels are compiled in them
MOST_FORMS = 16
MOST_BYTES = 2**26  # of arguments, which are copied at each call; with more, the launches do not count


class Replayed:
    """A function of tensors in nested tuples, over copies of its arguments that stay in place.

    On CUDA it is captured as a graph; elsewhere a call calls it.

    Args:
        function: what it does depends on its arguments' form only, and it has run before.
        arguments: of the form that all later ones have.
    """

    @torch.no_grad()
    def __init__(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        self._places = [t.detach().clone().requires_grad_(t.requires_grad) for t in _tensors(arguments)]
        placed = _with(arguments, iter(self._places))

        def run() -> None:
            self._outputs = function(*placed)

        self._replay: Callable[[], None] = run
        if self._places[0].is_cuda:
            with torch.cuda.device(self._places[0].device):
                graph, stream = torch.cuda.CUDAGraph(), torch.cuda.Stream()
                with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
                    run()
            self._replay = graph.replay

    @torch.no_grad()
    def __call__(self, arguments: tuple[Any, ...]) -> Any:
        """Return the function's value in tensors of its own."""
        for place, tensor in zip(self._places, _tensors(arguments), strict=True):
            place.copy_(tensor)
        self._replay()
        return _with(self._outputs, (tensor.clone() for tensor in _tensors(self._outputs)))


def graphed(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that replays what it is called with often; with PLASTIC_RL_CUDA_GRAPHS=1 only, else as it is.

    Not yet tried on a GPU, and so not on by default.
    """
    if os.environ.get(ENVIRONMENT_VARIABLE) != "1":
        return function
    seen: dict[Any, int | Replayed] = {}

    @wraps(function)
    def call(*arguments: Any) -> Any:
        tensors = _tensors(arguments)
        if sum(tensor.nbytes for tensor in tensors) > MOST_BYTES or not _captures(tensors[0].device):
            return function(*arguments)
        form = _form(arguments)
        if form not in seen and len(seen) >= MOST_FORMS:
            seen.clear()
        found = seen.setdefault(form, 0)
        if isinstance(found, int):
            if found < PLAIN_CALLS:
                seen[form] = found + 1
                return function(*arguments)
            found = seen[form] = Replayed(function, arguments)
        return found(arguments)

    return call


def _captures(device: torch.device) -> bool:
    return device.type in DEVICES and not (device.type == "cuda" and torch.cuda.is_current_stream_capturing())


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    return [tensor for part in value for tensor in _tensors(part)] if isinstance(value, tuple | list) else []


def _with(value: Any, tensors: Iterator[Tensor]) -> Any:
    """Return nested tuples with other tensors in them."""
    if isinstance(value, Tensor):
        return next(tensors)
    if not isinstance(value, tuple | list):
        return value
    parts = [_with(part, tensors) for part in value]
    return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)


def _form(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.shape, value.dtype, value.device, value.requires_grad
    return tuple(map(_form, value)) if isinstance(value, tuple | list) else value
