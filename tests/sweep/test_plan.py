from __future__ import annotations

import pickle
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

import pytest
import yaml
from hydra.core.config_store import ConfigStore

from sinesweep import redaction
from sinesweep.errors import InputError
from sinesweep.sweep import archive
from sinesweep.sweep.plan import DEFINITION_FILE, Plan, question, read_definition

MakePlan = Callable[..., Plan]


def test_drawn_name(make_plan: MakePlan) -> None:
    """Without a name, a sweep is called by its last keys and a digest of the command."""
    name = make_plan("a=1,2", "optimizer.lr=interval(0,1)").name
    assert re.fullmatch(r"a-lr-[0-9a-f]{6}", name)


def test_drawn_name_is_stable(make_plan: MakePlan) -> None:
    """The same command draws the same name, so that it finds its sweep again."""
    assert make_plan("a=1,2", "b=3").name == make_plan("a=1,2", "b=3").name


@pytest.mark.parametrize(
    "other",
    [
        ("a=1,2,3", "b=3"),
        ("a=1,2", "b=4"),
        ("a=1,2",),
        ("a=1,2", "b=3", "hydra.sweeper.direction=maximize"),
        ("a=1,2", "b=3", "+more=1"),
        ("a=1,2", "b=3", "~name"),
    ],
)
def test_drawn_names_differ(make_plan: MakePlan, other: tuple[str, ...]) -> None:
    """Another space, another fixed override or another direction is another sweep."""
    assert make_plan("a=1,2", "b=3").name != make_plan(*other).name


@pytest.mark.parametrize(
    "more",
    [
        "tracking.backend=none",
        "hydra.sweeper.n_trials=5",
        "hydra.sweeper.workers=3",
        "hydra/sweeper/sampler=random",
    ],
)
def test_what_does_not_change_the_name(make_plan: MakePlan, more: str) -> None:
    """A longer sweep, more workers, another sampler or tracker is the same sweep."""
    assert make_plan("a=1,2").name == make_plan("a=1,2", more).name


def test_overrides_of_a_fused_form(make_plan: MakePlan) -> None:
    """With slots, trials say that they were trained together, unless the command says how."""
    form = "hydra.sweeper.fused=sinesweep.fused.reference"
    assert make_plan("a=1,2", form).space.fixed == ()
    assert make_plan("a=1,2", form, "hydra.sweeper.slots=4").space.fixed == ("together=true",)
    plan = make_plan("a=1,2", "+together=false", form, "hydra.sweeper.slots=4")
    assert plan.space.fixed == ("+together=false",)


def test_a_sweep_is_continued_with_slots(begin: Callable[..., Plan], make_plan: MakePlan) -> None:
    """Whether trials are trained together does not make it another sweep."""
    command = ("a=1,2", "hydra.sweeper.fused=sinesweep.fused.reference")
    begin(*command, "+together=false")
    make_plan("hydra.sweeper.study_name=s", *command, "+together=true").refuse_change()


def test_groups_and_additions_in_a_drawn_name(make_plan: MakePlan) -> None:
    """A name has no character of the grammar in it."""
    name = make_plan("optimizer@other=adam,sgd", "+deep.new=1,2").name
    assert re.fullmatch(r"optimizer-new-[0-9a-f]{6}", name)


def test_name_of_the_sweep_file(make_plan: MakePlan) -> None:
    """A sweep file gives the sweep its name."""
    assert make_plan("sweeps=mine").name == "mine"


@pytest.mark.parametrize("overrides", ["sweeps=mine,mine2", "sweeps=glob(*)"])
def test_sweep_of_sweeps(make_plan: MakePlan, overrides: str) -> None:
    """Several sweep files in one command are refused: each says what is swept."""
    with pytest.raises(InputError, match=r"^sweeps: must name one sweep, but is .*mine.*: a sweep"):
        make_plan(overrides, "hydra.sweeper.n_trials=4")


def test_given_name(make_plan: MakePlan, tmp_path: Path) -> None:
    """A given name comes before all others, and names the folder."""
    plan = make_plan("sweeps=mine", "hydra.sweeper.study_name=ours")
    assert plan.name == "ours"
    assert plan.folder == tmp_path / "multirun" / "ours"


