"""Thin wrappers around torch.distributed; no-ops in a single process."""

import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor, distributed

T = TypeVar("T")


class LostProcessError(RuntimeError):
    """Another process of the training is gone, or did not answer in time."""


@contextmanager
def process_group() -> Iterator[None]:
    """Join the processes that `torchrun` started, and leave them at the end, also after an error.

    CUDA tensors go over NCCL, all others over Gloo. Each process takes the GPU of its number on the machine.
    """
    if not distributed.is_torchelastic_launched():
        yield
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count())
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    store, rank, world_size = next(distributed.rendezvous("env://"))
    own = distributed.PrefixStore(_meet(store, rank, world_size), store)
    distributed.init_process_group(backend, store=own, rank=rank, world_size=world_size)
    try:
        yield
    finally:
        distributed.destroy_process_group()


def _meet(store: distributed.Store, rank: int, world_size: int) -> str:
    """Return a name that only the processes which meet now know.

    After a restart, `torchrun`'s store still holds the addresses of dead processes under the same names.
    """
    me = uuid.uuid4().hex
    if rank == 0:
        store.set("first", me)
        others = [store.get(f"{me}/{other}").decode() for other in range(1, world_size)]
        store.set(f"{me}/all", " ".join(others))
        return me
    while True:
        first = store.get("first").decode()  # perhaps a dead one, who never met this process
        store.set(f"{first}/{rank}", me)
        if store.check([f"{first}/all"]) and me in store.get(f"{first}/all").decode():
            return first
        time.sleep(0.02)


def world_size() -> int:
    """Return the number of processes that train together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def rank() -> int:
    """Return the number of this process among them; number 0 writes the files of a run."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def all_reduce_mean(tensor: Tensor) -> Tensor:
    """Return the mean of a tensor over the processes, the same in all of them, bit for bit."""
    if not distributed.is_initialized():
        return tensor
    total = tensor.clone()
    with _lost_process():
        distributed.all_reduce(total)
    return total / world_size()


def all_reduce_any(*flags: bool) -> tuple[bool, ...]:
    """Return for each flag whether it is set in any process."""
    if not distributed.is_initialized():
        return flags
    values = torch.tensor(flags, dtype=torch.int32)
    with _lost_process():
        distributed.all_reduce(values, distributed.ReduceOp.MAX)
    return tuple(values.bool().tolist())


def broadcast(tensor: Tensor) -> None:
    """Overwrite a tensor with the values that it has in process 0."""
    if distributed.is_initialized():
        with _lost_process():
            distributed.broadcast(tensor, src=0)


def broadcast_object(value: T) -> T:
    """Return the value of process 0: anything that can be pickled."""
    if not distributed.is_initialized():
        return value
    values = [value]
    with _lost_process():
        distributed.broadcast_object_list(values, src=0)
    return values[0]


def gather_object(value: T) -> list[T]:
    """Return the values of all processes in process 0; an empty list in the others."""
    if not distributed.is_initialized():
        return [value]
    values = [value] * world_size() if rank() == 0 else None
    with _lost_process():
        distributed.gather_object(value, values, dst=0)
    return values or []


@contextmanager
def _lost_process() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        reason = str(error).strip().partition("\n")[0]
        raise LostProcessError(f"another process of this training is gone ({reason})") from error
