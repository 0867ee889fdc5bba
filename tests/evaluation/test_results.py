import csv
import json

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from multimix.evaluation.evaluator import evaluate
from multimix.evaluation.figures import plot_classes
from multimix.evaluation.results import as_table, write_results


@pytest.fixture
def results(model, films):
    return evaluate(model, films, "all")


def test_written_as_json_and_csv(results, tmp_path):
    write_results(results, tmp_path / "a" / "found.json", command="here")
    content = json.loads((tmp_path / "a" / "found.json").read_text())
    assert content["command"] == "here"
    assert content["films"] == results.rows
    assert content["metrics"]["dice"]["value"] == results["dice"]
    with open(tmp_path / "a" / "found.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 80
    assert float(rows[79]["dice"]) == results.rows[79]["dice"]
    write_results(results, tmp_path / "a" / "found.json")  # our own files may be replaced


OTHERS = (
    *(("found.json", content) for content in ('{"mine": 1}', "[]", "no json")),
    *(("found.csv", "task,film,patient,split,use\n"), ("found.txt", "")),
)


@pytest.mark.parametrize(("name", "content"), OTHERS)
def test_files_of_others_are_not_overwritten(results, tmp_path, name, content):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(ValueError, match=f"{name} .* give (another|a) name"):
        write_results(results, path if name == "found.txt" else tmp_path / "found.json")
    assert path.read_text() == content and len(list(tmp_path.iterdir())) == 1


def test_the_numbers_of_predict_come_first_and_raw_ones_are_named(model, films):
    model.info.calibration = {"temperature": 0.5, "operating_point": 0.6}
    model.encoder.fc.weight.data *= 20  # so that it is sure of some films
    results = evaluate(model, films, "all")
    names = [line.split()[0] for line in repr(results).splitlines()[1:]]
    assert names[:3] == [f"calibrated_{n}" for n in ("sensitivity", "specificity", "accuracy")]
    assert "raw_accuracy" in names and "raw_f1_normal" in names and "accuracy" not in names
    assert "raw_accuracy" in as_table(results)
    rows = [row for row in results.rows if row.get("label") == "PNEUMONIA"]
    called = sum(row["probability"] >= 0.5 for row in rows) / len(rows)
    assert results["calibrated_sensitivity"] == called
    axis, *_ = plot_classes(pd.DataFrame(results.rows[:40]), results["auc"]).axes
    plt.close("all")
    assert axis.texts[3].get_text().endswith(f"{called:.1%}")
