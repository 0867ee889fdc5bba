"""Devices, and two processes under torchrun against one: the same training."""

import os
import subprocess
import sys
from itertools import chain

import pytest
import torch
from helpers import ROOT, read_log
from torch import nn

from multimix.apps.cli import main
from multimix.runtime import device
from multimix.runtime.checkpoint import read_checkpoint
from multimix.runtime.device import World, choose_device, micro_batch_size, to_device


def test_devices():
    cpu, layer = choose_device("cpu"), nn.Conv2d(3, 4, 3)
    assert choose_device("auto").type in ("cpu", "cuda", "mps")
    with pytest.raises(ValueError, match="There is no device 'tpu' here; choose auto"):
        choose_device("tpu")
    assert [micro_batch_size(cpu, side) for side in (64, 128, 256, 1024)] == [16, 8, 2, 1]
    assert micro_batch_size(torch.device("cuda"), 256) == 64
    to_device(layer, cpu)
    assert layer.weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("flag, precision", (("amx_bf16", "bfloat16"), ("avx2", "float32")))
def test_the_precision_follows_the_processor(tmp_path, monkeypatch, flag, precision):
    (tmp_path / "cpuinfo").write_text(f"flags : fpu {flag} sse")
    monkeypatch.setattr(device, "Path", lambda name: tmp_path / "cpuinfo")
    assert device.best_precision(torch.device("cpu")) == precision


def test_shares_are_whole():
    for count in (1, 2, 3, 7):
        for total in (0, 1, 5, 10, 23):
            parts = [list(World(rank, count).share(total)) for rank in range(count)]
            assert list(chain(*parts)) == list(range(total))
            assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_two_processes_train_what_one_trains(tmp_path, sets, capsys):
    # Slices of one film, so that dropout, too, is drawn film by film. One step: Adam magnifies what
    # rounding does.
    words = ["train", *sets, "--recipe=improved", "--batch=4", "--steps=1"]
    words += ["--validate-every=1", "--films-at-once=1", "--unlabelled-from=0"]
    words += ["--side=48", "--sides=32,48", "--class-sides=32,48", "--precision=float32"]
    assert main([*words, f"--out={tmp_path}/one"]) == 0
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command = [*torchrun, "-m", "multimix", *words, f"--out={tmp_path}/two"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    printed = subprocess.check_output(command, env=environment, text=True, timeout=300)
    assert printed.replace("/two", "/one") == capsys.readouterr().out  # one process speaks
    one, two = (read_checkpoint(tmp_path / name / "last.pth") for name in ("one", "two"))
    states = (content["training"]["optimizer"]["state"].values() for content in (one, two))
    for first, second in zip(*states):  # exp_avg is a tenth of the gradient
        assert torch.allclose(first["exp_avg"], second["exp_avg"], rtol=1e-3, atol=1e-6)
    assert one["validation"] == pytest.approx(two["validation"], abs=1e-3)
    (first,), (second,) = (read_log(tmp_path / name) for name in ("one", "two"))
    assert first.keys() == second.keys()
    for name in ("total", "classification", "pseudo_label", "kept", "dice", "mask_consistency"):
        assert float(first[name]) == pytest.approx(float(second[name]), rel=1e-4)
