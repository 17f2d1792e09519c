"""A study in PostgreSQL, asked and told by participants that are played in the test's process."""

from __future__ import annotations

import itertools
import math
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread
from typing import Any

import optuna
import pytest
from process import Fuse, Killed, Worker
from servers import LIMIT, Postgres, Relay, wait_for
from sqlalchemy import Connection
from sweep.conftest import application, config_loader, fused, make_plan  # noqa: F401 # fixtures

from sinesweep.errors import InputError, Interrupted
from sinesweep.sweep import joint_ledger, lease, preflight
from sinesweep.sweep import patience as patience_module
from sinesweep.sweep import postgres as postgres_module
from sinesweep.sweep.entry import COMPLETE, DROPPED, INTERRUPTED, RUNNING
from sinesweep.sweep.interrupts import Interrupts
from sinesweep.sweep.joint_ledger import JointLedger
from sinesweep.sweep.ledger import TurnLost
from sinesweep.sweep.orphans import close_orphans
from sinesweep.sweep.outcome import Outcome
from sinesweep.sweep.patience import Patience
from sinesweep.sweep.plan import Plan
from sinesweep.sweep.postgres import connect, make_engine
from sinesweep.sweep.sampling import Place
from sinesweep.sweep.storage import close_storage, open_storage
from sinesweep.sweep.study import SweepStudy

pytestmark = pytest.mark.services

MakePlan = Callable[..., Plan]

_INFINITE = ("x=interval(0,1)", "y=tag(log,interval(1e-3,1))", "a=int(interval(1,9))")
_SAMPLERS = {
    "tpe": ("hydra.sweeper.n_trials=8", "hydra.sweeper.sampler.n_startup_trials=3", *_INFINITE),
    "cmaes": ("hydra/sweeper/sampler=cmaes", "hydra.sweeper.n_trials=12", *_INFINITE),
    "nsgaii": (
        "hydra/sweeper/sampler=nsgaii",
        "hydra.sweeper.sampler.population_size=4",
        "hydra.sweeper.n_trials=10",
        *_INFINITE,
    ),
    "grid": ("a=1,2,3", "b=range(0,3)"),
}
_MOMENTS = ("asked", "marked", "running", "left its outcome", "told")


@contextmanager
def taking_part(plan: Plan, where: str = "", lease: float = 60.0) -> Iterator[SweepStudy]:
    """Take part until the process is killed or ends; it never says that it leaves."""
    assert isinstance(plan.settings.storage, str)
    plan = replace(plan, folder=plan.folder / where)
    plan.folder.mkdir(parents=True, exist_ok=True)
    storage = open_storage(plan.settings.storage, plan.folder)
    ledger = JointLedger(plan.settings.storage, plan.name, lease)
    try:
        ledger.enter(plan.folder, plan.definition, {})
        sampler, pruner = preflight.build_sampler(plan), preflight.build_pruner(plan)
        yield SweepStudy(plan, storage, sampler, pruner, ledger)
    finally:
        ledger.close()
        close_storage(storage)


def finish(worker: Worker, plan: Plan) -> None:
    """Run a sweep to its end, with a new process whenever one was killed."""
    while True:
        with suppress(Killed), taking_part(plan) as study:
            while worker.run(study):
                pass
            return


@pytest.fixture
def plan_in(make_plan: MakePlan, database: str) -> Callable[..., Plan]:  # noqa: F811
    """Plan a sweep of the test's database, with a seed."""

    def plan(*command: str) -> Plan:
        return make_plan(
            f"hydra.sweeper.storage={database}", "hydra.sweeper.study_name=s", *command
        )

    return plan


@pytest.mark.parametrize(
    ("name", "moment"),
    # what the sampler's place can lose, it loses where it is saved: that stands for all moments
    [("tpe", moment) for moment in _MOMENTS]
    + [(name, moment) for name in _SAMPLERS for moment in ("never", "saved")],
)
def test_one_participant_is_as_a_local_sweep(
    plan_in: Callable[..., Plan],
    make_plan: MakePlan,  # noqa: F811
    fused: Callable[[Fuse], Fuse],  # noqa: F811
    name: str,
    moment: str,
) -> None:
    """It evaluates the very points that it would with a journal, however often it is killed."""
    local = Worker()
    local.finish(make_plan("hydra.sweeper.study_name=local", *_SAMPLERS[name]))
    joint = Worker(fuse := fused(Fuse(moment, lambda visit: visit % 2 == 0)))
    finish(joint, plan_in(*_SAMPLERS[name]))
    assert joint.evaluated == local.evaluated
    assert bool(fuse.burnt) == (moment != "never")


