"""The files that samples come from, for tables in which one looks for them."""

from typing import Any, Literal, Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class NamesFiles(Protocol):
    """A datamodule that knows from which file a sample comes."""

    def file_names(self, part: Literal["train", "test", "predict"], index: Tensor) -> list[str]:
        """Returns the files of samples at positions `[n]` of a part; none where samples are not files."""
        ...


def file_column(datamodule: Any, part: Literal["train", "test", "predict"], index: Tensor) -> dict[str, list[str]]:
    """Returns the column `file` of a table of samples at positions `[n]`, or no column."""
    files = datamodule.file_names(part, index) if isinstance(datamodule, NamesFiles) else []
    return {"file": files} if files else {}
