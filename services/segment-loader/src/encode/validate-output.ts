import { type Rational } from '@humancast/protocol';
import { HumancastError, PCM_RATE } from '@humancast/shared';
import type { ToolExit } from '../ffmpeg/tool-process.js';
import type { MediaInfo, TrackContent } from '../probe/media-info.js';
import { oversized } from '../probe/probe.js';
import type { EncodePlan } from './encode-plan.js';
import type { EncoderLog, StreamHealth, StreamName } from './encoder-log.js';
import { framesPerSecond } from './frame-rate.js';

/** Frames per accepted damaged frame, which is visible only briefly; with more damage, the rest is unreliable. */
const FRAMES_PER_DAMAGED = 200;
/**
 * Audio packets per accepted damaged one; two are always accepted, because MP3 and AAC streams often start or end with a
 * broken one.
 */
const PACKETS_PER_DAMAGED = 100;
const DAMAGED_PACKETS_ALWAYS = 2;

/** Tolerance for a track's stated length: the largest of 100 ms, one and a half frames, and one hundredth. */
const MISSING_SECONDS = 0.1;
const MISSING_FRAMES = 1.5;
const MISSING_SHARE = 0.01;

/** Tolerance for the packets' content: encoder padding, a damaged packet, a frame at the end. */
const LOST_SECONDS = 0.25;
const LOST_SHARE = 0.02;
const FEW_PACKETS = 5;

export interface Outcome {
  readonly frames: number;
  readonly pcmSamples: number;
  readonly exit: ToolExit;
  readonly log: EncoderLog;
}

/**
 * Checks that the output has what the file states, by counted frames and decoded length; ffmpeg's exit code tells neither.
 * @throws HumancastError `media_truncated`, `media_corrupt`, `media_too_large`, `encoder_failed`.
 */
export function validateOutput(plan: EncodePlan, info: MediaInfo, maxPixels: number, outcome: Outcome): void {
  const { frames, exit, log } = outcome;
  rejectUnstarted(outcome, maxPixels);
  const damaged = log.health(videoStream(plan)).damaged;
  if (frames === 0 && (damaged > 0 || exit.code === 0)) {
    throw new HumancastError('media_corrupt', {
      detail: `no video frame could be decoded (${damaged} failed)`,
      extra: { damagedFrames: damaged, decodedFrames: 0 },
    });
  }
  if (frames > 0) {
    rejectTruncated(plan, info, outcome);
    rejectDamaged(plan, outcome);
    rejectLost(plan, outcome);
  }
  rejectFailure(outcome);
}

/** @throws HumancastError `encoder_failed`, `media_too_large`. */
export function rejectUnstarted({ exit, log }: Outcome, maxPixels: number): void {
  if (exit.notInstalled) throw new HumancastError('encoder_failed', 'ffmpeg is not installed');
  if (log.rejectedSize) throw oversized(log.rejectedSize, maxPixels);
}

/**
 * Rejects a file on which ffmpeg failed: the arguments are always the same, so the file is the cause.
 * @throws HumancastError `media_undecodable`.
 */
export function rejectFailure({ frames, exit, log }: Outcome): void {
  if (exit.code === 0) return;
  throw new HumancastError('media_undecodable', {
    detail: `decoding ended with ${exit.signal ?? `exit code ${exit.code}`} after ${frames} frames`,
    cause: new Error(log.complaints),
  });
}

function rejectTruncated(plan: EncodePlan, info: MediaInfo, { frames, pcmSamples }: Outcome): void {
  const check = (what: string, endSeconds: number, statedEndSeconds: number | undefined, startSeconds: number) => {
    if (statedEndSeconds === undefined) return;
    rejectShort(what, endSeconds - startSeconds, statedEndSeconds - startSeconds, plan.fps);
  };
  const videoEnd = plan.zeroSeconds + frames / framesPerSecond(plan.fps);
  const audio = plan.audio?.track;
  const audioStart = plan.audio?.separate ? plan.audio.track.startSeconds : plan.zeroSeconds;
  const audioEnd = audioStart + pcmSamples / PCM_RATE;
  check('video', videoEnd, plan.video.endSeconds, plan.zeroSeconds);
  if (audio) check('audio', audioEnd, audio.endSeconds, audioStart);
  if (plan.video.endSeconds === undefined) {
    const contentEnd = plan.audio?.separate ? videoEnd : Math.max(videoEnd, audioEnd);
    check('video and audio', contentEnd, info.durationSeconds, plan.zeroSeconds);
  }
}

