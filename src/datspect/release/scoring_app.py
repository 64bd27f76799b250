"""Run MLflow's scoring server behind the gateway: `python -m datspect.release.scoring_app FOLDER PORT NAME...`.

The version brings its own `datspect`, which may be of another release than this one: what was imported for the gateway
is forgotten before the version is loaded.
"""

import os
import sys

from datspect.release.gateway import LOOPBACK, Gateway
from datspect.release.patience import Impatient

MODEL_PATH = "__pyfunc_model_path__"
"""The variable in which MLflow's server looks for the folder of its model."""


def main(folder: str, port: str, *names: str) -> None:
    """Serve the model in `folder` on this machine alone, under its own names and `names`."""
    for module in [name for name in sys.modules if name.partition(".")[0] == "datspect"]:
        del sys.modules[module]
    os.environ[MODEL_PATH] = folder
    import pandas as pd
    import uvicorn
    from mlflow.pyfunc.scoring_server.app import app
    from uvicorn.protocols.http.auto import AutoHTTPProtocol

    # Arrow would copy hundreds of megabytes of base64, and no other request would be answered meanwhile.
    pd.set_option("mode.string_storage", "python")
    protocol = type("ImpatientProtocol", (Impatient, AutoHTTPProtocol), {})
    guarded = Gateway(app, LOOPBACK | set(names))
    uvicorn.run(guarded, host="127.0.0.1", port=int(port), server_header=False, http=protocol)


if __name__ == "__main__":
    main(*sys.argv[1:])
