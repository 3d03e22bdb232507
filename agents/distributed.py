"""What the processes of one training say to each other; with a single process all of it does nothing."""

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
def joined() -> Iterator[None]:
    """Meet the processes that `torchrun` started, and part at the end.

    They talk over NCCL about CUDA tensors and over Gloo about others. Each takes the GPU of its number on the machine.
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
    yield
    distributed.destroy_process_group()


def _meet(store: distributed.Store, rank: int, world_size: int) -> str:
    """Return a name that only those who meet now know.

    After a restart, `torchrun`'s store still holds the addresses of processes that are dead, under the same names.
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


def n_processes() -> int:
    """Return how many processes train together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def rank() -> int:
    """Return the number of this process among them; number 0 writes what a run leaves behind."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def mean(value: Tensor) -> Tensor:
    """Return the mean of a tensor over the processes, the same in all of them, bit for bit."""
    if not distributed.is_initialized():
        return value
    total = value.clone()
    with _together():
        distributed.all_reduce(total)
    return total / n_processes()


def any_of(*flags: bool) -> tuple[bool, ...]:
    """Return for each flag whether it is set in any process."""
    if not distributed.is_initialized():
        return flags
    values = torch.tensor(flags, dtype=torch.int32)
    with _together():
        distributed.all_reduce(values, distributed.ReduceOp.MAX)
    return tuple(values.bool().tolist())


def overwrite_by_first(tensor: Tensor) -> None:
    """Give a tensor the values that it has in process 0."""
    if distributed.is_initialized():
        with _together():
            distributed.broadcast(tensor, src=0)


def of_first(value: T) -> T:
    """Return what process 0 gave: anything that can be pickled."""
    if not distributed.is_initialized():
        return value
    values = [value]
    with _together():
        distributed.broadcast_object_list(values, src=0)
    return values[0]


def gathered(value: T) -> list[T]:
    """Return what all processes gave, in process 0; nothing in the others."""
    if not distributed.is_initialized():
        return [value]
    values = [value] * n_processes() if rank() == 0 else None
    with _together():
        distributed.gather_object(value, values, dst=0)
    return values or []


@contextmanager
def _together() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        reason = str(error).strip().partition("\n")[0]
        raise LostProcessError(f"another process of this training is gone ({reason})") from error
