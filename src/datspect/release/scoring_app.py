"""Run MLflow's scoring server behind the gateway: `python -m datspect.release.scoring_app FOLDER PORT NAME...`.

The version brings its own `datspect`, which may be of another release than this one: what was imported for the gateway
is forgotten before the version is loaded.
"""

import os
import sys
from collections.abc import Mapping

from datspect.release.gateway import LOOPBACK, Gateway
from datspect.release.patience import Impatient

MODEL_PATH = "__pyfunc_model_path__"
"""The variable in which MLflow's server looks for the folder of its model."""
ANSWER_SECONDS = 900
"""After so long MLflow gives a request up. All scans that may be answered at once, registered one after the other at
four seconds each, take less than ten minutes; MLflow's own limit, one minute, cuts off a request of thirty."""


def main(folder: str, port: str, *names: str) -> None:
    """Serve the model in `folder` on this machine alone, under its own names and `names`."""
    for module in [name for name in sys.modules if name.partition(".")[0] == "datspect"]:
        del sys.modules[module]
    os.environ[MODEL_PATH] = folder
    os.environ.setdefault("MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT", str(ANSWER_SECONDS))
    import pandas as pd
    import uvicorn
    from mlflow.pyfunc.scoring_server.app import app
    from uvicorn.protocols.http.auto import AutoHTTPProtocol

    # Arrow would copy hundreds of megabytes of base64, and no other request would be answered meanwhile.
    pd.set_option("mode.string_storage", "python")
    protocol = type("ImpatientProtocol", (Impatient, AutoHTTPProtocol), {})
    guarded = Gateway(app, LOOPBACK | set(names))
    uvicorn.run(
        guarded, host="127.0.0.1", port=int(port), server_header=False, http=protocol, use_colors=colours(os.environ)
    )


def colours(environment: Mapping[str, str]) -> bool | None:
    """Return whether log lines have colours; None leaves it to whether they go to a terminal, as uvicorn does.

    >>> colours({"NO_COLOR": "1", "FORCE_COLOR": "1"}), colours({"FORCE_COLOR": "1"}), colours({"NO_COLOR": ""})
    (False, True, None)
    """
    if environment.get("NO_COLOR") or environment.get("TERM") == "dumb":
        return False
    return True if environment.get("FORCE_COLOR") else None


if __name__ == "__main__":
    main(*sys.argv[1:])
