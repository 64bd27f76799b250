"""Ask within seconds whether a host can be reached, before anything waits for a download from it."""

import threading
import urllib.error
import urllib.request
from http.client import HTTPException
from queue import Empty, SimpleQueue


def out_of_reach(address: str, seconds: float) -> str | None:
    """Return why the host of `address`, http or https, gives no answer within `seconds`; None if it gives one.

    An answer may be a refusal of the file. Proxies of the environment are used.
    """
    answer: SimpleQueue[str | None] = SimpleQueue()
    # In a thread, since nothing else limits the time that a name is looked up.
    threading.Thread(target=lambda: answer.put(_asked(address, seconds)), daemon=True).start()
    try:
        return answer.get(timeout=seconds)
    except Empty:
        return f"no answer within {seconds:g} s"


def _asked(address: str, seconds: float) -> str | None:
    question = urllib.request.Request(address, method="HEAD")  # noqa: S310 - the callers' own fixed addresses
    try:
        urllib.request.build_opener().open(question, timeout=seconds).close()
    except urllib.error.HTTPError as error:
        # A proxy that finds no way out answers with 500 or more.
        return f"status {error.code}" if error.code >= 500 else None
    except (OSError, HTTPException) as error:
        return str(getattr(error, "reason", error)) or type(error).__name__
    return None
