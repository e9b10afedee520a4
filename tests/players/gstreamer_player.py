"""Plays a WHEP endpoint with GStreamer's webrtcbin: `gstreamer_player.py URL TOKEN`. Prints one line of JSON once enough has
been decoded."""

import sys
import threading

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstSdp", "1.0")
gi.require_version("GstWebRTC", "1.0")

import numpy  # noqa: E402
import whep  # noqa: E402
from gi.repository import Gst, GstSdp, GstWebRTC  # noqa: E402

OFFERED = {
    "audio": "encoding-name=OPUS,payload=97,clock-rate=48000",
    "video": "encoding-name=VP8,payload=96,clock-rate=90000",
}
DECODED = {
    "audio": "rtpopusdepay ! opusdec ! audioconvert ! audio/x-raw,format=S16LE,channels=1,rate=48000",
    "video": "rtpvp8depay ! vp8dec ! videoconvert ! videoscale ! video/x-raw,format=RGB,width=16,height=16",
}


class Player:
    def __init__(self) -> None:
        self._pipeline = Gst.Pipeline()
        self._rtc = Gst.ElementFactory.make("webrtcbin")
        self._rtc.set_property("bundle-policy", GstWebRTC.WebRTCBundlePolicy.MAX_BUNDLE)
        self._rtc.connect("pad-added", self._pad_added)
        self._rtc.connect("notify::ice-gathering-state", self._gathering_changed)
        self._gathered = threading.Event()
        self._decoded = {"audio": threading.Event(), "video": threading.Event()}
        self._buffers: dict[str, list[bytes]] = {"audio": [], "video": []}
        self._pipeline.add(self._rtc)
        for kind, fields in OFFERED.items():
            caps = Gst.Caps.from_string(f"application/x-rtp,media={kind},{fields}")
            self._rtc.emit("add-transceiver", GstWebRTC.WebRTCRTPTransceiverDirection.RECVONLY, caps)
        self._pipeline.set_state(Gst.State.PLAYING)

    def offer(self) -> str:
        """Returns the offer with all candidates."""
        # The offer is a part of the reply, which must live as long.
        reply = self._ask("create-offer", None)
        offer = reply.get_value("offer")
        self._ask("set-local-description", offer)
        self._gathered.wait()
        return self._rtc.get_property("local-description").sdp.as_text()

    def accept(self, answer: str) -> None:
        _, sdp = GstSdp.SDPMessage.new_from_text(answer)
        description = GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.ANSWER, sdp)
        self._ask("set-remote-description", description)

    def media(self) -> tuple[int, numpy.ndarray, numpy.ndarray]:
        """Returns the number of frames, the last one, and the newest second of audio, once there is enough of both."""
        for decoded in self._decoded.values():
            decoded.wait()
        video, audio = self._buffers["video"], b"".join(self._buffers["audio"])
        samples = numpy.frombuffer(audio, numpy.int16)[-whep.SAMPLES :]
        return len(video), numpy.frombuffer(video[-1], numpy.uint8), samples

    def close(self) -> None:
        self._pipeline.set_state(Gst.State.NULL)

    def _ask(self, signal: str, *arguments: object) -> Gst.Structure:
        """Emits a signal and waits for the reply."""
        promise = Gst.Promise.new()
        self._rtc.emit(signal, *arguments, promise)
        promise.wait()
        return promise.get_reply()

    def _gathering_changed(self, rtc: Gst.Element, _: object) -> None:
        if rtc.get_property("ice-gathering-state") == GstWebRTC.WebRTCICEGatheringState.COMPLETE:
            self._gathered.set()

    def _pad_added(self, _: Gst.Element, pad: Gst.Pad) -> None:
        if pad.get_direction() != Gst.PadDirection.SRC:
            return
        kind = pad.get_current_caps().get_structure(0).get_string("media")
        chain = Gst.parse_bin_from_description(f"{DECODED[kind]} ! appsink name=sink emit-signals=true sync=false", True)
        chain.get_by_name("sink").connect("new-sample", self._sample, kind)
        self._pipeline.add(chain)
        pad.link(chain.get_static_pad("sink"))
        chain.sync_state_with_parent()

    def _sample(self, sink: Gst.Element, kind: str) -> Gst.FlowReturn:
        buffer = sink.emit("pull-sample").get_buffer()
        buffers = self._buffers[kind]
        buffers.append(buffer.extract_dup(0, buffer.get_size()))
        enough = len(buffers) >= whep.FRAMES if kind == "video" else sum(map(len, buffers)) >= 4 * whep.SAMPLES
        if enough:
            self._decoded[kind].set()
        return Gst.FlowReturn.OK


def main(url: str, token: str) -> None:
    Gst.init(None)
    player = Player()
    session = whep.Session(url, token, player.offer())
    player.accept(session.answer)
    media = player.media()
    deleted = session.delete()
    player.close()
    whep.report(*media, deleted)


main(*sys.argv[1:])
