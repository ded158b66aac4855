"""The rule `repeated-failures` in Python: a user whose logins fail again and again.

The same rule as `sidewatch rule new` writes in Rust. A rule is a pure function:
it sees no clock, file, network or randomness; time is the events', and what is
remembered per user comes in with the frame and goes back with the outcome.
"""

import json
import struct

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.detection import (
    Change,
    Descriptor,
    Evidence,
    EvidenceValue_Address,
    EvidenceValue_Integer,
    EvidenceValue_Time,
    Address,
    Finding,
    FindingKind,
    Outcome,
)
from wit_world.exports.types import ParameterError, Span

ABSENT = 0xFFFF_FFFF
LOGIN_FAILURE = 2
REMEMBERED = 32

settings = {"failures": 5, "minutes": 10}


class Detection(exports.Detection):
    def configure(self, parameters: str) -> Descriptor:
        try:
            given = json.loads(parameters)
        except ValueError as error:
            raise Err(ParameterError(parameter="", message=str(error)))
        for name, value in given.items():
            if name not in settings:
                message = f"unknown field `{name}`, expected `failures` or `minutes`"
                raise Err(ParameterError(parameter=name, message=message))
            if not isinstance(value, int) or value < 1:
                raise Err(ParameterError(parameter=name, message="must be a whole number"))
            settings[name] = value
        if not 2 <= settings["failures"] <= REMEMBERED:
            raise Err(ParameterError(parameter="failures", message=f"choose 2 to {REMEMBERED}"))
        kind = FindingKind(
            id="repeated-failures",
            title="Logins fail again and again",
            severity=6,
            technique="T1110",
        )
        return Descriptor(
            id="repeated-failures",
            version="0.1.0",
            key=["user"],
            reads=[],
            state_ttl=24 * 60 * 60 * 1000,
            state_limit=4096,
            findings=[kind],
        )

    def evaluate(self, frame) -> Outcome:
        outcome = Outcome(block=b"", changes=[], findings=[])
        block = bytearray()
        window = settings["minutes"] * 60_000
        for index, group in enumerate(frame.groups):
            times = state(frame.block, group.state)
            changed = False
            for at in range(group.first, group.first + group.count):
                event = frame.events[at]
                if event.activity != LOGIN_FAILURE:
                    continue
                times = [time for time in times if abs(time - event.time) <= window]
                times = (times + [event.time])[-REMEMBERED:]
                changed = True
                if len(times) == settings["failures"]:
                    outcome.findings.append(finding(at, event, times))
            if changed:
                stored = struct.pack(f"<{len(times)}q", *times)
                span = Span(start=len(block), length=len(stored))
                outcome.changes.append(Change(group=index, state=span))
                block += stored
        outcome.block = bytes(block)
        return outcome


def state(block: bytes, span: Span) -> list[int]:
    if span.start == ABSENT:
        return []
    stored = block[span.start : span.start + span.length]
    return list(struct.unpack(f"<{len(stored) // 8}q", stored))


def finding(at: int, event, times: list[int]) -> Finding:
    first = min(times)
    evidence = [
        Evidence(name="failures", value=EvidenceValue_Integer(len(times))),
        Evidence(name="first_failure", value=EvidenceValue_Time(first)),
    ]
    if event.address_high or event.address_low:
        address = Address(high=event.address_high, low=event.address_low)
        evidence.append(Evidence(name="address", value=EvidenceValue_Address(address)))
    return Finding(
        event=at,
        kind=0,
        incident=(event.user ^ first) & 0xFFFF_FFFF_FFFF_FFFF,
        occurrence=1,
        severity=6,
        score=1.0,
        title=f"{len(times)} failed logins",
        evidence=evidence,
    )
