"""What a person holds of a film, other than its path."""

import io
import warnings

import numpy as np
import pytest
import torch
from helpers import dicom
from PIL import Image
from pydicom import dcmread

from multimix.images.formats import FilmError
from multimix.images.reading import check_mask_shapes, load_image, read_film, read_mask
from multimix.images.sources import is_source
from multimix.inference import predict

GREY = np.arange(240, dtype=np.uint8).reshape(12, 20)
TENSOR = torch.from_numpy(GREY)


@pytest.mark.parametrize(
    "source",
    (
        TENSOR,
        TENSOR[None],
        TENSOR[None, None],
        TENSOR.expand(3, 12, 20),
        TENSOR[..., None].expand(12, 20, 3),
        TENSOR / 255,
        (TENSOR / 255).requires_grad_(),
        (TENSOR / 255).double(),
        TENSOR.T.contiguous().T,
        GREY[None],
        np.stack([GREY] * 3),
        np.stack([GREY] * 3 + [np.full_like(GREY, 255)]),
        GREY[None, :, :, None],
        (GREY / 255).tolist(),
    ),
)
def test_tensors_and_arrays(source):
    assert np.array_equal(read_film(source), GREY)


def test_half_precision():
    assert np.abs(read_film((TENSOR / 255).bfloat16()).astype(int) - GREY).max() <= 1
    assert np.abs(read_film((TENSOR / 255).half()).astype(int) - GREY).max() <= 1


def test_open_files_and_bytes(tmp_path):
    path = tmp_path / "film.png"
    Image.fromarray(GREY).save(path)
    content = path.read_bytes()
    for source in (content, bytearray(content), memoryview(content), io.BytesIO(content)):
        assert np.array_equal(read_film(source), GREY)
    buffer = io.BytesIO(content)
    buffer.seek(9)  # as after it has been written or read
    assert np.array_equal(read_film(buffer), GREY) and np.array_equal(read_film(buffer), GREY)
    with open(path, "rb") as file:
        assert np.array_equal(read_film(file), GREY)
    np.save(buffer := io.BytesIO(), GREY)
    assert np.array_equal(read_film(buffer), GREY)


def test_dicom_data_sets(tmp_path):
    path = dicom(tmp_path / "film.dcm", GREY.astype(np.uint16) * 16, PixelPaddingValue=0)
    dataset = dcmread(path)
    before = str(dataset)
    assert np.array_equal(read_film(dataset), read_film(path))
    assert np.array_equal(read_film(path.read_bytes()), read_film(path))
    assert str(dataset) == before
    dataset.decode()
    assert np.array_equal(read_film(dataset), read_film(path))
    del dataset.PixelData
    with pytest.raises(ValueError, match="The film is a DICOM file with no picture"):
        read_film(dataset)


def test_they_are_predicted_one_by_one(model):
    buffer = io.BytesIO()
    film = np.tile(GREY, (8, 5))
    Image.fromarray(film).save(buffer, "PNG")
    expected = predict(model, film).probability
    for source in (torch.from_numpy(film), buffer, buffer.getvalue(), np.stack([film] * 3)):
        assert is_source(source) and predict(model, source).probability == expected
    both = [p.probability for p in predict(model, [film, buffer])]
    assert both == pytest.approx([expected] * 2, abs=1e-5)


def closed() -> io.BytesIO:
    file = io.BytesIO(b"content")
    file.close()
    return file


@pytest.mark.parametrize(
    "source, words",
    (
        (None, "array of object"),
        ({"a": 1}, "array of object"),
        (b"", "The film is empty"),
        (b"text", "The film is not a picture"),
        (io.StringIO("text"), "opened as text"),
        (closed(), "closed"),
        (torch.zeros(5, 5, device="meta"), "tensor"),
        (torch.zeros(5, 5).to_sparse(), "tensor"),
        (torch.zeros(5, 5, dtype=torch.complex64), "complex64"),
        (torch.zeros(4), r"shape \(4,\)"),
        ([[1, 2], [3]], "a path, a PIL image, an array or a tensor is needed"),
        (np.zeros((2, 3, 4, 5)), "float64"),
        (torch.zeros(8, 3, 16, 16), "float32"),
    ),
)
def test_what_is_no_film(source, words):
    with pytest.raises(ValueError, match=words) as caught:
        read_film(source)
    assert str(caught.value).endswith(".") and len(str(caught.value)) <= 300


def test_pictures_that_are_not_loaded(tmp_path):
    path = tmp_path / "film.png"
    Image.fromarray(np.tile(GREY, (20, 20))).save(path)
    path.write_bytes(path.read_bytes()[:-300])
    with (
        Image.open(path) as picture,
        pytest.raises(ValueError, match="The film is a picture that is damaged"),
    ):
        read_film(picture)


def test_only_the_decoders_are_silent(tmp_path):
    Image.fromarray(GREY).save(tmp_path / "film.png")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        load_image(tmp_path / "film.png")
        warnings.warn("mine", stacklevel=1)
    assert [str(warning.message) for warning in caught] == ["mine"]


def test_masks_of_every_kind_of_source():
    mask = np.zeros((40, 40), dtype=np.uint8)
    mask[8:24, 8:24] = 255
    for source in (torch.from_numpy(mask), torch.from_numpy(mask > 0)[None], mask[None] > 0):
        assert np.array_equal(read_mask([source], 40), mask > 0)
    check_mask_shapes(mask, [torch.from_numpy(mask), torch.from_numpy(mask)[None]])
    with pytest.raises(ValueError, match="has 40 x 20 pixels"):
        check_mask_shapes(mask, [torch.from_numpy(mask[:20])])


def test_errors_name_a_path_alone(tmp_path):
    np.save(tmp_path / "film.npy", np.zeros(7))
    with pytest.raises(FilmError, match=r"film\.npy: The film is an array"):
        read_film(tmp_path / "film.npy")