def test_given_folder(make_plan: MakePlan, tmp_path: Path) -> None:
    """A folder that Hydra was given is the sweep's."""
    plan = make_plan("a=1,2", f"hydra.sweep.dir={tmp_path}/here")
    assert plan.folder == tmp_path / "here"


@pytest.mark.parametrize(
    ("command", "total", "enumerated"),
    [
        (("a=1,2", "b=1,2"), 4, True),
        ((), 1, True),
        (("x=interval(0,1)",), 20, False),
        (("a=1,2", "hydra.sweeper.n_trials=7"), 2, False),
        (("hydra.sweeper.n_trials=7",), 1, False),
        (("a=int(interval(1,3))",), 3, False),
        (("a=int(interval(1,3))", "hydra.sweeper.timeout=60.0"), 3, False),
        (("a=1,2", "hydra.sweeper.timeout=60.0"), 2, True),
        (("a=1,2", "hydra.sweeper.terminator={_target_: T}"), 2, True),
        (("x=interval(0,1)", "hydra.sweeper.timeout=60.0"), None, False),
        (("x=interval(0,1)", "hydra.sweeper.terminator={_target_: T}"), None, False),
        (("a=1,2", "hydra.sweeper.n_trials=7", "hydra/sweeper/sampler=grid"), 2, False),
        (("a=1,2", "hydra.sweeper.n_trials=7", "hydra.sweeper.deduplicate=false"), 7, False),
        (("a=1,2", "hydra.sweeper.custom_search_space=m.f"), 20, False),
    ],
)
def test_total(
    make_plan: MakePlan, command: tuple[str, ...], total: int | None, enumerated: bool
) -> None:
    """The total is n_trials or 20, but no more than the points that there are."""
    # A grid has no seed.
    command = tuple("~hydra.sweeper.sampler.seed" for c in command if c.endswith("=grid")) + command
    plan = make_plan(*command)
    assert (plan.total, plan.is_enumeration) == (total, enumerated)


def test_job(make_plan: MakePlan) -> None:
    """A trial's configuration has its overrides, and Hydra's keys for its job."""
    plan = make_plan("a=1,2", "b=3")
    config = plan.job(plan.compose(("a=2", "b=3")), 5, plan.directory(5))
    assert (config.a, config.b) == (2, 3)
    assert (config.hydra.job.num, config.hydra.job.id) == (5, "trial-00005")
    assert Path(config.hydra.sweep.dir) / config.hydra.sweep.subdir == plan.directory(5)


@pytest.fixture
def begin(make_plan: MakePlan) -> Callable[..., Plan]:
    """Begin a sweep called s."""

    def begin_sweep(*command: str) -> Plan:
        plan = make_plan("hydra.sweeper.study_name=s", *command)
        plan.folder.mkdir(parents=True)
        plan.save_definition()
        return plan

    return begin_sweep


def test_nothing_to_compare_with(make_plan: MakePlan) -> None:
    """A sweep that has not begun may be anything."""
    make_plan("a=1,2").refuse_change()


@pytest.mark.parametrize(
    ("command", "difference"),
    [
        (("a=1,2,3", "b=3"), "space.a: '1,2' -> '1,2,3'"),
        (("a=1,2", "b=3", "x=interval(0,1)"), "space.x: (not there) -> 'interval(0,1)'"),
        (("a=1", "b=3"), "space.a: '1,2' -> (not there)"),
        (("a=1,2", "b=4"), "config.b: 3 -> 4"),
        (("a=1,2", "b=3", "+new=1"), "config.new: (not there) -> 1"),
        (("a=1,2", "b=3", "~name"), "config.name: 'none' -> (not there)"),
        (("a=1,2", "b=3", "optimizer=sgd"), "config.optimizer.momentum: (not there) -> 0.9"),
        (
            ("a=1,2", "b=3", "hydra.sweeper.direction=maximize"),
            "objectives: ['minimize'] -> ['maximize']",
        ),
        (("a=1,2", "b=3", "hydra.sweeper.repeats=2"), "repeats: 1 -> 2"),
        (
            ("a=1,2", "b=3", "hydra.sweeper.custom_search_space=m.f"),
            "custom_search_space: None -> 'm.f'",
        ),
    ],
)
def test_changes_are_refused(
    begin: Callable[..., Plan], make_plan: MakePlan, command: tuple[str, ...], difference: str
) -> None:
    """A begun sweep with another space, objective or configuration is refused, and shows it."""
    begin("a=1,2", "b=3")
    changed = make_plan("hydra.sweeper.study_name=s", *command)
    message = r"(?s)^sweep s: must be continued as it was begun, but differs:\n.*"
    with pytest.raises(InputError, match=message + re.escape(difference)):
        changed.refuse_change()


