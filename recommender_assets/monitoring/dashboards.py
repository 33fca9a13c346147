"""The dashboards. Run as a program, this writes the files for Grafana (`make docs`); `--check` only compares."""

import json
import sys
from pathlib import Path

from recommender_assets.monitoring.panel import Dashboard, Panel, dashboard_json

FOLDER = Path(__file__).parents[2] / "deploy" / "grafana" / "dashboards"

_REQUESTS = 'recommender_http_request_duration_seconds_count{route!~"/health.*|/metrics"}'
_LISTS = 'recommender_http_request_duration_seconds_bucket{route=~"/recommendations.*"}'


def _quantiles(bucket: str, by: str = "") -> dict[str, str]:
    """Median and 99th percentile of a histogram over five minutes."""
    legend = f" {{{{{by}}}}}" if by else ""
    labels = f"le, {by}" if by else "le"
    return {
        f"p{percent}{legend}": f"histogram_quantile({percent / 100}, sum by ({labels}) (rate({bucket}[5m])))"
        for percent in (50, 99)
    }


SERVICE = Dashboard(
    "recommender-service",
    "Recommender: service",
    {
        "Objectives": [
            Panel(
                "Without server error, last hour",
                {"share": "1 - recommender:http_errors:ratio_rate1h"},
                "percentunit",
                "stat",
                "Objective: 99.9 %.",
            ),
            Panel(
                "Lists within 50 ms, last hour",
                {"share": "1 - recommender:slow_lists:ratio_rate1h"},
                "percentunit",
                "stat",
                "Objective: 99 %.",
            ),
            Panel("Replicas with a model", {"ready": "sum(recommender_ready)"}, kind="stat"),
            Panel("Alerts that fire", {"alerts": 'count(ALERTS{alertstate="firing"}) or vector(0)'}, kind="stat"),
            Panel(
                "Error budget: burn rate",
                {
                    "5 minutes": "recommender:http_errors:ratio_rate5m / 0.001",
                    "30 minutes": "recommender:http_errors:ratio_rate30m / 0.001",
                    "1 hour": "recommender:http_errors:ratio_rate1h / 0.001",
                    "6 hours": "recommender:http_errors:ratio_rate6h / 0.001",
                },
                help="1 spends the budget of 30 days in 30 days; a page from 14.4 over an hour.",
            ),
            Panel(
                "Latency budget: burn rate",
                {
                    "5 minutes": "recommender:slow_lists:ratio_rate5m / 0.01",
                    "30 minutes": "recommender:slow_lists:ratio_rate30m / 0.01",
                    "1 hour": "recommender:slow_lists:ratio_rate1h / 0.01",
                    "6 hours": "recommender:slow_lists:ratio_rate6h / 0.01",
                },
            ),
            Panel(
                "Degraded",
                {"{{instance}} {{reason}}": "recommender_degraded"},
                help="1 while the reason degrades the replica.",
            ),
        ],
        "Requests": [
            Panel("Requests by route", {"{{route}}": f"sum by (route) (rate({_REQUESTS}[5m]))"}, "reqps"),
            Panel("Requests by status", {"{{status}}": f"sum by (status) (rate({_REQUESTS}[5m]))"}, "reqps"),
            Panel("Latency of lists", _quantiles(_LISTS, "route"), "s"),
            Panel(
                "Refused before any route",
                {"{{code}}": "sum by (code) (rate(recommender_refused_requests_total[5m]))"},
                "reqps",
                needs="a request is refused (no key, a limit, too much load)",
            ),
        ],
        "Freshness": [
            Panel(
                "From Kafka to the live view",
                _quantiles("recommender_live_delay_seconds_bucket"),
                "s",
                help="Age of the newest record of each batch when lists know it.",
            ),
            Panel("Records still to read", {"{{instance}}": "recommender_live_lag_records"}),
            Panel("Live events held", {"{{instance}}": "recommender_live_events"}),
            Panel(
                "Records read",
                {"{{result}}": "sum by (result) (rate(recommender_live_records_total[5m]))"},
                "cps",
                needs="an event arrives",
            ),
        ],
        "Lists": [
            Panel(
                "Lists by source",
                {"{{source}}": "sum by (source) (rate(recommender_recommendations_total[5m]))"},
                "cps",
            ),
            Panel(
                "Lists that had been rendered",
                {
                    "share": 'sum(rate(recommender_list_cache_total{result="hit"}[5m]))'
                    " / sum(rate(recommender_list_cache_total[5m]))"
                },
                "percentunit",
            ),
            Panel("Time to solve a user", _quantiles("recommender_user_solve_duration_seconds_bucket"), "s"),
            Panel("Memory of kept lists", {"{{instance}} {{algorithm}}": "recommender_list_cache_bytes"}, "bytes"),
        ],
        "Processes": [
            Panel("Memory", {"{{job}} {{instance}}": "process_resident_memory_bytes"}, "bytes"),
            Panel("CPU", {"{{job}} {{instance}}": "rate(process_cpu_seconds_total[5m])"}, help="1 is one core."),
            Panel("Open files", {"{{job}} {{instance}}": "process_open_fds"}),
        ],
    },
)

