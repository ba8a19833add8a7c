"""What the explorer answers, whom it answers, and how it is opened."""

import base64
import json
import re
import shlex
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from minibert.command_line.arguments import read_arguments
from minibert.config import ModelConfig, PositionConfig
from minibert.data.tokenizer import train_tokenizer
from minibert.errors import MinibertError
from minibert.exploration import MathematicalExplorer
from minibert.exploration.answers import KINDS, Answers
from minibert.exploration.checkpoints import Checkpoints
from minibert.exploration.server import create_app
from minibert.explore import OLDER, main
from minibert.loopback import LOOPBACK, MOST_BYTES, open_server
from minibert.model.bert import MiniBERT
from minibert.running.exploration import Exploration
from minibert.training.checkpoints import save_checkpoint
from tests.support.served import opened_and_ended

TEXT = "the people [MASK] the union"
DATA = r'<script type="application/json" id="data">(.*?)</script>'
TOKENIZER = train_tokenizer(["the people keep the union of states "] * 20, 80, lowercase=True)
SIZES = {"vocab_size": 96, "hidden_size": 16, "layers": 2, "heads": 2, "feed_forward_size": 24, "max_length": 16}


def network(seed: int, **fields) -> MiniBERT:
    return MiniBERT(ModelConfig(**SIZES | fields), seed)


def explorer(step: int) -> MathematicalExplorer:
    return MathematicalExplorer(network(step), TOKENIZER)


@pytest.fixture(scope="module")
def answers() -> Answers:
    return Answers(Checkpoints("small", [0, 5], explorer))


@pytest.fixture
def client(answers):
    return create_app(answers, TEXT).test_client()


def ask(client, **question):
    return client.post("/answer", json={"step": 5, "text": TEXT, "masked": []} | question)


def test_an_answer_has_the_numbers_of_the_network(client):
    found = ask(client, kind="sentence").get_json()
    guesses = explorer(5).guess_by_layer(TEXT, top_k=6)
    assert found["tokens"] == guesses.sentence.tokens and found["masked"] == [3]
    assert [token for token, _ in found["guesses"][-1][3]] == guesses.tokens[-1][3]
    shares = [share for _, share in found["guesses"][-1][3]]
    np.testing.assert_allclose(shares, guesses.probabilities[-1, 3], rtol=1e-5)
    weights = np.frombuffer(base64.b64decode(found["attention"]["data"]), "<f4").reshape(
        found["attention"]["shape"]
    )
    np.testing.assert_array_equal(weights, explorer(5).explore_attention_heads(TEXT).weights)
    flow = ask(client, kind="gradient", position=3, target="keep").get_json()
    expected = explorer(5).analyze_gradient_flow(TEXT, 3, "keep")
    np.testing.assert_allclose(flow["norms"], expected.norms, rtol=1e-5)
    assert flow["loss"] == pytest.approx(expected.loss)
    largest = ask(client, kind="part", part="mlm_head").get_json()["steps"][-1]["largest"][3]
    named = [token for token, _ in largest if not token.startswith("row ")]  # the table has more rows than tokens
    assert named[:3] == guesses.tokens[-1][3][:3] and len(named) < len(largest)


