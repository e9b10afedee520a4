/// <reference lib="dom" />
/** The page of the listen benchmark: a viewer whose microphone is a tone that is switched on now and then. */
import { connect } from '@humancast/client';

interface ListenBench {
  /** @returns When each tone began, ms since the Unix epoch. */
  speak(options: { url: string; session: string; token: string; tones: number }): Promise<number[]>;
}

declare global {
  var listenBench: ListenBench;
}

const INTERVAL_SECONDS = 0.5;
const TONE_SECONDS = 0.1;
const POLL_MS = 20;

globalThis.listenBench = {
  async speak({ url, session: id, token, tones }) {
    const video = document.createElement('video');
    document.body.replaceChildren(video);
    const session = connect({ url, session: id, token, video });
    while (!(session.state === 'playing' && session.canSpeak)) await pause(POLL_MS);
    const context = new AudioContext({ latencyHint: 'interactive' });
    const output = context.createMediaStreamDestination();
    const gain = new GainNode(context, { gain: 0 });
    const tone = new OscillatorNode(context, { frequency: 500 });
    tone.connect(gain).connect(output);
    tone.start();
    session.setMicrophone(output.stream.getAudioTracks()[0] ?? null);
    const first = context.currentTime + 2;
    const onsets = Array.from({ length: tones }, (_, i) => first + i * INTERVAL_SECONDS);
    for (const onset of onsets) {
      gain.gain.setValueAtTime(0.5, onset);
      gain.gain.setValueAtTime(0, onset + TONE_SECONDS);
    }
    // The context's time advances in steps: it is rendered at the least difference between the two clocks.
    let offsetMs = Number.POSITIVE_INFINITY;
    const lastMs = 1000 * ((onsets.at(-1) ?? 0) + 1);
    while (1000 * context.currentTime < lastMs) {
      offsetMs = Math.min(offsetMs, performance.now() - 1000 * context.currentTime);
      await pause(POLL_MS / 4);
    }
    session.close();
    return onsets.map((onset) => performance.timeOrigin + offsetMs + 1000 * onset);
  },
};

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
