"""The text of CSV files as spreadsheets and databases write them: encodings, compression, separators."""

import gzip
import unicodedata
import warnings
import zlib
from pathlib import Path

from litzoo.datamodules.io.paths import require_file

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
_MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
"""Byte order marks and their encodings."""
_GZIP = b"\x1f\x8b"


def decoded(
    path: Path,
    remedy: str,
    encoding: str | None = None,
    option: str = "",
    other_encoding: str = "name its encoding in data.encoding, for example cp1252",
) -> tuple[str, str]:
    """Returns the text of a file, and its encoding: UTF-8, UTF-16 with its mark, else cp1252 with a warning.

    Args:
        path: Path of the file, which may be compressed with gzip.
        remedy: What to do if the file is absent, for the message.
        encoding: Its encoding, if it is known.
        option: Option that names the file, for messages.
        other_encoding: What to do if it has another encoding, for messages.

    Raises:
        FileNotFoundError: If the file cannot be read.
        ValueError: If it is no text in this encoding, or in one that is found.
    """
    where = f"{option}: {path}" if option else str(path)
    try:
        require_file(path)
        data = path.read_bytes()
        data = gzip.decompress(data) if data.startswith(_GZIP) else data
    except (EOFError, zlib.error) as error:
        raise ValueError(f"{where} is no intact gzip file: {error}") from error
    except OSError as error:
        raise FileNotFoundError(f"{where} cannot be read ({error.strerror or error}); {remedy}") from error
    marked = next((codec for mark, codec in _MARKS.items() if data.startswith(mark)), None)
    if encoding is None and marked is None and b"\0" in data:
        raise ValueError(
            f"{where} is not a CSV file: it has bytes that are 0; save a workbook as CSV, or {other_encoding}"
        )
    try:
        return data.decode(encoding or marked or "utf-8"), encoding or marked or "utf-8"
    except UnicodeDecodeError as error:
        problem = f"{where} is not a CSV file: {error}; {other_encoding}"
        if encoding or marked:
            raise ValueError(problem) from error
    try:
        text = data.decode("cp1252")
    except UnicodeDecodeError:
        raise ValueError(problem) from None
    letters = "".join(dict.fromkeys(character for character in text if ord(character) > 127))
    if any(unicodedata.category(character) == "Cc" and character not in "\t\r\n" for character in text):
        raise ValueError(problem)
    warnings.warn(
        f"{where} is not UTF-8: it is read as cp1252 (Western European), with the characters {letters[:20]}; if these "
        f"are wrong, {other_encoding}",
        stacklevel=3,
    )
    return text, "cp1252"
