"""Data sets by name, from a server of this test's own: what arrives, what is refused, and what is said."""

import hashlib
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing import get_context

import pytest
import yaml

from minibert.data.annotated import downloads
from minibert.data.annotated.downloads import dataset, known_datasets
from minibert.errors import MinibertError, Unavailable

CONTENTS = {"one.txt": b"first line\n" * 50, "two.txt": b"second line\n" * 50}


class Server:
    """Serves ``contents`` and notes what was asked for."""

    def __init__(self):
        self.contents = dict(CONTENTS)
        self.promised: dict[str, int] = {}
        """File -> another length than it has, said beforehand"""
        self.asked: list[str] = []
        ours = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                name = self.path.rpartition("/")[2]
                ours.asked.append(name)
                content = ours.contents.get(name)
                if content is None:
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(ours.promised.get(name, len(content))))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/commit"
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()

    def close(self):
        self.http.shutdown()
        self.http.server_close()


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    made = Server()
    yield made
    made.close()


@pytest.fixture
def sources(tmp_path, server):
    folder = tmp_path / "sources"
    folder.mkdir()
    describe(folder, server.url)
    return folder


def describe(folder, url):
    files = {
        name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in CONTENTS.items()
    }
    facts = {"what": "Two files.", "licence": "public domain", "citation": "Nobody, 2020.", "url": url}
    (folder / "lines.yaml").write_text(yaml.safe_dump(facts | {"files": files}))


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


class TestDownload:
    def test_files_are_fetched_once_and_their_licence_is_told(self, tmp_path, server, sources):
        notes = []
        folder = dataset("lines", tmp_path / "cache", notes.append, sources)
        assert folder == tmp_path / "cache" / "datasets" / "lines"
        assert contents(folder) == CONTENTS
        assert len(notes) == 1
        assert "lines: downloading 2 of 2 files" in notes[0]
        assert "Licence: public domain. Cite: Nobody, 2020." in notes[0]
        assert dataset("lines", tmp_path / "cache", notes.append, sources) == folder
        assert server.asked == ["one.txt", "two.txt"]
        assert len(notes) == 1

    def test_a_file_that_is_there_is_not_fetched(self, tmp_path, server, sources):
        folder = tmp_path / "datasets" / "lines"
        folder.mkdir(parents=True)
        (folder / "one.txt").write_bytes(CONTENTS["one.txt"])
        notes = []
        dataset("lines", tmp_path, notes.append, sources)
        assert server.asked == ["two.txt"]
        assert "downloading 1 of 2 files" in notes[0]

    def test_a_whole_data_set_is_taken_without_a_lock(self, tmp_path, sources, monkeypatch):
        dataset("lines", tmp_path, list().append, sources)
        monkeypatch.setattr(downloads, "file_lock", None)
        dataset("lines", tmp_path, list().append, sources)

    def test_a_file_that_changed_in_the_cache_is_fetched_again(self, tmp_path, server, sources):
        folder = dataset("lines", tmp_path, list().append, sources)
        (folder / "two.txt").write_bytes(b"other")
        notes = []
        dataset("lines", tmp_path, notes.append, sources)
        assert contents(folder) == CONTENTS
        assert re.search("two.txt: has another content .* is downloaded again", notes[0])
        (folder / "two.txt").write_bytes(b"other")
        server.contents.clear()
        with pytest.raises(Unavailable, match=r"two.txt is not here"):
            dataset("lines", tmp_path, list().append, sources)
        assert contents(folder) == {"one.txt": CONTENTS["one.txt"]}

    def test_another_content_is_refused_and_not_kept(self, tmp_path, server, sources):
        server.contents["two.txt"] = b"x" * 600
        with pytest.raises(MinibertError, match=r"/commit/two.txt: has another content .* SHA-256") as refused:
            dataset("lines", tmp_path, list().append, sources)
        assert not isinstance(refused.value, Unavailable)
        assert contents(tmp_path / "datasets" / "lines") == {"one.txt": CONTENTS["one.txt"]}
        server.contents = dict(CONTENTS)
        assert contents(dataset("lines", tmp_path, list().append, sources)) == CONTENTS

    @pytest.mark.parametrize(
        ("promised", "said"), [({"one.txt": 550}, "20 bytes read"), ({}, "20 of its 550 bytes arrived")]
    )
    def test_a_truncated_file_is_refused_and_not_kept(self, tmp_path, server, sources, promised, said):
        server.contents["one.txt"], server.promised = CONTENTS["one.txt"][:20], promised
        with pytest.raises(Unavailable, match=f"one.txt is not here .*{said}"):
            dataset("lines", tmp_path, list().append, sources)
        assert contents(tmp_path / "datasets" / "lines") == {}

    def test_offline_it_is_said_which_file_to_put_where(self, tmp_path, sources):
        url = "http://127.0.0.1:9/commit"  # nothing listens there
        describe(sources, url)
        with pytest.raises(Unavailable) as refused:
            dataset("lines", tmp_path, list().append, sources)
        said = str(refused.value)
        assert "lines: one.txt is not here and cannot be downloaded" in said
        assert f"Put the file {url}/one.txt at {tmp_path}/datasets/lines/one.txt" in said
        assert f"and so on for 1 more files (URLs in {sources / 'lines.yaml'})" in said
        folder = tmp_path / "datasets" / "lines"
        for name, content in CONTENTS.items():
            (folder / name).write_bytes(content)
        assert dataset("lines", tmp_path, list().append, sources) == folder

    def test_a_file_that_the_server_does_not_have(self, tmp_path, server, sources):
        server.contents.clear()
        with pytest.raises(Unavailable, match=r"cannot be downloaded \(404 Client Error"):
            dataset("lines", tmp_path, list().append, sources)

    def test_a_cache_that_cannot_be_written(self, tmp_path, sources):
        (tmp_path / "datasets").mkdir()
        (tmp_path / "datasets" / "lines").write_text("in the way")
        with pytest.raises(MinibertError, match=r"one.txt: cannot be written"):
            dataset("lines", tmp_path, list().append, sources)
        with pytest.raises(MinibertError, match=r"lines.yaml/datasets/lines: cannot be written"):
            dataset("lines", sources / "lines.yaml", list().append, sources)

    def test_others_may_read_what_was_downloaded(self, tmp_path, sources):
        for path in dataset("lines", tmp_path, list().append, sources).iterdir():
            assert path.stat().st_mode & 0o444 == 0o444

    def test_large_downloads_tell_how_far_they_are(self, tmp_path, server, sources, monkeypatch):
        monkeypatch.setattr(downloads, "MEGABYTE", 100)
        monkeypatch.setattr(downloads, "CHUNK", 100)
        notes = []
        dataset("lines", tmp_path, notes.append, sources)
        told = [float(match[1]) for note in notes if (match := re.fullmatch(r"lines: (.*) of 11.5 MB\.", note))]
        assert told == sorted(set(told))
        assert 5 <= len(told) <= 10


