import asyncio
from unittest.mock import patch

import numpy as np
import pytest

from recommender_serving.engine.top_items import ItemIndex, Query
from recommender_serving.search_threads import SearchThreads

RANDOM = np.random.default_rng(0)
INDEX, OTHER = (ItemIndex(RANDOM.normal(size=(20_000, 8)).astype(np.float32)) for _ in range(2))


def queries(n: int) -> list[Query]:
    return [Query(vector=RANDOM.normal(size=8).astype(np.float32), n=5) for _ in range(n)]


async def test_everybody_gets_the_answer_to_the_own_query_of_the_own_index() -> None:
    threads = SearchThreads()
    asked = [(index, query) for index in (INDEX, OTHER, INDEX) for query in queries(70)]
    answers = await asyncio.gather(*(threads.search(index, query) for index, query in asked))
    for (index, query), answer in zip(asked, answers, strict=True):
        expected = index.search([query])[0]
        assert answer.items.tolist() == expected.items.tolist()
        assert answer.scores.tolist() == expected.scores.tolist()


async def test_what_arrives_together_is_searched_together_in_batches_of_bounded_size() -> None:
    sizes = []

    def counting(index: ItemIndex, batch: list[Query]) -> object:
        sizes.append(len(batch))
        return search(index, batch)

    search = ItemIndex.search
    with patch.object(ItemIndex, "search", autospec=True, side_effect=counting):
        threads = SearchThreads()
        await asyncio.gather(*(threads.search(INDEX, query) for query in queries(200)))
    assert sum(sizes) == 200
    assert max(sizes) <= 32
    assert len(sizes) <= 20


async def test_the_event_loop_turns_meanwhile() -> None:
    threads = SearchThreads()
    search = asyncio.gather(*(threads.search(INDEX, query) for query in queries(64)))
    turns = 0
    while not search.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns > 3


async def test_a_failing_search_is_told_to_those_who_wait_and_to_nobody_else() -> None:
    threads = SearchThreads()
    wrong = Query(vector=np.zeros(3, dtype=np.float32), n=5)
    with pytest.raises(ValueError, match="mismatch"):
        await threads.search(INDEX, wrong)
    [query] = queries(1)
    assert len((await threads.search(INDEX, query)).items) == 5


async def test_one_who_went_away_does_not_disturb_the_others() -> None:
    threads = SearchThreads()
    gone, stays = (asyncio.create_task(threads.search(INDEX, query)) for query in queries(2))
    await asyncio.sleep(0)
    gone.cancel()
    assert len((await stays).items) == 5
