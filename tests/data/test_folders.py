from multimix.data.folders import files_below, films_in, name_below, subfolder


def test_folders_are_found_in_letters_of_any_case(tmp_path):
    (tmp_path / "Manual Mask" / "LEFT").mkdir(parents=True)
    (tmp_path / "file").touch()
    assert subfolder(tmp_path, "manual mask", "left") == tmp_path / "Manual Mask" / "LEFT"
    assert subfolder(tmp_path, "manual mask", "right") is None
    assert subfolder(tmp_path, "file") is None and subfolder(tmp_path / "file", "left") is None


def test_the_films_of_a_subfolder(tmp_path):
    (tmp_path / "Images").mkdir()
    (tmp_path / "Images" / "a.png").touch()
    assert films_in(tmp_path, "images") == [tmp_path / "Images" / "a.png"]
    assert films_in(tmp_path, "masks") == films_in(None, "images") == []
    assert name_below(tmp_path, tmp_path / "Images" / "a.png") == "Images/a.png"


def test_links_in_a_circle_end(tmp_path):
    inner = tmp_path / "inner"
    inner.mkdir()
    for path in (inner / "b.PNG", inner / ".hidden.png", inner / "b.gif", tmp_path / "a.png"):
        path.touch()
    (inner / "again").symlink_to(tmp_path)
    assert files_below(tmp_path, ".png") == [tmp_path / "a.png", inner / "b.PNG"]
