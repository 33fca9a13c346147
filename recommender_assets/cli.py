"""The command `recommender`."""

import contextlib
import datetime as dt
import os
import signal
import sys
import threading
from collections.abc import Callable
from functools import partial, wraps
from pathlib import Path
from typing import Any, Literal, ParamSpec

import click
from confluent_kafka import KafkaException

from recommender_assets.ingestion.month_range import MonthRange, write_history_range
from recommender_assets.settings import Settings, load_settings
from recommender_serving.engine.config import ConfigError

P = ParamSpec("P")


def settings_or_exit() -> Settings:
    """The validated settings; a configuration error ends the program with its message."""
    try:
        return load_settings()
    except ConfigError as error:
        raise click.ClickException(str(error)) from None


def with_clear_errors(command: Callable[P, None]) -> Callable[P, None]:
    """Show an expected failure (broker away, lease held, topic re-created, ...) as one message without a traceback."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except (RuntimeError, ValueError, OSError) as error:
            raise click.ClickException(str(error)) from error
        except KafkaException as error:
            servers = settings_or_exit().streaming.kafka_bootstrap_servers
            raise click.ClickException(
                f"Kafka at {servers} (streaming.kafka_bootstrap_servers): {error.args[0].str()}"
            ) from error

    return run


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Configuration file.  [default: $RECOMMENDER_CONFIG, else ./config.yaml]",
)
def main(config: Path | None) -> None:
    """Real-time recommendations: Kafka, Spark, Delta Lake, Dagster assets and a Litestar service.

    Every key of the configuration file can be overridden: RECOMMENDER__SECTION__KEY=value.
    """
    if config is not None:
        os.environ["RECOMMENDER_CONFIG"] = str(config.absolute())


@main.command()
@click.option("--once", is_flag=True, help="Stop after the live recommendations instead of waiting for Ctrl-C.")
def demo(*, once: bool) -> None:
    """Take real ratings through the whole system to live recommendations, on this machine alone.

    The last line is a JSON object with what was measured. What was done stays below .local/; the next run continues it.
    """
    from recommender_assets.local.demo import run_demo

    settings_or_exit()
    sys.exit(run_demo(once=once))


@main.command()
def doctor() -> None:
    """Look at Java, jars, ports, broker, tables and champion; say how to mend what is wrong."""
    from recommender_assets.local.doctor import examine

    all_well = True
    for finding in examine(settings_or_exit()):
        all_well &= finding.is_well
        mark = click.style("ok   ", fg="green") if finding.is_well else click.style("mend ", fg="yellow")
        click.echo(f"{mark} {finding.subject:<28} {finding.detail}")
    sys.exit(0 if all_well else 1)


@main.command("init-tables")
@with_clear_errors
def init_tables() -> None:
    """Create the Delta tables and the Kafka topics, and write down the history's months; what exists stays."""
    from recommender_assets.ingestion.constraints import declare_constraints
    from recommender_assets.ingestion.tables import create_tables
    from recommender_assets.local.topic import create_log_topic, create_topic

    settings = settings_or_exit()
    create_tables(settings.root)
    declare_constraints(settings.root)
    click.echo(f"tables are in {settings.root}/tables")
    months = write_history_range(settings, lambda: _months_of_source(settings))
    click.echo(f"history: months {months.first_month} to {months.last_month}; reload Dagster's definitions to see them")
    topics = {settings.streaming.topic: create_topic, settings.recommendation_log.topic: create_log_topic}
    for topic, create in topics.items():
        state = "created" if create(settings) else "was there already"
        click.echo(f"topic {topic} on {settings.streaming.kafka_bootstrap_servers}: {state}")


@main.command()
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), help="Events per second.  [default: no limit]")
@with_clear_errors
def replay(rate: float | None) -> None:
    """Send the built-in ratings that are newer than the imported history to Kafka, in time order.

    Only with history.source: movielens.
    """
    from recommender_assets.local.replay import replay_ratings

    settings = settings_or_exit()
    with click.progressbar(length=1, label="events to Kafka", file=sys.stderr) as bar:

        def show(done: int, total: int) -> None:
            bar.length = total
            bar.update(done - bar.pos)

        count = replay_ratings(settings, rate, show)
    click.echo(f"{count:,} events sent to topic {settings.streaming.topic}")


