from helpers import SIDE, save
import numpy as np
import pytest
import torch
from PIL import Image

from multimix.data import phantom
from multimix.data.dataset_layouts import patient_of
from multimix.data.films import load_films
from multimix.images.reading import read_film, resize


def test_kaggle_layout(kaggle):
    films = load_films(kaggle, side=SIDE, progress=False).classification
    assert (
        len(films) == 56
        and films.pixels.shape == (56, SIDE, SIDE)
        and films.pixels.dtype == torch.uint8
    )
    assert films.split("test").targets.tolist() == [0] * 4 + [1] * 4
    assert films.splits.count("val") == 4  # one patient of two films in each class
    assert sorted(films.split("val").targets.tolist()) == [0, 0, 1, 1]
    assert films.names[0] == "chest_xray/train/NORMAL/IM-0000-0000.jpeg"
    assert films.labelled.all() and films.counts() == "44 train, 4 val, 8 test"


def test_validation_shares_no_patient_with_training(kaggle):
    films = load_films(kaggle, side=SIDE, progress=False).classification
    assert not set(films.split("train").patients) & set(films.split("val").patients)
    other = load_films(kaggle, side=SIDE, seed=1, progress=False).classification
    assert set(films.split("val").patients) != set(other.split("val").patients)


def test_a_small_validation_folder_is_filled_up_and_keeps_its_patients_together(kaggle):
    save(kaggle / "val" / "NORMAL" / "IM-0003-0099.jpeg", phantom.draw(5, 0, SIDE)[0])
    films = load_films(kaggle, side=SIDE, progress=False).classification
    by_patient = {}
    for patient, split in zip(films.patients, films.splits):
        by_patient.setdefault(patient, set()).add(split)
    assert by_patient["chest_xray/IM-0003"] == {
        "val"
    }  # the two training films of this child moved along
    assert films.splits.count("val") >= 5


@pytest.mark.parametrize(
    "stem, patient",
    (
        ("person12_bacteria_46", "person12"),
        ("person12_virus_9", "person12"),
        ("IM-0115-0001-0002", "IM-0115"),
        ("NORMAL2-IM-1427-0001", "NORMAL2-IM-1427"),
        ("film7", "film7"),
    ),
)
def test_patients_from_file_names(stem, patient):
    assert patient_of(stem) == patient


def test_images_and_masks(masked):
    films = load_films(segmentation=masked, side=SIDE, progress=False).segmentation
    assert films.targets.shape == (20, SIDE, SIDE) and films.targets.dtype == torch.bool
    film, mask = phantom.draw(7, 0, SIDE)
    assert np.array_equal(films.pixels[7], film) and np.array_equal(films.targets[7], mask)
    assert films.counts() == "17 train, 1 val, 2 test"


def test_a_film_without_mask_is_unlabelled(masked):
    (masked / "masks" / "film03.png").unlink()
    films = load_films(segmentation=masked, side=SIDE, progress=False).segmentation
    assert films.labelled.tolist() == [i != 3 for i in range(20)]


def test_jsrt_films_are_split_by_their_number(masked):
    for kind in ("images", "masks"):
        for i, path in enumerate(sorted((masked / kind).iterdir())):
            path.rename(path.with_name(f"JPC{'LN'[i % 2]}N{i // 2 + 1:03d}.png"))
    films = load_films(segmentation=masked, side=SIDE, progress=False).segmentation
    for name, split in zip(films.names, films.splits):
        assert (split == "test") == (int(name[-7:-4]) % 2 == 0)


def test_several_folders_join(kaggle, masked):
    films = load_films([kaggle, "phantom://20"], [masked, "phantom://20"], SIDE, progress=False)
    assert len(films.classification) == 76 and len(films.segmentation) == 40
    assert films.classification.names[-1] == "phantom-19"
    assert load_films(side=SIDE).classification is None


def test_phantoms(films):
    assert films.classification.counts() == films.segmentation.counts() == "32 train, 4 val, 4 test"
    assert films.classification.targets.tolist() == [0, 1] * 20
    assert np.array_equal(films.classification.pixels[1], phantom.draw(1, 1, SIDE)[0])
    assert not set(films.classification.names) & set(films.segmentation.names)
    assert 0.1 < films.segmentation.targets.float().mean() < 0.5


