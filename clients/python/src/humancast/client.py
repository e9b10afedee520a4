"""Producer client for humancast: sessions over REST, and live push of frames and audio.

Needs Python 3.9 or newer, numpy and websockets (Debian: python3-numpy python3-websockets).

    humancast = Humancast(api_key)
    session = await humancast.create_session("demo")
    async with humancast.live("demo", session["id"], fps=25, width=512, height=512) as live:
        while not live.in_break:
            frames, waveform = model.next()          # a list of BGR pictures, a float32 waveform
            await live.push_av_segment(frames, waveform)
"""

from __future__ import annotations

import asyncio
import inspect
import json
import math
import struct
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from typing import Any, AsyncIterator, Iterable, Optional, Sequence, TypedDict, Union

import numpy as np
import websockets
from numpy.typing import NDArray

VIDEO, AUDIO = 1, 2
CONNECT_TIMEOUT_S = 10
#: Pauses before a command is sent again, within the time in which a call must be answered.
RETRY_S = (0.25, 1, 3)
#: Longest pause before the events are read again; silence after which their connection is lost; longest line.
EVENTS_RETRY_S, EVENTS_SILENCE_S, EVENT_BYTES = 10, 30, 1 << 20
# websockets 14 renamed it.
_HEADERS = (
    "additional_headers"
    if "additional_headers" in inspect.signature(websockets.connect).parameters
    else "extra_headers"
)


class HumancastError(Exception):
    """An error with humancast's stable `code` (docs/errors.md), or `unreachable`, `connection_lost` or `refused`."""

    def __init__(self, code: str, message: str, status: Optional[int] = None):
        super().__init__(f"{code}: {message}")
        self.code = code
        self.status = status


class Session(TypedDict):
    """A new session. `token` is for its viewers, who watch at `/?session=ID&token=TOKEN` until `expiresAt` (ISO 8601).
    `turn` is the number of interruptions so far."""

    id: str
    avatar: str
    token: str
    expiresAt: str
    turn: int


class Interrupted(TypedDict):
    """An accepted interruption: everything queued up to `interruptedSeq` is over, and `turn` has begun."""

    interruptedSeq: int
    turn: int


class Queued(TypedDict):
    """A segment in a session's queue, and its place there."""

    seq: int
    segment: str


class LiveStatus(TypedDict, total=False):
    """How a live push is going. `lagMs` is how far it is behind real time since its first frame, 0 when it is ahead."""

    framesReceived: int
    framesEncoded: int
    readyMs: float
    lagMs: float
    clampedSamples: int
    renditions: int


class LiveResult(TypedDict):
    """What a live push has become: a segment that can be spoken again."""

    segment: str
    durationMs: float
    frames: int