@pytest.mark.parametrize("name", _SAMPLERS)
def test_two_in_turn_are_as_one(
    plan_in: Callable[..., Plan],
    make_plan: MakePlan,  # noqa: F811
    name: str,
) -> None:
    """Where only one runs a trial at a time, the sampler goes on as if there were one process."""
    local, both = Worker(), Worker()
    local.finish(make_plan("hydra.sweeper.study_name=local", *_SAMPLERS[name]))
    plan = plan_in(*_SAMPLERS[name])
    with taking_part(plan) as one, taking_part(plan, "joined/2") as other:
        in_turn = itertools.cycle((one, other))
        while len(both.evaluated) < len(local.evaluated):
            assert both.run(next(in_turn))  # some proposals are of points that are known
        assert one.next() is None
        assert other.next() is None
    assert both.evaluated == local.evaluated


def test_nobody_begins_what_another_has(plan_in: Callable[..., Plan]) -> None:
    """The last trial is begun once, and the other waits for how it ends."""
    plan = plan_in("hydra.sweeper.n_trials=1", *_INFINITE)
    with taking_part(plan) as one, taking_part(plan, "joined/2") as other:
        assert one.has_more
        assert other.has_more
        begun = one.next()
        assert begun is not None
        assert other.next() is None
        assert not other.has_more
        assert other.awaits_others
        one.end(begun.number, Outcome.interrupted("Ctrl-C"))
        again = other.next()
        assert again is not None
        assert (again.origin, again.params) == (begun.number, begun.params)


def test_pruners_see_the_trials_of_all(plan_in: Callable[..., Plan]) -> None:
    """A trial is given up for what others' trials have reported elsewhere."""
    plan = plan_in(
        "hydra/sweeper/pruner=asha", "hydra.sweeper.pruner.min_resource=1",
        "hydra.sweeper.pruner.reduction_factor=2", "hydra.sweeper.n_trials=9", *_INFINITE,
    )  # fmt: skip
    with taking_part(plan) as one, taking_part(plan, "joined/2") as other:
        for value in (0.1, 0.2, 0.3, 0.4):
            entry = one.next()
            assert entry is not None
            one.report(entry.number, value, 1)
            one.should_prune(entry.number)  # by which its rung is known
        bad = other.next()
        assert bad is not None
        other.report(bad.number, 0.9, 1)
        assert other.should_prune(bad.number)


def test_a_point_that_another_is_evaluating(plan_in: Callable[..., Plan]) -> None:
    """Participants propose each point of a finite space once, whoever evaluates it."""
    plan = plan_in("hydra/sweeper/sampler=random", "a=1,2")
    plan = replace(plan, settings=plan.settings.model_copy(update={"n_trials": 9}))
    with taking_part(plan) as one, taking_part(plan, "joined/2") as other:
        first, second = one.next(), other.next()
        assert first is not None
        assert second is not None
        assert (first.outcome, second.outcome) == (RUNNING, RUNNING)
        assert first.params != second.params
        assert one.next() is None
        one.end(first.number, Outcome.complete((1.0,)))
        other.end(second.number, Outcome.complete((2.0,)))
        assert other.next() is None


@pytest.mark.parametrize("moment", ["asked", "marked", "saved"])
def test_a_turn_that_is_lost(
    plan_in: Callable[..., Plan],
    make_plan: MakePlan,  # noqa: F811
    postgres: Postgres,
    monkeypatch: pytest.MonkeyPatch,
    moment: str,
) -> None:
    """Where the connection breaks in a turn, what was proposed in it is proposed again, once."""
    local, joint = Worker(), Worker()
    local.finish(make_plan("hydra.sweeper.study_name=local", *_SAMPLERS["tpe"]))
    set_user_attr, save = optuna.Trial.set_user_attr, Place.save
    breaks = iter([False, True, False, True])

    def cut(now: str) -> None:
        if now == moment and next(breaks, False):
            postgres.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_locks "
                "WHERE locktype = 'advisory' AND objid = 0"
            )

    def cut_set_user_attr(self: optuna.Trial, key: str, value: object) -> None:
        if key == "sinesweep":
            cut("asked")
        set_user_attr(self, key, value)
        if key == "sinesweep":
            cut("marked")

    def cut_save(self: Place, sampler: object) -> None:
        save(self, sampler)  # type: ignore[arg-type]
        cut("saved")

    plan = plan_in(*_SAMPLERS["tpe"])
    with taking_part(plan) as study:
        monkeypatch.setattr(optuna.Trial, "set_user_attr", cut_set_user_attr)
        monkeypatch.setattr(Place, "save", cut_save)
        while joint.run(study):
            pass
    assert joint.evaluated == local.evaluated
    outcomes = [entry.outcome for entry in study.entries.values()]
    assert outcomes.count(COMPLETE) == len(local.evaluated)
    assert outcomes.count(INTERRUPTED if moment == "saved" else DROPPED) == 2
    assert RUNNING not in outcomes


