"""What classes are called, and what is suggested."""

import pytest

from multimix.data.class_names import labels_of, option_for


def test_names_are_compared_without_case_and_form():
    labels = labels_of({"Pneumonie\u0301": "pneumonia", "Gesund ": "NORMAL"})
    assert labels == {"normal": 0, "pneumonia": 1, "pneumoni\u00e9": 1, "gesund": 0}
    assert labels_of(None) == labels_of({}) == {"normal": 0, "pneumonia": 1}


@pytest.mark.parametrize(
    "names, option",
    (
        (["1", "0"], "normal=0,pneumonia=1"),
        (["sick", "healthy"], "normal=healthy,pneumonia=sick"),
        (["abnormal", "normal_cxr"], "normal=normal_cxr,pneumonia=abnormal"),
        (["No Finding", "virus", "bacteria"], "normal=No Finding,pneumonia=bacteria|virus"),
        (["non-pneumonia", "Pneumonia-CAP"], "normal=non-pneumonia,pneumonia=Pneumonia-CAP"),
        (["x" * 100], "pneumonia=NAME"),
        (["Corona Virus Disease", "Viral Pneumonia"], "pneumonia=Viral Pneumonia"),
    ),
)
def test_what_is_suggested(names, option):
    assert option_for(names) == f'--classes "{option}"'


def test_where_normal_is_known_nothing_else_is_suggested_for_it():
    assert option_for(["COVID", "TB"], pneumonia_alone=True) == '--classes "pneumonia=COVID"'
