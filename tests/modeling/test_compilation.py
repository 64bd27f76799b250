"""What is asked of a backend."""

import os
import subprocess
import sys

import pytest

SAYS = {
    "tensorflow": "import tensorflow; print(tensorflow.config.experimental.tensor_float_32_execution_enabled())",
    "jax": "import jax; print(jax.config.jax_default_matmul_precision)",
}


@pytest.mark.slow
@pytest.mark.parametrize(("backend", "before", "after"), [("tensorflow", "True", "False"), ("jax", "None", "highest")])
def test_a_model_that_is_read_computes_float32_in_float32_on_any_card(
    backend: str, before: str, after: str, tmp_path: object
) -> None:
    pytest.importorskip(backend)
    program = (
        "import keras, sys\n"
        "from pathlib import Path\n"
        "from datspect.modeling.model_files import read_model, write_model\n"
        "path = Path(sys.argv[1]) / 'model.keras'\n"
        "write_model(path, keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]))\n"
        f"{SAYS[backend]}\nread_model(path)\n{SAYS[backend]}\n"
    )
    environment = os.environ | {"KERAS_BACKEND": backend}
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [before, after]