def test_one_that_hangs_in_its_turn(
    plan_in: Callable[..., Plan], caplog: pytest.LogCaptureFixture
) -> None:
    """Its lease ends although its process lives; it is cut off, what it did is void, it goes on."""
    plan = plan_in("hydra.sweeper.n_trials=2", *_INFINITE)
    with taking_part(plan, lease=2.0) as hanging, taking_part(plan, "joined/2") as other:
        me = hanging.participant
        assert me is not None
        with pytest.raises(TurnLost), hanging._ledger.turn():  # noqa: PT012 # it hangs in it
            assert other.next() is not None
            assert other._ledger.gone([me]) == {me}
        assert "longer than hydra.sweeper.lease = 2 s" in caplog.text
        wait_for(lambda: not other._ledger.gone([me]))
        assert hanging.next() is not None


def test_two_that_enter_at_once(
    plan_in: Callable[..., Plan], database: str, postgres: Postgres, tmp_path: Path
) -> None:
    """The second looks at the others once the first has said how it runs the sweep."""
    close_storage(open_storage(database, tmp_path))  # which makes the tables
    one, other = (JointLedger(database, "s", 60.0) for _ in range(2))
    folders = tmp_path / "one", tmp_path / "other"
    for folder in folders:
        folder.mkdir()
    seen: list[object] = []

    def refuse() -> None:
        seen.extend(other.settings_of_others().values())
        raise InputError("it differs")

    def enter_other() -> None:
        with pytest.raises(InputError, match="it differs"):
            other.enter(folders[1], {}, {"n_trials": 2}, refuse)

    def meanwhile() -> None:
        thread.start()
        waits = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        wait_for(lambda: postgres.execute(waits))
        assert one.settings_of_others().popitem()[1] == {}

    thread = Thread(target=enter_other)
    one.enter(folders[0], {}, {"n_trials": 1}, meanwhile)
    thread.join()
    assert seen == [{"n_trials": 1}]
    assert other.settings_of_others().popitem()[1] == {"n_trials": 1}
    assert one.settings_of_others() == {}  # the refused one has left no row
    is_last: list[bool] = []
    one.depart(is_last.append)
    assert is_last == [True]
    one.close()
    other.close()


def test_one_whose_connections_broke_is_counted(
    plan_in: Callable[..., Plan], postgres: Postgres, database: str
) -> None:
    """While its trial runs and nothing is asked, it looks, and is there for who leaves then."""
    name = database.rpartition("/")[2]
    plan = plan_in("hydra.sweeper.n_trials=1", *_INFINITE)
    with taking_part(plan) as leaving, taking_part(plan, "joined/2") as running:
        assert running.next() is not None
        postgres.execute("UPDATE sinesweep_participant SET settings = '{\"n_trials\": 1}'", name)
        postgres.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()",
            name,
        )
        running._looked = -math.inf
        running.look()
        is_last: list[bool] = []
        leaving._ledger.depart(is_last.append)
        assert is_last == [False]


def test_how_others_run_it_after_the_server_was_away(
    database: str, postgres: Postgres, tmp_path: Path
) -> None:
    """Nobody could renew a lease: who joins first is told of those whose leases ended meanwhile."""
    close_storage(open_storage(database, tmp_path))
    (tmp_path / "one").mkdir()
    one, other = JointLedger(database, "s", 1e6), JointLedger(database, "s", 60.0)
    one.enter(tmp_path / "one", {}, {"n_trials": 1})
    one.close()
    postgres.execute(
        "UPDATE sinesweep_participant SET lease_until = now() - interval '1 day'",
        database.rpartition("/")[2],
    )
    other.enter(tmp_path, {}, {})
    assert list(other.settings_of_others().values()) == [{"n_trials": 1}]
    other.depart(bool)
    other.close()


