# syntax=docker/dockerfile:1
# The code location: assets, checks and sensors, with Spark, its jars and a JVM. The same image runs the stream
# processor (`recommender stream`), `recommender init-tables`, Spark's executors and the MLflow server.
#   docker build --file deploy/docker/code-location.Dockerfile --tag recommender-code-location:0.1.0 .
# Runs as an ordinary user on a read-only root file system; writes to /var/lib/recommender, /var/lib/dagster and /tmp.

FROM ghcr.io/astral-sh/uv:0.13.9 AS uv

FROM python:3.11.14-slim-bookworm AS java
# Debian keeps only the newest build of a package, so a pinned version would soon be gone.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends openjdk-17-jre-headless procps \
    && rm -rf /var/lib/apt/lists/*
ENV JAVA_HOME=/usr/lib/jvm/default-java
RUN ln -s "$(dirname "$(dirname "$(readlink -f /usr/bin/java)")")" "${JAVA_HOME}"

FROM java AS build
COPY --from=uv /uv /usr/local/bin/uv
ENV UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1 UV_PYTHON_DOWNLOADS=never
WORKDIR /build
RUN mkdir storage
COPY requirements requirements
RUN --mount=type=cache,target=/root/.cache/uv \
    uv venv --quiet --python /usr/local/bin/python3.11 /opt/recommender \
    && uv pip sync --quiet --require-hashes --python /opt/recommender/bin/python requirements/assets.lock
COPY pyproject.toml README.md LICENSE ./
COPY recommender_assets recommender_assets
COPY recommender_serving recommender_serving
RUN --mount=type=cache,target=/root/.cache/uv \
    uv build --quiet --wheel --require-hashes --build-constraints requirements/all.lock --python /opt/recommender/bin/python --out-dir dist . \
    && uv pip install --quiet --no-deps --python /opt/recommender/bin/python dist/*.whl
# The jars of Delta and Kafka, compared with their pinned SHA-256.
RUN /opt/recommender/bin/python -m recommender_assets.local.jars \
    && mv .local/jars/spark /opt/recommender/spark-jars

FROM java
RUN groupadd --gid 10001 recommender \
    && useradd --uid 10001 --gid 10001 --home-dir /tmp --no-create-home --shell /usr/sbin/nologin recommender
COPY --from=build /opt/recommender /opt/recommender
COPY --from=build --chown=10001:10001 /build/storage /var/lib/recommender
COPY --from=build --chown=10001:10001 /build/storage /var/lib/dagster
COPY --from=build --chown=10001:10001 /build/storage /var/lib/mlflow
COPY deploy/docker/entrypoint.sh /opt/entrypoint.sh
COPY config.yaml /etc/recommender/config.yaml
COPY deploy/spark/config.yaml /etc/recommender/cluster.yaml
COPY deploy/dagster/dagster.yaml /opt/dagster/dagster.yaml
ENV PATH=/opt/recommender/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    MPLCONFIGDIR=/tmp/matplotlib \
    NUMBA_CACHE_DIR=/tmp/numba \
    DAGSTER_HOME=/opt/dagster \
    DAGSTER_STORAGE=/var/lib/dagster \
    RECOMMENDER_CONFIG=/etc/recommender/config.yaml \
    RECOMMENDER__SPARK__JARS_DIRECTORY=/opt/recommender/spark-jars \
    RECOMMENDER__STORAGE__ROOT=/var/lib/recommender
WORKDIR /var/lib/recommender
USER 10001:10001
EXPOSE 4000
HEALTHCHECK --interval=15s --timeout=10s --start-period=60s --retries=4 \
    CMD ["dagster", "api", "grpc-health-check", "--port", "4000"]
ENTRYPOINT ["/opt/entrypoint.sh"]
CMD ["dagster", "api", "grpc", "--host", "0.0.0.0", "--port", "4000", "--module-name", "recommender_assets.definitions", "--location-name", "recommender_assets"]
