import csv
import json

import pytest

from multimix.evaluation.evaluator import evaluate
from multimix.evaluation.results import as_dict, as_table, write_results


@pytest.fixture
def results(model, films):
    return evaluate(model, films, "all")


def test_written_as_json_and_csv(results, tmp_path):
    write_results(results, tmp_path / "a" / "found.json", command="here")
    content = json.loads((tmp_path / "a" / "found.json").read_text())
    assert content["command"] == "here"
    assert content["films"] == as_dict(results)["films"]
    assert content["metrics"]["dice"]["value"] == results["dice"]
    with open(tmp_path / "a" / "found.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 80
    assert float(rows[79]["dice"]) == results.rows[79]["dice"]
    with pytest.raises(ValueError, match=r"give a name that ends in \.json"):
        write_results(results, tmp_path / "found.csv")


def test_the_impossible_is_not_shown(results):
    results["jaccard"] = results["dice"] + 0.1
    for show in (as_table, as_dict):
        with pytest.raises(ValueError, match="is impossible"):
            show(results)