def test_way_out_of_a_refusal(begin: Callable[..., Plan], make_plan: MakePlan) -> None:
    """A refusal says how to begin another sweep."""
    begin("a=1,2")
    changed = make_plan("hydra.sweeper.study_name=s", "a=1,3")
    with pytest.raises(InputError, match=r"or begin another: hydra.sweeper.study_name=s-2$"):
        changed.refuse_change()


def test_long_difference(begin: Callable[..., Plan], make_plan: MakePlan) -> None:
    """A long difference is cut, and says by how much."""
    begin("a=1,2")
    more = [f"+new{index}=1" for index in range(15)]
    changed = make_plan("hydra.sweeper.study_name=s", "a=1,2", *more)
    with pytest.raises(InputError, match=r"(?s)config.new11: .*\n  and 3 more\n"):
        changed.refuse_change()


@pytest.mark.parametrize(
    "more",
    [
        "hydra.sweeper.n_trials=50",
        "hydra.sweeper.workers=7",
        "hydra.sweeper.timeout=9.0",
        "hydra.sweeper.retries=3",
        "hydra/sweeper/sampler=random",
        "hydra/sweeper/pruner=median",
        "tracking.backend=mlflow",
    ],
)
def test_what_may_change(begin: Callable[..., Plan], make_plan: MakePlan, more: str) -> None:
    """Budgets, workers, sampler, pruner and tracker of a begun sweep may change."""
    begin("a=1,2")
    make_plan("hydra.sweeper.study_name=s", "a=1,2", more).refuse_change()


