"""Tables as spreadsheets, pandas and people write them."""

import pytest
from helpers import SIDE, save
from layout_helpers import FILM, LEFT, RIGHT, labels, loaded, masks, numbered, splits, touch

from multimix.data.dataset_layouts import read_layout
from multimix.data.films import load_films

ROWS = "imgs/0.png,0\nimgs/1.png,1\nimgs/2.png,0\nimgs/3.png,1\n"
ONE_HOT = "imgs/0.png,1,0\nimgs/1.png,0,1\nimgs/2.png,1,0\nimgs/3.png,0,1\n"


@pytest.fixture
def imgs(tmp_path):
    """A folder with the films that ROWS names."""
    return touch(tmp_path, numbered("imgs", 4))


def read(folder, text, encoding="utf-8", **options):
    (folder / "set.csv").write_text(text, encoding=encoding)
    return read_layout(folder / "set.csv", **options)


def test_a_csv_file(tmp_path):
    save(tmp_path / "films" / "a.png", FILM)
    save(tmp_path / "b.png", FILM)
    save(tmp_path / "masks" / "left.png", LEFT)
    save(tmp_path / "masks" / "right.png", RIGHT)
    text = (
        "path,label,mask,patient,split\n"
        "films/a.png,,masks/left.png|masks/right.png,ann,train\nb.png,pneumonia,,bob,test\n"
    )
    path = tmp_path / "set.csv"
    for written in (text, text.replace(",", ";")):  # as spreadsheets do in half of Europe
        path.write_text(written)
        films = loaded(path)
        assert films.splits == ("train", "test") and films.patients == ("set/ann", "set/bob")
        classes = load_films(path, side=SIDE, progress=False).classification
        assert classes.labelled.tolist() == [False, True] and classes.targets[1] == 1


@pytest.mark.parametrize(
    "text, encoding",
    (
        (f"path,label\n{ROWS}", "utf-8"),
        (f"path,label\n{ROWS}".replace("\n", "\r\n"), "utf-8-sig"),
        (f"path,label\n{ROWS}".replace(",", "\t"), "utf-16"),
        (f"path;label\n{ROWS.replace(',', ';')}", "utf-8"),
        (f" Path , LABEL \n{ROWS.replace(',', ' , ')}", "utf-8"),
        (f"filename,class\n{ROWS.replace('/', chr(92))}", "utf-8"),
        (f"File Name,Target\n{ROWS.replace('imgs/', '')}", "utf-8"),
        (f"image,label\n{ROWS.replace('imgs/', '').replace('.png', '')}", "utf-8"),
        (f"path,label\n{ROWS.replace(',0', ',Normal').replace(',1', ',pneumonia ')}", "utf-8"),
        (f"path,label\n{ROWS.replace(',0', ',0.0').replace(',1', ',1.0')}", "utf-8"),
        (f"path,label\n{ROWS.replace('imgs', 'D:/old/imgs')}", "utf-8"),
        (f"path,label\n{ROWS.replace('imgs', '/home/ann/set/imgs')}", "utf-8"),
        (f"path,label\n{ROWS.replace('imgs', 'set/IMGS')}", "utf-8"),
        (f"path,label,mask\n{ROWS}".replace("0\n", "0,nan\n").replace("1\n", "1,\n"), "utf-8"),
        (f"path,label\n{ROWS}\n,\n", "utf-8"),
        (f"sep=;\n\npath;label\n{ROWS.replace(',', ';')}", "utf-8"),
        (f"path|label\n{ROWS.replace(',', '|')}", "utf-8"),
        (f"path,label\n{ROWS.replace(',0', ',False').replace(',1', ',TRUE')}", "utf-8"),
        (f"path,label\n{ROWS.replace('imgs/', '')}".replace(".png", ".PNG"), "utf-8"),
        (f"path,label\n{ROWS.replace('imgs', './imgs/../imgs')}", "utf-8"),
        (
            f"id,diagnosis\n{ROWS.replace(',0', ',No Finding').replace(',1', ',Pneumonia/Viral')}",
            "utf-8",
        ),
        (f"X-ray name,pneumonia\n{ROWS.replace('imgs/', '')}", "utf-8"),
        (f"image,pneumonia\n{ROWS.replace(',0', ',no').replace(',1', ',yes')}", "utf-8"),
        (f"image,NORMAL,PNEUMONIA\n{ONE_HOT}", "utf-8"),
    ),
)
def test_tables_that_say_the_same(imgs, text, encoding):
    found = read(imgs, text, encoding)
    assert [film.label for film in found.films] == [0, 1, 0, 1]
    assert [film.source for film in found.films] == [imgs / f"imgs/{i}.png" for i in range(4)]
    assert [film.name for film in found.films] == numbered("imgs", 4)
    assert not any(film.masks for film in found.films)


