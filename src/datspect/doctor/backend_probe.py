"""Load Keras' backend as a program of its own, which may take long, and say as JSON what it computes on."""

import json


def main() -> None:
    """Print the backend's name and whether it computes on an accelerator."""
    import keras

    from datspect.modeling.compilation import on_accelerator

    found = {"backend": keras.backend.backend(), "keras": keras.__version__, "on_accelerator": on_accelerator()}
    print(json.dumps(found))  # noqa: T201  (its answer)


if __name__ == "__main__":
    main()
