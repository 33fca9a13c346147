# syntax=docker/dockerfile:1
# The recommendation service: no JVM and none of the offline half's libraries.
#   docker build --file deploy/docker/service.Dockerfile --tag recommender-service:0.1.0 .
# Runs as an ordinary user on a read-only root file system; reads the champion below /var/lib/recommender.

FROM ghcr.io/astral-sh/uv:0.13.9 AS uv

FROM python:3.11.14-slim-bookworm AS build
COPY --from=uv /uv /usr/local/bin/uv
ENV UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1 UV_PYTHON_DOWNLOADS=never
WORKDIR /build
RUN mkdir storage
COPY requirements/serving.lock requirements/all.lock requirements/
RUN --mount=type=cache,target=/root/.cache/uv \
    uv venv --quiet --python /usr/local/bin/python3.11 /opt/recommender \
    && uv pip sync --quiet --require-hashes --python /opt/recommender/bin/python requirements/serving.lock
COPY pyproject.toml README.md LICENSE ./
COPY recommender_serving recommender_serving
RUN --mount=type=cache,target=/root/.cache/uv \
    uv build --quiet --wheel --require-hashes --build-constraints requirements/all.lock --python /opt/recommender/bin/python --out-dir dist . \
    && uv pip install --quiet --no-deps --python /opt/recommender/bin/python dist/*.whl

FROM python:3.11.14-slim-bookworm
COPY --from=build /opt/recommender /opt/recommender
COPY --from=build --chown=10001:10001 /build/storage /var/lib/recommender
COPY config.yaml /etc/recommender/config.yaml
ENV PATH=/opt/recommender/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    RECOMMENDER_CONFIG=/etc/recommender/config.yaml \
    RECOMMENDER__STORAGE__ROOT=/var/lib/recommender \
    RECOMMENDER__API__HOST=0.0.0.0 \
    RECOMMENDER__API__PORT=8000
WORKDIR /var/lib/recommender
USER 10001:10001
EXPOSE 8000
# Alive, not ready: a replica without a champion yet must not be restarted. The load balancer asks /health/ready.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["/opt/recommender/bin/python", "-c", "import os, urllib.request as web; web.urlopen(f'http://127.0.0.1:{os.environ[\"RECOMMENDER__API__PORT\"]}/health/live', timeout=2)"]
CMD ["recommender-serve"]
