import type { Candidate } from '@humancast/protocol';
import type { Environment, PeerConnection } from './environment.js';
import type { TrackPair } from './messages.js';
import { type ReceiverSnapshot, readReceiverStats } from './receiver-stats.js';
import type { Receivers } from './receiver-sync.js';

/** Poll interval for the first frame of a connection that is being established, ms. */
const FIRST_FRAME_POLL_MS = 25;
/** Time limit from the offer to the first frame, ms, unless packets arrive. */
const CONNECT_TIMEOUT_MS = 10_000;
/** Steps in which the limit is extended while packets arrive, as over a slow link, and final limit, ms from the offer. */
const SLOW_CONNECT_MS = 2500;
const SLOW_CONNECT_TIMEOUT_MS = 30_000;
/** Maximum number of candidates that wait for the offer to be applied. */
const CANDIDATE_LIMIT = 64;

export interface MediaPeerOptions {
  /** The host's id for the connection. */
  connection: string;
  epoch: number;
  configuration: RTCConfiguration;
  /** Sent as the viewer's voice, if the host offers that. */
  microphone: MediaStreamTrack | null;
}

export interface MediaPeerListener {
  answer(sdp: string): void;
  candidate(candidate: Candidate): void;
  /** A track was added; no media has arrived on it yet. */
  track(): void;
  /** The first frame has been decoded. Called once. */
  firstFrame(): void;
  /** The connection has failed. Called once, and not after {@link MediaPeer.close}. */
  failed(): void;
}

/** One RTCPeerConnection, from the host's offer to its end. */
export class MediaPeer {
  readonly connection: string;
  readonly epoch: number;
  readonly tracks: Partial<TrackPair<MediaStreamTrack>> = {};
  readonly receivers: Receivers = {};
  readonly #environment: Environment;
  readonly #listener: MediaPeerListener;
  readonly #peer: PeerConnection;
  #microphone: MediaStreamTrack | null;
  /** Sends the viewer's voice; `undefined` if the host does not offer that. */
  #voice: RTCRtpSender | undefined;
  #earlyCandidates: Candidate[] | undefined = [];
  /** Local candidates, until the answer that they belong to has been sent. */
  #localCandidates: Candidate[] | undefined = [];
  #cancelPoll = () => {};
  #cancelTimeout: () => void;
  #state: 'connecting' | 'playing' | 'failed' | 'closed' = 'connecting';

  constructor(options: MediaPeerOptions, environment: Environment, listener: MediaPeerListener) {
    this.connection = options.connection;
    this.epoch = options.epoch;
    this.#environment = environment;
    this.#listener = listener;
    this.#microphone = options.microphone;
    this.#peer = environment.createPeer(options.configuration);
    this.#peer.ontrack = ({ track, receiver }) => {
      if (track.kind !== 'audio' && track.kind !== 'video') return;
      this.tracks[track.kind] = track;
      this.receivers[track.kind] = receiver;
      this.#listener.track();
    };
    this.#peer.onicecandidate = ({ candidate }) => {
      if (!candidate?.candidate) return;
      if (this.#localCandidates) this.#localCandidates.push(candidate);
      else this.#listener.candidate(candidate);
    };
    this.#peer.onconnectionstatechange = () => {
      if (['failed', 'closed'].includes(this.#peer.connectionState)) this.#fail();
    };
    this.#cancelTimeout = environment.clock.after(CONNECT_TIMEOUT_MS, () => this.#timedOut(0, CONNECT_TIMEOUT_MS));
  }

