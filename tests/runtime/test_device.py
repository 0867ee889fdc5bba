import pytest
import torch
from torch import nn

from multimix.runtime import device
from multimix.runtime.device import choose_device, memory_in_words, micro_batch_size, to_device


def test_devices():
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device("auto").type in ("cpu", "cuda", "mps")
    with pytest.raises(ValueError, match="There is no device 'tpu' here; choose auto"):
        choose_device("tpu")


@pytest.mark.parametrize("flag, precision", (("amx_bf16", "bfloat16"), ("avx2", "float32")))
def test_the_precision_follows_the_processor(tmp_path, monkeypatch, flag, precision):
    (tmp_path / "cpuinfo").write_text(f"flags : fpu {flag} sse")
    monkeypatch.setattr(device, "Path", lambda name: tmp_path / "cpuinfo")
    assert device.best_precision(torch.device("cpu")) == precision


def test_a_pass_takes_what_the_cache_of_a_cpu_holds():
    cpu, layer = torch.device("cpu"), nn.Conv2d(3, 4, 3)
    assert [micro_batch_size(cpu, side) for side in (64, 128, 256, 1024)] == [16, 8, 2, 1]
    assert micro_batch_size(torch.device("cuda"), 256) == 64
    to_device(layer, cpu)
    assert layer.weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    "error",
    (
        MemoryError(),
        torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
    ),
)
def test_too_little_memory_is_a_sentence(error):
    with (
        pytest.raises(ValueError, match=r"too little memory; .*--micro-batch 1"),
        memory_in_words(),
    ):
        raise error
    with pytest.raises(RuntimeError, match="shapes differ"), memory_in_words():
        raise RuntimeError("shapes differ")  # other faults stay as they are
