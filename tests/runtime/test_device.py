import pytest
import torch
from torch import nn

from multimix.runtime import device
from multimix.runtime.device import choose_device, compile_parts, micro_batch_size, to_device


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


def test_a_cpu_has_its_memory_laid_out_for_convolutions():
    layer = nn.Conv2d(3, 4, 3)
    to_device(layer, torch.device("cpu"))
    assert layer.weight.is_contiguous(memory_format=torch.channels_last)


def test_a_pass_takes_what_the_cache_of_a_cpu_holds():
    cpu = torch.device("cpu")
    assert [micro_batch_size(cpu, side) for side in (64, 128, 256, 1024)] == [16, 8, 2, 1]
    assert micro_batch_size(torch.device("cuda"), 256) == 64


def test_where_nothing_can_be_compiled_the_reason_comes_back(monkeypatch):
    def broken(*_):
        raise RuntimeError("no compiler\nat all")

    monkeypatch.setattr(torch, "compile", broken)
    assert compile_parts(nn.Linear(1, 1)) == "no compiler"
