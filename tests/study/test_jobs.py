"""The grid, and when a run counts as done."""

import json
import shlex

import pytest
from study_helpers import PHANTOMS, SMALL, run_here, small

from multimix.apps.cli import main
from multimix.apps.options import parser
from multimix.recipes import SYSTEMS
from multimix.study.jobs import grid, read_measured
from multimix.study.results import collect


def test_a_grid_has_every_cell_once():
    jobs = grid(list(SYSTEMS), [100, 1000, None], [10, None], 2, "paper", PHANTOMS)
    names = [job.name for job in jobs]
    cells = 2 + 2 * 3 + 5 * 6  # unet; enc, enc_ssl; the others
    assert len(names) == len(set(names)) == 2 * cells
    assert {"unet-none-10-seed0", "enc-100-none-seed1", "multimix-all-all-seed0"} <= set(names)
    assert all(job.config.steps == jobs[0].config.steps for job in jobs)
    enc = next(job for job in jobs if job.system == "enc")
    assert enc.folders("test") == (("phantom://20",), ())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--systems", "unet,resnet"], "There is no system 'resnet'; choose one of unet, enc"),
        (["--seeds", "0"], "0 seeds are asked for; 1 or more are needed"),
        (
            ["--class-labels", "100,many"],
            "'many' is not a number of labels; write a number, or all",
        ),
    ],
)
def test_bad_grids(tmp_path, capsys, options, message):
    command = ["sweep", "--quick", "--out", str(tmp_path), *options]
    try:
        assert main(command) == 2
    except SystemExit as refused:  # by argparse
        assert refused.code == 2
    assert message in capsys.readouterr().err and not any(tmp_path.iterdir())


def test_the_help_names_the_systems(capsys):
    with pytest.raises(SystemExit):
        parser().parse_args(["sweep", "--help"])
    assert "umtl_ssl_s" in capsys.readouterr().out


def test_a_run_is_what_its_command_says(tmp_path):
    job = small(["umtl"], 2, widths=(16, 32, 64, 128, 256))[1]
    assert run_here([job], tmp_path / "a") == []
    command = json.loads((tmp_path / "a" / job.name / "test.json").read_text())["command"]
    assert command == job.command(tmp_path / "a")
    words = shlex.split(command)[3:]
    assert main([*words[:-1], str(tmp_path / "b")]) == 0
    logs = []
    for folder in (tmp_path / "a" / job.name, tmp_path / "b"):
        lines = (folder / "log.csv").read_text().splitlines()
        logs.append([line.rpartition(",")[0] for line in lines])  # without the time
    assert logs[0] == logs[1]


def test_a_shorter_sweep_does_not_pass_off_a_longer_training(tmp_path):
    assert run_here(small(["unet"], 1, steps=4), tmp_path) == []
    (fault,) = run_here(small(["unet"], 1, steps=2), tmp_path)
    assert "steps (4 then, 2 now)" in fault
    assert run_here(small(["unet"], 1, steps=5), tmp_path) == []  # but it may be made longer


def test_runs_of_earlier_versions_count_as_done(tmp_path):
    (job,) = small(["enc"], 1)
    assert run_here([job], tmp_path) == []
    paths = [tmp_path / job.name / f"{domain}.json" for domain in job.domains]
    before = [read_measured(path) for path in paths]
    for path in paths:
        content = json.loads(path.read_text())
        spec = content.pop("spec")
        spec["config"]["films_at_once"] = spec["config"].pop("micro_batch")
        metrics = {}
        for name, value in content["metrics"].items():
            metrics[name.replace("calibrated_", "tuned_")] = value
        assert "tuned_accuracy" in metrics
        path.write_text(json.dumps({**content, "asked": spec, "metrics": metrics}))
    assert job.done(tmp_path) and [read_measured(path) for path in paths] == before
    (found,) = collect([job], tmp_path)
    assert found.job.spec() == job.spec() and "calibrated_accuracy" in found.metrics["cross"]


def test_another_job_is_not_done(tmp_path):
    (job,) = small(["unet"], 1)
    assert run_here([job], tmp_path) == [] and job.done(tmp_path)
    assert not small(["unet"], 1, learning_rate=1e-3)[0].done(tmp_path)
    elsewhere = grid(["unet"], [4], [2], 1, "paper", type(PHANTOMS)(), **SMALL)[0]
    assert elsewhere.name == job.name and not elsewhere.done(tmp_path)
    path = tmp_path / job.name / "test.json"
    for content in ("[]", "{}", '{"spec": 3}', '{"spec": {"config": {"colour": 1}}}', "3", "{"):
        path.write_text(content)
        assert read_measured(path) is None and not job.done(tmp_path)
