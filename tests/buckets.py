"""Buckets made ahead of the tests: SeaweedFS takes a fifth of a second for the first object of each."""

import os
import uuid
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from typing import Any

from pneumo_tasks.local.seaweedfs import S3Server

_AHEAD = 3
_FIRST = "first"  # an object that makes the server find room for the bucket


def new_name() -> str:
    return f"test-{uuid.uuid4().hex[:12]}"


class Buckets:
    """Empty buckets of one server, in which the first write waits for nothing."""

    def __init__(self, server: S3Server) -> None:
        self.server = server
        self.maker = ThreadPoolExecutor(1, thread_name_prefix="buckets")
        self.coming: deque[Future[str]] = deque()

    def take(self) -> str:
        """The name of a bucket that nobody else is given."""
        while len(self.coming) <= _AHEAD:
            self.coming.append(self.maker.submit(self._make))
        return self.coming.popleft().result()

    def stop(self) -> None:
        self.maker.shutdown(cancel_futures=True)

    def _make(self) -> str:
        name = new_name()
        self._client.create_bucket(Bucket=name)
        self._client.put_object(Bucket=name, Key=_FIRST, Body=b"1")
        self._client.delete_object(Bucket=name, Key=_FIRST)
        return name

    @cached_property
    def _client(self) -> Any:
        import boto3

        return boto3.client(
            "s3",
            endpoint_url=self.server.endpoint,
            aws_access_key_id=self.server.access_key,
            aws_secret_access_key=self.server.secret_key,
            region_name=os.environ.get("AWS_REGION", "us-east-1"),
        )
