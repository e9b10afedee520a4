"""The part of pipecat 1.7 that humancast.pipecat uses, as its documentation and sources define it, for tests without pipecat."""

import sys
from dataclasses import dataclass, field
from enum import Enum
from types import ModuleType
from typing import Any, List, Optional, Tuple


class FrameDirection(Enum):
    DOWNSTREAM = 1
    UPSTREAM = 2


@dataclass
class Frame:
    transport_source: Optional[str] = field(init=False, default=None)


@dataclass
class SystemFrame(Frame):
    pass


@dataclass
class StartFrame(SystemFrame):
    pass


@dataclass
class CancelFrame(SystemFrame):
    pass


@dataclass
class EndFrame(Frame):
    pass


@dataclass
class InterruptionFrame(SystemFrame):
    pass


@dataclass
class BotStoppedSpeakingFrame(SystemFrame):
    pass


@dataclass
class TTSStoppedFrame(Frame):
    pass


@dataclass
class InputAudioRawFrame(SystemFrame):
    audio: bytes
    sample_rate: int
    num_channels: int


@dataclass
class OutputAudioRawFrame(Frame):
    audio: bytes
    sample_rate: int
    num_channels: int


@dataclass
class OutputImageRawFrame(Frame):
    image: bytes
    size: Tuple[int, int]
    format: Optional[str]


@dataclass
class TransportParams:
    audio_in_enabled: bool = False
    audio_in_sample_rate: Optional[int] = None
    audio_out_enabled: bool = False
    audio_out_sample_rate: Optional[int] = None
    video_out_enabled: bool = False
    video_out_is_live: bool = False
    video_out_width: int = 1024
    video_out_height: int = 768
    video_out_framerate: int = 30
    video_out_color_format: str = "RGB"


class FrameProcessor:
    def __init__(self, **_kwargs: Any):
        self.pushed: List[Tuple[Frame, FrameDirection]] = []

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        if isinstance(frame, StartFrame):
            await self.start(frame)
        elif isinstance(frame, EndFrame):
            await self.stop(frame)
        elif isinstance(frame, CancelFrame):
            await self.cancel(frame)

    async def push_frame(self, frame: Frame, direction: FrameDirection = FrameDirection.DOWNSTREAM) -> None:
        self.pushed.append((frame, direction))

    async def broadcast_interruption(self) -> None:
        await self.push_frame(InterruptionFrame())
        await self.push_frame(InterruptionFrame(), FrameDirection.UPSTREAM)

    async def start(self, frame: StartFrame) -> None:
        pass

    async def stop(self, frame: EndFrame) -> None:
        pass

    async def cancel(self, frame: CancelFrame) -> None:
        pass

    async def set_transport_ready(self, frame: StartFrame) -> None:
        pass


class BaseInputTransport(FrameProcessor):
    def __init__(self, params: TransportParams, **kwargs: Any):
        super().__init__(**kwargs)
        self._params = params

    @property
    def sample_rate(self) -> int:
        return self._params.audio_in_sample_rate or 16_000

    async def push_audio_frame(self, frame: InputAudioRawFrame) -> None:
        await self.push_frame(frame)


class BaseOutputTransport(FrameProcessor):
    """Passes media on at once, where pipecat has a task for each track."""

    def __init__(self, params: TransportParams, **kwargs: Any):
        super().__init__(**kwargs)
        self._params = params

    @property
    def sample_rate(self) -> int:
        return self._params.audio_out_sample_rate or 24_000

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, InterruptionFrame):
            await self.push_frame(frame, direction)
        elif isinstance(frame, OutputAudioRawFrame):
            await self.write_audio_frame(frame)
        elif isinstance(frame, OutputImageRawFrame):
            await self.write_video_frame(frame)
        elif isinstance(frame, TTSStoppedFrame):
            await self.push_frame(BotStoppedSpeakingFrame())

    async def write_audio_frame(self, frame: OutputAudioRawFrame) -> bool:
        return False

    async def write_video_frame(self, frame: OutputImageRawFrame) -> bool:
        return False


class BaseTransport:
    pass


def _module(name: str, *members: Any) -> None:
    module = sys.modules.setdefault(name, ModuleType(name))
    for member in members:
        setattr(module, member.__name__, member)


for package in ("pipecat", "pipecat.frames", "pipecat.processors", "pipecat.transports"):
    _module(package)
_module(
    "pipecat.frames.frames",
    *(BotStoppedSpeakingFrame, CancelFrame, EndFrame, Frame, InputAudioRawFrame, InterruptionFrame),
    *(OutputAudioRawFrame, OutputImageRawFrame, StartFrame, SystemFrame),
)
_module("pipecat.processors.frame_processor", FrameDirection)
_module("pipecat.transports.base_input", BaseInputTransport)
_module("pipecat.transports.base_output", BaseOutputTransport)
_module("pipecat.transports.base_transport", BaseTransport, TransportParams)
