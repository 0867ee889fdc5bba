import tracemalloc

import numpy as np
import pandas as pd
from drawn import draw
from helpers import SIDE, save
from PIL import Image, ImageEnhance

from multimix.apps.check_data import examine, look_alikes
from multimix.apps.cli import main
from multimix.data.training_films import EMPTY, INVERTED, UNUSUAL, mask_faults

MASK = draw(1, 0, SIDE)[1]
SMALL = np.zeros((SIDE, SIDE), dtype=bool)
SMALL[10:14, 10:14] = True


def test_a_clean_folder_is_fit_and_faults_of_films_and_masks_are_named(masked, capsys):
    assert main(["doctor", str(masked)]) == 0
    printed = capsys.readouterr().out
    assert "20 films of 20 patients\n  no split: 20 without class, 20 with mask\n" in printed
    assert f"  sizes: {SIDE} x {SIDE} to {SIDE} x {SIDE}\n" in printed
    assert "\nFit to train on" in printed
    for number, mask in ((1, np.zeros_like(MASK)), (2, ~MASK), (5, SMALL)):
        save(masked / "masks" / f"film{number:02}.png", mask)
    (masked / "masks" / "film03.png").write_text("broken")
    (masked / "masks" / "film04.png").unlink()
    (masked / "images" / "film06.png").write_bytes(b"")
    save(masked / "images" / "film07.png", 255 - draw(7, 0, SIDE)[0])
    assert main(["doctor", str(masked)]) == 2
    printed = capsys.readouterr().out
    for line in (
        f"x masks that {EMPTY}: 1 (images/film01.png)",
        f"x masks that {INVERTED}: 1 (images/film02.png)",
        f"? masks that {UNUSUAL}: 1 (images/film05.png)",
        "? films without a mask, used as unlabelled: 1 (images/film04.png)",
        "? films that may be inverted (air bright): 1 (images/film07.png)",
        f"x masks that cannot be used: 1 ({masked / 'masks' / 'film03.png'}",
        f"x films that cannot be read: 1 ({masked / 'images' / 'film06.png'}",
        "Not fit to train on",
    ):
        assert line in printed


def test_mask_faults_of_a_stack():
    masks = np.stack([MASK, ~MASK, SMALL, ~MASK, np.zeros_like(MASK)])
    assert mask_faults(masks, "abcde") == [
        f"masks that {INVERTED}: 2 (b; d)",
        f"masks that {UNUSUAL}: 1 (c)",
        f"masks that {EMPTY}: 1 (e)",
    ]
    (fault,) = mask_faults(~masks[[0] * 7], "abcdefg")
    assert fault == f"masks that {INVERTED}: 7 (a; b; c; d; e; ...)"


def test_borders_are_cut_as_in_training(masked):
    before = examine(masked)
    for number in range(3):
        for kind in ("images", "masks"):
            path = masked / kind / f"film{number:02}.png"
            save(path, np.pad(np.asarray(Image.open(path)), ((8, 0), (8, 8))))
    after = examine(masked)
    assert after.remarks == before.remarks and after.faults == before.faults
    (sizes,) = set(after.facts) - set(before.facts)
    assert "48 x 40" in sizes


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
    same = "train/NORMAL/person0_a.png = train/NORMAL/person0_b.png"
    assert f"groups of identical films: 1 ({same})" in findings.remarks
    alike = "train/NORMAL/person2_a.png ~ test/NORMAL/person2_b.png"
    assert any("one in another split" in line and alike in line for line in findings.remarks)
    assert "patients in several splits: 1 (person2)" in findings.remarks
    save(tmp_path / "test" / "PNEUMONIA" / "person0_c.png", films[0])
    faults = "\n".join(examine(tmp_path).faults)
    assert "groups of identical films in several splits: 1 (" in faults
    assert "groups of identical films with several classes: 1 (" in faults


def pairs_of(hashes: np.ndarray, digests: object) -> list[tuple[str, str]]:
    """Pairs of films with these hashes (N, 255) of 1 and -1, by turns for training and testing."""
    films = pd.DataFrame({"digest": digests, "hash": list(hashes.astype(np.float32))})
    films["name"], films["split"] = films.index.astype(str), films.index % 2
    return [(what.split()[-1], pair) for _, what, pair in look_alikes(films)]


def test_films_look_alike_where_at_most_24_of_255_bits_differ():
    rng = np.random.default_rng(0)
    groups = rng.choice([-1, 1], (300, 255))
    hashes = groups[rng.integers(0, 300, 1200)] * rng.choice([-1, 1], (1200, 255), p=[0.05, 0.95])
    digests = rng.integers(0, 600, 1200)
    expected = []
    for i in range(1200):
        near = i + 1 + np.flatnonzero((hashes[i] != hashes[i + 1 :]).sum(axis=1) <= 24)
        near = near[digests[near] != digests[i]]
        for what, pairs in (("another", near), ("split", near[(near - i) % 2 == 1])):
            expected += [(what, f"{i} ~ {pairs[0]}")] if len(pairs) else []
    assert len(expected) > 1000 and sorted(pairs_of(hashes, digests)) == sorted(expected)
    tracemalloc.start()  # thousands of films that all look alike fit in memory
    assert len(pairs_of(np.ones((4000, 255)), range(4000))) == 2 * 3999
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**26


def test_one_class_alone_no_labels_and_nothing_readable(tmp_path):
    save(tmp_path / "NORMAL" / "a.png", draw(1)[0])
    (fault,) = examine(tmp_path).faults
    assert "there is no PNEUMONIA film; give folders" in fault
    save(tmp_path / "films" / "a.png", draw(1)[0])
    faults = examine(tmp_path / "films").faults
    assert faults == ["nothing to train on: no film has a class or a mask"]
    (tmp_path / "films" / "a.png").write_text("nonsense")
    (fault,) = examine(tmp_path / "films").faults
    assert fault.startswith("films that cannot be read: 1 (")


def test_the_real_sets(real):
    findings = examine(real / "chest_xray" / "test")
    assert findings.fit and "no split: 234 NORMAL, 390 PNEUMONIA" in findings.facts
    assert "groups of identical films: 6 (" in "\n".join(findings.remarks)
    assert examine(real / "jsrt").fit and examine(real / "montgomery").fit
