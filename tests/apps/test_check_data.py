import numpy as np
from helpers import SIDE, save
from PIL import Image, ImageEnhance

from multimix.apps.check_data import examine
from multimix.apps.cli import main
from multimix.data import phantom
from multimix.data.film_set import SPLITS
from multimix.data.films import load_films
from multimix.images.quality import looks_inverted


def joined(lines: list[str]) -> str:
    return "\n".join(lines)


def test_a_clean_folder_is_fit(masked, capsys):
    findings = examine(masked)
    assert findings.fit and not findings.remarks
    assert findings.facts[0] == "layout: images_and_masks, 20 films of 20 patients"
    assert "no split: 20 without class, 20 with mask" in findings.facts
    assert f"sizes: {SIDE} x {SIDE} to {SIDE} x {SIDE}; kinds: 20 L" in findings.facts
    assert main(["doctor", str(masked)]) == 0
    assert "Fit to train on." in capsys.readouterr().out


def test_faults_of_masks(masked, capsys):
    mask = np.asarray(phantom.draw(1, 0, SIDE)[1])
    save(masked / "masks" / "film01.png", np.zeros((SIDE, SIDE), dtype=np.uint8))
    save(masked / "masks" / "film02.png", np.where(mask, 0, 255).astype(np.uint8))
    (masked / "masks" / "film03.png").write_text("broken")
    (masked / "masks" / "film04.png").unlink()
    small = np.zeros((SIDE, SIDE), dtype=np.uint8)
    small[10:14, 10:14] = 255
    save(masked / "masks" / "film05.png", small)
    (masked / "images" / "film06.png").write_bytes(b"")
    findings = examine(masked)
    assert "film01.png has an empty mask" in joined(findings.faults)
    assert "film02.png has a mask that is lung at the film's border" in joined(findings.faults)
    assert "film03.png is not a picture" in joined(findings.faults)
    assert "1 cannot be read: " in joined(findings.faults)
    assert "film06.png is empty" in joined(findings.faults)
    assert "1 have no mask and will be unlabelled: images/film04.png" in findings.remarks
    assert "1 have a mask outside 8% to 60% of the film: images/film05.png" in findings.remarks
    assert main(["doctor", str(masked)]) == 2
    assert "Not fit to train on" in capsys.readouterr().out


def test_a_fault_of_values_names_its_film(masked):
    (masked / "images" / "film07.png").unlink()
    save(masked / "images" / "film07.tif", np.full((SIDE, SIDE), np.nan, dtype=np.float32))
    faults = joined(examine(masked).faults)
    assert "images/film07.tif: The film has values that are not numbers" in faults


def test_duplicates_patients_and_balance(tmp_path):
    films = [phantom.draw(seed, seed % 2, 100)[0] for seed in range(12)]
    for i, film in enumerate(films):
        kind = "PNEUMONIA" if i % 2 else "NORMAL"
        save(tmp_path / ("test" if i > 7 else "train") / kind / f"person{i}_a.png", film)
    assert examine(tmp_path).fit and not examine(tmp_path).remarks
    save(tmp_path / "train" / "NORMAL" / "person0_b.png", films[0])
    near = Image.fromarray(films[2]).resize((90, 110))
    brighter = np.asarray(ImageEnhance.Brightness(near).enhance(1.1))
    save(tmp_path / "test" / "NORMAL" / "person2_b.png", brighter)
    findings = examine(tmp_path)
    assert findings.fit
    assert "class balance: 43% PNEUMONIA" in findings.facts
    assert (
        "1 groups of films have identical pixels: train/NORMAL/person0_a.png = "
        "train/NORMAL/person0_b.png" in findings.remarks
    )
    pair = "train/NORMAL/person2_a.png ~ test/NORMAL/person2_b.png"
    assert f"1 pairs look the same without being identical: {pair}" in findings.remarks
    assert f"1 of these pairs lie in two splits: {pair}" in findings.remarks
    assert "1 patients are in more than one split, going by their keys: person2" in findings.remarks
    save(tmp_path / "test" / "PNEUMONIA" / "person0_c.png", films[0])
    faults = joined(examine(tmp_path).faults)
    assert "1 groups of identical films lie in several splits: " in faults
    assert "1 groups of identical films have different classes: " in faults


def test_what_is_left_out_stands_right_above_the_verdict(tmp_path):
    for i in range(9):
        name = ("NORMAL", "PNEUMONIA", "COVID")[i % 3]
        save(tmp_path / name / f"{i}.png", phantom.draw(i, i % 2, 100)[0])
    *_, left_out, verdict = str(examine(tmp_path)).splitlines()
    assert left_out.startswith("? ") and "COVID (3)" in left_out
    assert verdict == "Fit to train on; look at what is marked with ? first."


def test_the_splits_to_come_are_those_of_a_training(kaggle, masked):
    for folder, task in ((kaggle, "classification"), (masked, "segmentation")):
        films = getattr(load_films(**{task: folder}, side=SIDE, progress=False), task)
        train, val, test = (films.splits.count(split) for split in SPLITS)
        uses = f"train on {train}, validate on {val}, test on {test} of these films"
        assert f"{task} will {uses}" in examine(folder).facts


def test_one_class_alone_and_no_answers(tmp_path, capsys):
    save(tmp_path / "NORMAL" / "a.png", phantom.draw(1)[0])
    assert examine(tmp_path).faults == [
        "all classes are NORMAL: both are needed to train the class"
    ]
    findings = examine(tmp_path / "NORMAL")
    assert "can serve as unlabelled films alone" in joined(findings.remarks)
    assert joined(findings.faults).startswith("nothing to train on: give films with classes")
    assert main(["doctor", str(tmp_path / "none")]) == 2
    assert "There is no folder" in capsys.readouterr().err


def test_inverted_films_are_noticed(masked):
    films = [phantom.draw(seed, seed % 2, 128)[0] for seed in range(100, 130)]
    assert not any(looks_inverted(film) for film in films)
    assert all(looks_inverted(255 - film) for film in films)
    save(masked / "images" / "film01.png", 255 - phantom.draw(1, 0, SIDE)[0])
    save(masked / "images" / "film02.png", np.rot90(phantom.draw(2, 0, SIDE)[0], 2))
    remarks = examine(masked).remarks
    assert "1 may be inverted (air bright): images/film01.png" in remarks
    assert "1 may be upside down or on their side: images/film02.png" in remarks
    assert not looks_inverted(np.full((50, 50), 100, dtype=np.uint8))


def test_the_real_sets(real):
    findings = examine(real / "chest_xray")
    assert findings.fit and "train: 1341 NORMAL, 3875 PNEUMONIA" in findings.facts
    remarks = joined(findings.remarks)
    assert "30 groups of films have identical pixels" in remarks
    assert "170 patients are in more than one split" in remarks
    assert "lie in two splits" not in remarks
    assert (
        "2 may be inverted" in remarks
    )  # of 5,856, by the picture alone: see benchmarks/inversion.py
    assert examine(real / "jsrt").fit and examine(real / "montgomery").fit
