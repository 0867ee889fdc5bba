import numpy as np
import pytest
import torch
from drawn import draw
from helpers import SIDE, save
from layout_helpers import as_read

from multimix.data.film_set import Films
from multimix.data.films import load_films


def load(*folders, side=SIDE, **options) -> Films:
    return load_films(*folders, side=side, progress=False, **options)


def test_kaggle_layout(kaggle):
    films = load(kaggle).classification
    assert films.pixels.shape == (56, SIDE, SIDE) and films.pixels.dtype == torch.uint8
    assert films.split("test").targets.tolist() == [0] * 4 + [1] * 4
    assert sorted(films.split("val").targets.tolist()) == [0, 0, 1, 1]  # a patient of each class
    assert films.names[0] == "chest_xray/train/NORMAL/IM-0000-0000.jpeg"
    assert films.patients[0] == "chest_xray/IM-0000"
    assert films.labelled.all() and films.counts() == "44 train, 4 val, 8 test"
    assert not set(films.split("train").patients) & set(films.split("val").patients)
    other = load(kaggle, seed=1).classification
    assert set(films.split("val").patients) != set(other.split("val").patients)


def test_images_and_masks(masked):
    (masked / "masks" / "film03.png").unlink()
    film, mask = (np.pad(picture, ((0, 0), (40, 60))) for picture in draw(7, 0, 128))
    save(masked / "images" / "film07.png", film)
    save(masked / "masks" / "film07.png", mask)
    films = load(segmentation=masked).segmentation
    assert films.targets.shape == (20, SIDE, SIDE) and films.targets.dtype == torch.bool
    film, mask = as_read(film, mask)  # cut to the film's box
    assert np.array_equal(films.pixels[7], film) and np.array_equal(films.targets[7], mask)
    assert films.counts() == "18 train, 1 val, 1 test"  # the one without mask is by itself
    assert films.labelled.tolist() == [i != 3 for i in range(20)]
    assert not films.targets[3].any()


def test_several_folders_join_and_masks_may_be_in_one_of_their_own(kaggle, masked, tmp_path):
    own, mask = tmp_path / "own", draw(1, 0, SIDE)[1]
    save(own / "masks" / "NORMAL" / "IM-0003-0007.png", mask)
    for more in ([kaggle, own], [own, kaggle]):
        films = load([kaggle, masked], [masked, *more])
        classes, masks = films.classification, films.segmentation
        assert classes.labelled.tolist() == [True] * 56 + [False] * 20  # these serve unlabelled
        assert classes.sources == (str(kaggle),) * 56 + (str(masked),) * 20
        assert len(masks) == 76 and masks.with_labels().names[:20] == masks.names[:20]
        assert masks.with_labels().names[20:] == ("chest_xray/train/NORMAL/IM-0003-0007.jpeg",)
        assert np.array_equal(masks.with_labels().targets[20], mask)
        assert masks.targets[:].flatten(1).any(1).sum() == 21
    assert load(kaggle).segmentation is None and load(segmentation=masked).classification is None


def test_the_bundled_small_set_is_the_default():
    films = load()
    assert films.classification.counts() == "540 train, 60 val, 160 test"
    assert films.classification.labelled.all() and films.segmentation.labelled.all()
    assert films.classification.splits == films.segmentation.splits


def test_faults_are_named(masked, tmp_path):
    both = [tmp_path / "one" / "films", tmp_path / "other" / "films"]
    for folder in both:
        save(folder / "a.png", draw(1, 0, SIDE)[0])
    (masked / "images" / "film04.png").write_text("broken")
    for options, words in (
        ({"classification": tmp_path / "nowhere"}, "There is no film or folder"),
        ({"segmentation": masked}, "film04.png is not a picture"),
        ({"segmentation": masked, "side": 33}, "Films cannot be reduced to 33 px"),
        ({"classification": both}, "Two films have the name films/a.png"),
    ):
        with pytest.raises(ValueError, match=words):
            load(**options)


def test_damaged_films_are_left_out_when_asked(masked):
    (masked / "images" / "film04.png").write_text("broken")
    (masked / "masks" / "film03.png").write_bytes(b"no picture")
    films = load(segmentation=masked, skip_damaged=True)
    assert len(films.segmentation) == 18
    assert len(films.skipped) == 2 and "film04.png is not a picture" in films.skipped[1]
    film, mask = as_read(*draw(5, 0, SIDE))
    assert np.array_equal(films.segmentation.pixels[3], film)
    assert np.array_equal(films.segmentation.targets[3], mask)
    for path in (masked / "images").iterdir():
        path.write_text("broken")
    with pytest.raises(ValueError, match="None of 20 films can be read"):
        load(segmentation=masked, skip_damaged=True)


def test_the_cache_gives_the_same_films_without_decoding(masked, tmp_path, monkeypatch):
    options = dict(segmentation=masked, cache=tmp_path / "cache")
    first = load(**options).segmentation
    (file,) = options["cache"].iterdir()
    with monkeypatch.context() as patch:
        patch.setattr("multimix.data.films.load_image", None)  # fails if it is called
        again = load(**options).segmentation
    assert torch.equal(first.pixels[:], again.pixels[:])
    assert torch.equal(first.targets[:], again.targets[:])
    file.write_bytes(file.read_bytes()[:-1])  # a damaged cache is made again
    assert torch.equal(first.pixels[:], load(**options).segmentation.pixels[:])
    save(masked / "images" / "film02.png", draw(50, 0, 64)[0])  # a changed film is read again
    changed = load(**options).segmentation.pixels[:] != first.pixels[:]
    assert changed.flatten(1).any(1).nonzero().tolist() == [[2]]
