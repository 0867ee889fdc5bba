import pytest

from multimix.evaluation.results import Results, as_dict, as_table
from multimix.evaluation.subgroups import groups_of, subgroups

PROBABILITIES = (0.1, 0.8, 0.4, 0.9, 0.2, 0.3, 0.7, 0.6)


def rows() -> list[dict]:
    """Eight films: NORMAL and PNEUMONIA by turns, a patient each."""
    found = []
    for i, probability in enumerate(PROBABILITIES):
        label = ("NORMAL", "PNEUMONIA")[i % 2]
        film = {"task": "classification", "film": f"set/images/{i}.png", "patient": f"p{i}"}
        found.append({**film, "label": label, "probability": probability})
    return found


def table(path, lines):
    path.write_text("\n".join(lines) + "\n")
    return path


def test_each_group_is_measured_by_itself(tmp_path):
    lines = ["Image,View,age"] + [f"old\\{i}.png,{'AP' if i < 4 else 'PA'},{i}" for i in range(7)]
    found = subgroups(rows(), table(tmp_path / "films.csv", lines), ["view", "age"])
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
    assert "view AP" in as_table(results) and "1.000 to 1.000" in as_table(results)
    assert as_dict(results)["subgroups"] == found


def test_numbers_of_many_values_are_cut_into_bands():
    ages = [str(age) for age in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)]
    assert groups_of([*ages, ""]) == {
        "1 to 3": [0, 1, 2],
        "4 to 6": [3, 4, 5],
        "7 to 9": [6, 7, 8],
        "10 to 12": [9, 10, 11],
        "not known": [12],
    }
    assert list(groups_of(["b", "a", "b"])) == ["a", "b"]
    assert len(groups_of([f"site {i}" for i in range(9)])) == 9  # these are no numbers


@pytest.mark.parametrize(
    ("lines", "columns", "words"),
    (
        (["path,age", "0.png,3"], ["sex"], "films.csv has no column 'sex'; it has path, age."),
        (["path,age", "0.png,3"], [], "films.csv was given without a column; it has path, age."),
        (["film number,age", "0.png,3"], ["age"], "has no column of film names; call it 'path'"),
        (["path,age", "z.png,3"], ["age"], "None of the 8 films is in .*, whose first is z.png"),
    ),
)
def test_what_does_not_fit_is_one_sentence(tmp_path, lines, columns, words):
    with pytest.raises(ValueError, match=words):
        subgroups(rows(), table(tmp_path / "films.csv", lines), columns)
    with pytest.raises(ValueError, match="Subgroups are of classes, and none were measured"):
        subgroups([], tmp_path / "films.csv", columns)
