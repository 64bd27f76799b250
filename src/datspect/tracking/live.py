"""Send what grows while it grows: a thread beside the work hands over the latest state every few seconds."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

INTERVAL_SECONDS = 10.0
"""Between two sendings: whoever looks is behind by this and the time of one sending."""


@contextmanager
def sent_while_growing(send: Callable[[], None]) -> Iterator[None]:
    """Call `send` every few seconds as long as the block lasts, in a thread of its own, never twice at a time.

    After a block that ends with an error, Ctrl-C or a signal to stop, it is called once more, for what came last. After
    one that ends well it is not: the caller has the whole then. Work shorter than the interval sends nothing.
    """
    over = Event()

    def repeat() -> None:
        while not over.wait(INTERVAL_SECONDS):
            send()

    thread = Thread(target=repeat, name="datspect-live", daemon=True)
    thread.start()
    try:
        yield
    except BaseException:
        _stop(thread, over)
        send()
        raise
    finally:
        _stop(thread, over)


def _stop(thread: Thread, over: Event) -> None:
    over.set()
    thread.join()