def test_the_page_is_of_this_machine_alone(client, answers):
    page = client.get("/")
    assert page.status_code == 200 and page.mimetype == "text/html"
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    for host in ("evil.example", "evil.example:8765", "127.0.0.1.evil.example"):
        for response in (
            client.get("/", headers={"Host": host}),
            client.post("/answer", json={}, headers={"Host": host}),
        ):
            assert response.status_code == 400 and "is not trusted" in response.get_json()["error"]
    asked = {"kind": "sentence", "step": 5, "text": TEXT}
    foreign = client.post("/answer", json=asked, headers={"Origin": "http://evil.example"})
    assert not [name for name, _ in foreign.headers if name.lower().startswith("access-control")]
    assert client.post("/answer", data=json.dumps(asked), content_type="text/plain").status_code == 415
    assert client.post("/answer", data="x" * (MOST_BYTES + 1), content_type="application/json").status_code == 413
    assert (
        client.options("/answer", headers={"Origin": "http://evil.example"}).headers.get(
            "Access-Control-Allow-Origin"
        )
        is None
    )
    server = open_server(create_app(answers, TEXT), 0)
    try:
        assert server.socket.getsockname()[0] == LOOPBACK == "127.0.0.1"
        with pytest.raises(MinibertError, match=rf"port={server.port}: cannot be opened"):
            open_server(create_app(answers, TEXT), server.port)
    finally:
        server.server_close()


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ({"kind": "sentnce"}, "did you mean 'sentence'"),
        ({"kind": None}, "kind: unknown name 'None'"),
        ({"kind": "sentence", "text": ""}, "a sentence with at least one word"),
        ({"kind": "sentence", "text": 7}, "text: 7 was given"),
        ({"kind": "sentence", "text": "the union " * 40}, "has 82 tokens"),
        ({"kind": "sentence", "masked": [77]}, "masked: 77 is no position of a word"),
        ({"kind": "sentence", "masked": "no"}, "masked: 'no' was given"),
        ({"kind": "sentence", "step": 3}, "step=3: was not kept. Allowed: 0, 5"),
        ({"kind": "sentence", "step": float("nan")}, "step=nan: was not kept"),
        ({"kind": "sentence", "step": True}, "step=True: was not kept"),
        ({"kind": "sentence", "step": [5]}, "was not kept"),
        ({"kind": "layers", "beside": 7}, "step=7: was not kept"),
        ({"kind": "part", "part": "layers.9.attention"}, "place: unknown name 'layers.9.attention'"),
        ({"kind": "gradient", "position": float("nan")}, "position=nan: is not there"),
        ({"kind": "gradient", "position": 3, "target": "zebra"}, "is not one token of the vocabulary"),
        ({"kind": "gradient", "position": 3, "target": [1]}, "no such id"),
        ({"kind": ["sentence"]}, "unknown name"),
        ({"kind": {}}, "unknown name"),
        ({"kind": "ablation"}, "heads: None was given"),
        ({"kind": "ablation", "heads": [[0, 9]]}, "heads: [0, 9] is not there"),
        ({"kind": "ablation", "heads": [[0, float("nan")]]}, "is not there"),
    ],
)
def test_a_question_that_cannot_be_answered_is_one_message(client, question, said):
    response = ask(client, **question)
    assert response.status_code == 200 and list(response.get_json()) == ["error"]
    assert said in response.get_json()["error"]


def test_what_is_no_question_is_one_message_too(client):
    for content in ("[]", "3", '"text"', "null"):
        response = client.post("/answer", data=content, content_type="application/json")
        assert "is no JSON object" in response.get_json()["error"]
    for content in ("[" * 60_000, '{"a":' * 10_000):
        response = client.post("/answer", data=content, content_type="application/json")
        assert "is nested too deeply" in response.get_json()["error"]
    response = client.post("/answer", data="{", content_type="application/json")
    assert response.status_code == 400 and "Bad Request" in response.get_json()["error"]
    assert client.get("/nowhere").status_code == 404


def test_parameters_that_are_no_numbers_are_one_message(client, monkeypatch):
    broken = network(0)
    broken.params["mlm_head.bias"][...] = np.nan
    damaged = Checkpoints.of_model("damaged", MathematicalExplorer(broken, TOKENIZER))
    client = create_app(Answers(damaged), TEXT).test_client()
    for kind in ("sentence", "gradient", "effects"):
        assert "scores that are not finite" in ask(client, kind=kind, step=0).get_json()["error"]


