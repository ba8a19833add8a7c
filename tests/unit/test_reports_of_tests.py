"""What pytest sends from its worker processes."""

import pytest

execnet = pytest.importorskip("execnet.gateway_base", reason="tests run in one process without pytest-xdist")


def test_a_failure_that_prints_half_a_character_is_sent(request):
    report = pytest.TestReport(
        "a.py::test",
        ("a.py", 1, "test"),
        {"\udcff": 1},
        "failed",
        "half \ud800",
        "call",
        [("stdout", "caf\udce9")],
    )
    sent = request.config.hook.pytest_report_to_serializable(config=request.config, report=report)
    received = execnet.loads(execnet.dumps(sent))
    assert received["longrepr"] == "half \\ud800"
    assert received["sections"] == [("stdout", "caf\\udce9")] and received["keywords"] == {"\\udcff": 1}
