"""Places that a store may lie at, real ones: a folder, memory, an S3 server of this process."""

import contextlib
import logging
import uuid
from collections.abc import Iterator
from typing import Any

import pytest


@contextlib.contextmanager
def s3_server() -> Iterator[str]:
    """The URL of an empty bucket on a server of this process, known to AWS clients by environment.

    Child processes know it too.
    """
    import fsspec
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "nobody")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        # Of this machine alone: no file of its owner is read, no address of a cloud is asked.
        patch.setenv("AWS_CONFIG_FILE", "nowhere")
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", "nowhere")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        system = fsspec.filesystem("s3", skip_instance_cache=True)
        # Servers of one process share their buckets.
        bucket = f"records-{uuid.uuid4().hex[:8]}"
        system.mkdir(bucket)
        try:
            yield f"s3://{bucket}"
        finally:
            forget(system)
            server.stop()


def new_memory() -> str:
    """A URL in this process's memory that nothing lies at."""
    return f"memory://{uuid.uuid4().hex}/records"


def forget(system: Any) -> None:
    """fsspec keeps file systems by their options, and ours was of one server."""
    type(system).clear_instance_cache()
