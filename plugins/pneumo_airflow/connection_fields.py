"""What a connection of type ``aws`` says, as our settings: each documented field is obeyed or refused.

| field | becomes |
|---|---|
| login, password; else ``aws_access_key_id``, ``aws_secret_access_key`` in extra | the key pair |
| ``aws_session_token`` | the token of temporary keys |
| ``service_config.s3.endpoint_url``, else ``endpoint_url``, else host and port | the endpoint |
| ``service_config.s3.bucket_name``, else ``bucket`` | the bucket |
| ``region_name``, ``profile_name`` (also in ``session_kwargs``) | region, profile |
| ``role_arn``, ``external_id`` (also in ``assume_role_kwargs``) | the role to assume |
| ``verify``: a file, or true | the trusted authority |
"""

from collections.abc import Mapping
from typing import Any

from pneumo_tasks.errors import BadConfiguration

_PLAIN = {
    "aws_session_token": "s3_session_token",
    "region_name": "s3_region",
    "profile_name": "s3_profile",
    "role_arn": "s3_role_arn",
    "external_id": "s3_role_external_id",
    "bucket": "bucket",
    "endpoint_url": "s3_endpoint",
}
_KEYS = ("aws_access_key_id", "aws_secret_access_key")
_IN_SESSION = {"profile_name", "region_name", "aws_session_token", *_KEYS}
_IN_ASSUMING = {"ExternalId": "external_id"}
_IN_SERVICE = {"endpoint_url": "endpoint_url", "bucket_name": "bucket", "region_name": "region_name",
               "verify": "verify"}  # fmt: skip
_OTHER = {"service_config", "session_kwargs", "assume_role_kwargs", "assume_role_method", "verify",
          "test_endpoint_url"}  # fmt: skip


def fields_as_settings(connection: Any) -> dict[str, Any]:
    """The settings that a connection gives; BadConfiguration, by name, for what Pneumo does not do."""
    given: dict[str, Any] = dict(connection.extra_dejson)
    conn_id = connection.conn_id
    _refuse(conn_id, set(given) - {*_PLAIN, *_KEYS, *_OTHER})
    given |= _part(conn_id, given, "session_kwargs", {name: name for name in _IN_SESSION})
    given |= _part(conn_id, given, "assume_role_kwargs", _IN_ASSUMING)
    given |= _part(conn_id, given.get("service_config") or {}, "s3", _IN_SERVICE)
    if given.get("assume_role_method", "assume_role") != "assume_role":
        _refuse(conn_id, {f"assume_role_method {given['assume_role_method']}"})
    found = {setting: given.get(name) or None for name, setting in _PLAIN.items()}
    found["s3_endpoint"] = found["s3_endpoint"] or _host(conn_id, connection)
    found["s3_access_key"] = connection.login or given.get(_KEYS[0]) or None
    found["s3_secret_key"] = connection.password or given.get(_KEYS[1]) or None
    found["ca_bundle"] = _authority(conn_id, given.get("verify", True))
    return found


def _part(conn_id: str, given: Mapping[str, Any], name: str, known: Mapping[str, str]) -> dict[str, Any]:
    """What stands in a field that holds fields, under the names that these have elsewhere."""
    inner = given.get(name) or {}
    _refuse(conn_id, {f"{name}.{field}" for field in set(inner) - set(known)})
    return {known[field]: value for field, value in inner.items()}


def _host(conn_id: str, connection: Any) -> str | None:
    if not connection.host:
        return None
    if "://" not in connection.host:
        _refuse(conn_id, {f"host {connection.host} without http:// or https://"})
    return f"{connection.host}:{connection.port}" if connection.port else str(connection.host)


def _authority(conn_id: str, verify: Any) -> str | None:
    if verify is False or str(verify).lower() == "false":
        _refuse(conn_id, {"verify: false, which lets anybody be the store; name the authority's file"})
    return None if verify is True or str(verify).lower() == "true" else str(verify)


def _refuse(conn_id: str, names: set[str]) -> None:
    if names:
        raise BadConfiguration(
            f"the Airflow connection {conn_id} asks for what Pneumo does not do",
            found=", ".join(sorted(names)),
            do=f"Take it out. Extra may hold: {', '.join([*_PLAIN, *_KEYS, *sorted(_OTHER)])}.",
        )
