import numpy as np
import pytest
import torch
from drawn import draw
from helpers import SIDE, save
from layout_helpers import as_read

from multimix.data.film_set import Films
from multimix.data.films import load_films
from multimix.images.preparation import film_box
from multimix.images.reading import resize


def load(*folders, **options) -> Films:
    return load_films(*folders, side=SIDE, progress=False, **options)


def test_kaggle_layout(kaggle):
    films = load(kaggle).classification
    assert len(films) == 56 and films.pixels.shape == (56, SIDE, SIDE)
    assert films.pixels.dtype == torch.uint8
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
    films = load(segmentation=masked).segmentation
    assert films.targets.shape == (20, SIDE, SIDE) and films.targets.dtype == torch.bool
    film, mask = as_read(*draw(7, 0, SIDE))
    assert np.array_equal(films.pixels[7], film) and np.array_equal(films.targets[7], mask)
    assert films.counts() == "18 train, 1 val, 1 test"  # the one without mask is by itself
    assert films.labelled.tolist() == [i != 3 for i in range(20)]
    assert not films.targets[3].any()


def test_several_folders_join_and_any_may_serve_either_task_unlabelled(kaggle, masked):
    films = load([kaggle, masked], [masked, kaggle])
    classes, masks = films.classification, films.segmentation
    assert len(classes) == len(masks) == 76
    assert classes.labelled.sum() == 56 and masks.labelled.sum() == 20
    assert not classes.labelled[56:].any() and not masks.labelled[20:].any()
    assert not masks.targets[20:].any() and masks.targets[:20].any()
    assert classes.sources == (str(kaggle),) * 56 + (str(masked),) * 20
    assert load(kaggle).segmentation is None and load(segmentation=masked).classification is None


def test_masks_in_a_folder_of_their_own(kaggle, tmp_path):
    mask = draw(1, 0, SIDE)[1]
    save(tmp_path / "lungs" / "masks" / "NORMAL" / "IM-0003-0007.png", mask)
    for folders in ([kaggle, tmp_path / "lungs"], [tmp_path / "lungs", kaggle]):
        films = load(segmentation=folders).segmentation
        assert len(films) == 56 and films.labelled.sum() == 1
        (name,) = films.with_labels().names
        assert name == "chest_xray/train/NORMAL/IM-0003-0007.jpeg"
        assert np.array_equal(films.with_labels().targets[0], mask)


def test_film_and_mask_are_cut_to_the_films_box(tmp_path):
    film, mask = draw(1, 0, 128)
    for name, picture in (("images/a", film), ("masks/a", mask.astype(np.uint8) * 255)):
        bars = np.pad(picture, ((0, 0), (40, 60)))
        save(tmp_path / "bars" / f"{name}.png", bars)
        save(tmp_path / "plain" / f"{name}.png", picture)
    bars, plain = (load(segmentation=tmp_path / name).segmentation for name in ("bars", "plain"))
    assert (bars.pixels[0].float() - plain.pixels[0].float()).abs().mean() < 2
    assert (bars.targets[0] != plain.targets[0]).float().mean() < 0.01


def test_the_bundled_small_set_is_the_default():
    films = load()
    assert films.classification.counts() == "540 train, 60 val, 160 test"
    assert films.classification.labelled.all() and films.segmentation.labelled.all()
    assert films.classification.splits == films.segmentation.splits


def test_faults_are_named(masked, tmp_path):
    def fault(**options) -> str:
        with pytest.raises(ValueError) as caught:
            load(**options)
        return str(caught.value)

    assert "There is no film or folder" in fault(classification=tmp_path / "nowhere")
    (masked / "images" / "film04.png").write_text("broken")
    assert "film04.png is not a picture" in fault(segmentation=masked)
    (masked / "images" / "film04.png").unlink()
    assert "film04.png has no film" in fault(segmentation=masked)
    with pytest.raises(ValueError, match="Films cannot be reduced to 33 px"):
        load_films(segmentation=masked, side=33)
    both = [tmp_path / "one" / "films", tmp_path / "other" / "films"]
    for folder in both:
        save(folder / "a.png", draw(1, 0, SIDE)[0])
    assert "Two films have the name films/a.png" in fault(classification=both)


def test_damaged_films_are_left_out_when_asked(masked):
    (masked / "images" / "film04.png").write_text("broken")
    (masked / "masks" / "film03.png").write_bytes(b"no picture")
    films = load(segmentation=masked, skip_damaged=True)
    assert len(films.segmentation) == 18
    assert "lungs/images/film04.png" not in films.segmentation.names
    assert len(films.skipped) == 2 and "film04.png is not a picture" in films.skipped[1]
    film, mask = as_read(*draw(5, 0, SIDE))
    assert np.array_equal(films.segmentation.pixels[3], film)
    assert np.array_equal(films.segmentation.targets[3], mask)
    for path in (masked / "images").iterdir():
        path.write_text("broken")
    with pytest.raises(ValueError, match="None of 20 films can be read"):
        load(segmentation=masked, skip_damaged=True)


def test_the_cache_gives_the_same_films_without_decoding(masked, tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    first = load(segmentation=masked, cache=cache).segmentation
    assert len(list(cache.iterdir())) == 1
    with monkeypatch.context() as patch:
        patch.setattr("multimix.data.films.load_image", None)  # fails if it is called
        again = load(segmentation=masked, cache=cache).segmentation
    assert torch.equal(first.pixels[:], again.pixels[:])
    assert torch.equal(first.targets[:], again.targets[:])
    (file,) = cache.iterdir()
    file.write_bytes(file.read_bytes()[:-1])  # a damaged cache is made again
    assert torch.equal(
        first.pixels[:], load(segmentation=masked, cache=cache).segmentation.pixels[:]
    )
    film = draw(50, 0, 64)[0]
    save(masked / "images" / "film02.png", film)  # a changed film is read again
    changed = load(segmentation=masked, cache=cache).segmentation
    assert np.array_equal(changed.pixels[2], resize(film_box(film).of(film), SIDE))
