"""
Write the result, all of it or nothing.

The text is encoded first, written to a temporary file in the folder of the output, flushed to the disk and renamed: at no
moment is there a half-written output, and an output that stood there before stays whole until the new one is. An output that
is one of the inputs is refused, also under another name (a symbolic or a hard link).
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from bpcompile.diagnostics import CompileError, error


def check_output(path: str, inputs: Iterable[str] = ()) -> None:
    """
    Refuse an output path that can't or must not be written, before any work is done.

    Args:
        path: Where the output is to go.
        inputs: Files that the output must not be.

    Raises:
        CompileError: E011 the output is an input; E012 it can't be written.
    """
    try:
        status = os.stat(path)
    except FileNotFoundError:
        status = None
    except OSError as fault:
        raise _unwritable(path, fault) from None
    if status is None:
        folder = os.path.dirname(os.path.realpath(path))
        if not os.path.basename(path):
            raise error("E012", f"can't write `{path}`: it names a folder", help="name a file inside it")
        if not os.path.isdir(folder):
            raise error(
                "E012", f"can't write `{path}`: there is no folder `{folder if os.path.islink(path) else os.path.dirname(path)}`", help="make the folder first"
            )
        return
    if stat.S_ISDIR(status.st_mode):
        raise error("E012", f"can't write `{path}`: it is a folder", help="name a file inside it")
    for name in inputs:
        if os.path.exists(name) and os.path.samefile(path, name):
            raise error("E011", f"the output `{path}` is the input `{name}`", help="give `-o` another name")
    # The mode bits are read besides `access`, which lets the superuser write to a file that was made read-only on purpose.
    if stat.S_ISREG(status.st_mode) and not (status.st_mode & 0o222 and os.access(path, os.W_OK)):
        raise error("E012", f"can't write `{path}`: it is read-only")


def write_output(path: str, text: str | bytes, inputs: Iterable[str] = ()) -> None:
    """
    Write `text` to `path` (in UTF-8, unless it is bytes already), all of it or nothing; an existing file keeps its mode, a symbolic link its place.

    Args:
        path: Where the output goes.
        text: The whole of it.
        inputs: Files that the output must not be.

    Raises:
        CompileError: E011 the output is an input; E012 it can't be written.
    """
    data = text if isinstance(text, bytes) else text.encode("utf-8")
    check_output(path, inputs)
    try:
        status = os.stat(path) if os.path.exists(path) else None
        if status is not None and not stat.S_ISREG(status.st_mode):
            # A pipe or a device such as /dev/null must be written to, not replaced by a file.
            Path(path).write_bytes(data)
        else:
            _replace(os.path.realpath(path), data, status)
    except OSError as fault:
        raise _unwritable(path, fault) from None


def _replace(target: str, data: bytes, status: os.stat_result | None) -> None:
    """Write a temporary file beside `target` and rename it; leave nothing behind on any failure."""
    folder = os.path.dirname(target)
    # A name of its own rather than one made from the target's: that could be too long for the file system.
    temporary = os.path.join(folder, f".bpcompile-{secrets.token_hex(8)}.tmp")
    # os.open applies the user's umask, as writing a new file would; tempfile always makes it private.
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if status is not None:
            if hasattr(os, "chown"):
                with suppress(OSError):  # only the superuser may give a file away
                    os.chown(temporary, status.st_uid, status.st_gid)
            os.chmod(temporary, stat.S_IMODE(status.st_mode))
        os.replace(temporary, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
    _sync_folder(folder)


def _sync_folder(folder: str) -> None:
    """Flush the rename itself, where the system lets a folder be opened."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _unwritable(path: str, fault: OSError) -> CompileError:
    return error("E012", f"can't write `{path}`: {(fault.strerror or str(fault)).lower()}")
