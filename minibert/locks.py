"""File locks. The kernel releases a lock when its process ends, whatever ends it. A signal ends a wait for one."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from minibert import interruption
from minibert.errors import MinibertError
from minibert.interruption import Interrupted

POLL_SECONDS = 0.2


def file_lock(path: Path) -> FileLock:
    """The lock at ``path``; its folder is made. Lock files are never removed, because removing one is a race."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # thread_local off: a lock may be released by another thread than the one that took it.
    return FileLock(path, thread_local=False, fallback_to_soft=False)


@contextmanager
def wait_for(lock: FileLock) -> Iterator[None]:
    """Hold the lock. Waits while another process holds it."""
    acquire(lock)
    try:
        yield
    finally:
        lock.release()


def acquire(lock: FileLock, on_wait: Callable[[], None] | None = None) -> None:
    """Take the lock; ``on_wait`` is called once if another process holds it.

    Raises :class:`Interrupted` when this process is asked to end while it waits, even while signals are deferred,
    and :class:`MinibertError` if the file system has no locks.
    """
    try:
        try:
            lock.acquire(timeout=0)
            return
        except Timeout:
            if on_wait is not None:
                on_wait()
        lock.acquire(poll_interval=POLL_SECONDS, cancel_check=lambda: interruption.reason() is not None)
    except Timeout:
        raise Interrupted(interruption.reason() or "ended while waiting") from None
    except OSError as error:
        raise MinibertError(
            f"{lock.lock_file}: this file cannot be locked ({error}). Set tracking.folder, and data.cache if that "
            "is elsewhere, to a file system that supports flock."
        ) from error
