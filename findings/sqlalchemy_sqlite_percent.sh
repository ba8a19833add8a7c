#!/usr/bin/env bash
# SQLAlchemy 2.0.45 takes the path of a SQLite address as it stands; 2.1.9 percent-decodes it. So after an update
# `sqlite:////data/a%20b/x.db`, written for a folder that is really called `a%20b`, opens `/data/a b/x.db`.
# `URL.create` quotes the path where the version needs it and means the same file in both.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
cat > "$folder/look.py" <<'PY'
import sys
from pathlib import Path

import sqlalchemy
from sqlalchemy import URL, create_engine, text

folder = Path(sys.argv[1])
for name in ("a%20b", "a b"):
    (folder / name).mkdir()


def where(address):
    with create_engine(address).connect() as connection:
        return Path(connection.execute(text("PRAGMA database_list")).all()[0][2]).parent.name


by_text = where(f"sqlite:///{folder}/a%20b/x.db")
by_type = where(URL.create("sqlite", database=f"{folder}/a%20b/x.db"))
print(f"SQLAlchemy {sqlalchemy.__version__}: the address with a%20b opens the folder {by_text!r}; URL.create, {by_type!r}")
sys.exit(0 if (by_text, by_type) == (sys.argv[2], "a%20b") else 1)
PY
python3 -m venv "$folder/venv"
for pair in "2.0.45|a%20b" "2.1.9|a b"; do
    "$folder/venv/bin/pip" install --quiet --disable-pip-version-check "sqlalchemy==${pair%%|*}"
    mkdir "$folder/${pair%%|*}"
    "$folder/venv/bin/python" "$folder/look.py" "$folder/${pair%%|*}" "${pair##*|}"
done
