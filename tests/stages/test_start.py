"""What a stage loads at its start: none waits for a library that it may not need."""

import subprocess
import sys
from pathlib import Path

from datspect import stages

TRAINING = {"checks", "cv", "final"}
"""They train whatever params.yaml says."""


def test_stages_that_need_not_train_start_without_keras_and_mlflow() -> None:
    names = {path.stem for path in Path(stages.__file__).parent.glob("[!_]*.py")} - TRAINING
    program = (
        "import importlib, sys\n"
        f"for name in {sorted(names)}:\n"
        "    importlib.import_module(f'datspect.stages.{name}')\n"
        "    print(name, *({'keras', 'tensorflow', 'jax', 'mlflow'} & set(sys.modules)))\n"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert said.stdout.split("\n") == [*sorted(names), ""]