/** @throws HumancastError `media_truncated` if more is missing than the tolerance. */
export function rejectShort(what: string, decodedSeconds: number, statedSeconds: number, fps: Rational): void {
  const allowed = Math.max(MISSING_SECONDS, MISSING_FRAMES / framesPerSecond(fps), statedSeconds * MISSING_SHARE);
  if (statedSeconds - decodedSeconds <= allowed) return;
  throw new HumancastError('media_truncated', {
    detail: `${decodedSeconds.toFixed(2)} s of ${what} could be read; the file states ${statedSeconds.toFixed(2)} s`,
    extra: { decodedSeconds, statedSeconds },
  });
}

/**
 * Compares the decoded length with the packets': no error message reports what a decoder or a jumping clock leaves out.
 * @throws HumancastError `media_corrupt`.
 */
function rejectLost(plan: EncodePlan, { frames, pcmSamples, log }: Outcome): void {
  const { video, audio, zeroSeconds, fps } = plan;
  if (video.content) {
    rejectLess(
      'video',
      zeroSeconds + frames / framesPerSecond(fps),
      video.content.endSeconds,
      MISSING_FRAMES / framesPerSecond(fps),
    );
    rejectFewFrames(log.health(videoStream(plan)).decoded ?? video.content.packets, video.content);
  }
  const content = audio?.track.content;
  if (!audio || !content) return;
  const start = audio.separate ? audio.track.startSeconds : zeroSeconds;
  rejectLess('audio', start + pcmSamples / PCM_RATE, content.endSeconds, 0);
  const health = log.health(audioStreamOf(plan) ?? '0:0');
  const seconds = (health.samples ?? Number.NaN) / (audio.track.sampleRate ?? Number.NaN);
  rejectLess('audio', seconds, content.packetSeconds, 0);
}

/**
 * Rejects video most of whose packets yielded no frame. Some packets hold no visible frame, and two fields of interlaced
 * video make one frame.
 * @throws HumancastError `media_corrupt`.
 */
export function rejectFewFrames(decoded: number, { packets }: TrackContent): void {
  if (decoded < packets / 2 - FEW_PACKETS) throw lost('video', `${decoded} of ${packets} frames`);
}

function rejectLess(what: string, decodedSeconds: number, heldSeconds: number, allowed: number): void {
  const missing = heldSeconds - decodedSeconds;
  if (!(missing > Math.max(LOST_SECONDS, allowed, heldSeconds * LOST_SHARE))) return;
  throw lost(what, `${decodedSeconds.toFixed(2)} of ${heldSeconds.toFixed(2)} s`);
}

function lost(what: string, share: string): HumancastError {
  return new HumancastError('media_corrupt', `only ${share} of ${what} could be decoded; the rest would be lost`);
}

function rejectDamaged(plan: EncodePlan, { frames, log }: Outcome): void {
  rejectDamagedVideo(log.health(videoStream(plan)), frames);
  const audioStream = audioStreamOf(plan);
  if (audioStream) rejectDamagedAudio(log.health(audioStream));
}

/** @param frames Number of frames if the decoder did not report it. @throws HumancastError `media_corrupt`. */
export function rejectDamagedVideo(health: Readonly<StreamHealth>, frames: number): void {
  const decodedFrames = health.decoded ?? frames;
  if (health.damaged > decodedFrames / FRAMES_PER_DAMAGED) {
    throw new HumancastError('media_corrupt', {
      detail: `${health.damaged} of ${decodedFrames} video frames are damaged; at most one in ${FRAMES_PER_DAMAGED} may be`,
      extra: { damagedFrames: health.damaged, decodedFrames },
    });
  }
}

/** @throws HumancastError `media_corrupt`. */
export function rejectDamagedAudio(health: Readonly<StreamHealth>): void {
  const decodedPackets = health.decoded ?? 0;
  if (health.damaged > Math.max(DAMAGED_PACKETS_ALWAYS, decodedPackets / PACKETS_PER_DAMAGED)) {
    throw new HumancastError('media_corrupt', {
      detail: `${health.damaged} audio packets are damaged, ${decodedPackets} were decoded`,
      extra: { damagedPackets: health.damaged, decodedPackets },
    });
  }
}

function videoStream(plan: EncodePlan): StreamName {
  return `0:${plan.video.index}`;
}

function audioStreamOf({ audio }: EncodePlan): StreamName | undefined {
  return audio && `${audio.separate ? 1 : 0}:${audio.track.index}`;
}