def test_a_secret_that_others_do_not_have(
    begin: Callable[..., Plan], make_plan: MakePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is hidden here and not there, as its variable is set, makes no other sweep."""
    monkeypatch.setenv("PGPASSWORD", "hunter2")
    begin("a=1,2", "name='by hunter2'")
    monkeypatch.delenv("PGPASSWORD")
    again = make_plan("hydra.sweeper.study_name=s", "a=1,2", "name='by hunter2'")
    again.refuse_change()
    with pytest.raises(InputError, match=r"config.name: 'by \*\*\*' -> 'for hunter2'"):
        make_plan("hydra.sweeper.study_name=s", "a=1,2", "name='for hunter2'").refuse_change()


def test_an_address_that_looks_like_a_secret(
    make_plan: MakePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A study's address is kept as it is but for its own password, so that it can be read."""
    monkeypatch.setenv("PGPASSWORD", "study1")
    storage = "postgresql://me@host/study1"
    plan = make_plan("hydra.sweeper.study_name=s", f"hydra.sweeper.storage='{storage}'", "a=1,2")
    plan.folder.mkdir(parents=True)
    plan.save_definition()
    kept = yaml.safe_load((plan.folder / DEFINITION_FILE).read_text())
    assert kept["study"]["storage"] == storage


def test_definition_is_written_once(begin: Callable[..., Plan], make_plan: MakePlan) -> None:
    """The definition stays what it was when the sweep began."""
    before = (begin("a=1,2").folder / DEFINITION_FILE).read_text()
    other = make_plan("hydra.sweeper.study_name=s", "a=1,3")
    other.save_definition()
    assert (other.folder / DEFINITION_FILE).read_text() == before


def test_no_credentials_in_the_definition(begin: Callable[..., Plan]) -> None:
    """Neither the configuration's nor the storage's credentials are written."""
    plan = begin(
        "a=1,2",
        "+api_token=hunter2",
        "name='http://me:hunter2@nowhere'",
        "hydra.sweeper.storage='mysql://me:hunter2@nowhere/studies'",
    )
    text = (plan.folder / DEFINITION_FILE).read_text()
    assert "hunter2" not in text
    assert yaml.safe_load(text)["study"]["storage"] == "mysql://***@nowhere/studies"


def test_changed_credentials_are_the_same_sweep(
    begin: Callable[..., Plan], make_plan: MakePlan
) -> None:
    """A new password does not end a sweep."""
    begin("a=1,2", "+api_token=old")
    make_plan("hydra.sweeper.study_name=s", "a=1,2", "+api_token=new").refuse_change()


def test_question(make_plan: MakePlan) -> None:
    """What a sweep asks is the comment at the top of its file; without a file, nothing."""
    assert question(make_plan("sweeps=mine").config) == "Which a suits which b?"
    assert question(make_plan("a=1,2").config) is None


@pytest.mark.parametrize("content", ["", "{", "- 1", "study: {name: s}", "\x00"])
def test_damaged_definition(begin: Callable[..., Plan], make_plan: MakePlan, content: str) -> None:
    """A damaged definition is refused in one message, whose advice lets the sweep go on."""
    plan = begin("a=1,2")
    path = plan.folder / DEFINITION_FILE
    path.write_text(content)
    with pytest.raises(InputError, match=rf"^{path}: must be .*delete the file and repeat"):
        plan.refuse_change()
    path.unlink()
    again = make_plan("hydra.sweeper.study_name=s", "a=1,2")
    again.refuse_change()
    again.save_definition()
    assert read_definition(path)["study"]["name"] == plan.name


def test_a_redacted_definition_is_read_back(begin: Callable[..., Plan]) -> None:
    """Whatever form a secret has, the sweep's file is read, and names what has to be given."""
    plan = begin(
        "a=1,2", "++db.password=[aaa, bbb]", "+swept.token='x y',z", "+c={secret: {d: [eee]}}"
    )
    text = (plan.folder / DEFINITION_FILE).read_text()
    assert not {"aaa", "bbb", "x y", "eee"} & set(re.split(r"[^\w ]+", text))
    found = archive.read(plan.folder)
    assert found.fixed == ["++db.password=***", "+c={secret:***}"]
    assert list(found.dimensions) == ["a", "+swept.token"]
    assert found.definition["space"]["+swept.token"] == "***1,***2"


def test_the_name_of_a_sweep_does_not_depend_on_secrets(make_plan: MakePlan) -> None:
    """With another password the same command finds its sweep."""
    names = {make_plan("a=1,2", f"+db.password={value}").name for value in ("old", "new")}
    assert len(names) == 1


def test_keys_of_redaction_are_kept_with_the_sweep(begin: Callable[..., Plan]) -> None:
    """Commands hide and show what the sweep does."""
    plan = begin("a=1,2", "+tokens=5", "hydra.sweeper.visible_keys=[tokens]")
    redaction.reset_rules()
    archive.read(plan.folder)
    assert not redaction.is_secret("tokens")


def test_group_without_a_default_is_swept(make_plan: MakePlan, application: Path) -> None:
    """A group that must be chosen is chosen by each trial, and is left out of what is fixed."""
    path = application / "config.yaml"
    path.write_text(path.read_text().replace("- optimizer: adam", "- optimizer: ???"))
    plan = make_plan("optimizer=adam,sgd", "a=3")
    assert "optimizer" not in plan.base
    assert plan.base.a == 3
    assert plan.definition["space"] == {"optimizer": "adam,sgd"}
    assert [plan.sample(point).optimizer.lr for point in plan.space.corners()] == [0.1, 0.2]


class Colour(Enum):
    RED = 1


@dataclass
class Own:
    data: bytes = b"\x00ab"
    path: Path = Path("/data")
    colour: Colour = Colour.RED
    by_colour: dict[Colour, int] = field(default_factory=lambda: {Colour.RED: 1})
    by_number: dict[int, float] = field(default_factory=lambda: {1: 0.5})


def test_definition_of_a_structured_configuration(make_plan: MakePlan) -> None:
    """Values of every type that a structured configuration has are kept as texts."""
    ConfigStore.instance().store(group="structured", name="own", node=Own)
    definition = make_plan("a=1,2", "+structured=own").definition
    assert definition["config"]["structured"] == {
        "data": "b'\\x00ab'",
        "path": "/data",
        "colour": "RED",
        "by_colour": {"RED": 1},
        "by_number": {"1": 0.5},
    }
    assert yaml.safe_load(yaml.safe_dump(definition)) == definition


def test_configuration_can_be_pickled(make_plan: MakePlan) -> None:
    """Hydra's callback that pickles a job's configuration finds the sweeper's own classes."""
    plan = make_plan("a=1,2")
    (sample, *_) = (plan.sample(point) for point in plan.space.corners())
    assert pickle.loads(pickle.dumps(sample)) == sample
