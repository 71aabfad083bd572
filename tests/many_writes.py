"""Writing the many objects of a story at the cost of their bytes: boto3's own work would be most of it."""

from collections.abc import Mapping

from pneumo_tasks.storage.object_store import ObjectStore, sha256


def put_many(store: ObjectStore, bodies: Mapping[str, bytes]) -> None:
    """Write objects as ``ObjectStore.put`` would, with its credentials."""
    from obstore.store import S3Store

    ours = store.client._request_signer._credentials.get_frozen_credentials()
    fast = S3Store(
        store.bucket,
        config={
            "endpoint": store.client.meta.endpoint_url,
            "access_key_id": ours.access_key,
            "secret_access_key": ours.secret_key,
            "region": store.client.meta.region_name,
            "virtual_hosted_style_request": False,
        },
        client_options={"allow_http": True},
    )
    for key, body in bodies.items():
        kind = "application/json" if key.endswith(".json") else "application/octet-stream"
        fast.put(key, body, attributes={"Content-Type": kind, "sha256": sha256(body)}, use_multipart=False)
