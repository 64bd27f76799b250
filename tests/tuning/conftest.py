"""Development data and a configuration, both made up."""

from pathlib import Path

import pytest
from tests.tuning.made_up_data import write_inputs, write_params

from datspect.params.whole import load_params
from datspect.training.data import read_training_data
from datspect.tuning.development import Development, development
from datspect.tuning.space import Configuration


@pytest.fixture
def data(tmp_path: Path) -> Development:
    return development(read_training_data(write_inputs(tmp_path)))


@pytest.fixture
def configuration(tmp_path: Path) -> Configuration:
    params = load_params(write_params(tmp_path))
    return Configuration(params.classifier, params.training)
