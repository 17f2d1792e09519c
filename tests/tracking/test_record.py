import json
import math
import os
from pathlib import Path
from typing import Any

import pytest

from sinesweep.tracking import record
from sinesweep.tracking.record import Record

# The least that an event of a kind has.
FIELDS: dict[str, dict[str, Any]] = {
    "begin": {"name": "a", "experiment": "e", "params": {}, "tags": {}, "datasets": []},
    "resume": {"tags": {}},
    "metrics": {"step": 0, "values": {}},
    "tags": {"tags": {}},
    "trial": {"path": "trials/0"},
    "artifact": {"path": "a.txt", "folder": None},
    "model": {
        "checkpoint": "best.ckpt",
        "example": [[0.0]],
        "input_steps": 1,
        "output_steps": 1,
        "requirements": [],
        "code": [],
    },
    "view": {"name": "a", "params": [], "metrics": [], "of_sweep": [], "maximize": True},
    "end": {"status": "FINISHED", "tags": {}},
}


def tell(own: Record, kind: str, **content: Any) -> None:
    """Append an event that has the fields of its kind."""
    own.append(kind, **{**FIELDS[kind], **content})


def line(kind: str) -> str:
    """Return an event as a line, without its end."""
    return json.dumps({"kind": kind, "time": 1, **FIELDS[kind]})


def kinds(directory: Path) -> list[str]:
    """Return the kinds of all whole events."""
    return [event["kind"] for event, _ in record.read(directory)]


def test_events_come_back(tmp_path: Path) -> None:
    """What is appended is read again, in order, with its time."""
    for kind in ("begin", "end"):
        tell(Record(tmp_path), kind, number=0.1, names=["a"])
    events = [event for event, _ in record.read(tmp_path)]
    assert [event.pop("time") > 0 for event in events] == [True, True]
    assert events == [
        {"kind": kind, **FIELDS[kind], "number": 0.1, "names": ["a"]} for kind in ("begin", "end")
    ]


def test_no_record() -> None:
    """A folder without a record has no events."""
    assert list(record.read(Path("/nowhere"))) == []


