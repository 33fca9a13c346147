from deltalake import write_deltalake

from recommender_assets.ingestion import sources
from recommender_assets.ingestion.tables import create_tables, table_path
from recommender_assets.settings import Settings


def import_items(settings: Settings) -> int:
    """Replace table `items` by the source's catalogue; returns the number of items."""
    create_tables(settings.root)
    films = sources.films()
    write_deltalake(table_path(settings.root, "items"), films, mode="overwrite")
    return int(films.num_rows)
