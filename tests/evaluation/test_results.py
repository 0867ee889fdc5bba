import json
import re

import pandas as pd
import pytest

from multimix.evaluation.evaluator import evaluate
from multimix.evaluation.results import Results, as_table, groups_of, subgroups, write_results
from multimix.model import CLASSES


@pytest.fixture
def results(model, films):
    return evaluate(model, films, "all")


def test_written_as_json_and_csv(results, tmp_path):
    write_results(results, tmp_path / "a" / "found.json", command="here")
    content = json.loads((tmp_path / "a" / "found.json").read_text())
    assert content["command"] == "here"
    assert content["films"] == results.rows
    assert content["metrics"]["dice"]["value"] == results["dice"]
    table = pd.read_csv(tmp_path / "a" / "found.csv")
    assert len(table) == 80 and table["dice"][79] == pytest.approx(results.rows[79]["dice"])
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


# Eight films: NORMAL and PNEUMONIA by turns, a patient each.
ROWS = [
    {"film": f"set/images/{i}.png", "patient": f"p{i}", "label": CLASSES[i % 2], "probability": p}
    | {"task": "classification"}
    for i, p in enumerate((0.1, 0.8, 0.4, 0.9, 0.2, 0.3, 0.7, 0.6))
]


def test_each_group_is_measured_by_itself(tmp_path):
    lines = ["Image,View,age"] + [f"old\\{i}.png,{'AP' if i < 4 else 'PA'},{i}" for i in range(7)]
    (tmp_path / "films.csv").write_text("\n".join(lines))
    found = subgroups(ROWS, tmp_path / "films.csv", ["view", "age"])
    assert [(row["group"], row["films"]) for row in found] == [
        *(("AP", 4), ("PA", 3), ("not known", 1)),
        *((str(age), 1) for age in range(7)),
        ("not known", 1),
    ]
    ap, pa, unknown = found[:3]
    assert ap["auc"] == 1 and ap["balanced_accuracy"] == 1 and ap["auc_interval"] == (1, 1)
    assert pa["auc"] == 1 / 2 and pa["sensitivity"] == 0 and pa["specificity"] == 1 / 2
    assert "auc" not in unknown and unknown["sensitivity"] == 1
    results = Results()
    results.subgroups = found
    assert re.search("view +AP +4 +1.000 .* 1.000 to 1.000", as_table(results))


def test_numbers_of_many_values_are_cut_into_bands():
    bands = [band for band in ("1 to 3", "4 to 6", "7 to 9", "10 to 12") for _ in range(3)]
    assert groups_of(pd.Series([*map(str, range(1, 13)), ""])).tolist() == [*bands, "not known"]
    found = groups_of(pd.Series(["b", "", "a", "b"])).items()
    assert [*found] == [(2, "a"), (0, "b"), (3, "b"), (1, "not known")]
    assert groups_of(pd.Series(["10", "9"])).tolist() == ["9", "10"]
    assert groups_of(pd.Series([f"site {i}" for i in range(9)])).nunique() == 9  # no numbers


@pytest.mark.parametrize(
    ("lines", "columns", "words"),
    (
        (["path,age", "0.png,3"], ["sex"], "films.csv has no column 'sex'; it has path, age."),
        (["path,age", "0.png,3"], [], "films.csv: name one of its columns: path, age."),
        (["film number,age", "0.png,3"], ["age"], "has no column 'path'; it has filmnumber, age."),
        (["path,age", "z.png,3"], ["age"], "None of the 8 films is in .*; its first is z.png"),
    ),
)
def test_what_does_not_fit_is_one_sentence(tmp_path, lines, columns, words):
    (tmp_path / "films.csv").write_text("\n".join(lines))
    with pytest.raises(ValueError, match=words):
        subgroups(ROWS, tmp_path / "films.csv", columns)
    with pytest.raises(ValueError, match="Subgroups need measured classes"):
        subgroups([], tmp_path / "films.csv", columns)