class Humancast:
    """Creates sessions and speaks in them. Calls are answered within `timeout` seconds, or raise HumancastError."""

    def __init__(
        self,
        api_key: str,
        signaling_url: str = "http://127.0.0.1:8080",
        loader_url: str = "http://127.0.0.1:8081",
        timeout: float = 15,
    ):
        self.signaling_url = signaling_url.rstrip("/")
        self.loader_url = loader_url.rstrip("/")
        self._headers = {"authorization": f"Bearer {api_key}"}
        self._timeout = timeout

    async def create_session(self, avatar: str, microphone: bool = False, barge_in: str | None = None) -> Session:
        """Creates a session, whose viewers watch at /?session=ID&token=TOKEN. With `microphone`, those with its
        `microphoneToken` may speak; `barge_in` says what the avatar does then: "off" (the default), "duck" or "stop"."""
        body = {"avatar": avatar, **({"microphone": True} if microphone else {}), **({"bargeIn": barge_in} if barge_in else {})}
        created: Session = await self._request("POST", "/v1/sessions", body)
        return created

    async def listen(self, session: str, rate: int = 16_000) -> AsyncIterator[tuple[dict[str, Any], NDArray[np.int16]]]:
        """Yields what the viewers that may speak say, until the session ends: a header (docs/conversations.md) and 20 ms of
        PCM, mono, at 16 or 24 kHz. A reader that is too slow loses the oldest audio; `droppedMs` of the next header says how much."""
        url = self.signaling_url.replace("http", "ws", 1) + f"/v1/sessions/{session}/listen?rate={rate}"
        options = {_HEADERS: self._headers, "open_timeout": CONNECT_TIMEOUT_S}
        try:
            async with websockets.connect(url, **options) as socket:
                async for message in socket:
                    if isinstance(message, str):
                        told = json.loads(message)
                        if told.get("type") != "error":
                            continue
                        if told.get("code") == "session_ended":
                            return
                        raise HumancastError(str(told.get("code")), str(told.get("message")))
                    end = 2 + int.from_bytes(message[:2], "little")
                    yield json.loads(message[2:end]), np.frombuffer(message, dtype="<i2", offset=end)
        except websockets.exceptions.InvalidHandshake as error:
            raise _refused_handshake(error) from error
        except (OSError, websockets.exceptions.ConnectionClosed) as error:
            raise HumancastError("connection_lost", "the connection to signaling was lost") from error

    async def session(self, session: str) -> dict[str, Any]:
        """Returns the session's state: its queue, its playhead and its viewers."""
        state: dict[str, Any] = await self._request("GET", f"/v1/sessions/{session}")
        return state

    async def end_session(self, session: str) -> None:
        """Ends the session for all of its viewers."""
        await self._request("DELETE", f"/v1/sessions/{session}")

    async def speak(
        self, session: str, segments: Iterable[str], interrupt: bool = False, turn: Optional[int] = None
    ) -> list[Queued]:
        """Queues loaded segments, in order; with `interrupt`, they replace what is being said and what is queued.

        `turn` is the turn for which they were made; raises `interrupted` if the session was interrupted since.
        """
        body = {"segments": list(segments), "interrupt": interrupt, **_turn(turn)}
        queued: list[Queued] = (await self._request("POST", f"/v1/sessions/{session}/speak", body))["queued"]
        return queued

    async def interrupt(self, session: str, turn: Optional[int] = None) -> Interrupted:
        """Stops what is being said, empties the queue and begins a new turn. With `turn`, only that turn is interrupted:
        raises `interrupted` if it is already over."""
        path = f"/v1/sessions/{session}/interrupt"
        interrupted: Interrupted = await self._request("POST", path, None if turn is None else _turn(turn))
        return interrupted

    async def set_state(self, session: str, state: str, turn: Optional[int] = None) -> None:
        """Sets the idle state, which is shown whenever there is no speech: the name of one of the avatar's `idle.NAME` folders,
        or `idle`. `turn` is the turn to which it belongs; raises `interrupted` if the session was interrupted since."""
        await self._request("PUT", f"/v1/sessions/{session}/state", {"state": state, **_turn(turn)})

    async def send_message(self, session: str, data: Any, viewer: Optional[str] = None) -> None:
        """Sends a message to the pages of the session's viewers, or of one: any JSON value of at most 2048 bytes."""
        body = {"data": data, **({"viewer": viewer} if viewer else {})}
        await self._request("POST", f"/v1/sessions/{session}/messages", body)

    async def events(self, session: str, from_start: bool = False) -> AsyncIterator[dict[str, Any]]:
        """Yields the session's events (docs/signaling.md) until it ends, from now on or from its start. A lost connection is
        made again, and goes on after the last event. Raises HumancastError if the session does not exist."""
        path = f"/v1/sessions/{session}/events"
        last: Optional[str] = None
        pause = RETRY_S[0]
        while True:
            try:
                query = "?from=start" if from_start and last is None else ""
                async for event in _server_sent(self.signaling_url + path + query, self._headers, last):
                    last, pause = event.get("id", last), RETRY_S[0]
                    yield event
                    if event.get("type") == "session.ended":
                        return
            except HumancastError as error:
                if error.status is not None and error.status < 500 and error.status not in (408, 429):
                    raise
            except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError, ValueError):
                pass
            await asyncio.sleep(pause)
            pause = min(2 * pause, EVENTS_RETRY_S)

    def live(
        self, avatar: str, session: Optional[str] = None, *, turn: Optional[int] = None, **options: Any
    ) -> "LiveSegment":
        """Returns a segment that plays while it is pushed, for `async with`; options as in :class:`LiveSegment`.

        `turn` is the session's turn for which it is made, by default the one in which the push is opened. If the session is
        interrupted before the push is ready, entering it raises `interrupted`.
        """
        query = {"avatar": avatar, **({"session": session} if session else {}), **_turn(turn)}
        url = f"{self.loader_url.replace('http', 'ws', 1)}/v1/live?{urllib.parse.urlencode(query)}"
        return LiveSegment(url, self._headers, **options)

    async def _request(self, method: str, path: str, body: Any = None) -> Any:
        headers = {**self._headers, **({"content-type": "application/json"} if body is not None else {})}
        if method == "POST":
            # The same for all attempts: humancast does the command once, also when only the answer was lost.
            headers["idempotency-key"] = str(uuid.uuid4())
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.signaling_url + path, data, headers, method=method)
        deadline = time.monotonic() + self._timeout
        for pause in (*RETRY_S, None):
            try:
                return await asyncio.to_thread(self._send, request, max(deadline - time.monotonic(), 0.1))
            except HumancastError as error:
                may_pass = method == "POST" and error.code in ("unreachable", "unavailable")
                if pause is None or not may_pass or time.monotonic() + pause >= deadline:
                    raise
            await asyncio.sleep(pause)

    def _send(self, request: urllib.request.Request, timeout: float) -> Any:
        try:
            with urllib.request.urlopen(request, timeout=timeout) as response:
                text = response.read()
                return json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            raise _refusal(error.code, error.read()) from None
        except OSError as error:
            raise HumancastError("unreachable", str(error)) from error


