"""Champion swaps under load: `python -m benchmarks.swap [--swaps 6] [--pause 10] [--requests-per-s 4000]`.

Two pairs of models (svd and nmf) of MovieLens-1M's size take turns as champion while another process asks for random
users' lists at a steady rate. `p99_ratio` is the 99th percentile of the answers during the swaps, from writing the
pointer until a second after the new champion answers, over that of a run without any swap. The last line is one JSON
object.
"""

import argparse
import tempfile
import time
from pathlib import Path

import msgspec
import numpy as np

from benchmarks.running_service import Service, finished, running_service
from benchmarks.serving import CONNECTIONS, user_paths
from benchmarks.synthetic_models import MOVIELENS_1M, promote, publish, synthetic_model
from recommender_serving.engine.factor_model import FactorModel

_AFTER_SECONDS = 1.0
_LARGEST_SWAP_SECONDS = 30.0


def swap(service: Service, root: Path, models: list[FactorModel]) -> tuple[float, float]:
    """Promote the first of the models; Unix times of the pointer and of the first answer of the new champion."""
    written = time.time()
    promote(root, models[0].version, {model.algorithm: model.version for model in models})
    while service.get("/model")["version"] != models[0].version:
        if time.time() > written + _LARGEST_SWAP_SECONDS:
            raise RuntimeError(f"{models[0].version} does not come into service")
        time.sleep(0.02)
    return written, time.time()


def percentile(samples: np.ndarray, windows: list[tuple[float, float]]) -> float:  # type: ignore[type-arg]
    """99th percentile, in milliseconds, of the answers inside the windows."""
    inside = np.zeros(len(samples), dtype=bool)
    for start, end in windows:
        inside |= (samples[:, 0] >= start) & (samples[:, 0] <= end + _AFTER_SECONDS)
    return float(np.percentile(samples[inside, 1], 99) * 1000)


def main() -> None:
    """Run and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--swaps", type=int, default=6, help="number of swaps (default: 6)")
    parser.add_argument("--pause", type=float, default=10.0, help="seconds from one swap to the next (default: 10)")
    parser.add_argument("--requests-per-s", type=float, default=4_000.0, help="steady load (default: 4000)")
    options = parser.parse_args()
    paths = user_paths(MOVIELENS_1M)
    with tempfile.TemporaryDirectory() as name:
        root, samples = Path(name) / "data", str(Path(name) / "samples.npy")
        pairs = [[synthetic_model(MOVIELENS_1M, algorithm, seed) for algorithm in ("svd", "nmf")] for seed in (1, 0)]
        for pair in pairs:
            arrays = publish(root, *pair)
        job = {"connections": CONNECTIONS, "rate": options.requests_per_s, "samples": samples}
        with running_service(root) as service:
            service.load(paths)
            steady = service.load(paths, seconds=options.pause, **job)
            load = service.start_load(paths, seconds=options.swaps * options.pause, **job)
            windows, started = [], time.monotonic()
            for number in range(options.swaps):
                time.sleep(max(started + options.pause * (number + 0.5) - time.monotonic(), 0))
                windows.append(swap(service, root, pairs[number % 2]))
            during = finished(load)
            p99 = percentile(np.load(samples), windows)
            result = {
                "benchmark": "swap",
                "swaps": len(windows),
                "failed": during.failed,
                "p99_ratio": round(p99 / steady.p99_ms, 2),
                "p99_ms_during_swaps": round(p99, 3),
                "p99_ms_steady": steady.p99_ms,
                "longest_swap_s": round(max(end - start for start, end in windows), 2),
                "steady": steady,
                "with_swaps": during,
                "resident_mib": service.resident_mib,
                "arrays_mib": round(arrays / 2**20, 1),
            }
    print(msgspec.json.encode(result).decode())


if __name__ == "__main__":
    main()
