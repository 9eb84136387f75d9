"""Which errors say that memory ran out; each text is one that torch, onnxruntime, numpy or Linux really gave."""

from __future__ import annotations

import errno
import os

import numpy as np
import pytest
import torch
from storefront.studio.out_of_memory import ran_out

THREAD = "PosixThread(const char*, int, ...) pthread_create failed, error code: 12 error msg: Cannot allocate memory"
ARENA = "bfc_arena.cc:360 AllocateRawInternal Failed to allocate memory for requested buffer of size 26214400"


def raised_by(call) -> BaseException:
    with pytest.raises(BaseException) as caught:  # noqa: PT011, the type is what is asked about
        call()
    return caught.value


@pytest.mark.parametrize(
    "error",
    [
        raised_by(lambda: torch.empty(2**60)),  # DefaultCPUAllocator itself
        raised_by(lambda: np.zeros(2**58)),
        torch.OutOfMemoryError("CUDA out of memory"),
        OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)),
        RuntimeError(THREAD),
        RuntimeError(ARENA),
        RuntimeError("could not create a primitive"),
    ],
    ids=repr,
)
def test_what_says_that_memory_ran_out(error):
    assert ran_out(error)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("another fault"),
        RuntimeError("could not create a primitive descriptor for a matmul"),
        ValueError(ARENA),
        OSError(errno.ENOENT, "none"),
    ],
)
def test_what_does_not(error):
    assert not ran_out(error)
