"""An HTTP/1.1 load generator: a fixed number of keep-alive connections, one request under way on each.

Run as a program it reads its job from standard input and prints a summary, so that it has a core of its own.
"""

import asyncio
import random
import sys
import time
from pathlib import Path
from typing import cast

import msgspec
import numpy as np
import uvloop
from numpy.typing import NDArray


class Job(msgspec.Struct, kw_only=True):
    """What to ask.

    Attributes:
        port: Of a service on this machine.
        paths: What to GET, each once in order if `seconds` is 0, else at random for that long.
        body: If not empty, what to POST to the paths instead.
        connections: How many, all of them open before the first request.
        seconds: How long.
        rate: Requests per second of all connections together, 0 = as many as are answered. A request that has to wait
            for the answer before it is timed from when it should have been sent.
        headers: Further request headers.
        samples: File for the (n, 3) array of (Unix time of the answer, seconds, 1 if it was 200), "" = none.
    """

    port: int
    paths: list[str]
    body: str = ""
    connections: int = 16
    seconds: float = 0.0
    rate: float = 0.0
    headers: dict[str, str] = {}
    samples: str = ""


class Summary(msgspec.Struct):
    """What came of it; `failed` counts answers other than 200, `generator_cpu` is the generator's share of a core."""

    requests: int
    failed: int
    requests_per_s: float
    p50_ms: float
    p99_ms: float
    p999_ms: float
    max_ms: float
    generator_cpu: float = 0.0


class _Load:
    """The requests still to send and the answers so far."""

    def __init__(self, job: Job) -> None:
        self._requests = [_request(job, path) for path in job.paths]
        self._order = iter(self._requests) if not job.seconds else None
        self._until = time.perf_counter() + job.seconds
        self._random = random.Random(0)
        self.interval = job.connections / job.rate if job.rate else 0.0
        self.ends: list[float] = []
        self.latencies: list[float] = []
        self.succeeded: list[bool] = []

    def next_request(self) -> bytes | None:
        if self._order is not None:
            return next(self._order, None)
        return self._random.choice(self._requests) if time.perf_counter() < self._until else None


class _Connection(asyncio.Protocol):
    def __init__(self, load: _Load, done: asyncio.Future[None]) -> None:
        self._load = load
        self._done = done
        self._received = b""
        self._due = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's transports share no base class with it

    def start(self) -> None:
        self._due = time.perf_counter()
        self._send(self._due)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        if not separator or len(body) < _content_length(head):
            return
        now = time.perf_counter()
        self._load.ends.append(now)
        self._load.latencies.append(now - self._sent)
        self._load.succeeded.append(head.startswith(b"HTTP/1.1 200"))
        self._received = b""
        self._due += self._load.interval
        if self._load.interval and now < self._due:
            asyncio.get_running_loop().call_later(self._due - now, self._send_on_time)
        else:
            self._send(self._due if self._load.interval else now)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._done.done():
            self._done.set_exception(ConnectionError(f"the service closed a connection: {exc}"))

    def _send_on_time(self) -> None:
        self._send(time.perf_counter())

    def _send(self, timed_from: float) -> None:
        request = self._load.next_request()
        if request is None:
            self._done.set_result(None)
            self._transport.close()
            return
        self._sent = timed_from
        self._transport.write(request)


def _request(job: Job, path: str) -> bytes:
    headers = {"Host": "benchmark", **job.headers}
    if job.body:
        headers["Content-Length"] = str(len(job.body.encode()))
    lines = [
        f"{'POST' if job.body else 'GET'} {path} HTTP/1.1",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n" + job.body).encode()


def _content_length(head: bytes) -> int:
    start = head.lower().index(b"content-length:") + len(b"content-length:")
    return int(head[start:].partition(b"\r\n")[0])


def summarise(latencies: NDArray[np.float64], failed: int, elapsed: float) -> Summary:
    """Counts and percentiles of latencies given in seconds."""
    p50, p99, p999, longest = (1000 * np.percentile(latencies, [50, 99, 99.9, 100], method="higher")).tolist()
    return Summary(
        requests=len(latencies),
        failed=failed,
        requests_per_s=round(len(latencies) / elapsed, 1),
        p50_ms=round(p50, 3),
        p99_ms=round(p99, 3),
        p999_ms=round(p999, 3),
        max_ms=round(longest, 3),
    )


async def generate(job: Job) -> Summary:
    """Run one job."""
    loop = asyncio.get_running_loop()
    load = _Load(job)
    opened = []
    for _ in range(job.connections):
        done: asyncio.Future[None] = loop.create_future()
        _, connection = await loop.create_connection(lambda done=done: _Connection(load, done), "127.0.0.1", job.port)
        opened.append((connection, done))
    started, cpu = time.perf_counter(), time.process_time()
    for connection, _ in opened:
        connection.start()
    await asyncio.gather(*(done for _, done in opened))
    elapsed, cpu = time.perf_counter() - started, time.process_time() - cpu
    if job.samples:
        clock = time.time() - time.perf_counter()
        np.save(Path(job.samples), np.column_stack((np.array(load.ends) + clock, load.latencies, load.succeeded)))
    summary = summarise(np.array(load.latencies), load.succeeded.count(False), elapsed)
    summary.generator_cpu = round(cpu / elapsed, 2)
    return summary


if __name__ == "__main__":
    print(msgspec.json.encode(uvloop.run(generate(msgspec.json.decode(sys.stdin.buffer.read(), type=Job)))).decode())
