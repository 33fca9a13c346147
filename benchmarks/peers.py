"""What the service is compared with: `python -m benchmarks.peers empty|naive [MODEL_DIRECTORY]`.

`empty` is a Litestar handler that answers a constant; `naive` is what one writes first: a Litestar handler that scores
all items with numpy and returns a list of dictionaries.
"""

import os
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import uvicorn
from litestar import Litestar, get
from litestar.params import FromPath

from recommender_serving.engine.factor_model import read_model


def empty() -> Litestar:
    """A handler that does nothing."""

    @get("/recommendations/user/{user_id:str}")
    async def recommendations(user_id: FromPath[str]) -> dict[str, str]:
        return {"user_id": user_id}

    return Litestar([recommendations], logging_config=None)


def naive(directory: Path) -> Litestar:
    """Scores everything for every request; no live events, no metrics, no keys."""
    model = read_model(directory)
    users = {model.user_ids[index]: index for index in range(model.n_users)}
    items, titles = model.item_ids[:], model.catalogue.titles[:]
    history, ranking = model.history, model.ranking

    @get("/recommendations/user/{user_id:str}")
    async def recommendations(user_id: FromPath[str]) -> dict[str, Any]:
        user = users[user_id]
        scores = ranking.item_factors @ ranking.user_factors[user]
        scores[history.item[history.rows_of(user)]] = -np.inf
        best = np.argpartition(-scores, 10)[:10]
        best = best[np.argsort(-scores[best])]
        listed = [{"item_id": items[i], "title": titles[i], "score": float(scores[i])} for i in best]
        return {"user_id": user_id, "recommendations": listed}

    return Litestar([recommendations], logging_config=None)


if __name__ == "__main__":
    app = empty() if sys.argv[1] == "empty" else naive(Path(sys.argv[2]))
    uvicorn.run(app, port=int(os.environ["RECOMMENDER__API__PORT"]), loop="uvloop", http="httptools", log_level="error")