class TestSeveralAtOnce:
    def test_threads_that_ask_at_once_fetch_each_file_once(self, tmp_path, server, sources):
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda _: dataset("lines", tmp_path, list().append, sources), range(8)))
        assert len(set(found)) == 1
        assert contents(found[0]) == CONTENTS
        assert sorted(server.asked) == ["one.txt", "two.txt"]

    def test_processes_that_ask_at_once_fetch_each_file_once(self, tmp_path, server, sources):
        with get_context("spawn").Pool(2) as pool:
            found = pool.starmap(dataset, [("lines", tmp_path, print, sources)] * 2, chunksize=1)
        assert contents(found[0]) == CONTENTS
        assert sorted(server.asked) == ["one.txt", "two.txt"]


class TestNames:
    def test_a_path_is_given_back(self, tmp_path, sources):
        file = tmp_path / "some.conllu"
        file.write_text("")
        assert dataset(str(file), tmp_path, print, sources) == file
        assert dataset(tmp_path, tmp_path, print, sources) == tmp_path

    def test_a_path_with_the_name_of_a_data_set_is_told(self, tmp_path, sources, monkeypatch):
        (tmp_path / "lines").mkdir()
        monkeypatch.chdir(tmp_path)
        notes = []
        assert dataset("lines", tmp_path, notes.append, sources).resolve() == tmp_path / "lines"
        assert notes == [f"lines: {tmp_path / 'lines'} is read, not the data set of this name."]

    def test_another_name_is_refused_with_the_nearest(self, tmp_path, sources):
        with pytest.raises(MinibertError, match=r"line: .*did you mean 'lines'\?\). Data sets: lines\.") as found:
            dataset("line", tmp_path, print, sources)
        assert not isinstance(found.value, Unavailable)


SHIPPED = {"ud_english_ewt": 3, "sst2": 3, "blimp": 67, "zorro": 23}


class TestShipped:
    def test_there_are_these(self):
        assert {name: len(source.files) for name, source in known_datasets().items()} == SHIPPED

    @pytest.mark.parametrize("name", SHIPPED)
    def test_every_file_is_pinned(self, name):
        source = known_datasets()[name]
        assert source.what and source.licence and source.citation
        for file in source.files:
            assert re.fullmatch(r"https://raw\.githubusercontent\.com/[\w.-]+/[\w.-]+/[0-9a-f]{40}/.+", file.url)
            assert re.fullmatch(r"[0-9a-f]{64}", file.sha256)
            assert file.bytes > 0
        assert len({file.sha256 for file in source.files}) == len(source.files)
