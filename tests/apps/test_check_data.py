import numpy as np
import pytest
from drawn import draw, write_films
from helpers import SIDE, save
from PIL import Image, ImageEnhance

from multimix.apps.check_data import examine
from multimix.apps.cli import main
from multimix.data.film_set import SPLITS
from multimix.data.films import load_films
from multimix.data.mask_faults import EMPTY, INVERTED, UNUSUAL, mask_faults

MASK = draw(1, 0, SIDE)[1]
SMALL = np.zeros((SIDE, SIDE), dtype=bool)
SMALL[10:14, 10:14] = True


@pytest.fixture
def masked(tmp_path):
    write_films(tmp_path / "lungs", 20, SIDE, masks=True)
    return tmp_path / "lungs"


def test_a_clean_folder_is_fit(masked, capsys):
    findings = examine(masked)
    assert findings.fit
    assert "20 films of 20 patients" in findings.facts[0]
    assert "no split: 20 without class, 20 with mask" in findings.facts
    assert f"sizes: {SIDE} x {SIDE} to {SIDE} x {SIDE}; kinds: 20 L" in findings.facts
    assert main(["doctor", str(masked)]) == 0
    assert "Fit to train on" in capsys.readouterr().out


def test_faults_of_masks(masked, capsys):
    for number, mask in ((1, np.zeros_like(MASK)), (2, ~MASK), (5, SMALL)):
        save(masked / "masks" / f"film{number:03}.png", mask)
    (masked / "masks" / "film003.png").write_text("broken")
    (masked / "masks" / "film004.png").unlink()
    (masked / "images" / "film006.png").write_bytes(b"")
    findings = examine(masked)
    for line in (
        f"masks that {EMPTY}: 1 (images/film001.png)",
        f"masks that {INVERTED}: 1 (images/film002.png)",
    ):
        assert line in findings.faults
    for line in (
        f"masks that {UNUSUAL}: 1 (images/film005.png)",
        "films without a mask, used as unlabelled: 1 (images/film004.png)",
    ):
        assert line in findings.remarks
    for what, name in (("masks that cannot be used", "3"), ("films that cannot be read", "6")):
        (line,) = [line for line in findings.faults if line.startswith(f"{what}: 1 (")]
        assert f"film00{name}.png" in line
    assert main(["doctor", str(masked)]) == 2
    assert "Not fit to train on" in capsys.readouterr().out


def test_mask_faults_of_a_stack():
    masks = np.stack([MASK, ~MASK, SMALL, ~MASK, np.zeros_like(MASK)])
    assert mask_faults(masks, "abcde") == [
        f"masks that {INVERTED}: 2 (b; d)",
        f"masks that {UNUSUAL}: 1 (c)",
        f"masks that {EMPTY}: 1 (e)",
    ]
    assert mask_faults(~masks[[0] * 7], "abcdefg") == [
        f"masks that {INVERTED}: 7 (a; b; c; d; e; ...)"
    ]


def test_borders_are_cut_as_in_training(masked):
    before = [fact for fact in examine(masked).facts if "borders" not in fact]
    for number in range(3):
        for kind in ("images", "masks"):
            path = masked / kind / f"film{number:03}.png"
            save(path, np.pad(np.asarray(Image.open(path)), ((8, 0), (8, 8))))
    facts = [fact for fact in examine(masked).facts if "borders" not in fact]
    assert any("48 x 40" in fact for fact in facts)
    assert [fact for fact in facts if fact not in before] == [facts[3]]  # the sizes alone


def test_duplicates_patients_and_balance(tmp_path):
    films = [draw(seed, seed % 2, 100)[0] for seed in range(12)]
    for i, film in enumerate(films):
        kind = "PNEUMONIA" if i % 2 else "NORMAL"
        save(tmp_path / ("test" if i > 7 else "train") / kind / f"person{i}_a.png", film)
    save(tmp_path / "train" / "NORMAL" / "person0_b.png", films[0])
    brighter = np.asarray(ImageEnhance.Brightness(Image.fromarray(films[2])).enhance(1.1))
    save(tmp_path / "test" / "NORMAL" / "person2_b.png", brighter)
    findings = examine(tmp_path)
    assert findings.fit
    remarks = dict(line.split(": ", 1) for line in findings.remarks)
    same = "train/NORMAL/person0_a.png = train/NORMAL/person0_b.png"
    assert remarks["groups of identical films"] == f"1 ({same})"
    assert (
        "train/NORMAL/person2_a.png ~ test/NORMAL/person2_b.png"
        in remarks["such pairs in two splits"]
    )
    assert remarks["patients in several splits, going by their keys"] == "1 (person2)"
    save(tmp_path / "test" / "PNEUMONIA" / "person0_c.png", films[0])
    faults = "\n".join(examine(tmp_path).faults)
    assert "groups of identical films in several splits: 1 (" in faults
    assert "groups of identical films with several classes: 1 (" in faults


def test_the_splits_to_come_are_those_of_a_training(kaggle, masked):
    for folder, task in ((kaggle, "classification"), (masked, "segmentation")):
        films = getattr(load_films(**{task: folder}, side=SIDE, progress=False), task)
        train, val, test = (films.splits.count(split) for split in SPLITS)
        uses = f"train on {train}, validate on {val}, test on {test} of these films"
        assert f"{task} will {uses}" in examine(folder).facts


def test_one_class_alone_and_no_labels(tmp_path, capsys):
    save(tmp_path / "NORMAL" / "a.png", draw(1)[0])
    assert examine(tmp_path).faults == ["all classes are NORMAL: training the class needs both"]
    save(tmp_path / "films" / "a.png", draw(1)[0])
    faults = examine(tmp_path / "films").faults
    assert faults == ["nothing to train on: no film has a class or a mask"]
    assert main(["doctor", str(tmp_path / "none")]) == 2
    assert str(tmp_path / "none") in capsys.readouterr().err


def test_films_that_cannot_be_read_alone(tmp_path):
    (tmp_path / "a.png").write_text("nonsense")
    findings = examine(tmp_path)
    assert not findings.fit and findings.faults[0].startswith("films that cannot be read: 1 (")


def test_the_real_sets(real):
    findings = examine(real / "chest_xray")
    assert findings.fit and "train: 1341 NORMAL, 3875 PNEUMONIA" in findings.facts
    remarks = "\n".join(findings.remarks)
    assert "groups of identical films: 30 (" in remarks and "two splits" not in remarks
    assert "patients in several splits, going by their keys: 170 (" in remarks
    assert examine(real / "jsrt").fit and examine(real / "montgomery").fit