def test_opening_creates_nothing(tmp_path: Path) -> None:
    """A record comes into being with its first event."""
    Record(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_offset(tmp_path: Path) -> None:
    """Reading goes on behind an event that was read before."""
    events = Record(tmp_path)
    for kind in ("begin", "metrics", "end"):
        tell(events, kind)
    offsets = [offset for _, offset in record.read(tmp_path)]
    assert [event["kind"] for event, _ in record.read(tmp_path, offsets[0])] == ["metrics", "end"]
    assert list(record.read(tmp_path, offsets[-1])) == []


@pytest.mark.parametrize("torn", [line("end")[:-1], line("end"), "{"])
def test_torn_line_is_not_read(tmp_path: Path, torn: str) -> None:
    """A line without its end is no event yet."""
    tell(Record(tmp_path), "begin")
    with (tmp_path / record.FILE_NAME).open("a") as file:
        file.write(torn)
    assert kinds(tmp_path) == ["begin"]


def test_torn_line_is_dropped(tmp_path: Path) -> None:
    """A line that a killed process left half written is gone when the run goes on."""
    tell(Record(tmp_path), "begin")
    with (tmp_path / record.FILE_NAME).open("a") as file:
        file.write('{"kind": "metrics", "st')
    tell(Record(tmp_path), "resume")
    assert kinds(tmp_path) == ["begin", "resume"]


@pytest.mark.parametrize("line", [b"garbage\n", b"\xff\n", b"[1]\n", b"{}\n", b"half a line"])
def test_foreign_line_is_skipped(
    tmp_path: Path, line: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """A line that a trial's code wrote is skipped with a warning, and the others are read."""
    tell(Record(tmp_path), "begin")
    with (tmp_path / record.FILE_NAME).open("ab") as file:
        file.write(line)
    tell(Record(tmp_path), "end")
    assert kinds(tmp_path) == ["begin", "end"]
    assert f"{tmp_path / record.FILE_NAME}: " in caplog.text


@pytest.mark.parametrize(
    ("kind", "field"), [(kind, field) for kind, has in FIELDS.items() for field in (*has, "time")]
)
def test_event_without_its_fields_is_skipped(
    tmp_path: Path, kind: str, field: str, caplog: pytest.LogCaptureFixture
) -> None:
    """An event that lacks a field of its kind is a damaged line."""
    event = json.loads(line(kind))
    del event[field]
    (tmp_path / record.FILE_NAME).write_text(f"{json.dumps(event)}\n{line('trial')}\n")
    assert kinds(tmp_path) == ["trial"]
    assert "the line is skipped, the rest is read" in caplog.text


@pytest.mark.parametrize(
    "event",
    [
        {"kind": "unknown", "time": 1},
        {"kind": ["end"], "time": 1},
        {"kind": "end", "time": "1", "status": "FINISHED", "tags": {}},
        {"kind": "end", "time": 1, "status": 0, "tags": {}},
        {"kind": "tags", "time": 1, "tags": ["a"]},
        {"kind": "metrics", "time": 1, "step": "0", "values": {"a": 1.0}},
        {"kind": "metrics", "time": 1, "step": 0, "values": {"a": "1.0"}},
    ],
    ids=str,
)
def test_event_of_other_types_is_skipped(tmp_path: Path, event: dict[str, Any]) -> None:
    """An event of an unknown kind, or with a field of another type, is a damaged line."""
    (tmp_path / record.FILE_NAME).write_text(f"{json.dumps(event)}\n{line('trial')}\n")
    assert kinds(tmp_path) == ["trial"]


def test_last_event_is_found_before_a_foreign_line(tmp_path: Path) -> None:
    """The last event is the last line that is one."""
    tell(Record(tmp_path), "begin")
    with (tmp_path / record.FILE_NAME).open("ab") as file:
        file.write(b"garbage\n")
    last = record.last(tmp_path)
    assert last is not None
    assert last["kind"] == "begin"


@pytest.mark.parametrize("content", ["", "{", "[]"])
def test_damaged_delivery_state_is_looked_up_again(tmp_path: Path, content: str) -> None:
    """Without it the run is looked for in the tracker, so that it is not created twice."""
    assert record.delivery_state(tmp_path) == {}
    (tmp_path / record.STATE_FILE).write_text(content)
    assert record.delivery_state(tmp_path) == {"creating": True}


def test_record_of_a_torn_line_only(tmp_path: Path) -> None:
    """A record whose first line is torn is begun anew."""
    (tmp_path / record.FILE_NAME).write_text('{"kind": "beg')
    tell(Record(tmp_path), "begin")
    assert kinds(tmp_path) == ["begin"]


def test_metric_is_told_once(tmp_path: Path) -> None:
    """A metric that was told for a step is not told again, in this process or the next."""
    first = Record(tmp_path)
    first.append_metrics({"val/mae": 0.5}, 0)
    first.append_metrics({"val/mae": 0.4}, 0)
    Record(tmp_path).append_metrics({"val/mae": 0.3}, 0)
    assert record.metric_history(tmp_path) == {"val/mae": [(0, 0.5)]}


def test_metrics_told_before_add_no_event(tmp_path: Path) -> None:
    """Nothing is written where nothing is new."""
    events = Record(tmp_path)
    for _ in range(2):
        events.append_metrics({"val/mae": 0.5}, 0)
    assert kinds(tmp_path) == ["metrics"]


def test_new_metric_of_an_old_step(tmp_path: Path) -> None:
    """Only the metrics that are new for a step are written."""
    events = Record(tmp_path)
    events.append_metrics({"val/mae": 0.5}, 0)
    events.append_metrics({"val/mae": 0.4, "train/mae": 0.6}, 0)
    assert record.metric_history(tmp_path) == {"val/mae": [(0, 0.5)], "train/mae": [(0, 0.6)]}


def test_metric_history(tmp_path: Path) -> None:
    """The history of a metric is in the order in which it was told."""
    events = Record(tmp_path)
    for step, value in ((0, 0.5), (1, 0.25), (2, 0.125)):
        events.append_metrics({"val/mae": value}, step)
    assert record.metric_history(tmp_path) == {"val/mae": [(0, 0.5), (1, 0.25), (2, 0.125)]}


@pytest.mark.parametrize("value", [0.1, 1e-300, 1 / 3, math.inf, -math.inf])
def test_metric_keeps_its_bits(tmp_path: Path, value: float) -> None:
    """A number comes back as it was, infinite ones, too."""
    Record(tmp_path).append_metrics({"loss": value}, 0)
    assert record.metric_history(tmp_path)["loss"] == [(0, value)]


def test_metric_that_is_not_a_number(tmp_path: Path) -> None:
    """A loss that has become NaN is told as such."""
    Record(tmp_path).append_metrics({"loss": math.nan}, 0)
    assert math.isnan(record.metric_history(tmp_path)["loss"][0][1])


@pytest.mark.parametrize("name", ["train/tokens", "train/token", "token"])
def test_metric_named_like_a_secret(tmp_path: Path, name: str) -> None:
    """A metric keeps its value, whatever it is called."""
    Record(tmp_path).append_metrics({name: 3.0}, 0)
    assert record.metric_history(tmp_path) == {name: [(0, 3.0)]}


@pytest.mark.parametrize(
    ("appended", "status"),
    [
        ([], None),
        (["begin"], None),
        (["begin", "KILLED"], "KILLED"),
        (["begin", "KILLED", "resume"], None),
        (["begin", "KILLED", "resume", "FINISHED"], "FINISHED"),
        (["begin", "FAILED", "artifact"], "FAILED"),
    ],
)
def test_last_end(tmp_path: Path, appended: list[str], status: str | None) -> None:
    """A run has ended by its last end, unless it was resumed since."""
    events = Record(tmp_path)
    for kind in appended:
        if kind.isupper():
            tell(events, "end", status=kind)
        else:
            tell(events, kind)
    end = record.last_end(tmp_path)
    assert (end and end["status"]) == status


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        ("", None),
        ('{"kind": "be', None),
        (f"{line('begin')}\n", "begin"),
        (f"{line('begin')}\n{line('end')}\n", "end"),
        (f"{line('begin')}\n{line('end')}", "begin"),
        (f'{line("begin")}\n{{"kind": "end", "time": 1}}\n', "begin"),
    ],
)
def test_last(tmp_path: Path, content: str, kind: str | None) -> None:
    """The last event is the last whole line."""
    (tmp_path / record.FILE_NAME).write_text(content)
    last = record.last(tmp_path)
    assert (last and last["kind"]) == kind


