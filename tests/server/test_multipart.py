"""Forms are read whatever their line ends, however they are cut into pieces."""

import pytest

from astrometry_client.server.multipart import (
    FormError,
    MultipartReader,
    PartBegins,
    PartData,
    PartEnds,
    boundary_of,
)

FILE = b"\r\n--almost\n--X but no boundary\r\n\x00\xff--XY"


def form(line_end: bytes, *, boundary: bytes = b"B") -> bytes:
    return line_end.join(
        [
            b"--" + boundary,
            b'Content-disposition: form-data; name="request-json"\r\n\r\n{"a": 1}',
            b"--" + boundary,
            'Content-Disposition: form-data; name="file"; filename="M31 – ü.fits"\r\n\r\n'.encode() + FILE,
            b"--" + boundary + b"--",
            b"",
        ]
    )


def read(pieces: list[bytes], boundary: bytes = b"B") -> list[tuple[PartBegins, bytes]]:
    reader, parts, data = MultipartReader(boundary), [], b""
    for piece in pieces:
        for event in reader.feed(piece):
            match event:
                case PartBegins():
                    begun, data = event, b""
                case PartData():
                    data += event.data
                case PartEnds():
                    parts.append((begun, data))
    reader.close()
    return parts


EXPECTED = [
    (PartBegins("request-json", None), b'{"a": 1}'),
    (PartBegins("file", "M31 – ü.fits"), FILE),
]


@pytest.mark.parametrize("line_end", [b"\r\n", b"\n"], ids=["CRLF", "LF, as the official client sends"])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 10_000])
def test_pieces_of_any_size_give_the_same_parts(line_end: bytes, size: int) -> None:
    whole = form(line_end)
    assert read([whole[at : at + size] for at in range(0, len(whole), size)]) == EXPECTED


def test_text_before_and_after_is_left_out() -> None:
    assert read([b"hello\r\n" + form(b"\r\n") + b"bye"]) == EXPECTED


def test_empty_file_is_a_part() -> None:
    body = b'--B\r\nContent-Disposition: form-data; name="file"; filename=""\r\n\r\n\r\n--B--\r\n'
    assert read([body]) == [(PartBegins("file", ""), b"")]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no form",
        form(b"\r\n")[:-6],
        b"--Bother\r\n",
        b"--B\r\n" + b"x" * 20_000,
        b"--B" + b" " * 20_000,
    ],
    ids=["empty", "text", "cut", "longer boundary", "endless headers", "endless boundary"],
)
def test_broken_form_is_refused(body: bytes) -> None:
    with pytest.raises(FormError):
        read([body])


def test_little_is_held_back() -> None:
    reader = MultipartReader(b"B" * 70)
    list(reader.feed(b"--" + b"B" * 70 + b"\r\n\r\n"))
    given = sum(len(event.data) for event in reader.feed(b"x" * 100_000) if isinstance(event, PartData))
    assert given > 99_900


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ('multipart/form-data; boundary="=== a=="', b"=== a=="),
        ("multipart/form-data; boundary=abc", b"abc"),
        ("multipart/form-data", None),
        ("multipart/mixed; boundary=abc", None),
        ("", None),
    ],
)
def test_boundary_is_found(content_type: str, boundary: bytes | None) -> None:
    assert boundary_of(content_type) == boundary