class Pooled:
    """A connection through a pooler in transaction mode: each statement has another session.

    Args:
        connections: to the server.
    """

    def __init__(self, *connections: Connection) -> None:
        self._next = itertools.cycle(connections)

    def execute(self, *arguments: Any) -> Any:
        return next(self._next).execute(*arguments)

    def scalar(self, *arguments: Any) -> Any:
        return next(self._next).scalar(*arguments)

    def invalidate(self) -> None: ...

    def close(self) -> None: ...  # the pooler keeps them


@pytest.mark.parametrize("sessions", [1, 2, 3])
def test_a_pooler_in_transaction_mode(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sessions: int
) -> None:
    """It is refused, since a turn is a lock of a session; nobody waits for ever."""
    close_storage(open_storage(database, tmp_path))
    connections = [connect(make_engine(database)) for _ in range(sessions)]
    pooled = Pooled(*connections)
    monkeypatch.setattr(joint_ledger, "connect", lambda _: pooled)
    if sessions == 1:  # who is alone gets the same one again and again
        monkeypatch.setattr(lease, "connect", lambda _: pooled)
    ledger = JointLedger(database, "s", 60.0)
    try:
        with pytest.raises(InputError, match="pool_mode = session"):
            ledger.enter(tmp_path, {}, {})
    finally:
        ledger.close()
        for each in connections:
            each.close()