class LiveSegment:
    """Pushes frames and audio while they are being made. Leaving its `async with` ends the segment; leaving it by an
    exception (also a canceled task) cuts it off where it is.

    Pushing waits while the encoder is busy, so that a fast model fills nobody's memory.

    fps, width, height  rate and size of every frame
    pixel_format        bgr24 (as OpenCV and MuseTalk have it), rgb24 or rgba
    sample_rate         samples per second of the waveform, mono
    interrupt           whether what the session says now ends when this starts to play
    """

    def __init__(
        self,
        url: str,
        headers: dict[str, str],
        *,
        fps: float,
        width: int,
        height: int,
        pixel_format: str = "bgr24",
        sample_rate: int = 24_000,
        interrupt: bool = False,
        name: Optional[str] = None,
    ):
        self.fps = fps
        self.sample_rate = sample_rate
        self._shape = (height, width, 4 if pixel_format == "rgba" else 3)
        self._start = {
            **{"type": "start", "fps": fps, "width": width, "height": height, "pixelFormat": pixel_format},
            **{"sampleRate": sample_rate, "sampleFormat": "f32", "interrupt": interrupt},
            **({"name": name} if name else {}),
        }
        self._url, self._headers = url, headers
        self._socket: Any = None
        self._reader: Optional[asyncio.Task[None]] = None
        self._frames = 0
        self._samples = 0
        #: Its id. Once it is complete, it is a segment like any other.
        self.segment: Optional[str] = None
        #: The session's turn that it belongs to.
        self.turn: Optional[int] = None
        #: Whether the viewer (or a producer) has interrupted. What is pushed from then on is not heard.
        self.in_break = False
        #: How much had been heard when it was interrupted, ms: what a language model should be told that it has said.
        self.interrupted_at_ms: Optional[float] = None
        #: The latest status, about twice a second; empty before the first.
        self.status: LiveStatus = {}
        #: What was stored, after the end.
        self.result: Optional[LiveResult] = None

    async def __aenter__(self) -> "LiveSegment":
        loop = asyncio.get_running_loop()
        self._ready: asyncio.Future[dict[str, Any]] = loop.create_future()
        self._done: asyncio.Future[LiveResult] = loop.create_future()
        options: dict[str, Any] = {_HEADERS: self._headers, "compression": None, "open_timeout": CONNECT_TIMEOUT_S}
        try:
            self._socket = await websockets.connect(self._url, **options)
        except websockets.exceptions.InvalidHandshake as error:
            raise _refused_handshake(error) from error
        except (OSError, asyncio.TimeoutError) as error:
            raise HumancastError("unreachable", str(error)) from error
        self._reader = asyncio.create_task(self._read())
        try:
            await self._socket.send(json.dumps(self._start))
            ready = await asyncio.wait_for(self._ready, CONNECT_TIMEOUT_S)
            self.segment, self.turn = ready["segment"], ready.get("turn")
        except websockets.exceptions.ConnectionClosed:
            await self._fail()
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(self, kind: Any, _error: Any, _traceback: Any) -> None:
        try:
            if kind is None:
                await self._socket.send(json.dumps({"type": "end"}))
                self.result = await self._done
        except websockets.exceptions.ConnectionClosed:
            await self._fail()
        finally:
            await self._close()

    async def push_av_segment(
        self, frames: Sequence[NDArray[np.uint8]], waveform: NDArray[Any], text: Optional[str] = None
    ) -> bool:
        """Pushes frames and the audio that belongs to them, after what was pushed before, aligned as by `align`. The longer of
        the two decides, so that the next call is in sync again: video that is shorter holds its last frame (without any, that of the call before, or the avatar's), and audio
        that is shorter goes on as silence. `text` is what the waveform says; it is spread over it.

        Returns False once the speech was interrupted: stop making frames.
        """
        await self.align()
        samples = _float32(waveform)
        count = max(len(frames), math.ceil(len(samples) * self.fps / self.sample_rate))
        first, position = self._samples, 0
        if text and len(samples):
            await self.push_text(text, (first + len(samples)) * 1000 / self.sample_rate)
        for index in range(count):
            if self.in_break:
                return False
            # Counted from the very first frame, so that nothing adds up.
            end = round((self._frames + 1) * self.sample_rate / self.fps) - first
            await self.push_audio(_padded(samples[position:end], end - position))
            if frames:
                await self.push_video(frames[min(index, len(frames) - 1)])
            else:
                await self.hold(1)
            position = end
        return not self.in_break

    async def push_video(self, frame: NDArray[np.uint8]) -> None:
        """Pushes one frame of the size and format of this segment: height × width × channels, uint8.

        Raises ValueError for any other frame.
        """
        if frame.shape != self._shape or frame.dtype != np.uint8:
            raise ValueError(f"a frame of {frame.shape} {frame.dtype}, not {self._shape} uint8")
        self._frames += 1
        await self._push(VIDEO, np.ascontiguousarray(frame))

    async def hold(self, frames: int) -> None:
        """Repeats the last frame so many times, 1 to 1000, where there is audio and no video."""
        self._frames += frames
        await self._send(json.dumps({"type": "hold", "frames": frames}))

    async def fill(self, to_ms: float) -> None:
        """Fills both tracks up to a position, for a model whose media has timestamps: frames by repeating the last one, audio
        with silence; at most 1000 frames. A track that is longer already stays."""
        self._frames = max(self._frames, round(to_ms * self.fps / 1000))
        self._samples = max(self._samples, round(to_ms * self.sample_rate / 1000))
        await self._send(json.dumps({"type": "fill", "toMs": to_ms}))

    async def push_text(self, text: str, until_ms: float, at_ms: Optional[float] = None) -> None:
        """Says which words belong to the audio from `at_ms` (where the audio is now) to `until_ms`, positions of the push: they
        are told to pages and producers as they are heard. In order, before their audio or with it."""
        start = self._samples * 1000 / self.sample_rate if at_ms is None else at_ms
        await self._send(json.dumps({"type": "text", "text": text, "atMs": start, "untilMs": until_ms}))

    async def align(self) -> None:
        """Fills the shorter track up to the longer one, and to the start of a frame, so that the next frame is shown with the
        next sample: after a time with audio and no frames, or with frames and no audio."""
        # Audio of whole frames may be half a sample longer than they are, by rounding.
        frames = max(self._frames, math.ceil((self._samples - 0.51) * self.fps / self.sample_rate))
        if (self._frames, self._samples) != (frames, round(frames * self.sample_rate / self.fps)):
            await self.fill(frames * 1000 / self.fps)

    async def keep_alive(self) -> None:
        """Keeps a push open that has nothing to send yet: without a message, it ends after LIVE_IDLE_MINUTES (10)."""
        await self._send(json.dumps({"type": "alive"}))

    async def push_audio(self, waveform: NDArray[Any]) -> None:
        """Pushes any number of mono samples: floats of −1…1, or integers of 16 bits."""
        samples = _float32(waveform)
        self._samples += len(samples)
        if len(samples):
            await self._push(AUDIO, samples)

    async def _push(self, kind: int, payload: NDArray[Any]) -> None:
        await self._send(struct.pack("<I", kind) + payload.tobytes())

    async def _send(self, message: Union[str, bytes]) -> None:
        try:
            # Waits until the network has taken it, which slows a fast model down.
            await self._socket.send(message)
        except websockets.exceptions.ConnectionClosed:
            await self._fail()

    async def _read(self) -> None:
        try:
            async for text in self._socket:
                self._handle(json.loads(text))
        except (websockets.exceptions.ConnectionClosed, ValueError):
            pass
        self._set_error(HumancastError("connection_lost", "the segment-loader closed the connection"))

    def _handle(self, message: dict[str, Any]) -> None:
        kind = message.get("type")
        if kind == "ready" and not self._ready.done():
            self._ready.set_result(message)
        elif kind == "status":
            self.status = {key: value for key, value in message.items() if key != "type"}  # type: ignore[assignment]
        elif kind == "interrupted":
            self.in_break = True
            self.interrupted_at_ms = message["positionMs"]
        elif kind == "done" and not self._done.done():
            segment, duration_ms, frames = (message[key] for key in ("segment", "durationMs", "frames"))
            self._done.set_result({"segment": segment, "durationMs": duration_ms, "frames": frames})
        elif kind == "error":
            self._set_error(HumancastError(message["code"], message["message"]))

    def _set_error(self, error: HumancastError) -> None:
        for future in (self._ready, self._done):
            if not future.done():
                future.set_exception(error)
                future.exception()  # Marks it as retrieved: whoever waits for it still gets it, and perhaps nobody does.

    async def _fail(self) -> None:
        """Raises the reason why the connection closed, which the reader has, or will have in a moment."""
        if self._reader:
            await self._reader
        self._done.result()

    async def _close(self) -> None:
        """Closes the connection at once, if it is still open: the loader takes what has arrived."""
        if self._reader:
            self._reader.cancel()
        if self.result is None:
            self._socket.transport.abort()
        await self._socket.close()