def test_faults_are_named(kaggle, masked, tmp_path):
    def fault(**folders) -> str:
        with pytest.raises(ValueError) as caught:
            load_films(**folders, side=SIDE, progress=False)
        return str(caught.value)

    assert "There is no folder" in fault(classification=tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    assert "has no films of a layout that is known" in fault(segmentation=tmp_path / "empty")
    assert "names no number of phantom films" in fault(segmentation="phantom://many")
    (masked / "images" / "film04.png").write_text("broken")
    assert "film04.png is not a picture" in fault(segmentation=masked)
    (masked / "images" / "film04.png").unlink()
    assert "film04.png has no film" in fault(segmentation=masked)


def test_masks_of_other_proportions_are_refused(masked):
    mask = phantom.draw(1, 0, 64)[1]
    save(
        masked / "masks" / "film01.png", mask.astype(np.uint8) * 255
    )  # twice the size: the same proportions
    assert len(load_films(segmentation=masked, side=SIDE, progress=False).segmentation) == 20
    save(masked / "masks" / "film02.png", (mask.astype(np.uint8) * 255)[:40])
    with pytest.raises(
        ValueError, match=r"film02\.png has 64 x 40 pixels and its film 32 x 32; a mask of"
    ):
        load_films(segmentation=masked, side=SIDE, progress=False)


def test_damaged_films_are_left_out_when_asked(masked):
    (masked / "images" / "film04.png").write_text("broken")
    films = load_films(segmentation=masked, side=SIDE, progress=False, skip_damaged=True)
    assert (
        len(films.segmentation) == 19 and "lungs/images/film04.png" not in films.segmentation.names
    )
    assert len(films.skipped) == 1 and "film04.png is not a picture" in films.skipped[0]
    film, mask = phantom.draw(5, 0, SIDE)
    assert np.array_equal(films.segmentation.pixels[4], film) and np.array_equal(
        films.segmentation.targets[4], mask
    )
    for path in (masked / "images").iterdir():
        path.write_text("broken")
    with pytest.raises(ValueError, match="None of the 20 films of lungs can be read"):
        load_films(segmentation=masked, side=SIDE, progress=False, skip_damaged=True)


def test_the_cache_gives_the_same_films_without_decoding(masked, tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    first = load_films(segmentation=masked, side=SIDE, progress=False, cache=cache).segmentation
    assert len(list(cache.iterdir())) == 2  # films and masks
    with monkeypatch.context() as patch:
        patch.setattr("multimix.data.films.picture_for_network", None)  # whoever calls it fails
        again = load_films(segmentation=masked, side=SIDE, progress=False, cache=cache).segmentation
    assert torch.equal(first.pixels, again.pixels) and torch.equal(first.targets, again.targets)
    save(
        masked / "images" / "film02.png", phantom.draw(50, 0, SIDE + 1)[0]
    )  # a changed film is read again
    changed = load_films(segmentation=masked, side=SIDE, progress=False, cache=cache).segmentation
    assert np.array_equal(changed.pixels[2], resize(phantom.draw(50, 0, SIDE + 1)[0], SIDE))
    for path in cache.iterdir():  # and so are all where the cache is damaged
        path.write_bytes(path.read_bytes()[:200])
    assert torch.equal(
        load_films(segmentation=masked, side=SIDE, progress=False, cache=cache).segmentation.pixels,
        changed.pixels,
    )


def test_large_jpegs_are_decoded_small(tmp_path):
    film = phantom.draw(1, 0, 1024)[0]
    Image.fromarray(film).save(tmp_path / "film.jpeg", quality=95)
    assert read_film(tmp_path / "film.jpeg").shape == (1024, 1024)
    small = read_film(tmp_path / "film.jpeg", side=256)
    assert small.shape == (256, 256) and np.abs(small.astype(int) - resize(film, 256)).mean() < 2


def test_any_folder_may_serve_either_task_unlabelled(kaggle, masked):
    films = load_films([kaggle, masked], [masked, kaggle], SIDE, progress=False)
    assert films.classification.labelled.sum() == 56 and films.segmentation.labelled.sum() == 20
    assert len(films.classification) == len(films.segmentation) == 76
    assert not films.segmentation.targets[20:].any()


def test_the_real_sets_have_their_published_sizes(real):
    films = load_films(segmentation=real / "jsrt", side=SIDE, progress=False).segmentation
    assert (
        films.splits.count("test") == 123
        and films.splits.count("train") + films.splits.count("val") == 124
    )
    assert 0.15 < films.targets.float().mean() < 0.45
    films = load_films(classification=real / "chest_xray", side=SIDE, progress=False).classification
    assert len(films) == 5856 and films.targets.bincount().tolist() == [1583, 4273]
    assert films.split("test").targets.bincount().tolist() == [234, 390]
    assert not set(films.split("train").patients) & set(films.split("val").patients)


def test_a_patient_with_one_test_film_is_a_test_patient(tmp_path):
    """A table that names the split of some films alone."""
    rows = ["path,label,patient,split"]
    for i in range(60):
        save(tmp_path / f"film{i}.png", phantom.draw(i, i % 2, SIDE)[0])
        rows.append(f"film{i}.png,{i // 3 % 2},p{i // 3},{'test' if i in (0, 3, 9) else ''}")
    (tmp_path / "films.csv").write_text(
        "\n".join(rows).replace(",", ";")
    )  # as spreadsheets write it in half of Europe
    films = load_films(tmp_path / "films.csv", side=SIDE, progress=False).classification
    for one, other in (("train", "val"), ("train", "test"), ("val", "test")):
        assert films.split(one).patients and not set(films.split(one).patients) & set(
            films.split(other).patients
        )
    assert len(films.split("test")) == 9


def test_films_of_one_name_are_refused(tmp_path):
    for folder in ("one", "other"):
        save(tmp_path / folder / "films" / "a.png", phantom.draw(1, 0, SIDE)[0])
    with pytest.raises(ValueError, match=r"films/a\.png comes twice"):
        load_films(
            [tmp_path / "one" / "films", tmp_path / "other" / "films"], side=SIDE, progress=False
        )


def test_a_damaged_mask_leaves_an_unlabelled_film(masked):
    (masked / "masks" / "film03.png").write_bytes(b"no picture")
    films = load_films(segmentation=masked, side=SIDE, progress=False, skip_damaged=True)
    assert len(films.segmentation) == 20 and films.segmentation.labelled.sum() == 19
    assert len(films.skipped) == 1 and "film03.png" in films.skipped[0]