def test_one_of_another_account_hangs(
    plan_in: Callable[..., Plan],
    database: str,
    postgres: Postgres,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Who may not cut it off says so, once, and waits."""
    plan = plan_in("hydra.sweeper.n_trials=2", *_INFINITE)
    name = database.rpartition("/")[2]
    with taking_part(plan, lease=0.1) as hanging, taking_part(plan, "joined/2") as other:
        postgres.execute(f"CREATE ROLE {name}_guest LOGIN PASSWORD 'hunter2'", name)
        postgres.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {name}_guest", name)
        ledger = other._ledger
        assert isinstance(ledger, JointLedger)
        ledger._drop_connection()
        ledger._engine = make_engine(database.replace("//sweeper:", f"//{name}_guest:"))
        with hanging._ledger.turn():
            wait_for(lambda: other._ledger.gone([str(hanging.participant)]))
            ledger._cut_off()
            ledger._cut_off()
            hanging._ledger.hold()  # it has it still
    assert caplog.text.count("another account's, which this one may not end") == 1


def test_a_server_that_says_nothing(
    plan_in: Callable[..., Plan],
    make_plan: MakePlan,  # noqa: F811
    postgres: Postgres,
    database: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where connections hang, old and new, they are given up, and the sweep goes on when it can."""
    monkeypatch.setattr(postgres_module, "_SILENCE", 0.5)
    monkeypatch.setitem(postgres_module._CLIENT, "connect_timeout", 2)
    local, joint = Worker(), Worker()
    local.finish(make_plan("hydra.sweeper.study_name=local", *_SAMPLERS["tpe"]))
    relay = Relay(postgres.port)
    through = database.replace(f":{postgres.port}/", f":{relay.port}/")

    def speak_again() -> None:
        wait_for(lambda: relay.unheard)
        relay.speak()

    try:
        with taking_part(plan_in(f"hydra.sweeper.storage={through}", *_SAMPLERS["tpe"])) as study:
            for _ in range(3):
                assert joint.run(study)
                relay.unheard = 0
                relay.fall_silent()
                listener = Thread(target=speak_again)
                listener.start()
                assert joint.run(study)
                listener.join()
            while joint.run(study):
                pass
    finally:
        relay.close()
    assert joint.evaluated == local.evaluated
    assert {entry.outcome for entry in study.entries.values()} <= {COMPLETE, DROPPED}


def test_a_signal_while_the_server_says_nothing(
    postgres: Postgres,
    database: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Once the process was asked to stop, a call that hangs is given up soon, and none is made."""
    monkeypatch.setattr(postgres_module, "_HURRIED", 0.2)
    monkeypatch.setitem(postgres_module._CLIENT, "connect_timeout", 2)
    monkeypatch.setattr(patience_module, "_BLIP", 0.0)
    close_storage(open_storage(database, tmp_path))
    relay, interrupts = Relay(postgres.port), Interrupts()
    through = database.replace(f":{postgres.port}/", f":{relay.port}/")
    ledger = JointLedger(through, "s", 600.0, Patience("", interrupts))
    try:
        ledger.enter(tmp_path, {}, {})
        relay.fall_silent()
        interrupts.handle(signal.SIGINT, None)
        with pytest.raises(Interrupted):
            ledger.stay()
        assert "the server is silent for 0.2 s" in caplog.text
        is_last: list[bool] = []
        ledger.depart(is_last.append)
        assert is_last == [False]
    finally:
        ledger.close()
        relay.close()
        interrupts.close()


def test_a_renewal_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is left to itself: a process that ends does not wait for it."""
    monkeypatch.setattr(lease, "_LET_GO", 0.1)
    hangs, goes_on = Event(), Event()
    kept = lease.Lease(make_engine("postgresql://nobody@nowhere/x"), {}, 0.01, lambda: True)

    def hang() -> None:
        hangs.set()
        goes_on.wait(10)  # so that a test that fails ends

    monkeypatch.setattr(kept, "renew", hang)
    kept.start()
    assert hangs.wait(LIMIT)
    kept.stop()
    assert kept._thread.is_alive()
    goes_on.set()
    kept._thread.join(LIMIT)
    assert not kept._thread.is_alive()


def test_each_lease_is_its_participants(
    plan_in: Callable[..., Plan], postgres: Postgres, database: str
) -> None:
    """Who has a long lease is waited for that long after the server was started, by anybody."""
    plan = plan_in("hydra.sweeper.n_trials=2", *_INFINITE)
    with taking_part(plan, lease=1e6) as patient, taking_part(plan, "joined/2", 0.1) as hasty:
        me, other = patient.participant, hasty.participant
        assert me is not None
        assert other is not None
        patient._ledger.close()
        hasty._ledger.close()
        postgres.execute(
            "UPDATE sinesweep_participant SET lease_until = now() - interval '1 day'",
            database.rpartition("/")[2],
        )
        with taking_part(plan, "joined/3", 0.1) as third:
            wait_for(lambda: third._ledger.gone([me, other]) == {other})


def test_an_audit_leaves_the_living_alone(
    plan_in: Callable[..., Plan], database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It closes the trials of participants whose leases are over, and of the folder's own."""
    monkeypatch.setenv("PGPASSWORD", "hunter2")
    address = database.replace(":hunter2@", "@")
    plan = plan_in(f"hydra.sweeper.storage={address}", "hydra.sweeper.n_trials=9", *_INFINITE)
    own = replace(plan, folder=plan.folder / "joined/2")
    with taking_part(plan, "joined/2") as dead:
        own.save_definition()
        assert dead.next() is not None
    with taking_part(plan) as living:
        plan.save_definition()
        assert living.next() is not None
        assert close_orphans(own.folder)[1] == [0]  # the living one's trial is left alone
    entries, closed = close_orphans(plan.folder)
    assert closed == [1]
    assert [entry.outcome for entry in entries] == [INTERRUPTED, INTERRUPTED]


def test_an_audit_that_is_refused(
    plan_in: Callable[..., Plan], database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It lets go of the database all the same."""
    monkeypatch.setenv("PGPASSWORD", "hunter2")
    plan = plan_in(f"hydra.sweeper.storage={database.replace(':hunter2@', '@')}", "a=1,2")
    with taking_part(plan):
        plan.save_definition()
    closed: list[JointLedger] = []

    def refuse(*_: object) -> None:
        raise InputError("it is refused")

    monkeypatch.setattr(JointLedger, "enter", refuse)
    monkeypatch.setattr(JointLedger, "close", lambda ledger: closed.append(ledger))
    with pytest.raises(InputError, match="it is refused"):
        close_orphans(plan.folder)
    assert len(closed) == 1


def test_schemas_of_one_database(
    plan_in: Callable[..., Plan], database: str, postgres: Postgres
) -> None:
    """Studies of one name in two schemas have a turn each, and participants of their own."""
    name = database.rpartition("/")[2]
    addresses = []
    for schema in ("one", "other"):
        postgres.execute(f"CREATE SCHEMA {schema}", name)
        addresses.append(f"'{database}?options=-csearch_path%3D{schema}'")
    here, there = (
        plan_in(f"hydra.sweeper.storage={each}", "hydra.sweeper.n_trials=2", *_INFINITE)
        for each in addresses
    )
    with taking_part(here) as one, taking_part(there, "elsewhere") as other:
        with one._ledger.turn():
            assert other.next() is not None
        is_last: list[bool] = []
        one._ledger.depart(is_last.append)
        assert is_last == [True]