def test_what_pandas_writes_for_nothing_is_nothing(imgs):
    text = ",path,label,patient,split\n0,imgs/0.png,1.0,,valid\n1,imgs/1.png,NaN,7,Training\n"
    films = read(imgs, text).films
    assert [film.label for film in films] == [1, None]
    assert not any(film.masks for film in films)  # the index is no column
    assert [film.patient for film in films] == ["0", "7"]
    assert [film.split for film in films] == ["val", "train"]


def test_a_film_in_several_rows_is_one(imgs):
    touch(imgs, "l.png", "r.png")
    text = "path,label,mask\nimgs/0.png,1,l.png\nimgs/0.png,,r.png\nimgs/1.png,0,\n"
    found = read(imgs, text)
    assert labels(found) == {1: 1, 0: 1} and masks(found)["0.png"] == ["l.png", "r.png"]
    assert found.left_out == ("set.csv lists films several times; each is taken once.",)
    with pytest.raises(ValueError, match=r"line 3: imgs/0.png has another label than in a line"):
        read(imgs, "path,label\nimgs/0.png,1\nimgs/0.png,0\n")


def test_a_folder_with_one_table_is_that_table(imgs):
    text = "path,label\nimgs/0.png,0\nimgs/1.png,1\nimgs/2.png,1\n"
    (imgs / "labels.csv").write_text(text)
    found = read_layout(imgs)
    assert found.layout == "csv" and labels(found) == {0: 1, 1: 2}
    assert found.left_out == ("Films beside those that are read are left out: imgs/3.png.",)
    (imgs / "more.tsv").write_text(text.replace(",", "\t"))
    with pytest.raises(ValueError, match=r"holds 2 tables of films; .*: labels.csv, more.tsv"):
        read_layout(imgs)


def test_a_table_that_says_nothing_of_its_films_is_noticed(imgs):
    found = read(imgs, "path,age\nimgs/0.png,7\n")
    assert found.films[0].label is None
    assert found.left_out[0] == (
        "set.csv has no column label or mask (it has age, path), so all its films are unlabelled."
    )


def test_names_of_classes_in_a_table(imgs):
    text = "path,label\nimgs/0.png,healthy\nimgs/1.png,bacteria\nimgs/2.png,virus\nimgs/3.png,tb\n"
    named = {"Healthy": "NORMAL", "bacteria": "Pneumonia", "virus": "PNEUMONIA"}
    found = read(imgs, text, classes=named)
    assert [film.label for film in found.films] == [0, 1, 1]
    assert found.left_out[0].startswith("1 films of tb are left out, as they are neither NORMAL")
    found = read(imgs, "path,label\nimgs/0.png,1.0\nimgs/1.png,2\n", classes={"2": "NORMAL"})
    assert [film.label for film in found.films] == [1, 0]


