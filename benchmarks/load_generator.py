"""A closed-loop HTTP/1.1 load generator: a fixed number of keep-alive connections, one request under way on each.

Run as a program it reads its job from standard input and prints a summary, so that it has a core of its own.
"""

import asyncio
import random
import sys
import time
from collections.abc import Sequence
from typing import cast

import msgspec
import uvloop


class Job(msgspec.Struct):
    """What to ask: paths, each once in order if `seconds` is 0, else at random for that long."""

    host: str
    port: int
    paths: list[str]
    connections: int
    seconds: float


class Summary(msgspec.Struct):
    """What came of it; `failed` counts answers other than 200."""

    requests: int
    failed: int
    requests_per_s: float
    p50_ms: float
    p99_ms: float
    max_ms: float


class _Load:
    """The requests still to send and the latencies measured so far."""

    def __init__(self, job: Job) -> None:
        self._requests = [f"GET {path} HTTP/1.1\r\nHost: benchmark\r\n\r\n".encode() for path in job.paths]
        self._order = iter(self._requests) if not job.seconds else None
        self._until = time.perf_counter() + job.seconds
        self._random = random.Random(0)
        self.latencies: list[float] = []
        self.failed = 0

    def next_request(self) -> bytes | None:
        if self._order is not None:
            return next(self._order, None)
        return self._random.choice(self._requests) if time.perf_counter() < self._until else None


class _Connection(asyncio.Protocol):
    def __init__(self, load: _Load, done: asyncio.Future[None]) -> None:
        self._load = load
        self._done = done
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's transports share no base class with it
        self._send()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        if not separator or len(body) < _content_length(head):
            return
        self._load.latencies.append(time.perf_counter() - self._sent)
        self._load.failed += not head.startswith(b"HTTP/1.1 200")
        self._received = b""
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._done.done():
            self._done.set_exception(ConnectionError(f"the service closed a connection: {exc}"))

    def _send(self) -> None:
        request = self._load.next_request()
        if request is None:
            self._done.set_result(None)
            self._transport.close()
            return
        self._sent = time.perf_counter()
        self._transport.write(request)


def _content_length(head: bytes) -> int:
    start = head.lower().index(b"content-length:") + len(b"content-length:")
    return int(head[start:].partition(b"\r\n")[0])


def summarise(latencies: Sequence[float], failed: int, elapsed: float) -> Summary:
    """Counts and percentiles of latencies given in seconds."""
    ordered = sorted(latencies)
    return Summary(
        requests=len(ordered),
        failed=failed,
        requests_per_s=round(len(ordered) / elapsed, 1),
        p50_ms=round(ordered[len(ordered) // 2] * 1000, 3),
        p99_ms=round(ordered[int(len(ordered) * 0.99)] * 1000, 3),
        max_ms=round(ordered[-1] * 1000, 3),
    )


async def generate(job: Job) -> Summary:
    """Run one job."""
    loop = asyncio.get_running_loop()
    load = _Load(job)
    started = time.perf_counter()
    ends: list[asyncio.Future[None]] = []
    for _ in range(job.connections):
        done: asyncio.Future[None] = loop.create_future()
        ends.append(done)
        await loop.create_connection(lambda done=done: _Connection(load, done), job.host, job.port)
    await asyncio.gather(*ends)
    return summarise(load.latencies, load.failed, time.perf_counter() - started)


if __name__ == "__main__":
    summary = uvloop.run(generate(msgspec.json.decode(sys.stdin.buffer.read(), type=Job)))
    print(msgspec.json.encode(summary).decode())
