"""Tell from the address of a tracking store whether what is sent there stays on this machine."""

import socket
from ipaddress import ip_address
from pathlib import PurePath
from urllib.parse import SplitResult, parse_qsl, urlsplit

_DATABASES = ("postgresql", "mysql", "mariadb", "mssql", "oracle")
_SERVERS = ("http", "https")
# Parameters of a database address that may name another host than its front does.
_SOCKET_OR_HOST = ("host", "unix_socket")
_NOT_READ_HERE = ("hostaddr", "service", "servicefile", "passfile", "odbc_connect", "dsn")


def beyond_this_machine(uri: str) -> bool:
    """Tell whether `uri`, of a tracking store or of artifacts, leads to another machine; True if it is not understood.

    Files, SQLite, and servers or databases at localhost, 127.0.0.0/8, ::1 or this host's own name are on this machine.
    The address does not show a tunnel that begins here, a mounted network drive, or what a server here passes on.

    >>> beyond_this_machine("sqlite:///mlflow.db"), beyond_this_machine("https://mlflow.example.org")
    (False, True)
    """
    try:
        parts = urlsplit(uri)
        return not (_is_path(uri) or _is_here(parts))
    except ValueError:  # not an address, such as an IPv6 host without its bracket
        return True


def _is_here(parts: SplitResult) -> bool:
    scheme = parts.scheme.partition("+")[0]  # postgresql+psycopg: the driver does not matter
    if scheme == "sqlite":
        return not parts.netloc  # some SQLite drivers speak to a host
    if scheme == "file":
        return not parts.path.startswith("//") if not parts.netloc else _is_this_host(_host(parts))
    if scheme == "mlflow-artifacts" and not parts.netloc:
        return True  # at the tracking server, whatever that is
    if scheme in (*_SERVERS, "mlflow-artifacts"):
        return _is_this_host(_host(parts))
    return scheme in _DATABASES and _is_database_here(parts)


def _is_database_here(parts: SplitResult) -> bool:
    query = parse_qsl(parts.query, keep_blank_values=True)
    if any(key.lower() in _NOT_READ_HERE for key, _ in query):
        return False
    named = [value for key, value in query if key.lower() in _SOCKET_OR_HOST]
    hosts = [host for host in [_host(parts), *named] if host is not None]
    # Without a host the driver takes its own default, which the environment may set.
    return bool(hosts) and all(host.startswith("/") or _is_this_host(host) for host in hosts)


def _is_path(uri: str) -> bool:
    """Tell whether `uri` is a path here: absolute or with a leading dot, but not a network drive //host/share.

    A bare word is not a path either, since MLflow knows services by such names.
    """
    if uri.startswith(("//", "\\\\")):
        return False
    return uri.startswith(("/", "./", "../")) or bool(PurePath(uri).drive)


def _host(parts: SplitResult) -> str | None:
    if "," in parts.netloc:
        raise ValueError("several hosts in one address")
    return parts.hostname or None


def _is_this_host(host: str | None) -> bool:
    if host is None:
        return False
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return _name(host) in {"localhost", _name(socket.gethostname()), _name(socket.getfqdn())}


def _name(host: str) -> str:
    return host.lower().removesuffix(".")
