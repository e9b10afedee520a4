"""What the adapters know of a session: its turn, and how much of each segment was heard."""

from __future__ import annotations

import asyncio
from typing import Any, Callable, Optional

from .client import Humancast

#: Segments whose events are kept.
MOST_SEGMENTS = 50


class SpeechEvents:
    """Follows a session's events."""

    def __init__(self, humancast: Humancast, session: str, on_interrupted: Callable[[], None] = lambda: None):
        self._humancast, self._session, self._on_interrupted = humancast, session, on_interrupted
        self._segments: dict[str, tuple[asyncio.Future[bool], asyncio.Future[tuple[float, bool]]]] = {}
        self._task: Optional[asyncio.Task[None]] = None
        #: The session's turn; what is made for an earlier one is rejected.
        self.turn: Optional[int] = None

    async def start(self) -> None:
        self.turn = (await self._humancast.session(self._session))["turn"]
        self._task = asyncio.create_task(self._follow())

    async def aclose(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._end()

    async def started(self, segment: str) -> bool:
        """Waits until a segment is heard; False if it never is."""
        return await asyncio.shield(self._of(segment)[0])

    async def finished(self, segment: str) -> tuple[float, bool]:
        """Waits until a segment is over. Returns how much of it was heard, ms, and whether it was interrupted."""
        return await asyncio.shield(self._of(segment)[1])

    async def _follow(self) -> None:
        try:
            async for event in self._humancast.events(self._session):
                self._handle(event)
        finally:
            self._end()

    def _handle(self, event: dict[str, Any]) -> None:
        if event["type"] == "session.interrupted":
            self.turn = max(self.turn or 0, event["turn"])
            self._on_interrupted()
        elif event["type"] == "speech.started":
            _set(self._of(event["segment"])[0], True)
        elif event["type"] == "speech.finished":
            started, finished = self._of(event["segment"])
            _set(started, False)
            _set(finished, (event["positionMs"], event["reason"] != "finished"))

    def _end(self) -> None:
        """Whoever still waits is told that nothing more will be heard."""
        for started, finished in self._segments.values():
            _set(started, False)
            _set(finished, (0.0, True))

    def _of(self, segment: str) -> tuple[asyncio.Future[bool], asyncio.Future[tuple[float, bool]]]:
        if segment not in self._segments:
            loop = asyncio.get_running_loop()
            self._segments[segment] = (loop.create_future(), loop.create_future())
            if len(self._segments) > MOST_SEGMENTS:
                for future in self._segments.pop(next(iter(self._segments))):
                    future.cancel()
        return self._segments[segment]


def _set(future: asyncio.Future[Any], value: Any) -> None:
    if not future.done():
        future.set_result(value)
