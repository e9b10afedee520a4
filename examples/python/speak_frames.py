#!/usr/bin/python3
"""Speaks with a face drawn by numpy, chunk by chunk, as a model would: python3 speak_frames.py

It creates a session and prints a URL to watch; with --session, it speaks in an existing one. HUMANCAST_API_KEY must be set
(`npm start` keeps the key in .humancast/api-key).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from typing import Iterator

import numpy as np

from humancast import Humancast, HumancastError

FPS = 25
SIZE = 320
SAMPLE_RATE = 24_000
CHUNK_FRAMES = 10
SYLLABLES_PER_SECOND = 3.2

ROWS, COLUMNS = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32) / SIZE - 0.5


def ellipse(x: float, y: float, width: float, height: float) -> np.ndarray:
    return ((COLUMNS - x) / width) ** 2 + ((ROWS - y) / max(height, 0.004)) ** 2 < 1


def draw(loudness: float, time: float) -> np.ndarray:
    """Draws a BGR frame of a face whose mouth opens with the loudness."""
    frame = np.empty((SIZE, SIZE, 3), np.uint8)
    frame[:] = (225, 236, 246)
    sway = 0.012 * np.sin(time * 1.7)
    frame[ellipse(sway, 0, 0.33, 0.4)] = (146, 184, 240)
    eyes = 0.004 if time % 3.1 < 0.12 else 0.035
    for side in (-1, 1):
        frame[ellipse(sway + side * 0.12, -0.08, 0.035, eyes)] = (60, 45, 40)
    frame[ellipse(sway, 0.17, 0.1, 0.008 + 0.08 * loudness)] = (70, 60, 160)
    return frame


def speech(seconds: float) -> Iterator[tuple[list[np.ndarray], np.ndarray]]:
    """Yields what a model emits: lists of frames, each with the waveform of the same duration."""
    phase = 0.0
    for first in range(0, round(seconds * FPS), CHUNK_FRAMES):
        count = min(CHUNK_FRAMES, round(seconds * FPS) - first)
        time = first / FPS + np.arange(count * SAMPLE_RATE // FPS) / SAMPLE_RATE
        envelope = np.clip(np.sin(np.pi * SYLLABLES_PER_SECOND * time), 0, 1) ** 0.7
        pitch = 130 + 25 * np.sin(time * 2.1)
        turns = phase + np.cumsum(pitch) / SAMPLE_RATE
        phase = turns[-1] % 1.0
        voice = sum(np.sin(2 * np.pi * k * turns) / k**1.2 for k in range(1, 9))
        waveform = (0.18 * envelope * voice).astype(np.float32)
        frames = [draw(float(part.max()), (first + i) / FPS) for i, part in enumerate(np.split(envelope, count))]
        yield frames, waveform


async def main() -> None:
    options = read_options()
    humancast = Humancast(os.environ["HUMANCAST_API_KEY"], options.signaling, options.loader)
    session = options.session
    if session is None:
        made = await humancast.create_session(options.avatar)
        session = made["id"]
        print(f"watch it: {options.signaling}/?session={session}&token={made['token']}", flush=True)
        await asyncio.to_thread(input, "press Enter when you see it: ")

    async with humancast.live(
        options.avatar, session, fps=FPS, width=SIZE, height=SIZE, sample_rate=SAMPLE_RATE, interrupt=True
    ) as live:
        for frames, waveform in speech(options.seconds):
            if not await live.push_av_segment(frames, waveform):
                break
    if live.in_break:
        print(f"interrupted after {live.interrupted_at_ms:.0f} ms")
    print(f"{live.result['segment']}: {live.result['frames']} frames, {live.result['durationMs']:.0f} ms")


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--avatar", default="demo")
    parser.add_argument("--session", help="session id; default: a new session")
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--signaling", default="http://127.0.0.1:8080")
    parser.add_argument("--loader", default="http://127.0.0.1:8081")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except HumancastError as error:
        sys.exit(str(error))
