"""A pipecat transport that shows the bot in a humancast session: `pip install humancast[pipecat]`.

    transport = HumancastTransport(
        humancast, session["id"], "demo",
        TransportParams(
            audio_in_enabled=True, audio_in_sample_rate=16_000,
            audio_out_enabled=True, audio_out_sample_rate=24_000,
            video_out_enabled=True, video_out_is_live=True,
            video_out_width=512, video_out_height=512, video_out_framerate=25,
        ),
    )
    pipeline = Pipeline([transport.input(), stt, ..., tts, avatar, transport.output(), ...])

The bot's audio and images (`OutputImageRawFrame`, from an avatar's processor) are one live push for each answer. An
`InterruptionFrame` interrupts the session; an interruption by the page interrupts the pipeline. When an answer is over, a
:class:`HeardFrame` goes upstream: how much of it the viewers have heard.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any, Awaitable, Callable, Optional

import numpy as np
from pipecat.frames.frames import (
    BotStoppedSpeakingFrame,
    CancelFrame,
    EndFrame,
    Frame,
    InputAudioRawFrame,
    InterruptionFrame,
    OutputAudioRawFrame,
    OutputImageRawFrame,
    StartFrame,
    SystemFrame,
)
from pipecat.processors.frame_processor import FrameDirection
from pipecat.transports.base_input import BaseInputTransport
from pipecat.transports.base_output import BaseOutputTransport
from pipecat.transports.base_transport import BaseTransport, TransportParams

from .client import Humancast, HumancastError, LiveSegment
from .speech import SpeechEvents

#: How far audio is pushed ahead of real time, s: pipecat tells what was said by when the transport has taken it.
AHEAD_S = 0.3
#: Pause before listening again after the connection was lost, s.
LISTEN_AGAIN_S = 1


@dataclass
class HeardFrame(SystemFrame):
    """How much of an answer the viewers have heard, ms, and whether it was interrupted."""

    segment: str = ""
    position_ms: float = 0.0
    interrupted: bool = False


class HumancastInputTransport(BaseInputTransport):
    """The voices of the viewers that may speak."""

    def __init__(self, humancast: Humancast, session: str, params: TransportParams, **kwargs: Any):
        super().__init__(params, **kwargs)
        self._humancast, self._session = humancast, session
        self._listening: Optional[asyncio.Task[None]] = None

    async def start(self, frame: StartFrame) -> None:
        await super().start(frame)
        await self.set_transport_ready(frame)
        if self._listening is None:
            self._listening = asyncio.create_task(self._listen())

    async def stop(self, frame: EndFrame) -> None:
        await self._close()
        await super().stop(frame)

    async def cancel(self, frame: CancelFrame) -> None:
        await self._close()
        await super().cancel(frame)

    async def _close(self) -> None:
        task, self._listening = self._listening, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _listen(self) -> None:
        while True:
            try:
                async for heard, pcm in self._humancast.listen(self._session, self.sample_rate):
                    frame = InputAudioRawFrame(audio=pcm.tobytes(), sample_rate=self.sample_rate, num_channels=1)
                    frame.transport_source = heard["viewer"]
                    await self.push_audio_frame(frame)
                return
            except HumancastError as error:
                if error.status is not None and error.status < 500:
                    raise
            await asyncio.sleep(LISTEN_AGAIN_S)


class HumancastOutputTransport(BaseOutputTransport):
    """The bot's audio and images, as live pushes."""

    def __init__(
        self,
        humancast: Humancast,
        session: str,
        avatar: str,
        params: TransportParams,
        interrupt_pipeline: Callable[[], Awaitable[None]],
        **kwargs: Any,
    ):
        super().__init__(params, **kwargs)
        self._humancast, self._session, self._avatar = humancast, session, avatar
        self._interrupt_pipeline = interrupt_pipeline
        self._speech = SpeechEvents(humancast, session, self._on_interrupted)
        self._live: Optional[LiveSegment] = None
        self._opening = asyncio.Lock()
        self._started_at = self._pushed_s = 0.0
        #: Whether what comes is dropped: the answer was interrupted, and the pipeline has yet to hear of it.
        self._dropping = False
        self._tasks: set[asyncio.Task[Any]] = set()

    async def start(self, frame: StartFrame) -> None:
        await super().start(frame)
        await self._speech.start()
        await self.set_transport_ready(frame)

    async def stop(self, frame: EndFrame) -> None:
        await super().stop(frame)
        await self._end()
        await self._speech.aclose()

    async def cancel(self, frame: CancelFrame) -> None:
        await super().cancel(frame)
        await self._end(cut=True)
        await self._speech.aclose()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        if isinstance(frame, InterruptionFrame):
            await self._interrupt()
        await super().process_frame(frame, direction)

    async def push_frame(self, frame: Frame, direction: FrameDirection = FrameDirection.DOWNSTREAM) -> None:
        if isinstance(frame, BotStoppedSpeakingFrame) and direction == FrameDirection.DOWNSTREAM:
            await self._end()
            self._dropping = False
        await super().push_frame(frame, direction)

    async def write_audio_frame(self, frame: OutputAudioRawFrame) -> bool:
        live = await self._ready()
        if live is None:
            return False
        samples = np.frombuffer(frame.audio, np.int16).reshape(-1, frame.num_channels)
        mono = samples[:, 0] if frame.num_channels == 1 else samples.mean(axis=1).astype(np.int16)
        if not await self._push(live.push_audio(mono)):
            return False
        self._pushed_s += len(mono) / frame.sample_rate
        await asyncio.sleep(max(0.0, self._started_at + self._pushed_s - AHEAD_S - time.monotonic()))
        return True

    async def write_video_frame(self, frame: OutputImageRawFrame) -> bool:
        # Images while nothing is said are not pushed: humancast shows the avatar's idle clips.
        live = self._live
        if live is None and self._opening.locked():
            async with self._opening:
                live = self._live
        if live is None or self._dropping:
            return False
        width, height = frame.size
        return await self._push(live.push_video(np.frombuffer(frame.image, np.uint8).reshape(height, width, -1)))

    async def _ready(self) -> Optional[LiveSegment]:
        """Returns the push of the current answer, opened if this is its beginning."""
        async with self._opening:
            if self._live is not None or self._dropping:
                return self._live
            params = self._params
            live = self._humancast.live(
                self._avatar,
                self._session,
                turn=self._speech.turn,
                fps=params.video_out_framerate,
                width=params.video_out_width,
                height=params.video_out_height,
                pixel_format="rgba" if params.video_out_color_format == "RGBA" else "rgb24",
                sample_rate=self.sample_rate,
            )
            try:
                await live.__aenter__()
            except HumancastError as error:
                if error.code != "interrupted":
                    raise
                self._dropping = True
                return None
            self._started_at, self._pushed_s = time.monotonic(), 0.0
            self._live = live
            self._spawn(self._report(live.segment or ""))
            return live

    async def _push(self, sending: Any) -> bool:
        try:
            await sending
            return not self._dropping
        except HumancastError:
            await self._end(cut=True)
            raise

    async def _report(self, segment: str) -> None:
        position_ms, interrupted = await self._speech.finished(segment)
        heard = HeardFrame(segment=segment, position_ms=position_ms, interrupted=interrupted)
        await self.push_frame(heard, FrameDirection.UPSTREAM)

    async def _interrupt(self) -> None:
        """The pipeline interrupts the bot. What comes next belongs to the next turn."""
        live = self._live
        await self._end(cut=True)
        self._dropping = False
        if live is None or live.in_break:
            return
        try:
            self._speech.turn = (await self._humancast.interrupt(self._session, live.turn))["turn"]
        except HumancastError as error:
            # The viewer was faster.
            if error.code != "interrupted":
                raise

    def _on_interrupted(self) -> None:
        """The session was interrupted, by its page or by another producer: the pipeline is told while the bot speaks."""
        if self._live is not None:
            self._dropping = True
            self._spawn(self._interrupt_pipeline())

    async def _end(self, cut: bool = False) -> None:
        live, self._live = self._live, None
        if live is not None:
            error = asyncio.CancelledError() if cut else None
            await live.__aexit__(type(error) if error else None, error, None)

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class HumancastTransport(BaseTransport):
    """Both directions of one session."""

    def __init__(self, humancast: Humancast, session: str, avatar: str, params: TransportParams):
        super().__init__()
        self._input = HumancastInputTransport(humancast, session, params)
        # From the pipeline's start, so that it reaches every processor, and the output last.
        interrupt = self._input.broadcast_interruption
        self._output = HumancastOutputTransport(humancast, session, avatar, params, interrupt)

    def input(self) -> HumancastInputTransport:
        return self._input

    def output(self) -> HumancastOutputTransport:
        return self._output