  /** Answers the host's offer. */
  async accept(sdp: string): Promise<void> {
    try {
      await this.#peer.setRemoteDescription({ type: 'offer', sdp: withOwnTrackIds(sdp, this.connection) });
      if (offersMicrophone(sdp)) this.#openVoice();
      const early = this.#earlyCandidates ?? [];
      this.#earlyCandidates = undefined;
      for (const candidate of early) this.addCandidate(candidate);
      await this.#peer.setLocalDescription(await this.#peer.createAnswer());
    } catch {
      this.#fail();
      return;
    }
    if (this.#state !== 'connecting') return;
    this.#listener.answer(this.#peer.localDescription?.sdp ?? '');
    const local = this.#localCandidates ?? [];
    this.#localCandidates = undefined;
    for (const candidate of local) this.#listener.candidate(candidate);
    this.#awaitFirstFrame();
  }

  addCandidate(candidate: Candidate): void {
    if (this.#earlyCandidates) {
      if (this.#earlyCandidates.length < CANDIDATE_LIMIT) this.#earlyCandidates.push(candidate);
      return;
    }
    // A candidate that this browser cannot use (an unsupported address family) does not invalidate the others.
    this.#peer.addIceCandidate(candidate).catch(() => {});
  }

  /** Enables or disables audio. It is disabled while the connection waits behind another one. */
  set audible(audible: boolean) {
    if (this.tracks.audio) this.tracks.audio.enabled = audible;
  }

  /** Whether the host listens to this viewer. */
  get canSpeak(): boolean {
    return this.#voice !== undefined;
  }

  /** Sends another track as the viewer's voice, or none. Nothing is negotiated again. */
  set microphone(track: MediaStreamTrack | null) {
    this.#microphone = track;
    this.#sendVoice();
  }

  /** @returns `undefined` once it is closed. */
  async snapshot(): Promise<ReceiverSnapshot | undefined> {
    try {
      const report = await this.#peer.getStats();
      return this.#ended ? undefined : readReceiverStats(report);
    } catch {
      return undefined;
    }
  }

  close(): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#stopTimers();
    // It fires no more events then (W3C WebRTC §4.4.2).
    this.#peer.close();
  }

  get #ended(): boolean {
    return this.#state === 'closed' || this.#state === 'failed';
  }

  #openVoice(): void {
    const audio = this.#peer.getTransceivers().find(({ receiver }) => receiver.track.kind === 'audio');
    if (!audio) return;
    audio.direction = 'sendrecv';
    this.#voice = audio.sender;
    this.#sendVoice();
  }

  #sendVoice(): void {
    // It fails only if the connection is closed.
    this.#voice?.replaceTrack(this.#microphone).catch(() => {});
  }

  /** Decoding needs no video element, so this works while another connection is displayed. */
  #awaitFirstFrame(): void {
    this.#cancelPoll = this.#environment.clock.after(FIRST_FRAME_POLL_MS, async () => {
      const decoded = (await this.snapshot())?.video?.framesDecoded ?? 0;
      if (this.#state !== 'connecting') return;
      if (decoded === 0) {
        this.#awaitFirstFrame();
        return;
      }
      this.#state = 'playing';
      this.#stopTimers();
      this.#listener.firstFrame();
    });
  }

  /** @param packets Packets received at the previous check. */
  async #timedOut(packets: number, elapsedMs: number): Promise<void> {
    const snapshot = await this.snapshot();
    if (this.#state !== 'connecting') return;
    const received = (snapshot?.audio?.packetsReceived ?? 0) + (snapshot?.video?.packetsReceived ?? 0);
    if (received <= packets || elapsedMs >= SLOW_CONNECT_TIMEOUT_MS) {
      this.#fail();
      return;
    }
    this.#cancelTimeout = this.#environment.clock.after(SLOW_CONNECT_MS, () =>
      this.#timedOut(received, elapsedMs + SLOW_CONNECT_MS),
    );
  }

  #fail(): void {
    if (this.#ended) return;
    this.#state = 'failed';
    this.#stopTimers();
    this.#listener.failed();
  }

  #stopTimers(): void {
    this.#cancelPoll();
    this.#cancelTimeout();
  }
}

/**
 * Names the offered tracks after their connection (`a=msid`, RFC 8830 §2), because Chromium uses the name as the track's id,
 * and a video element whose track is replaced by one with the same id keeps waiting for frames of the old one. The stream's
 * id is kept: tracks of one stream are lip-synced.
 */
function withOwnTrackIds(sdp: string, connection: string): string {
  return sdp.replace(/^(a=msid:\S+ )(\S+)/gm, (_, stream: string, track: string) => `${stream}${connection}.${track}`);
}

function offersMicrophone(sdp: string): boolean {
  const audio = sdp.split(/^m=/m).find((section) => section.startsWith('audio'));
  return audio !== undefined && /^a=sendrecv\r?$/m.test(audio);
}
