from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from recommender_assets.presentation.pages import page
from recommender_assets.presentation.tables import key_value_table


class Cells(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.cells: list[str] = []
        self.images: list[str | None] = []
        self.tags: list[str] = []
        self.is_cell = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.is_cell = tag in {"td", "th"}
        if self.is_cell:
            self.cells.append("")
        if tag == "img":
            self.images.append(dict(attrs)["src"])

    def handle_endtag(self, tag: str) -> None:
        self.is_cell &= tag not in {"td", "th"}

    def handle_data(self, data: str) -> None:
        if self.is_cell:
            self.cells[-1] += data


def parsed(sections: dict[str, str]) -> Cells:
    parser = Cells()
    parser.feed(page("title", sections))
    return parser


text = st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters="\\*"), max_size=8)


@given(st.dictionaries(text, text, max_size=4))
def test_every_cell_arrives_as_it_is_whatever_it_holds(values: dict[str, str]) -> None:
    found = parsed({"values": key_value_table(values)})

    assert found.cells == ["name", "value", *(cell for pair in values.items() for cell in pair)]


def test_images_paragraphs_and_bold_figures() -> None:
    found = parsed({"plot": "![a](data:image/png;base64,AAAA)", "words": "a < b", "t": "| x |\n| --- |\n| **1** |"})

    assert found.images == ["data:image/png;base64,AAAA"]
    assert found.tags.count("h2") == 3
    assert "b" in found.tags
    assert "a &lt; b" in page("title", {"words": "a < b"})
