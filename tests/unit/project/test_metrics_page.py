from docs import metrics_table


def test_every_metric_has_a_row_with_kind_labels_and_meaning() -> None:
    rows = {metric.name: metric for metrics in metrics_table.sections().values() for metric in metrics}
    assert rows["recommender_http_request_duration_seconds"].labels == ("method", "route", "status")
    assert rows["recommender_http_request_duration_seconds"].kind == "histogram"
    assert rows["recommender_list_cache_total"].labels == ("result",)
    assert {"recommender_champion_info", "recommender_ingestion_lag_records", "recommender_exporter_source_up"} <= set(
        rows
    )
    page = metrics_table.page()
    for name, metric in rows.items():
        assert f"| `{name}` | {metric.kind} |" in page
        assert metric.help.endswith(".")
