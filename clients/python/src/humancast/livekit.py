"""Shows a LiveKit Agents avatar in a humancast session: `pip install humancast[livekit]`.

    output = QueueAudioOutput(sample_rate=24_000)
    agent_session.output.audio = output
    runner = HumancastAvatarRunner(
        humancast, session["id"], "demo", audio_recv=output, video_gen=my_video_generator, options=AvatarOptions(...)
    )
    await runner.start()

It takes the place of LiveKit's own `AvatarRunner`, with the same audio receiver, video generator and options, but pushes what the
generator makes to humancast. Positions are those that the viewers heard: what the agent keeps of an interrupted answer is exact.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Optional

import numpy as np
from livekit import rtc
from livekit.agents.voice.avatar import AudioReceiver, AudioSegmentEnd, AvatarOptions, VideoGenerator

from .client import Humancast, HumancastError, LiveSegment
from .speech import SpeechEvents

logger = logging.getLogger(__name__)


class HumancastAvatarRunner:
    """Forwards audio to a video generator, and its frames and audio to a session, one live push for each answer."""

    def __init__(
        self,
        humancast: Humancast,
        session: str,
        avatar: str,
        *,
        audio_recv: AudioReceiver,
        video_gen: VideoGenerator,
        options: AvatarOptions,
    ):
        self._humancast, self._session, self._avatar = humancast, session, avatar
        self._audio_recv, self._video_gen, self._options = audio_recv, video_gen, options
        self._speech = SpeechEvents(humancast, session)
        self._live: Optional[LiveSegment] = None
        #: Whether an answer is being read, and how many were read for which no push has been opened yet.
        self._reading, self._pending = False, 0
        #: Whether a push has been opened for the answer that the generator is making.
        self._opened = False
        #: After an interruption: whether the rest of the answer is not read, and whether what comes from the generator is not
        #: pushed, until the next answer is read, or until the generator has come to the end of this one.
        self._skipping = self._dropping = self._dropping_to_end = False
        #: The last frame before an answer.
        self._before: Any = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._main: list[asyncio.Task[Any]] = []

    async def start(self) -> None:
        await self._speech.start()
        await self._audio_recv.start()
        self._audio_recv.on("clear_buffer", self._on_clear_buffer)
        self._main = [asyncio.create_task(self._read_audio()), asyncio.create_task(self._forward())]

    async def wait_for_complete(self) -> None:
        await asyncio.gather(*self._main)

    async def aclose(self) -> None:
        for task in (*self._main, *self._tasks):
            task.cancel()
        await asyncio.gather(*self._main, *self._tasks, return_exceptions=True)
        await self._end(cut=True)
        await self._speech.aclose()
        await self._audio_recv.aclose()

    async def _read_audio(self) -> None:
        async for frame in self._audio_recv:
            is_end = isinstance(frame, AudioSegmentEnd)
            if self._skipping:
                self._skipping = not is_end
                continue
            if not is_end and not self._reading:
                self._pending, self._dropping = self._pending + 1, False
            self._reading = not is_end
            await self._video_gen.push_audio(frame)

    async def _forward(self) -> None:
        async for frame in self._video_gen:
            try:
                await self._push(frame)
            except HumancastError as error:
                if error.code != "interrupted":
                    logger.exception("failed to speak")
                await self._drop()

    async def _push(self, frame: Any) -> None:
        if isinstance(frame, AudioSegmentEnd):
            await self._end()
            if not self._opened and not self._dropping_to_end:
                await self._report_pending(False, 1)
            self._opened = self._dropping_to_end = False
            return
        if self._dropping or self._dropping_to_end:
            return
        if self._live is None:
            # Idle frames are not pushed: humancast shows the avatar's idle clips.
            if not isinstance(frame, rtc.AudioFrame):
                self._before = frame
                return
            self._live = await self._open()
            if self._before is not None:
                # Generators yield the first frame of an answer directly before its audio.
                await self._live.push_video(_rgba(self._before))
        self._before = None
        live = self._live
        if isinstance(frame, rtc.AudioFrame):
            await live.push_audio(_mono(frame))
        else:
            await live.push_video(_rgba(frame))
        if live.in_break:
            await self._drop()

    async def _open(self) -> LiveSegment:
        options = self._options
        live = self._humancast.live(
            self._avatar,
            self._session,
            turn=self._speech.turn,
            fps=options.video_fps,
            width=options.video_width,
            height=options.video_height,
            pixel_format="rgba",
            sample_rate=options.audio_sample_rate,
        )
        await live.__aenter__()
        self._opened, self._pending = True, self._pending - 1
        self._spawn(self._report(live.segment or ""))
        return live

    async def _report(self, segment: str) -> None:
        """Tells the agent when an answer is heard, and how much of it was."""
        if await self._speech.started(segment):
            await _maybe(self._audio_recv.notify_playback_started())
        position_ms, interrupted = await self._speech.finished(segment)
        await _maybe(self._audio_recv.notify_playback_finished(position_ms / 1000, interrupted))

    async def _end(self, cut: bool = False) -> None:
        live, self._live = self._live, None
        if live is not None:
            error = asyncio.CancelledError() if cut else None
            await live.__aexit__(type(error) if error else None, error, None)

    async def _drop(self) -> None:
        """Drops the rest of the current answer, because a viewer interrupted it."""
        if not self._reading:
            # The generator has all of it, and perhaps the next one.
            self._dropping_to_end = True
            await self._end(cut=True)
            if not self._opened:
                await self._report_pending(True, 1)
            return
        self._skipping = self._dropping = True
        self._reading = False
        await self._clear()

    def _on_clear_buffer(self) -> None:
        """The agent interrupts itself, and has emptied its queue: what is read next is a new answer."""
        self._skipping, self._dropping, self._dropping_to_end = False, True, False
        self._reading = False
        self._spawn(self._interrupt(self._speech.turn))

    async def _interrupt(self, turn: Optional[int]) -> None:
        try:
            self._speech.turn = (await self._humancast.interrupt(self._session, turn))["turn"]
        except HumancastError as error:
            # A viewer was faster.
            if error.code != "interrupted":
                raise
        await self._clear()

    async def _clear(self) -> None:
        await _maybe(self._video_gen.clear_buffer())
        await self._end(cut=True)
        self._opened = False
        await self._report_pending(True, self._pending)

    async def _report_pending(self, interrupted: bool, count: int) -> None:
        """Answers that no push was opened for were not heard."""
        count = min(count, self._pending)
        self._pending -= count
        for _ in range(count):
            await _maybe(self._audio_recv.notify_playback_finished(0.0, interrupted))

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _maybe(result: Any) -> None:
    if asyncio.iscoroutine(result):
        await result


def _mono(frame: Any) -> np.ndarray:
    samples = np.frombuffer(frame.data, np.int16).reshape(-1, frame.num_channels)
    return samples[:, 0] if frame.num_channels == 1 else samples.mean(axis=1).astype(np.int16)


def _rgba(frame: Any) -> np.ndarray:
    if frame.type != rtc.VideoBufferType.RGBA:
        frame = frame.convert(rtc.VideoBufferType.RGBA)
    return np.frombuffer(frame.data, np.uint8).reshape(frame.height, frame.width, 4)
