#!/bin/sh
# The databases of Dagster and MLflow, each with an owner of its own; runs once, when the data directory is empty.
# A password comes from DAGSTER_POSTGRES_PASSWORD and MLFLOW_POSTGRES_PASSWORD; without one only `trust` lets them in.
set -eu
for name in dagster mlflow; do
    case $name in
    dagster) password=${DAGSTER_POSTGRES_PASSWORD:-} ;;
    mlflow) password=${MLFLOW_POSTGRES_PASSWORD:-} ;;
    esac
    psql --set ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname postgres \
        --set name="$name" --set password="$password" <<'SQL'
CREATE ROLE :"name" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"name";
REVOKE CONNECT ON DATABASE :"name" FROM PUBLIC;
SQL
done