DATA = Dashboard(
    "recommender-data",
    "Recommender: data",
    {
        "Now": [
            Panel("Unread records", {"lag": "recommender:ingestion_lag_records:sum"}, kind="stat"),
            Panel(
                "Since the last micro-batch",
                {"age": "time() - max(recommender_ingestion_last_commit_timestamp_seconds)"},
                "s",
                "stat",
            ),
            Panel(
                "Failed checks", {"failed": "count(recommender_dagster_check_passed == 0) or vector(0)"}, kind="stat"
            ),
            Panel(
                "Sources that can be read",
                {"{{source}}": "recommender_exporter_source_up"},
                kind="stat",
                help="Of `recommender metrics`.",
            ),
        ],
        "Ingestion": [
            Panel(
                "Records by result",
                {"{{result}}": "sum by (result) (rate(recommender_ingestion_records_total[5m]))"},
                "cps",
            ),
            Panel("Unread by partition", {"{{partition}}": "recommender_ingestion_lag_records"}),
            Panel(
                "Rejected and duplicate, last 15 minutes",
                {"{{reason}}": "sum by (reason) (increase(recommender_ingestion_rejected_records_total[15m]))"},
                needs="a record is rejected",
            ),
            Panel("Micro-batches, last 15 minutes", {"batches": "increase(recommender_ingestion_batches_total[15m])"}),
            Panel(
                "Time of a micro-batch of recommender stream",
                _quantiles("recommender_stream_batch_duration_seconds_bucket"),
                "s",
                needs="`recommender stream` commits a micro-batch",
            ),
        ],
        "Dagster": [
            Panel(
                "Runs that ended, last hour",
                {"{{job}} {{status}}": "sum by (job, status) (increase(recommender_dagster_runs_total[1h])) > 0"},
                needs="a run ends",
            ),
            Panel("Runs at work", {"{{job}}": "recommender_dagster_unfinished_runs"}),
            Panel("Duration of the latest run", {"{{job}}": "recommender_dagster_last_success_duration_seconds"}, "s"),
            Panel(
                "Checks",
                {"": "recommender_dagster_check_passed"},
                kind="table",
                help="1 passed, 0 failed; the latest of each.",
            ),
            Panel("Sensors", {"": "recommender_dagster_sensor_running"}, kind="table", help="1 is switched on."),
        ],
    },
)


def _figure(metric: str, floor: str = "") -> dict[str, str]:
    figures = {"{{algorithm}} {{role}}": metric}
    return figures | {"best floor": floor} if floor else figures


