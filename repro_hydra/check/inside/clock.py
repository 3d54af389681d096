"""The clock set to another day; or held, for the user's code alone.

A held clock starts at one constant and goes on by a hundredth of a second at each reading, and by what is slept: a
loop that waits for a deadline still ends. Libraries read the real one, shifted: their timeouts stay what they are.
"""

from __future__ import annotations

import copyreg
import datetime
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from repro_hydra.check.inside.notes import Notes, users_frame

_TICK_S = 0.01


class Clock:
    """What time it is, by the caller."""

    def __init__(self, held_at: float | None, offset_s: float, notes: Notes) -> None:
        self._held_at = held_at
        self._offset_s = offset_s
        self._notes = notes
        self._lock = threading.Lock()
        self._passed_s = 0.0
        self._time, self._sleep = time.time, time.sleep

    def now(self, frame: FrameType) -> float:
        """Seconds since the epoch."""
        users = users_frame(frame, direct=True)
        self._notes.at("clock", users)
        if self._held_at is None or users is None:
            return self._time() + self._offset_s
        return self._held_at + self._tick()

    def counter(self, frame: FrameType, original: Callable[[], float]) -> float:
        """Seconds of a clock without a date."""
        users = users_frame(frame, direct=True)
        self._notes.at("clock", users)
        return original() if self._held_at is None or users is None else self._tick()

    def sleep(self, seconds: float) -> None:
        """As ever; what a library sleeps, in a thread of its own perhaps, is none of the held clock's business."""
        self._sleep(seconds)
        if users_frame(sys._getframe(1), direct=True) is not None:
            with self._lock:
                self._passed_s += seconds

    def _tick(self) -> float:
        with self._lock:
            self._passed_s += _TICK_S
            return self._passed_s

    def zone_asked(self, frame: FrameType) -> None:
        """Somebody turned a time into a local one."""
        self._notes.at("time zone", users_frame(frame, direct=True))


def install(clock: Clock) -> None:
    """Replace what tells the time."""
    _replace_functions(clock)
    _replace_datetime(clock)


def _replace_functions(clock: Clock) -> None:
    localtime, gmtime, strftime, ctime, asctime = (
        time.localtime, time.gmtime, time.strftime, time.ctime, time.asctime,
    )  # fmt: skip

    def local(seconds: float | None = None) -> time.struct_time:
        frame = sys._getframe(1)
        clock.zone_asked(frame)
        return localtime(clock.now(frame) if seconds is None else seconds)

    def utc(seconds: float | None = None) -> time.struct_time:
        return gmtime(clock.now(sys._getframe(1)) if seconds is None else seconds)

    def text(form: str, *given: Any) -> str:
        frame = sys._getframe(1)
        clock.zone_asked(frame)
        return strftime(form, *(given or (localtime(clock.now(frame)),)))

    def c_text(seconds: float | None = None) -> str:
        frame = sys._getframe(1)
        clock.zone_asked(frame)
        return ctime(clock.now(frame) if seconds is None else seconds)

    def as_text(*given: Any) -> str:
        return asctime(*(given or (localtime(clock.now(sys._getframe(1))),)))

    replaced: dict[str, Any] = {
        "time": lambda: clock.now(sys._getframe(1)),
        "time_ns": lambda: int(clock.now(sys._getframe(1)) * 1e9),
        "sleep": clock.sleep,
        "localtime": local,
        "gmtime": utc,
        "strftime": text,
        "ctime": c_text,
        "asctime": as_text,
    }
    for name in ("perf_counter", "monotonic", "process_time"):
        replaced |= _counters(clock, name)
    for name, function in replaced.items():
        setattr(time, name, function)


def _counters(clock: Clock, name: str) -> dict[str, Any]:
    seconds, nanoseconds = getattr(time, name), getattr(time, f"{name}_ns")

    def counter() -> float:
        return clock.counter(sys._getframe(1), seconds)

    def counter_ns() -> int:
        return int(clock.counter(sys._getframe(1), lambda: nanoseconds() * 1e-9) * 1e9)

    return {name: counter, f"{name}_ns": counter_ns}


def _replace_datetime(clock: Clock) -> None:
    """A class in the place of ``datetime.datetime`` whose instances are the real ones; the same for ``date``."""
    real, real_date = datetime.datetime, datetime.date

    def now(tz: Any = None) -> Any:
        frame = sys._getframe(1)
        if tz is None:
            clock.zone_asked(frame)
        return real.fromtimestamp(clock.now(frame), tz)

    def utcnow() -> Any:
        return real.fromtimestamp(clock.now(sys._getframe(1)), datetime.timezone.utc).replace(tzinfo=None)

    def today() -> Any:
        frame = sys._getframe(1)
        clock.zone_asked(frame)
        return real.fromtimestamp(clock.now(frame))

    def fromtimestamp(seconds: float, tz: Any = None) -> Any:
        if tz is None:
            clock.zone_asked(sys._getframe(1))
        return real.fromtimestamp(seconds, tz)

    def date_today() -> Any:
        frame = sys._getframe(1)
        clock.zone_asked(frame)
        return real.fromtimestamp(clock.now(frame)).date()

    methods = {"now": now, "utcnow": utcnow, "today": today, "fromtimestamp": fromtimestamp}
    _stand_in("datetime", real, methods)
    _stand_in("date", real_date, {"today": date_today})


def _stand_in(name: str, real: Any, methods: dict[str, Any]) -> None:
    class Meta(type(real)):  # type: ignore[misc]  # a metaclass that only C knows
        def __call__(cls, *given: Any, **named: Any) -> Any:
            if cls is stand_in:
                return real(*given, **named)
            return super().__call__(*given, **named)  # a subclass of the user's own

        def __instancecheck__(cls, instance: Any) -> bool:
            return isinstance(instance, real) if cls is stand_in else super().__instancecheck__(instance)

        def __subclasscheck__(cls, subclass: Any) -> bool:
            return issubclass(subclass, real) if cls is stand_in else super().__subclasscheck__(subclass)

    space: dict[str, Any] = {key: staticmethod(value) for key, value in methods.items()}
    stand_in = Meta(name, (real,), {**space, "__module__": "datetime", "__qualname__": name})
    setattr(datetime, name, stand_in)
    # A pickle names the class, and finds the stand-in under that name.
    copyreg.pickle(real, lambda value: (stand_in, value.__reduce_ex__(2)[1]))
