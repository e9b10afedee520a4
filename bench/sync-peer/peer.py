"""The design that humancast replaces, for comparison: aiortc, raw frames in memory, an encoder per viewer, and two coroutines,
for audio and video, that sleep until times relative to one monotonic start.

    /usr/bin/python3 peer.py CLIP

Loads the clip, writes {"ready": true}, and serves one viewer: after the input line {"viewer": true} it writes {"offer": SDP}
and expects {"answer": SDP}. Ends when its input closes. Needs Debian's python3-aiortc.
"""

import asyncio
import fractions
import json
import sys

import aioice.ice
import av
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription, codecs

AUDIO_RATE = 48_000
AUDIO_PACKET_SAMPLES = AUDIO_RATE // 50
VIDEO_RATE = 90_000
# Queue between playing and encoding, just long enough that neither waits for the other.
QUEUE_LENGTH = 4

# The relay reaches only loopback, which aioice would skip.
aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"]

# aiortc gives the same id to two header extensions of a bundle, which browsers now reject.
for extension in codecs.HEADER_EXTENSIONS["video"]:
    if extension.uri.endswith("abs-send-time"):
        extension.id = 3


def load(path):
    """Returns all frames as planar YUV, and the audio in packets of 20 ms."""
    with av.open(path) as clip:
        fps = clip.streams.video[0].average_rate
        frames = [frame.reformat(format="yuv420p") for frame in clip.decode(video=0)]
    resampler = av.AudioResampler(format="s16", layout="mono", rate=AUDIO_RATE)
    samples = bytearray()
    with av.open(path) as clip:
        for frame in clip.decode(audio=0):
            for resampled in resampler.resample(frame):
                samples += bytes(resampled.planes[0])[: resampled.samples * 2]
    size = AUDIO_PACKET_SAMPLES * 2
    packets = [bytes(samples[at : at + size]) for at in range(0, len(samples) - size + 1, size)]
    return frames, fps, packets


class QueueTrack(MediaStreamTrack):
    def __init__(self, kind):
        super().__init__()
        self.kind = kind
        self.queue = asyncio.Queue(QUEUE_LENGTH)

    async def recv(self):
        return await self.queue.get()


async def sleep_until(due):
    await asyncio.sleep(max(0, due - asyncio.get_running_loop().time()))


async def play_video(track, frames, fps, anchor):
    count = 0
    while True:
        await sleep_until(anchor + count / fps)
        frame = frames[count % len(frames)]
        frame.pts = round(count * VIDEO_RATE / fps)
        frame.time_base = fractions.Fraction(1, VIDEO_RATE)
        await track.queue.put(frame)
        count += 1


async def play_audio(track, packets, anchor):
    count = 0
    while True:
        await sleep_until(anchor + count * AUDIO_PACKET_SAMPLES / AUDIO_RATE)
        frame = av.AudioFrame(format="s16", layout="mono", samples=AUDIO_PACKET_SAMPLES)
        frame.planes[0].update(packets[count % len(packets)])
        frame.sample_rate = AUDIO_RATE
        frame.pts = count * AUDIO_PACKET_SAMPLES
        frame.time_base = fractions.Fraction(1, AUDIO_RATE)
        await track.queue.put(frame)
        count += 1


def say(message):
    print(json.dumps(message), flush=True)


async def main(path):
    frames, fps, packets = load(path)
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader(limit=2**20)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    say({"ready": True})
    await lines.readline()

    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    audio, video = QueueTrack("audio"), QueueTrack("video")
    for track in (audio, video):
        peer.addTransceiver(track, direction="sendonly")
    players = []

    @peer.on("connectionstatechange")
    def start():
        if peer.connectionState == "connected" and not players:
            anchor = loop.time()
            players.append(loop.create_task(play_video(video, frames, float(fps), anchor)))
            players.append(loop.create_task(play_audio(audio, packets, anchor)))

    await peer.setLocalDescription(await peer.createOffer())
    say({"offer": peer.localDescription.sdp})
    answer = json.loads(await lines.readline())["answer"]
    await peer.setRemoteDescription(RTCSessionDescription(sdp=answer, type="answer"))

    await lines.read()  # until the bench closes the input
    for player in players:
        player.cancel()
    await peer.close()


asyncio.run(main(sys.argv[1]))