MODELS = Dashboard(
    "recommender-models",
    "Recommender: models and promotions",
    {
        "Champion": [
            Panel(
                "Age",
                {"age": "time() - max(recommender_model_champion_trained_timestamp_seconds)"},
                "s",
                "stat",
                "Since training.",
            ),
            Panel("Records not learned yet", {"records": "recommender_model_unlearned_records"}, kind="stat"),
            Panel(
                "Since the latest decision",
                {"age": "time() - max(recommender_promotion_last_decision_timestamp_seconds)"},
                "s",
                "stat",
            ),
            Panel(
                "Promoted by it",
                {"promoted": "recommender_promotion_last_decision_promoted"},
                kind="stat",
                help="1 yes, 0 no.",
            ),
            Panel(
                "Decisions by kind",
                {"{{kind}}": "recommender_promotion_decisions_total"},
                kind="stat",
                help="A refusal keeps the champion; a live_rollback is a guardrail's.",
            ),
            Panel("Deployed", {"": "recommender_model_deployed_info"}, kind="table"),
            Panel("Served, by replica", {"": "recommender_champion_info"}, kind="table"),
        ],
        "Figures on the hold-out, latest evaluation": [
            Panel(
                "RMSE",
                _figure("recommender_model_rmse_stars", "recommender_model_rmse_floor_stars"),
                help="Lower is better.",
            ),
            Panel("NDCG@10", _figure("recommender_model_ndcg_at_10_ratio", "recommender_model_ndcg_at_10_floor_ratio")),
            Panel("Coverage@20", _figure("recommender_model_coverage_at_20_ratio"), "percentunit"),
        ],
        "The service takes them in": [
            Panel("Swaps, last hour", {"{{instance}}": "increase(recommender_champion_swaps_total[1h])"}),
            Panel("Refused, last hour", {"{{instance}}": "increase(recommender_refused_models_total[1h])"}),
            Panel(
                "Model being served was trained",
                {"{{instance}}": "recommender_champion_created_timestamp_seconds * 1000"},
                "dateTimeAsIso",
            ),
        ],
    },
)

_LOOK = "somebody or the hourly schedule has looked at a running experiment"
EXPERIMENTS = Dashboard(
    "recommender-experiments",
    "Recommender: experiments",
    {
        "Running": [
            Panel(
                "Since the start",
                {"{{experiment}}": "time() - recommender_experiment_started_timestamp_seconds"},
                "s",
                "stat",
                needs="an experiment starts",
            ),
            Panel(
                "Planned users of an arm",
                {"{{experiment}}": "recommender_experiment_planned_users"},
                kind="stat",
                needs="an experiment starts",
            ),
            Panel(
                "Since the latest look",
                {"{{experiment}}": "time() - recommender_experiment_last_look_timestamp_seconds"},
                "s",
                "stat",
                needs=_LOOK,
            ),
            Panel(
                "Users in the planned proportion",
                {"{{experiment}}": "recommender_experiment_sample_ratio_p_value"},
                kind="stat",
                help="P-value; below 0.0005 something is wrong with the assignment or the log.",
                needs=_LOOK,
            ),
        ],
        "The latest look": [
            Panel("Users by arm", {"{{experiment}} {{arm}}": "recommender_experiment_users"}, needs=_LOOK),
            Panel(
                "Treatment minus control",
                {
                    "{{experiment}} {{treatment}}": "recommender_experiment_difference",
                    "{{experiment}} {{treatment}} low": "recommender_experiment_difference_low",
                    "{{experiment}} {{treatment}} high": "recommender_experiment_difference_high",
                },
                help="With both ends of its interval; decide by the decision, not by when the interval leaves 0.",
                needs=_LOOK,
            ),
            Panel("Decision", {"": "recommender_experiment_decision_info"}, kind="table", needs=_LOOK),
        ],
        "Served lists": [
            Panel(
                "Lists by arm",
                {
                    "{{experiment}} {{variant}} {{result}}": "sum by (experiment, variant, result)"
                    " (rate(recommender_experiment_lists_total[5m]))"
                },
                "cps",
                needs="a user of an experiment asks for a list",
            ),
            Panel(
                "Lists for the recommendation log",
                {"{{result}}": "sum by (result) (rate(recommender_log_lists_total[5m]))"},
                "cps",
                help="Dropped lists never reach Kafka, so that no request waits for it.",
            ),
            Panel(
                "Damaged files of running experiments, last hour",
                {"{{instance}}": "increase(recommender_refused_experiments_total[1h])"},
            ),
        ],
    },
)

DASHBOARDS = (SERVICE, DATA, MODELS, EXPERIMENTS)


def dashboard_files() -> dict[Path, str]:
    """File -> its content, for every dashboard."""
    return {
        FOLDER / f"{dashboard.uid}.json": json.dumps(dashboard_json(dashboard), indent=2) + "\n"
        for dashboard in DASHBOARDS
    }


if __name__ == "__main__":
    for path, content in dashboard_files().items():
        if sys.argv[1:] != ["--check"]:
            path.write_text(content, encoding="utf-8")
        elif path.read_text(encoding="utf-8") != content:
            sys.exit(f"{path.name} is out of date: run `make docs`")
