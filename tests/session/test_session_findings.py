"""`repro_hydra.session.findings`: what stops a start, what a result is worth, and how a finding is waived."""

from __future__ import annotations

import pickle
import shlex

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st

from repro_hydra.config import Mode
from repro_hydra.record.schema import Finding, Severity
from repro_hydra.session.findings import (
    NOT_BEGUN,
    Refused,
    blockers,
    how_to_waive,
    judge,
    reason_to_allow,
    waive,
    waived_ids,
)

SUBJECT = st.text(st.sampled_from("ab9 :,{}[]()/=.-_+%@?*$|\\\t"), min_size=1, max_size=20)


def finding(finding_id: str = "kind:x", severity: Severity = "blocks", message: str = "m") -> Finding:
    return Finding(id=finding_id, severity=severity, message=message)


def parsed_allow(command_line: str) -> dict[str, str]:
    """What Hydra's parser makes of an override as a shell would hand it over."""
    (argument,) = shlex.split(command_line)
    override = OverridesParser.create().parse_override(argument)
    assert override.key_or_group == "hydra.callbacks.repro.allow"
    value = override.value()
    assert isinstance(value, dict)
    return {str(key): str(reason) for key, reason in value.items()}


@given(SUBJECT.filter(lambda text: text == text.strip()))
def test_the_override_offered_waives_the_finding(subject: str) -> None:
    """Spaces, colons, commas, braces and slashes in an id survive the shell and Hydra's parser."""
    one = finding(f"undeclared-input:{subject}")
    assert parsed_allow(how_to_waive(one)) == {one.id: "REASON"}


@given(st.text(min_size=1, max_size=20))
def test_any_id_can_be_waived_by_what_is_offered(subject: str) -> None:
    """A character that Hydra's keys cannot hold is offered as `?`, which stands for any one."""
    one = finding(f"undeclared-input:x{subject}x")
    assert waive([one], parsed_allow(how_to_waive(one)))[0].waived == "REASON"


def test_a_question_mark_stands_for_one_character_and_no_more() -> None:
    allow = {"undeclared-input:caf?.csv": "known"}
    assert reason_to_allow("undeclared-input:café.csv", allow) == "known"
    assert reason_to_allow("undeclared-input:caff.csv", allow) == "known"
    assert reason_to_allow("undeclared-input:caffè.csv", allow) is None
    assert reason_to_allow("undeclared-input:cof?.csv", allow) is None


@pytest.mark.parametrize(
    "subject",
    ["/data/my set/a,b.csv", "C:\\data\\x", "a{b}c", "rows: all", "it (1) [2].csv", "x=1", "${oc.env:HOME}"],
)
def test_real_looking_ids_are_waived_by_what_is_offered(subject: str) -> None:
    """The message of a refusal can be pasted back, whatever the path looks like."""
    one = finding(f"undeclared-input:{subject}")
    assert waive([one], parsed_allow(how_to_waive(one)))[0].waived == "REASON"


def test_an_unescaped_colon_is_understood() -> None:
    """`{kind:x.csv: why}` reaches us as `kind` with the value `x.csv: why`; another subject is not waived by it."""
    allow = parsed_allow(shlex.quote("hydra.callbacks.repro.allow={undeclared-input:x.csv: old}"))
    assert reason_to_allow("undeclared-input:x.csv", allow) == "old"
    assert reason_to_allow("undeclared-input:y.csv", allow) is None


def test_each_finding_stands_once_with_its_reason() -> None:
    """The same finding from two checks is one; two messages under one id are two."""
    marked = waive([finding(), finding(), finding(message="other")], {"kind:x": "known"})
    assert [(one.message, one.waived) for one in marked] == [("m", "known"), ("other", "known")]
    assert waived_ids(marked) == {"kind:x": "known"}


@pytest.mark.parametrize("mode", list(Mode))
def test_only_strict_is_stopped_and_only_by_what_blocks(mode: Mode) -> None:
    """An unwaived blocker stops strict; a waived one, and what only may change bits, do not."""
    waived = waive([finding("a:1")], {"a:1": "known"})
    others = [finding("b", "may_change_bits"), finding("c", "harmless")]
    assert blockers([*waived, *others], mode) == []
    stopped = blockers([finding("d"), *others], mode)
    assert [one.id for one in stopped] == (["d"] if mode is Mode.strict else [])


def test_the_verdict_follows_what_was_found() -> None:
    """No without a waiver, waived with one, yes with nothing but harmless things, and no promise outside strict."""
    serious = finding(severity="may_change_bits")
    waived = waive([serious], {"kind:x": "known"})
    assert judge([finding(severity="harmless")], Mode.strict) == "yes"
    assert judge([serious, *waived], Mode.strict) == "no"
    assert judge(waived, Mode.strict) == "waived"
    assert judge([serious], Mode.standard) == judge([], Mode.record) == "not_promised"


def test_a_refusal_names_everything_and_travels() -> None:
    """All blockers with their ids in one message, which is the same after a pickle took it to the sweep."""
    refused = Refused([finding("a:1"), finding("b:2")], "strict refuses", NOT_BEGUN)
    again = pickle.loads(pickle.dumps(refused))
    assert str(again) == str(refused)
    assert again.findings == refused.findings
    assert "2 things stand" in str(refused)
    assert "[a:1]" in str(refused)
    assert "[b:2]" in str(refused)
    assert NOT_BEGUN in str(refused)