@main.command()
@with_clear_errors
def stream() -> None:
    """Ingest events continuously, a micro-batch every streaming.batch_interval, until Ctrl-C or SIGTERM.

    It goes on where the interactions asset ended, and the other way round. Meanwhile runs of the asset only report.
    """
    from recommender_assets.ingestion.spark_session import start_session
    from recommender_assets.ingestion.stream import stream as run_stream
    from recommender_assets.monitoring.stream_metrics import StreamMetrics

    settings = settings_or_exit()
    stop = threading.Event()
    batches = StreamMetrics()
    click.echo(batches.serve(settings.monitoring), err=True)
    click.echo(f"starting Spark ({settings.spark.master})", err=True)
    spark = start_session(settings, **settings.spark.stream_conf)
    for number in (signal.SIGINT, signal.SIGTERM):  # after the start of Spark, which sets a handler of its own
        signal.signal(number, lambda *_: stop.set())
    click.echo(f"streaming topic {settings.streaming.topic} every {settings.streaming.batch_interval}", err=True)
    try:
        run_stream(spark, settings, stop, _say_with_time, batches.observe)
    finally:
        spark.stop()
    click.echo("stopped after the last micro-batch", err=True)


@main.command()
def train() -> None:
    """Train, evaluate and promote now: one Dagster run of train_job in this process."""
    _become(Path(sys.executable).with_name("dg"), "launch", "--job", "train_job")


@main.command()
@click.option("--algorithm", type=click.Choice(["svd", "nmf"]), required=True, help="Whose hyper-parameters.")
@click.option("--head", type=click.Choice(["rating", "ranking"]), required=True, help="Least RMSE, or best NDCG@10.")
@click.option("--trials", type=click.IntRange(min=1), default=30, show_default=True, help="Of earlier runs, too.")
@click.option("--minutes", type=click.FloatRange(min=0, min_open=True), help="Start no trial after this long.")
@click.option(
    "--ratings",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="CSV or Parquet with user_id, item_id, rating and perhaps timestamp.  [default: the user_item_matrix]",
)
@with_clear_errors
def tune(
    algorithm: Literal["svd", "nmf"],
    head: Literal["rating", "ranking"],
    trials: int,
    minutes: float | None,
    ratings: Path | None,
) -> None:
    """Search hyper-parameters on validation rows outside the hold-out; print them as a part of config.yaml.

    The same command continues a search that was stopped. Studies are in tuning/ below storage.root, trials in MLflow.
    """
    from recommender_assets.tuning.search import Budget, search
    from recommender_assets.tuning.tuning_rows import tuning_matrix

    settings = settings_or_exit()
    matrix = tuning_matrix(settings, ratings)
    budget, report = Budget(trials, minutes), partial(click.echo, err=True)
    found = search(algorithm, head, matrix, settings, budget=budget, report=report)
    click.echo(found.snippet, nl=False)
    click.echo(f"written to {found.path}", err=True)


@main.command()
@click.argument("name", type=click.Choice(["dense"]))
def preset(name: str) -> None:
    """Print hyper-parameters for a shape of data, as a part of config.yaml.

    dense: many observations of each item (fifty and more), like MovieLens 1M. For other data: recommender tune.
    """
    from recommender_assets.tuning.presets import preset_snippet

    click.echo(preset_snippet(name), nl=False)


@main.command()
def check() -> None:
    """Look at what is stored, from the events to the champion; exit code 1 if something must not be built upon.

    The same facts as the asset checks in Dagster. Nothing is trained or changed; neither Dagster nor Kafka has to run.
    """
    from rich.console import Console

    from recommender_assets.automation.check_report import look, print_facts, stops
    from recommender_assets.automation.checks import CHECKS

    facts = list(look(CHECKS, settings_or_exit()))
    print_facts(facts, Console(width=None if sys.stdout.isatty() else 160))
    sys.exit(1 if stops(facts) else 0)