async def _server_sent(url: str, headers: dict[str, str], last: Optional[str]) -> AsyncIterator[dict[str, Any]]:
    """Reads one stream of events. HTTP/1.0, so that the answer comes as it is, without chunks."""
    parts = urllib.parse.urlsplit(url)
    secure = parts.scheme == "https"
    opening = asyncio.open_connection(
        parts.hostname, parts.port or (443 if secure else 80), ssl=secure or None, limit=EVENT_BYTES
    )
    reader, writer = await asyncio.wait_for(opening, CONNECT_TIMEOUT_S)
    try:
        asked = {**headers, "host": parts.netloc, "accept": "text/event-stream", **({"last-event-id": last} if last else {})}
        lines = [f"GET {parts.path}{'?' + parts.query if parts.query else ''} HTTP/1.0", *map(": ".join, asked.items())]
        writer.write("\r\n".join([*lines, "", ""]).encode())
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), CONNECT_TIMEOUT_S)
        status = int(head.split(b" ", 2)[1])
        if status != 200:
            raise _refusal(status, await asyncio.wait_for(reader.read(EVENT_BYTES), CONNECT_TIMEOUT_S))
        while line := await asyncio.wait_for(reader.readline(), EVENTS_SILENCE_S):
            if not line.startswith(b"data:"):
                continue
            event = json.loads(line[5:])
            # What closes a stream is not an event of the session.
            if "type" in event:
                yield event
    finally:
        writer.close()


