#!/bin/sh
# The image of PostgreSQL runs this once, when it has made its folder. The role `dbal` gets the password of the secret and the database
# `app`, and is no superuser: who took the worker, and with it the connection, would else run programs on the database's side. The
# superuser has no password and is let in within the container only: docker compose exec --user postgres postgresql psql app
set -eu
psql --quiet --no-psqlrc --set ON_ERROR_STOP=1 --username postgres --dbname app <<'END'
\getenv password POSTGRES_PASSWORD
CREATE ROLE dbal LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD :'password';
ALTER DATABASE app OWNER TO dbal;
ALTER ROLE postgres PASSWORD NULL;
END
sed -i '1i local all postgres peer' "$PGDATA/pg_hba.conf"
