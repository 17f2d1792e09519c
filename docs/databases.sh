#!/bin/sh
# Makes a database and an account for the tracker, and others for sweeps' studies: MLflow and Optuna
# both keep their migrations in a table named alembic_version, so they must not share one database.
# Takes TRACKER_PASSWORD and STUDY_PASSWORD, and where the server is from libpq's PG... variables.
set -eu
psql --quiet --set=ON_ERROR_STOP=1 --username="${POSTGRES_USER:-postgres}" --dbname=postgres <<'SQL'
\getenv tracker TRACKER_PASSWORD
\getenv study STUDY_PASSWORD
CREATE ROLE tracker LOGIN PASSWORD :'tracker';
CREATE ROLE study LOGIN PASSWORD :'study';
CREATE DATABASE tracker OWNER tracker;
CREATE DATABASE study OWNER study;
REVOKE CONNECT ON DATABASE tracker, study FROM PUBLIC;
SQL
