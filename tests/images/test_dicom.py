"""DICOM files, as archives have them, to grey values and warnings."""

import warnings

import numpy as np
import pytest
from drawn import draw
from helpers import dicom
from hostile_helpers import refusal
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.uid import DeflatedExplicitVRLittleEndian

from multimix.images.formats import film_paths
from multimix.images.reading import load_image, read_film

FILM = draw(3)[0]
STORED = np.rint((FILM - float(FILM.min())) * (4095 / np.ptp(FILM))).astype(np.uint16)  # 0 to 4095
EXPECTED = np.rint(STORED / 4095 * 255)


def load(tmp_path, pixels=STORED, photometric="MONOCHROME2", **elements):
    """A film with these elements; a warning of pydicom is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as such elements are written
        path = dicom(tmp_path / "film.dcm", pixels, photometric, **elements)
    return load_image(path)


def lut(*descriptor, data=None):
    """A sequence of one lookup table."""
    item = Dataset()
    item.add_new("LUTDescriptor", "US", list(descriptor) or None)
    item.add_new("LUTData", "OW", None if data is None else np.asarray(data, "<u2").tobytes())
    return [item]


def differs(film, expected) -> float:
    return np.abs(film.astype(int) - expected).max()


IDENTITY = np.arange(4096)
SQUARES = IDENTITY**2 // 4095
SQUARED = SQUARES[STORED] / 4095 * 255
SIGNED = STORED.astype(np.int16) - 2048
DRAWN_OVER = STORED.copy()
DRAWN_OVER[10:20, 10:40] |= 1 << 14  # an overlay in an upper bit
WINDOW = dict(WindowCenter=2048, WindowWidth=4096)
SMALL = dict(RescaleSlope=1 / 4095, RescaleIntercept=0, WindowCenter=0.5, WindowWidth=0.5)
SIGMOID = dict(WindowCenter=2048, WindowWidth=2000, VOILUTFunction="SIGMOID")
SIGN = dict(PixelRepresentation=1)
DARK = dict(photometric="MONOCHROME1")


@pytest.mark.parametrize(
    "pixels, elements, expected",
    (
        (STORED, dict(WindowCenter=1, WindowWidth=0), EXPECTED),
        (STORED, dict(WindowCenter="nan", WindowWidth=4096), EXPECTED),
        (STORED, WINDOW, EXPECTED),
        (STORED, WINDOW | dict(VOILUTFunction="NONSENSE"), EXPECTED),
        (STORED, dict(WindowCenter=[1, 2048], WindowWidth=[0, 4096]), EXPECTED),
        (STORED, dict(RescaleSlope=None, RescaleIntercept=None), EXPECTED),
        (STORED, dict(RescaleSlope="5.9e-8", RescaleIntercept=0), EXPECTED),
        (STORED, dict(RescaleSlope=0, RescaleIntercept=7), EXPECTED),
        (STORED, dict(RescaleSlope="1e300", RescaleIntercept="-1e307"), EXPECTED),
        (STORED, dict(RescaleSlope="inf", RescaleIntercept="nan"), EXPECTED),
        (STORED, dict(ModalityLUTSequence=lut()), EXPECTED),
        (STORED, dict(VOILUTSequence=lut(4096, 0, 9, data=IDENTITY[:7])), EXPECTED),
        (STORED, dict(HighBit=15), EXPECTED),
        (STORED, DARK, 255 - EXPECTED),
        (STORED, DARK | dict(VOILUTSequence=lut(4096, 0, 12, data=SQUARES)), 255 - SQUARED),
        (STORED, SMALL, np.clip(STORED / 4095 * 2 - 0.5, 0, 1) * 255),
        (STORED, SIGMOID, 255 / (1 + np.exp(-4 * (STORED - 2048.0) / 2000))),
        (STORED, dict(ModalityLUTSequence=lut(4096, 0, 12, data=SQUARES)), SQUARED),
        (STORED, dict(VOILUTSequence=lut(4096, 0, 12, data=SQUARES)), SQUARED),
        (SIGNED, SIGN | dict(ModalityLUTSequence=lut(4096, 63488, 12, data=SQUARES)), SQUARED),
        (STORED, dict(RescaleSlope=-1, RescaleIntercept=4095), 255 - EXPECTED),
        (STORED, dict(PresentationLUTShape="INVERSE"), 255 - EXPECTED),
        (STORED, DARK | dict(PresentationLUTShape="INVERSE"), 255 - EXPECTED),
        (STORED << 4, WINDOW | dict(HighBit=15), EXPECTED),
        (STORED << 2, dict(HighBit=13), EXPECTED),
        (STORED, dict(BitsStored=10, HighBit=9), EXPECTED),  # it has 12
        (DRAWN_OVER, {}, EXPECTED),
        (SIGNED, SIGN | dict(BitsStored=16, HighBit=15, RescaleIntercept=2048), EXPECTED),
        ((SIGNED & 0xFFF).astype(np.uint16), SIGN, EXPECTED),  # no sign in the upper bits
    ),
)
def test_windows_tables_bits_and_signs(tmp_path, pixels, elements, expected):
    """What only says how to show a film, damaged or not, never makes it unreadable."""
    image = load(tmp_path, pixels, **elements)
    assert differs(image.grey, expected) <= 1 and not image.warnings


@pytest.mark.parametrize(
    "elements, words",
    (
        (dict(WindowCenter=40, WindowWidth=80), "window (centre 40, width 80)"),
        (dict(WindowCenter=1e6, WindowWidth=10), "window"),
        (dict(WindowCenter=32768, WindowWidth=65536), "window"),
        (dict(VOILUTSequence=lut(4096, 0, 12, data=0 * IDENTITY)), "lookup table"),
    ),
)
def test_what_leaves_the_film_flat_is_not_used(tmp_path, elements, words):
    image = load(tmp_path, **elements)
    assert differs(image.grey, EXPECTED) <= 1 and f"film's {words}" in image.warnings[0]
    assert not load(tmp_path, STORED // 4096 + 7, **elements).warnings  # the film itself is so


@pytest.mark.parametrize("stored, error", ((7, 2), (8, 0)))
def test_8_bits_stay_as_they_are_and_fewer_are_stretched(tmp_path, stored, error):
    pixels = (EXPECTED if stored == 8 else EXPECTED // 2).astype(np.uint8)
    bits = dict(BitsAllocated=8, BitsStored=stored, HighBit=stored - 1, PixelData=pixels.tobytes())
    assert differs(load(tmp_path, **bits).grey, EXPECTED) <= error
    assert differs(load(tmp_path, **DARK, **bits).grey, 255 - EXPECTED) <= error


@pytest.mark.parametrize("photometric", ("MONOCHROME2", "MONOCHROME1"))
@pytest.mark.parametrize("dtype, shift, value", (("int16", -2000, -30_000), ("uint16", 0, 65_000)))
def test_padding_is_left_out_of_the_stretch(tmp_path, photometric, dtype, shift, value):
    pixels = (STORED.astype(np.int32) + shift).astype(dtype)
    pixels[:, :20] = value
    sign = dict(BitsStored=16, HighBit=15, PixelRepresentation=int(dtype == "int16"))
    film = load(tmp_path, pixels, photometric, PixelPaddingValue=value, **sign).grey
    part = STORED[:, 20:].astype(float)
    shares = (part - part.min()) / np.ptp(part)
    expected = 255 * (1 - shares if photometric == "MONOCHROME1" else shares)
    assert not film[:, :20].any() and differs(film[:, 20:], expected) <= 1


def test_without_preamble_and_header(tmp_path):
    dataset = dcmread(dicom(tmp_path / "film.dcm", STORED, ModalityLUTSequence=lut()))
    dataset.file_meta, dataset.preamble = FileMetaDataset(), None
    for name, implicit in (("IM0001", True), ("IM0002", False)):
        dataset.save_as(tmp_path / name, implicit_vr=implicit, force_encoding=True)
        assert (tmp_path / name).read_bytes()[:2] == b"\x08\x00"
        assert differs(read_film(tmp_path / name), EXPECTED) <= 1
    assert [path.name for path in film_paths(tmp_path)] == ["IM0001", "IM0002", "film.dcm"]


@pytest.mark.parametrize(
    "photometric, others, share, words", (("YBR_FULL", 128, 1, ""), ("RGB", 0, 0.299, "in colour"))
)
def test_coloured_films_become_luminance(tmp_path, photometric, others, share, words):
    other = np.full_like(FILM, others)
    pixels = dict(PixelData=np.dstack([FILM, other, other]).tobytes(), PlanarConfiguration=0)
    bits = dict(BitsAllocated=8, BitsStored=8, HighBit=7, SamplesPerPixel=3)
    image = load(tmp_path, photometric=photometric, **pixels, **bits)
    assert differs(image.grey, FILM * share) <= 1
    assert len(image.warnings) == bool(words) and words in "".join(image.warnings)


def test_faulty_files_are_one_sentence(tmp_path):
    whole = dicom(tmp_path / "film.dcm", STORED).read_bytes()
    (tmp_path / "short.dcm").write_bytes(whole[:-100])
    deep = dict(BitsAllocated=32, BitsStored=32, HighBit=31)
    dicom(tmp_path / "deep.dcm", STORED, PixelData=STORED.astype(np.uint32).tobytes(), **deep)
    dicom(tmp_path / "frames.dcm", np.stack([STORED] * 3), NumberOfFrames=3)
    dicom(tmp_path / "report.dcm", None)
    dataset = dcmread(tmp_path / "film.dcm")
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.save_as(tmp_path / "deflated.dcm")
    for name, words in {
        "deflated.dcm": "deflated as a whole",
        "short.dcm": "damaged DICOM file",
        "deep.dcm": "more than 16 bits",
        "frames.dcm": "with 3 pictures",
        "report.dcm": "with no picture",
    }.items():
        assert words in refusal(tmp_path / name)


SIZED = np.tile(np.arange(200, dtype=np.uint16), (300, 1))  # (300, 200)


@pytest.mark.parametrize(
    "elements, size, words",
    (
        (dict(PixelSpacing=[1, 1.5]), (30, 30), ""),
        (dict(ImagerPixelSpacing=[1, 1]), (30, 20), ""),
        (dict(PixelSpacing=[9, 9], ImagerPixelSpacing=[1.1, 1.1]), (33, 22), ""),
        (dict(PixelSpacing=[0, 0]), None, ""),
        (dict(PixelSpacing=[0, 1]), None, "PixelSpacing (0 x 1 mm)"),
        (dict(PixelSpacing=[1, 9]), None, "PixelSpacing (1 x 9 mm)"),
        (dict(PixelSpacing=[0.4, 0.4]), None, "PixelSpacing (0.4 x 0.4 mm)"),
        (dict(Modality="DX", BodyPartExamined="CHEST", ViewPosition="PA"), None, ""),
        (dict(ViewPosition="AP_ERECT", PatientOrientation=["L", "F"]), None, ""),
        (dict(ViewPosition="LATERALE"), None, "not frontal (LATERALE)"),
        (dict(PatientOrientation=["R", "F"]), None, "mirrored"),
    ),
)
def test_size_and_view_by_the_header(tmp_path, elements, size, words):
    image = load(tmp_path, SIZED, **elements)
    assert image.size_cm == (size and pytest.approx(size))
    assert len(image.warnings) == bool(words) and words in "".join(image.warnings)
