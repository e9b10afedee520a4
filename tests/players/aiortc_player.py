"""Plays a WHEP endpoint with aiortc: `aiortc_player.py URL TOKEN`. Prints one line of JSON once enough has been decoded."""

import asyncio
import sys

import numpy
import whep
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription


async def last_frame(track: MediaStreamTrack) -> numpy.ndarray:
    for _ in range(whep.FRAMES):
        frame = await track.recv()
    return frame.to_ndarray(format="rgb24")


async def samples(track: MediaStreamTrack) -> numpy.ndarray:
    """Returns the newest second of the left channel."""
    parts: list[numpy.ndarray] = []
    while sum(len(part) for part in parts) < 2 * whep.SAMPLES:
        frame = await track.recv()
        parts.append(frame.to_ndarray().reshape(-1, len(frame.layout.channels))[:, 0])
    return numpy.concatenate(parts)[-whep.SAMPLES :]


async def main(url: str, token: str) -> None:
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    tracks: dict[str, MediaStreamTrack] = {}
    peer.on("track", lambda track: tracks.update({track.kind: track}))
    for kind in ("audio", "video"):
        peer.addTransceiver(kind, direction="recvonly")
    await peer.setLocalDescription(await peer.createOffer())
    session = await asyncio.to_thread(whep.Session, url, token, peer.localDescription.sdp)
    await peer.setRemoteDescription(RTCSessionDescription(session.answer, "answer"))
    pixels, audio = await asyncio.gather(last_frame(tracks["video"]), samples(tracks["audio"]))
    deleted = await asyncio.to_thread(session.delete)
    await peer.close()
    whep.report(whep.FRAMES, pixels, audio, deleted)


asyncio.run(main(*sys.argv[1:]))
