"""The part of LiveKit Agents 1.7 that humancast.livekit uses, as its sources define it, for tests without livekit-agents."""

import asyncio
import sys
from dataclasses import dataclass
from types import ModuleType, SimpleNamespace
from typing import Any, AsyncIterator, Callable, List, Tuple


@dataclass
class AudioFrame:
    data: bytes
    sample_rate: int
    num_channels: int
    samples_per_channel: int


@dataclass
class VideoFrame:
    width: int
    height: int
    type: str
    data: bytes

    def convert(self, type: str) -> "VideoFrame":
        """Converts gray to RGBA."""
        return VideoFrame(self.width, self.height, type, bytes(b for gray in self.data for b in (gray, gray, gray, 255)))


class AudioSegmentEnd:
    pass


@dataclass
class AvatarOptions:
    video_width: int
    video_height: int
    video_fps: float
    audio_sample_rate: int
    audio_channels: int


class AudioReceiver:
    """LiveKit's QueueAudioOutput, as a receiver."""

    def __init__(self) -> None:
        self.queue: "asyncio.Queue[Any]" = asyncio.Queue()
        self.told: List[Tuple[Any, ...]] = []
        self._on_clear: List[Callable[[], None]] = []

    async def start(self) -> None:
        pass

    async def aclose(self) -> None:
        pass

    def on(self, event: str, callback: Callable[[], None]) -> None:
        assert event == "clear_buffer"
        self._on_clear.append(callback)

    def clear_buffer(self) -> None:
        while not self.queue.empty():
            self.queue.get_nowait()
        for callback in self._on_clear:
            callback()

    def notify_playback_started(self) -> None:
        self.told.append(("started",))

    def notify_playback_finished(self, playback_position: float, interrupted: bool) -> None:
        self.told.append(("finished", playback_position, interrupted))

    async def __aiter__(self) -> AsyncIterator[Any]:
        while True:
            yield await self.queue.get()


class VideoGenerator:
    pass


def _module(name: str, **members: Any) -> None:
    module = sys.modules.setdefault(name, ModuleType(name))
    for key, member in members.items():
        setattr(module, key, member)


_module("livekit.rtc", AudioFrame=AudioFrame, VideoFrame=VideoFrame, VideoBufferType=SimpleNamespace(RGBA="rgba"))
_module("livekit", rtc=sys.modules["livekit.rtc"])
_module("livekit.agents")
_module("livekit.agents.voice")
_module(
    "livekit.agents.voice.avatar",
    AudioReceiver=AudioReceiver,
    AudioSegmentEnd=AudioSegmentEnd,
    AvatarOptions=AvatarOptions,
    VideoGenerator=VideoGenerator,
)
