"""Let Keras download the ImageNet weights of one architecture into KERAS_HOME, as a program of its own.

It runs as a child process, because only killing the process ends a download that hangs (name lookup, a silent socket).
It ends by itself when the parent that holds its standard input is gone.
"""

import os
import sys
import threading


def main(architecture: str) -> None:
    """Download the weights without the top."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    import keras

    getattr(keras.applications, architecture)(include_top=False, weights="imagenet")


def _end_with_parent() -> None:
    os.read(0, 1)  # returns when the other end of the pipe closes
    os._exit(1)


if __name__ == "__main__":
    main(sys.argv[1])
