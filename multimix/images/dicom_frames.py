"""What a compressed picture in a DICOM file claims to be, before it is decoded."""

from __future__ import annotations

import re
import struct

from multimix.images.opened import Undecodable, check_scans, check_size

JPEG_SCAN, JPEG_TABLES = 0xDA, (0xC4, 0xC8, 0xCC)
JPEG_FRAMES = (*range(0xC0, 0xD0), 0xDE, 0xF7)  # headers with a size; 0xF7 is JPEG-LS
J2K_SIZE = re.compile(rb"\xff\x4f\xff\x51.{4}(.{34})", re.DOTALL)
MAX_CHANNELS = 4
RUN_LENGTH_GROWTH = 1.1  # of what cannot be compressed, at most


def check_frame(content: bytes, rows: int, columns: int, bits: int) -> None:
    """Undecodable where a compressed frame is of another size than its file says.

    Arguments:
        content: all fragments, as the file holds them.
        bits: of each pixel.
    """
    from pydicom.encaps import get_frame

    frame = get_frame(content, 0, number_of_frames=1)
    if frame[:1] == b"\xff" and frame[1:2] == b"\xd8":
        sizes = jpeg_sizes(frame)
        check_scans(frame, columns, rows)
    elif J2K_SIZE.search(frame):
        sizes = [j2k_size(found.group(1)) for found in J2K_SIZE.finditer(frame)]
    else:  # run lengths, which in the worst case are a little longer than what they stand for
        sizes = [(rows, columns)]
        if len(frame) > RUN_LENGTH_GROWTH * rows * columns * bits / 8 + 1024:
            raise Undecodable("is a DICOM file with more compressed values than its size says.")
    for height, width in sizes:
        check_size(width, height)
    if any(size != (rows, columns) for size in sizes) or not sizes:
        raise ValueError


def j2k_size(sizes: bytes) -> tuple[int, int]:
    """Height and width of a JPEG 2000 stream from its header."""
    numbers = struct.unpack(">8IH", sizes)
    right, bottom, left, top, tile_width, tile_height = numbers[:6]
    if numbers[-1] > MAX_CHANNELS:
        raise ValueError
    check_size(min(tile_width, right), min(tile_height, bottom))
    return bottom - top, right - left


def jpeg_sizes(stream: bytes) -> list[tuple[int, int]]:
    """Height and width in each header of a JPEG or JPEG-LS stream before its first scan."""
    found, place = [], 2
    while stream[place + 1] != JPEG_SCAN:
        mark, kind, length = struct.unpack(">BBH", stream[place : place + 4])
        if mark != 0xFF:
            raise ValueError
        if kind in JPEG_FRAMES and kind not in JPEG_TABLES:
            found.append(struct.unpack(">HH", stream[place + 5 : place + 9]))
        place += 1 if kind == 0xFF else 2 + length
    return found