def test_every_kind_of_question_has_an_answer_in_strict_json(client):
    more = {"part": {"part": "embeddings"}, "ablation": {"heads": [[0, 1]]}}
    for kind in KINDS:
        answer = ask(client, kind=kind, **more.get(kind, {})).get_data(as_text=True)
        found = json.loads(answer, parse_constant=pytest.fail)
        assert "error" not in found, found


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A model for transformers, and what a run keeps: two checkpoints with a tokenizer."""
    root = tmp_path_factory.mktemp("models")
    classic = network(0, norm="post", position=PositionConfig("absolute"), output_bias="zero")
    classic.save_pretrained(root / "classic", TOKENIZER)
    for step in (0, 12):
        model = network(step)
        file = root / "kept" / "checkpoints" / f"step_{step:07d}.safetensors"
        save_checkpoint(file, dict(model.params), {"model": asdict(model.config)})
    (root / "kept" / "tokenizer.json").write_text(TOKENIZER.to_str())
    (root / "notes.txt").write_text("mine")
    return root


def data_of(page: Path) -> dict:
    (content,) = re.findall(DATA, page.read_text("utf-8"), re.S)
    return json.loads(content, parse_constant=pytest.fail)


def test_a_page_is_written_of_a_folder_for_transformers_and_of_kept_checkpoints(folders, tmp_path, capsys):
    page = tmp_path / "new" / "page.html"
    assert main([f"checkpoint={folders}/classic", "--html", str(page), f"text={TEXT}"]) == 0
    assert "it needs no network" in capsys.readouterr().out
    assert data_of(page)["steps"] == [0]
    (tmp_path / "lines.txt").write_text("the [MASK]\n\nthe union of states\n")
    assert main([f"checkpoint={folders}/kept", f"html={page}", f"sentences={tmp_path}/lines.txt"]) == 0
    data = data_of(page)
    assert data["steps"] == [0, 12]
    asked = [question for question, _ in data["answers"]]
    assert {question["text"] for question in asked} == {"the [MASK]", "the union of states"}
    assert {question["step"] for question in asked if question["kind"] == "sentence"} == {0, 12}
    for question, answer in data["answers"]:
        if question["kind"] == "effects" and question["step"] == 12:
            expected = explorer(12).measure_head_effects(question["text"], question["position"])
            np.testing.assert_allclose(answer["effects"], expected.effects, rtol=1e-4, atol=1e-9)
    outside = re.sub(DATA, "", page.read_text("utf-8"), flags=re.S).replace("http://www.w3.org/2000/svg", "")
    assert "http://" not in outside and "https://" not in outside


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "nothing: what is to be explored? Give one of run=RUN_ID, checkpoint=FOLDER"),
        (["run=last", "checkpoint={folders}/kept"], "what is to be explored"),
        (["checkpoint={folders}/nowhere"], "is not there"),
        (["checkpoint={folders}/kept", "port=70000"], "port=70000: not a port. Allowed: 0 to 65535"),
        (["checkpoint={folders}/kept", "sentences=a.txt"], "is for html=FILE"),
        (["checkpoint={folders}/kept", "html={folders}/page.html", "text=the union " * 9], "Allowed: at most 16"),
        (["checkpoint={folders}/kept", "html={folders}/kept"], "is a folder"),
        (["checkpoint={folders}/kept", "html={folders}/notes.txt"], "is no page of the explorer"),
        (["chekpoint=x"], "did you mean 'checkpoint'"),
    ],
)
def test_words_that_open_nothing_are_one_message(folders, capsys, words, said):
    words = [word.format(folders=folders) for word in words]
    if len(words) > 2 and words[2].startswith("text="):
        words[2] = "text=" + "the union " * 9
    assert main(words) == 2
    error = capsys.readouterr().err
    assert said in error and "Traceback" not in error


def test_the_commands_of_the_documentation_are_taken():
    root = Path(__file__).parents[2]
    pages = [(root / page).read_text(encoding="utf-8") for page in ("README.md", "docs/explore.md")]
    commands = [
        line for page in pages for line in re.findall(r"^python -m minibert\.explore (.+)$", page, re.MULTILINE)
    ]
    assert len(commands) == 4
    for command in commands:
        asked = read_arguments(Exploration, shlex.split(command, comments=True), OLDER)
        assert asked.run == "last" or asked.checkpoint == "my_bert"


def test_the_command_opens_the_page_and_ctrl_c_ends_it(folders):
    page, code, error = opened_and_ended("minibert.explore", f"checkpoint={folders}/kept")
    assert "Guesses after each layer" in page and (code, error) == (130, "ended\n")


def test_a_recorded_run_is_explored_at_its_checkpoints(door, small_settings, empty_database, tmp_path):
    shutil.copy(empty_database, tmp_path)
    store = f"tracking.folder={tmp_path}"
    trained = door(*small_settings, store, "training.steps=4")
    assert trained.returncode == 0, trained.stderr
    page = tmp_path / "page.html"
    found = door("run=last", f"html={page}", "text=the union of [MASK]", store, module="minibert.explore")
    assert found.returncode == 0, found.stderr
    assert data_of(page)["steps"][-1] == 4 and data_of(page)["name"].startswith("run ")
