"""Throughput and latency of the service over HTTP: `python -m benchmarks.serving [--seconds 5] [--only PART ...]`.

Starts the service with an API key and loads it from another process on the same machine (`generator_cpu` is that
process's share of a core). Parts: `lists` (a model of MovieLens-1M's size, random users, every cache cold and warm),
`rules` (`POST /recommendations` without and with rules; nothing of it is kept), `connections` (1 to 256), `peers` (an
empty and a naive Litestar handler), `million` (1,000,000 items x 50 factors), `soak` (`--soak-minutes`: resident memory
at a steady load). The last line is one JSON object.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from benchmarks.running_service import finished, running, running_service
from benchmarks.synthetic_models import MILLION_ITEMS, MOVIELENS_1M, Size, publish, synthetic_model
from recommender_serving.engine.champion_pointer import version_directory

CONNECTIONS = 16
MILLION_CONNECTIONS = 32
SOAK_REQUESTS_PER_S = 5_000.0


def lists(root: Path, arrays: int, seconds: float) -> dict[str, Any]:
    """Every user once on a fresh service, then random users."""
    paths = user_paths(MOVIELENS_1M)
    with running_service(root) as service:
        cold = service.load(paths, connections=CONNECTIONS)
        warm = service.load(paths, connections=CONNECTIONS, seconds=seconds)
        return {
            "requests_per_s_warm": warm.requests_per_s,
            "requests_per_s_cold": cold.requests_per_s,
            "p99_ms": warm.p99_ms,
            "warm": warm,
            "cold": cold,
            "resident_mib": service.resident_mib,
            "arrays_mib": round(arrays / 2**20, 1),
        }


def rules(root: Path, seconds: float) -> dict[str, Any]:
    """Lists of one user under no rule, under rules that leave items out, and under those that weigh and spread."""
    asked = {
        "none": {},
        "filters": {"exclude_items": [str(item) for item in range(100)]},
        "weighed_and_spread": {"popularity_discount": 0.3, "boosts": {"items": {"7": 2.0}}, "diversity": 0.3},
    }
    with running_service(root) as service:
        return {
            name: service.load(
                ["/recommendations"],
                body=msgspec.json.encode({"user_id": "17", **fields}).decode(),
                connections=CONNECTIONS,
                seconds=seconds,
            )
            for name, fields in asked.items()
        }


def connections(root: Path, seconds: float) -> dict[str, Any]:
    """Warm, with few and with many clients."""
    paths = user_paths(MOVIELENS_1M)
    with running_service(root) as service:
        service.load(paths)
        return {str(number): service.load(paths, connections=number, seconds=seconds) for number in (1, 16, 64, 256)}


def peers(root: Path, seconds: float) -> dict[str, Any]:
    """The ceiling of the framework, and what one writes first."""
    paths = user_paths(MOVIELENS_1M)
    version = synthetic_version(root)
    results = {}
    for peer in ("empty", "naive"):
        command = ["-m", "benchmarks.peers", peer, str(version_directory(root, version))]
        with running(command, {}, paths[0], {}) as service:
            results[f"{peer}_handler"] = service.load(paths, connections=CONNECTIONS, seconds=seconds)
    return results


def million(folder: Path, seconds: float) -> dict[str, Any]:
    """Exact lists over a million items: no list is asked for twice, so that none is kept."""
    root = folder / "million"
    arrays = publish(root, synthetic_model(MILLION_ITEMS))
    with running_service(root) as service:
        paths = [f"{path}?num_recommendations={n}" for n in range(10, 21) for path in user_paths(MILLION_ITEMS)]
        service.load(paths[:MILLION_CONNECTIONS], connections=MILLION_CONNECTIONS)
        load = service.load(paths[: int(seconds * 2_000)], connections=MILLION_CONNECTIONS)
        resident = service.resident_mib
    return {
        "million_items_qps": load.requests_per_s,
        "million_items_p99_ms": load.p99_ms,
        "million_items": load,
        "million_items_resident_mib": resident,
        "million_items_arrays_mib": round(arrays / 2**20, 1),
    }


def soak(root: Path, minutes: float) -> dict[str, Any]:
    """Resident memory while random users, known and unknown ones, ask for lists of every length."""
    paths = [
        f"{path}?num_recommendations={n}" for path in user_paths(MOVIELENS_1M, strangers=6_000) for n in (5, 10, 20)
    ]
    resident = []
    with running_service(root) as service:
        service.load(paths, connections=CONNECTIONS)
        generator = service.start_load(paths, connections=CONNECTIONS, seconds=minutes * 60, rate=SOAK_REQUESTS_PER_S)
        while generator.poll() is None:
            resident.append(service.resident_mib)
            time.sleep(min(10.0, minutes * 6))
        load = finished(generator)
    return {"soak_minutes": minutes, "soak": load, "soak_resident_mib": resident}


def user_paths(size: Size, strangers: int = 0) -> list[str]:
    """The address of every user's list, in random order."""
    paths = [f"/recommendations/user/{user}" for user in range(size.users + strangers)]
    np.random.default_rng(0).shuffle(paths)
    return paths


def synthetic_version(root: Path) -> str:
    """The version that `publish` has written below the root."""
    return next((root / "champion" / "versions").iterdir()).name


def main() -> None:
    """Run the parts that are asked for and print what came of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = ("lists", "rules", "connections", "peers", "million", "soak")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of each warm run (default: 5)")
    parser.add_argument("--soak-minutes", type=float, default=0.0, help="length of the soak (default: none)")
    parser.add_argument("--only", nargs="+", choices=parts, default=list(parts), help="parts to run (default: all)")
    options = parser.parse_args()
    result: dict[str, Any] = {"benchmark": "serving", "connections": CONNECTIONS}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        root = folder / "movielens"
        arrays = publish(root, synthetic_model(MOVIELENS_1M))
        run: dict[str, Callable[[], dict[str, Any]]] = {
            "lists": lambda: lists(root, arrays, options.seconds),
            "rules": lambda: {"rules": rules(root, options.seconds)},
            "connections": lambda: {"by_connections": connections(root, options.seconds)},
            "peers": lambda: peers(root, options.seconds),
            "million": lambda: million(folder, options.seconds),
            "soak": lambda: soak(root, options.soak_minutes) if options.soak_minutes else {},
        }
        for part in options.only:
            result |= run[part]()
    print(msgspec.json.encode(result).decode())


if __name__ == "__main__":
    main()
