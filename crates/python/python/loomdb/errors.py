"""The exceptions of loomdb.

Every one is an `Error`, and those that mean the same as an exception of Python are one of those
too, so that `except ValueError` works as usual. The message says what is wrong, where, and what
to do. The attributes are for programs.
"""

from __future__ import annotations


class Error(Exception):
    """Whatever loomdb raises on purpose.

    Attributes:
        row: The row of the input that it is about, counted from 0.
        file: The file that it is about.
        offset: The byte of the file from which on it cannot be used.
        path: The place in a filter that it is about, such as `$and[1].year.$gt`.
    """

    row: int | None = None
    file: str | None = None
    offset: int | None = None
    path: str | None = None

    def __str__(self) -> str:
        # A KeyError would show the repr of its message.
        return str(self.args[0]) if self.args else ""


class InvalidInputError(Error, ValueError):
    """An argument, or what a file holds, cannot be used."""


class InvalidTypeError(Error, TypeError):
    """An argument, or something in it, has a type that cannot be used."""


class DimensionError(InvalidInputError):
    """A vector has another length than the collection, or none that is possible."""


class FilterError(Error, ValueError):
    """A filter cannot be read, or does not fit the fields; `path` says where."""


class ExistsError(Error, ValueError):
    """Something is in the place of what should be made."""


class IdExistsError(ExistsError):
    """An id that should be added is there already."""


class NotFoundError(Error, KeyError):
    """A collection, a point or a column is not there."""


class MissingFileError(NotFoundError, FileNotFoundError):
    """A file or directory is not there."""


class ClosedError(Error, ValueError):
    """The database was closed."""


class ForkedError(Error):
    """The handle was made in the process that this one was forked from."""


class LockedError(Error):
    """Another process, or another handle in this one, writes to the database."""


class CanceledError(Error):
    """The call was stopped; nothing was changed."""


class CorruptionError(Error):
    """A file is damaged: cut off, changed, or in contradiction to itself."""


class UnsupportedError(Error):
    """A file was written by a newer version of loomdb."""


class StorageError(Error, OSError):
    """The system refused a file operation."""


class StorageFullError(StorageError):
    """The disk or the quota is full."""


class PoisonedError(Error):
    """An earlier write failed: the database must be opened again to be written to."""


class MissingPackageError(Error, ImportError):
    """A call needs a package that is not installed."""


class DeadlineError(Error, TimeoutError):
    """Shards did not answer in time; they are named."""


class InternalError(Error):
    """A bug in loomdb."""
