import { Encoder } from '@evan/opus';
import { CLOCK_PER_PCM, PCM_RATE } from '@humancast/shared';

/** OPUS_GET_LOOKAHEAD (opus_defines.h). */
const GET_LOOKAHEAD = 4027;
/** Silent blocks after which the encoder's state has settled, so that one packet represents all further ones. */
const SETTLED_BLOCKS = 25;
/** Packet loss for which in-band FEC is configured, percent. */
const FEC_LOSS_PERCENT = 5;

export interface OpusEncoderOptions {
  bitrateBps: number;
  complexity: number;
  /**
   * `celt` takes a fifth of the CPU time and sounds better from 20 kb/s on; losses are repaired by redundancy (RED) and
   * retransmission. `silk` sounds better below, and repeats the low band of each packet in the next (in-band FEC).
   */
  mode: 'celt' | 'silk';
}

/**
 * Encodes PCM as Opus, 20 ms per packet. The decoded audio is {@link lookaheadSamples} later than the input, so the caller
 * must be ahead by that much (RFC 7845 §4.2 calls it pre-skip).
 */
export class OpusEncoder {
  readonly #encoder: Encoder;
  /** Media-clock samples. */
  readonly lookaheadSamples: number;
  #silentBlocks = 0;
  #silence: Buffer | undefined;

  constructor({ bitrateBps, complexity, mode }: OpusEncoderOptions) {
    const application = mode === 'celt' ? 'restricted_lowdelay' : 'voip';
    this.#encoder = new Encoder({ channels: 1, sample_rate: PCM_RATE, application });
    this.#encoder.bitrate = bitrateBps;
    this.#encoder.complexity = complexity as 0;
    this.#encoder.signal = 'voice';
    this.#encoder.inband_fec = mode === 'silk';
    this.#encoder.packet_loss = mode === 'silk' ? FEC_LOSS_PERCENT : 0;
    this.lookaheadSamples = this.#encoder.ctl(GET_LOOKAHEAD) * CLOCK_PER_PCM;
  }

  /**
   * @param pcm 20 ms.
   * @param hasAudio Whether any sample is not zero.
   * @returns The packet, in memory of its own.
   */
  encode(pcm: Int16Array, hasAudio: boolean): Buffer {
    if (hasAudio) {
      this.#silentBlocks = 0;
      this.#silence = undefined;
      return this.#encode(pcm);
    }
    // Idle is mostly digital silence, and encoding it costs as much as speech.
    if (this.#silence) return this.#silence;
    const packet = this.#encode(pcm);
    if (++this.#silentBlocks >= SETTLED_BLOCKS) this.#silence = packet;
    return packet;
  }

  /** The encoder's output lies in memory that its next call reuses. */
  #encode(pcm: Int16Array): Buffer {
    return Buffer.from(this.#encoder.encode(pcm));
  }
}
