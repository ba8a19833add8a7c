#!/usr/bin/env bash
# conllu 6.0.0: two spaces next to each other end a column, as a tab does. CoNLL-U splits columns by one tab and lets a word or a note
# hold spaces, so a line whose form holds two spaces is read with every later column moved by one: the lemma is half of the form, and
# the tag is the lemma. Nothing is raised. A line with fewer than ten columns is taken as well; what it lacks is missing from the token.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check conllu==6.0.0
cat > "$folder/look.py" <<'PY'
import conllu


def read(form: str) -> conllu.Token:
    columns = ["1", form, form.lower(), "PROPN", "_", "_", "0", "root", "_", "_"]
    (sentence,) = conllu.parse("\t".join(columns) + "\n\n")
    return sentence[0]


one, two = read("New York"), read("New  York")
print("one space: ", dict(form=one["form"], lemma=one["lemma"], upos=one["upos"]))
print("two spaces:", dict(form=two["form"], lemma=two["lemma"], upos=two["upos"]))
assert (one["form"], one["lemma"], one["upos"]) == ("New York", "new york", "PROPN")
assert (two["form"], two["lemma"]) == ("New", "York") and two["upos"] != "PROPN", "two spaces are kept in the form now"

(sentence,) = conllu.parse("1\tships\tship\tNOUN\n\n")
print("four columns of ten:", dict(sentence[0]))
assert "head" not in sentence[0] and sentence[0]["upos"] == "NOUN", "a short line is refused now"
PY
"$folder/venv/bin/python" "$folder/look.py"
