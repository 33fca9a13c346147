from recommender_assets.ingestion import sources
from recommender_assets.local.demo_facts import RATINGS_OF_KNOWN_USER, known_user, liked_films


def test_the_known_user_has_about_as_many_ratings_as_wanted_and_is_always_the_same() -> None:
    user = known_user()
    counts = dict.fromkeys(sources.ratings()["user_id"].to_pylist(), 0)
    for one in sources.ratings()["user_id"].to_pylist():
        counts[one] += 1
    assert abs(counts[user] - RATINGS_OF_KNOWN_USER) == min(abs(n - RATINGS_OF_KNOWN_USER) for n in counts.values())
    assert known_user() == user


def test_liked_films_are_the_best_rated_first_with_their_titles() -> None:
    lines = liked_films(known_user(), 5)
    stars = [float(line.split()[0]) for line in lines]
    assert len(lines) == 5
    assert stars == sorted(stars, reverse=True)
    assert stars[0] == 5.0
    titles = set(sources.films()["title"].to_pylist())
    assert all(line.split("  ", 1)[1] in titles for line in lines)
