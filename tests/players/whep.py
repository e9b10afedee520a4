"""The HTTP side of WHEP (draft-ietf-wish-whep), and the figures that players report to their test."""

import json
import urllib.request
from urllib.parse import urljoin

import numpy

RATE = 48_000
# Enough that a stream that stops after its first GOP is noticed.
FRAMES = 45
SAMPLES = RATE

_open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open


class Session:
    """A WHEP session, from the answer to `delete()`."""

    def __init__(self, url: str, token: str, offer: str) -> None:
        headers = {"content-type": "application/sdp", "authorization": f"Bearer {token}"}
        request = urllib.request.Request(url, offer.encode(), headers, method="POST")
        with _open(request) as response:
            self.status = response.status
            self.answer = response.read().decode()
            self._resource = urljoin(url, response.headers["location"])

    def delete(self) -> int:
        """Ends the session. Returns the status."""
        with _open(urllib.request.Request(self._resource, method="DELETE")) as response:
            return response.status


def report(frames: int, pixels: numpy.ndarray, samples: numpy.ndarray, deleted: int) -> None:
    """Prints the mean color of the last frame (RGB, 0-255), and the loudness and strongest frequency of one audio channel."""
    spectrum = numpy.abs(numpy.fft.rfft(samples))
    figures = {
        "frames": frames,
        "color": [float(value) for value in pixels.reshape(-1, 3).mean(axis=0)],
        "rms": float(numpy.sqrt(numpy.mean((samples / 32768.0) ** 2))),
        "toneHz": float(numpy.argmax(spectrum) * RATE / len(samples)),
        "deleted": deleted,
    }
    print(json.dumps(figures), flush=True)