def test_a_film_that_is_not_there_is_named_when_it_is_read(imgs):
    found = read(imgs, "path,label\nimgs/9.png,0\n0,1\n")
    assert [film.source.name for film in found.films] == ["9.png", "0.png"]
    with pytest.raises(ValueError, match=r"There is no film .*imgs.9\.png"):
        load_films(imgs / "set.csv", side=SIDE, progress=False)
    read(imgs, 'path,label\n"imgs/9.png,0\nimgs/1.png,1\n')  # a quote that nothing closes
    with pytest.raises(ValueError, match=r"There is no film") as fault:
        load_films(imgs / "set.csv", side=SIDE, progress=False)
    assert len(str(fault.value).splitlines()) == 1


@pytest.mark.parametrize(
    "text, words",
    (
        ("path,label\na.png,measles\n", "line 2: label 'measles'; .* \"pneumonia=measles\""),
        ("path,label\na.png,-1\n", "line 2: label '-1'; it may be NORMAL, PNEUMONIA, 0, 1 or emp"),
        ("path,label\na.png,2\n", "line 2: label '2'"),
        ("path,label\na.png,inf\n", "line 2: label 'inf'"),
        ("path,label\na.png,0\n\n\nb.png,2\n", "line 5: label '2'"),
        ("sep=,\n\npath,label\na.png,2\n", "line 4: label '2'"),
        ("path,pneumonia\na.png,0.5\n", "line 2: pneumonia '0.5'; it may be 0, 1, -1 or empty"),
        ("path,label,Label\na.png,1,0\n", "has two columns label; rename or remove one of them"),
        ("path,split\na.png,train\nb.png,tests\n", "line 3: split 'tests'"),
        ("path,label\n,1\n", "line 2: the path is empty"),
        ("picture,label\na.png,1\n", "no column path"),
        ("path,label\n", "no column path, or no rows"),
        ("", "no column path, or no rows"),
        (f"path,label\na.png,{'x' * 5000}\n", "line 2: label 'xxx"),
        (f"path,label\na.png,{'x' * 200_000}\n", "is damaged, or not a table"),
    ),
)
def test_a_faulty_csv_file(tmp_path, text, words):
    with pytest.raises(ValueError, match=words) as caught:
        read(tmp_path, text)
    assert len(str(caught.value)) - len(str(tmp_path)) < 280


def test_a_path_that_can_be_no_file(imgs):
    found = read(imgs, f"path,label\n{'x' * 3000}/{'y' * 300}.png,0\n..,1\n/,0\n")
    assert labels(found) == {0: 2, 1: 1} and splits(found) == {"": 3}


def test_names_as_excel_writes_them_on_windows(tmp_path):
    found = read(touch(tmp_path, "im/Müller.png"), "path,label\nim/Müller.png,0\n", "cp1252")
    assert found.films[0].source == tmp_path / "im/Müller.png" and not found.left_out


def test_lateral_films_are_left_out(imgs):
    views = ("PA", "Lateral", "", "LL")
    rows = "\n".join(f"imgs/{i}.png,{i % 2},{view}" for i, view in enumerate(views))
    found = read(imgs, f"path,label,view\n{rows}\n")
    assert [film.source.name for film in found.films] == ["0.png", "2.png"]
    assert found.left_out == ("2 films of set.csv that are not frontal are left out.",)


def test_a_mask_for_each_lung(imgs):
    touch(imgs, "masks/l.png", "masks/r.png")
    found = read(imgs, "image,left mask,right mask\nimgs/0.png,l.png,masks/r.png\n")
    assert masks(found) == {"0.png": ["l.png", "r.png"]}


def test_paths_from_a_folder_further_down(tmp_path):
    touch(tmp_path, "images/NORMAL/1.png", "images/PNEUMONIA/1.png")
    found = read(tmp_path, "path,label\nNORMAL/1.png,0\nset/PNEUMONIA/1.png,1\n")
    assert [film.source.parent.name for film in found.films] == ["NORMAL", "PNEUMONIA"]
