# syntax=docker/dockerfile:1
# Dagster's webserver and, with another command, its daemon: they reach the code location over gRPC and so carry
# neither Spark nor this project's code.
#   docker build --file deploy/docker/dagster.Dockerfile --tag recommender-dagster:0.1.0 .
# Runs as an ordinary user on a read-only root file system; writes to /var/lib/dagster and /tmp.

FROM ghcr.io/astral-sh/uv:0.13.9 AS uv

FROM python:3.11.14-slim-bookworm AS build
COPY --from=uv /uv /usr/local/bin/uv
ENV UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1 UV_PYTHON_DOWNLOADS=never
WORKDIR /build
RUN mkdir storage
COPY requirements/webserver.lock requirements/
RUN --mount=type=cache,target=/root/.cache/uv \
    uv venv --quiet --python /usr/local/bin/python3.11 /opt/dagster-webserver \
    && uv pip sync --quiet --require-hashes --python /opt/dagster-webserver/bin/python requirements/webserver.lock

FROM python:3.11.14-slim-bookworm
COPY --from=build /opt/dagster-webserver /opt/dagster-webserver
COPY --from=build --chown=10001:10001 /build/storage /var/lib/dagster
COPY deploy/dagster/dagster.yaml deploy/dagster/workspace.yaml /opt/dagster/
ENV PATH=/opt/dagster-webserver/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    DAGSTER_HOME=/opt/dagster \
    DAGSTER_STORAGE=/var/lib/dagster
WORKDIR /var/lib/dagster
USER 10001:10001
EXPOSE 3001
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=4 \
    CMD ["/opt/dagster-webserver/bin/python", "-c", "import urllib.request as web; web.urlopen('http://127.0.0.1:3001/server_info', timeout=4)"]
CMD ["dagster-webserver", "--host", "0.0.0.0", "--port", "3001", "--workspace", "/opt/dagster/workspace.yaml"]
