import { Encoder } from '@evan/opus';
import { CLOCK_PER_PCM, PCM_RATE } from '@humancast/shared';

/** OPUS_GET_LOOKAHEAD (opus_defines.h). */
const GET_LOOKAHEAD = 4027;
/** Silent blocks after which the encoder's state has settled, and one packet stands for all further ones. */
const SETTLED_BLOCKS = 25;

export interface VoiceEncoderOptions {
  bitrateBps: number;
  complexity: number;
}

/**
 * PCM to Opus, 20 ms a packet. What is decoded comes {@link lookaheadSamples} later than what went in: whoever feeds it
 * must be that much ahead (RFC 7845 §4.2 calls it pre-skip).
 */
export class OpusEncoder {
  readonly #encoder: Encoder;
  /** Media-clock samples. */
  readonly lookaheadSamples: number;
  #silentBlocks = 0;
  #silence: Buffer | undefined;

  constructor({ bitrateBps, complexity }: VoiceEncoderOptions) {
    this.#encoder = new Encoder({ channels: 1, sample_rate: PCM_RATE, application: 'voip' });
    this.#encoder.bitrate = bitrateBps;
    this.#encoder.complexity = complexity as 0;
    this.#encoder.signal = 'voice';
    this.#encoder.inband_fec = true;
    this.#encoder.packet_loss = 5;
    this.lookaheadSamples = this.#encoder.ctl(GET_LOOKAHEAD) * CLOCK_PER_PCM;
  }

  /** @param pcm 20 ms. @param sounding whether any sample is not zero. */
  encode(pcm: Int16Array, sounding: boolean): Buffer {
    if (sounding) {
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

  /** The encoder's output lies in memory that the next call reuses. */
  #encode(pcm: Int16Array): Buffer {
    return Buffer.from(this.#encoder.encode(pcm));
  }
}