def _turn(turn: Optional[int]) -> dict[str, int]:
    return {} if turn is None else {"turn": turn}


def _float32(waveform: NDArray[Any]) -> NDArray[np.float32]:
    samples = np.asarray(waveform).reshape(-1)
    if np.issubdtype(samples.dtype, np.integer):
        return samples.astype(np.float32) / np.float32(32768)
    return samples.astype("<f4", copy=False)


def _padded(samples: NDArray[np.float32], length: int) -> NDArray[np.float32]:
    missing = length - len(samples)
    return samples if missing <= 0 else np.concatenate([samples, np.zeros(missing, np.float32)])


def _refusal(status: int, body: bytes) -> HumancastError:
    """Returns the error that a problem document (RFC 9457) describes."""
    try:
        problem = json.loads(body)
        return HumancastError(problem["code"], problem.get("detail", ""), status)
    except (ValueError, KeyError, TypeError):
        return HumancastError("refused", f"HTTP {status}", status)


def _refused_handshake(error: Any) -> HumancastError:
    """Returns the loader's error. websockets keeps the answer's body since version 14; before, there is only its status."""
    response = getattr(error, "response", None)
    if response is not None:
        return _refusal(response.status_code, response.body or b"")
    status = getattr(error, "status_code", None)
    return HumancastError("refused", f"HTTP {status}" if status else str(error), status)
