"""Make what is said about a tracking store fit to be shown: no password, wherever an address holds it."""

import os
from collections.abc import Iterator
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit

from datspect.running.addresses import without_password

_IN_QUERY = ("password", "passwd", "pwd", "sslpassword", "token")
_FILES = ("sqlite:", "file:", "/", ".")
_IN_ENVIRONMENT = ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")


def without_secrets(text: str, uri: str) -> str:
    """Return `text` without users and passwords of addresses, and without any secret that `uri` or MLflow's login has.

    >>> without_secrets("no answer from db: password p@ss", "postgresql://ann:p@ss@host/db")
    'no answer from db: password ***'
    """
    # Whole addresses first: a password of one letter must not cut them up.
    shown = without_password(text.replace(uri, _shown(uri)))
    for secret in sorted(set(_secrets(uri)) - {""}, key=len, reverse=True):
        for written in (secret, quote(secret, safe=""), quote_plus(secret)):
            shown = shown.replace(written, "***")
    return shown


def _shown(uri: str) -> str:
    """Return an address without user and password; what follows a question mark may hold some too."""
    if uri.startswith(_FILES):
        return uri  # a folder may have an @ in its name
    scheme, slashes, rest = uri.partition("://")
    host = rest.rpartition("@")[2] if slashes else rest
    address, _, query = host.partition("?")
    if any(key.lower() in _IN_QUERY for key, _ in parse_qsl(query)):
        return f"{scheme}{slashes}{address}"
    return f"{scheme}{slashes}{host}"


def _secrets(uri: str) -> Iterator[str]:
    _, slashes, rest = uri.partition("://")
    if slashes and "@" in rest and not uri.startswith(_FILES):
        yield unquote(rest.rpartition("@")[0].partition(":")[2])
    yield from (value for key, value in parse_qsl(urlsplit(uri).query) if key.lower() in _IN_QUERY)
    yield from (os.environ.get(name, "") for name in _IN_ENVIRONMENT)