@main.command()
@click.option("--to", metavar="VERSION", help="Published version to go back to.  [default: the champion's predecessor]")
@click.option("--reason", default="", metavar="TEXT", help="Why, for the table promotion_decisions.")
@with_clear_errors
def rollback(to: str | None, reason: str) -> None:
    """Make an earlier champion the champion again; services follow within a second.

    The version that was champion is not promoted again, unless a rollback names it.
    """
    from recommender_assets.promotion.rollback import roll_back

    done = roll_back(settings_or_exit(), to, reason)
    click.echo(f"champion is {done.pointer.version}, in place of {done.row.predecessor}")
    if done.registry_problem:
        click.echo(f"{done.registry_problem}; the next decision moves its aliases", err=True)


@main.command()
@click.option("--experiment_name", required=True, metavar="NAME", help="As in section experiments, or a new one.")
@click.option("--control", type=click.Choice(["svd", "nmf"]), help="Algorithm that users get now.")
@click.option("--treatment", type=click.Choice(["svd", "nmf"]), help="Algorithm that may replace it.")
@click.option("--metric", type=click.Choice(["ctr", "conversion", "mean_rating"]), help="The question.")
@click.option(
    "--min_effect_size",
    type=float,
    help="Smallest difference worth finding, absolute: 0.02 is a rate of 0.10 against 0.12 (6,355 users an arm).",
)
@click.option("--power", "statistical_power", type=float, help="Probability of finding it.")
@click.option("--significance", "significance_level", type=float, help="Probability of a false alarm.")
@click.option("--stop_rule", type=click.Choice(["fixed", "sequential"]), help="One test at the end, or daily looks.")
@click.option("--duration_days", type=int, default=14, show_default=True, help="Simulated days, or days to plan for.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of everything that simulated visitors do.")
@click.option(
    "--simulate", "action", flag_value="simulate", help="Run it on simulated visitors (default if never started)."
)
@click.option("--logged", "action", flag_value="logged", help="Analyse what users did (default if it was started).")
@click.option("--plan", "action", flag_value="plan", help="Users and days it takes at the observed traffic and rate.")
@click.option("--start", "action", flag_value="start", help="Write its plan down and let users take part.")
@click.option("--stop", "action", flag_value="stop", help="Let nobody take part any more.")
@click.option("--promote", "action", flag_value="promote", help="Make the variant that won with users the champion.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
@with_clear_errors
def experiment(
    experiment_name: str, duration_days: int, seed: int, action: str | None, *, as_json: bool, **changes: Any
) -> None:
    """Run an A/B test on simulated visitors, or plan, start, stop and analyse one with users of the service.

    Flags go over the definition in config.yaml. Simulated visitors draw on ratings that no model was trained on, and
    use a real service with topics and tables of their own.
    """
    from recommender_assets.experiments import command
    from recommender_assets.experiments.definitions import find_definition

    settings = settings_or_exit()
    given = {key: value for key, value in changes.items() if value is not None}
    if action is None:
        action = "logged" if command.was_started(settings, experiment_name) else "simulate"
    if action == "stop":
        lines = command.stop(settings, experiment_name)
    elif action == "promote":
        lines = command.promote(settings, experiment_name)
    elif action == "plan":
        lines = command.plan_lines(settings, find_definition(settings, experiment_name, given), duration_days)
    elif action == "start":
        lines = command.start(settings, find_definition(settings, experiment_name, given))
    elif action == "logged":
        lines = command.analysed(settings, experiment_name, as_json=as_json)
    else:
        definition = find_definition(settings, experiment_name, given)
        lines = command.simulated(settings, definition, duration_days, seed, as_json=as_json)
    for line in lines:
        click.echo(line)


@main.command()
def serve() -> None:
    """Start the recommendation service (the same as `recommender-serve`)."""
    _become(Path(sys.executable), "-m", "recommender_serving")


@main.command()
@with_clear_errors
def metrics() -> None:
    """Serve Prometheus metrics of ingestion, Dagster, models and experiments on monitoring.port, until stopped.

    Every metric is described in docs/metrics.md; the service has its own at /metrics.
    """
    from recommender_assets.monitoring.exporter import serve_metrics

    settings = settings_or_exit()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    monitoring = settings.monitoring
    click.echo(f"metrics at http://{monitoring.host}:{monitoring.port}/metrics", err=True)
    serve_metrics(settings, stop)


@main.command()
@with_clear_errors
def monitor() -> None:
    """Start Prometheus, Grafana where it is installed, and `recommender metrics` beside the running system.

    Dashboards, recording rules and alerts are those of deploy/; docs/runbook.md says what to do about an alert.
    """
    from recommender_assets.monitoring.monitor import run_monitor, wait_for_interrupt
    from recommender_serving.engine.config import ApiSettings, read_config, section

    settings = settings_or_exit()
    with contextlib.suppress(KeyboardInterrupt):
        run_monitor(settings, section(read_config(), "api", ApiSettings), wait_for_interrupt)


@main.command()
@click.option(
    "--from-offset",
    "offsets",
    multiple=True,
    metavar="P:O",
    help="Partition and first offset to read again; may be given several times.",
)
@click.option("--from-timestamp", metavar="T", help="The first record of every partition at or after T (RFC 3339).")
@with_clear_errors
def reingest(offsets: tuple[str, ...], from_timestamp: str | None) -> None:
    """Read records of the topic again, up to where it was read, and put back those whose row is missing.

    A record that has its row stays as it is, so that nothing is doubled; the ingestion ledger stays as it is, too.
    """
    from recommender_assets.ingestion import rereading
    from recommender_assets.ingestion.spark_session import spark_session

    settings = settings_or_exit()
    requested = rereading.requested_range(offsets, from_timestamp)
    outcome = rereading.reread(lambda: spark_session(settings), settings, requested)
    click.echo(outcome.summary())
    if outcome.errors:
        raise click.ClickException("\n".join(["ledger and tables do not agree:", *outcome.errors[:20]]))


@main.command()
@click.argument("user_id")
@with_clear_errors
def forget(user_id: str) -> None:
    """Forget USER_ID: a forget event for the service, and the user's rows and profile removed from all tables.

    Events that the user sends later count again. The files that held the rows go with the next VACUUM
    (maintenance.retention_hours).
    """
    from recommender_assets.ingestion.forget_request import forget_user
    from recommender_assets.ingestion.spark_session import spark_session

    settings = settings_or_exit()
    erasure = forget_user(lambda: spark_session(settings), settings, user_id, partial(click.echo, err=True))
    click.echo(erasure.summary())


@main.command()
@click.option("--dry-run", is_flag=True, help="Only say what is due.")
@with_clear_errors
def maintain(*, dry_run: bool) -> None:
    """Take care of the tables: forgetting, retention, small files merged (OPTIMIZE), old files removed (VACUUM).

    The same as Dagster's maintenance_job; see section maintenance of the configuration. `recommender stream` gives way
    for it after the micro-batch at hand.
    """
    from recommender_assets.ingestion import maintenance

    done = maintenance.maintain(settings_or_exit(), partial(click.echo, err=True), dry_run=dry_run)
    click.echo("\n".join(done.lines()))


@main.command("accept-topic")
@with_clear_errors
def accept_topic() -> None:
    """Go on after the topic was re-created, or after events expired before they were read.

    What was lost is written into the ingestion ledger; nothing is skipped silently.
    """
    from recommender_assets.ingestion import topic_position

    click.echo(topic_position.accept_topic(settings_or_exit()))


def _say_with_time(line: str) -> None:
    click.echo(f"{dt.datetime.now().astimezone():%H:%M:%S} {line}")


def _months_of_source(settings: Settings) -> MonthRange:
    from recommender_assets.ingestion.history import months_of_source
    from recommender_assets.ingestion.spark_session import spark_session

    click.echo(f"looking for the first and the last month in {settings.history.path} ...")
    return months_of_source(spark_session(settings), settings)


def _become(program: Path, *arguments: str) -> None:
    os.execv(program, [str(program), *arguments])  # noqa: S606


if __name__ == "__main__":
    main()
