"""What an answer of S3 must hold to be one: a login page or half a listing says nothing about the bucket.

The client takes any status of 200 for success, and what a body does not hold for empty. Whatever is not an
answer becomes a server error here, so the client asks again, and then fails as for any server error.
"""

import re
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from pneumo_tasks.storage.credentials import moment

NOT_AN_ANSWER = "NotAnAnswer"
_WITH_ETAG = {"GetObject", "HeadObject", "PutObject", "UploadPart"}
_IN_BODY = {"CreateMultipartUpload": ("UploadId",), "CompleteMultipartUpload": ("ETag",)}
_NO_BODY = {204, 304}
_PAGE = re.compile(rb"\s*<(!doctype html|html)", re.IGNORECASE)


def refuse_what_is_no_answer(operation_model: Any, response_dict: dict[str, Any], **_: Any) -> None:
    """Handler of the client's ``before-parse``: turn what is no answer into a server error."""
    reason = why_no_answer(
        operation_model.name, response_dict["status_code"], response_dict["headers"], response_dict["body"]
    )
    if not reason:
        return
    if not isinstance(response_dict["body"], bytes):
        response_dict["body"].close()
    response_dict["status_code"] = 500
    response_dict["body"] = (
        f"<Error><Code>{NOT_AN_ANSWER}</Code><Message>{escape(reason)}</Message></Error>".encode()
    )


def why_no_answer(operation: str, status: int, headers: Mapping[str, str], body: Any) -> str:
    """Why this is not an answer of an S3 server to ``operation``; empty where it is one.

    ``body`` is bytes, or a stream that is not looked into.
    """
    if isinstance(body, bytes) and not operation.startswith("Head"):
        told = headers.get("content-length")
        if told and told.isdigit() and int(told) != len(body) and status not in _NO_BODY:
            return f"{len(body)} bytes of {told} arrived"
    if not 200 <= status < 300:
        # The client has made a 500 of a status of 200 with a body that is no XML.
        return "a web page" if status >= 500 and isinstance(body, bytes) and _PAGE.match(body) else ""
    if operation in _WITH_ETAG:
        if not _is_time(headers.get("last-modified")):
            return "an object's answer with a time that is none"
        return "" if headers.get("etag") else "an object's answer without an ETag"
    if operation == "ListObjectsV2":
        return _why_no_page(body)
    missing = [name for name in _IN_BODY.get(operation, ()) if f"<{name}>".encode() not in body]
    return f"no {missing[0]} in it" if missing else ""


def _why_no_page(body: bytes) -> str:
    """A page says how many keys it holds, and whether and where the next one begins."""
    try:
        root = ElementTree.fromstring(body)  # noqa: S314 - the client parses the same bytes next
    except ElementTree.ParseError as error:
        return f"a listing that is no XML: {error}"
    found = [re.sub(r"^\{.*\}", "", child.tag) for child in root]
    texts = {re.sub(r"^\{.*\}", "", child.tag): (child.text or "").strip() for child in root}
    if not root.tag.endswith("ListBucketResult") or not {"KeyCount", "IsTruncated"} <= set(found):
        return "a listing without KeyCount and IsTruncated"
    if texts["IsTruncated"] == "true" and not texts.get("NextContinuationToken"):
        return "a listing that goes on, and does not say where"
    told, there = texts["KeyCount"], found.count("Contents") + found.count("CommonPrefixes")
    if told.isdigit() and there == 0 and int(told) > 0:
        return f"a listing of {told} keys that holds none"
    return _why_unreadable(root, root.tag.removesuffix("ListBucketResult"))


def _why_unreadable(root: ElementTree.Element, namespace: str) -> str:
    """The client ends with an error of its own over a time or a size that nobody can read."""
    if not all(_is_time((found.text or "").strip()) for found in root.iter(f"{namespace}LastModified")):
        return "a listing with a LastModified that is none"
    if not all((found.text or "").strip().isdigit() for found in root.iter(f"{namespace}Size")):
        return "a listing with a Size that is none"
    return ""


def _is_time(told: str | None) -> bool:
    """Whether the client can read it; an answer need not say a time."""
    try:
        return told is None or moment(told) is not None
    except (TypeError, ValueError, OverflowError):
        return False
