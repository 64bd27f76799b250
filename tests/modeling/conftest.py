"""Loopback servers that misbehave, and the pretrained weights, fetched once a session."""

import socket
import threading
from collections.abc import Iterator
from typing import Any

import keras
import pytest

from datspect.modeling.backbone import build_backbone
from datspect.modeling.weights import WeightsOrigin, set_weights
from datspect.params import BackboneParams


def backbone_params(**changes: Any) -> BackboneParams:
    values: dict[str, Any] = {
        "architecture": "MobileNetV2",
        "weights": None,
        "trainable": "none",
        "seed": 1,
        "precision": "float32",
        "download_seconds": 30.0,
    }
    return BackboneParams(**(values | changes))


@pytest.fixture(name="backbone_params")
def backbone_params_fixture() -> Any:
    return backbone_params


@pytest.fixture(scope="session")
def pretrained() -> tuple[keras.Model, WeightsOrigin]:
    """InceptionV3 with ImageNet weights from wherever this machine gets them, and that origin."""
    backbone = build_backbone("InceptionV3", (109, 91))
    return backbone, set_weights(backbone, backbone_params(architecture="InceptionV3", weights="imagenet"))


@pytest.fixture
def silent_server() -> Iterator[str]:
    """Address of a server that accepts every connection and never says a word."""
    listener = socket.create_server(("127.0.0.1", 0))
    connections = []

    def accept() -> None:
        while True:
            try:
                connections.append(listener.accept()[0])
            except OSError:
                return

    threading.Thread(target=accept, daemon=True).start()
    yield f"127.0.0.1:{listener.getsockname()[1]}"
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    for connection in connections:
        connection.close()


@pytest.fixture
def refusing_address() -> str:
    """Address that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"127.0.0.1:{listener.getsockname()[1]}"
