from layout_helpers import touch

from multimix.data.folders import (
    films_below,
    films_in,
    name_below,
    split_folders,
    split_of,
    split_within,
    visible,
    walk,
)


def test_the_films_of_a_folder(tmp_path):
    touch(tmp_path, "a.png", "b.txt", ".c.png", "inner/d.png", "Thumbs.db")
    assert films_in(tmp_path) == [tmp_path / "a.png"]
    assert films_in(tmp_path / "nowhere") == visible(tmp_path / "nowhere") == []


def test_splits_come_in_their_order(tmp_path):
    touch(tmp_path, "Test/a.png", "valid/a.png", "training/a.png", "other/a.png", "val")
    names = [folder.name for folder in split_folders(tmp_path)]
    assert names == ["training", "valid", "Test"]
    assert split_of(" Valid ") == split_of("val_set") == "val"
    assert split_of("fold1") == split_of("data") == split_of("train_images") == ""
    assert split_within("train_images") == split_within("imagesTr") == "train"
    assert split_within("train_val_list") == split_within("images") == ""


def test_films_at_any_depth_without_hidden_ones_and_circles(tmp_path):
    touch(tmp_path, "deep/b.PNG", "a.png", ".c.png", "d.txt", ".hidden/e.png", "__MACOSX/f.png")
    (tmp_path / "deep" / "up").symlink_to(tmp_path)
    (tmp_path / "self").symlink_to("self")
    found = films_below(tmp_path)
    assert [name_below(tmp_path, path) for path in found] == ["a.png", "deep/b.PNG"]
    assert len(list(walk(tmp_path))) == 2