def test_last_of_no_record() -> None:
    """A folder without a record has no last event."""
    assert record.last(Path("/nowhere")) is None


def test_record_has_no_credentials(tmp_path: Path) -> None:
    """What is written to the record has its credentials hidden."""
    Record(tmp_path).append(
        "begin", params={"tracking.uri": "http://ann:hunter2@host", "db.password": "hunter3"}
    )
    written = (tmp_path / record.FILE_NAME).read_text()
    assert "http://***@host" in written
    assert "hunter" not in written


def test_undecodable_bytes(tmp_path: Path) -> None:
    """Names, values and metrics lose what a tracker cannot take, and a metric is told once."""
    own = Record(tmp_path)
    tell(own, "begin", name="\udcff", params={"a\x00": ["\ud800"]})
    own.append_metrics({"loss\udcff": 1.0}, 0)
    own.append_metrics({"loss\udcff": 1.0}, 0)
    first, second = (event for event, _ in record.read(tmp_path))
    assert (first["name"], first["params"]) == (r"\udcff", {r"a\x00": [r"\ud800"]})
    assert second["values"] == {r"loss\udcff": 1.0}


def test_forked_process_does_not_write_its_parents_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A child that a training forks neither adds metrics to the run nor ends it."""
    made = Record(tmp_path)
    tell(made, "begin")
    child = os.getpid() + 1
    monkeypatch.setattr(os, "getpid", lambda: child)
    with pytest.raises(RuntimeError, match="must be recorded by the process that trains it"):
        made.append("end")
    with pytest.raises(RuntimeError, match="must be recorded by the process that trains it"):
        made.append_metrics({"loss": 1.0}, 0)
    assert [event["kind"] for event, _ in record.read(tmp_path)] == ["begin"]
