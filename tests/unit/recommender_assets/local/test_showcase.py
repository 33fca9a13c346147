from recommender_assets.local.showcase import side_by_side


def test_lists_of_different_length_stand_side_by_side() -> None:
    lines = side_by_side("liked", ["a", "b"], "recommended", ["c"], width=6)
    assert [line.split() for line in lines] == [["liked", "recommended"], ["a", "c"], ["b"]]
    assert lines[0].index("recommended") == lines[1].index("c")


def test_long_entries_are_cut_to_the_width() -> None:
    (_, line) = side_by_side("", ["A very long title of a film"], "", ["x"], width=10)
    assert "A very ..." in line
    assert "long" not in line
