import { execFile } from 'node:child_process';
import { alignPhonemes, type Phoneme, type PhonemeName, parseIpa, type WordOnset } from './alignment.js';
import { polishVoice } from './voice-polish.js';

export interface SpeechOptions {
  /** An espeak-ng voice. Default: `en-us+f2`. */
  voice?: string;
  /** Speed. Default: 158. */
  wordsPerMinute?: number;
  /** Pitch, 0–99. Default: 48. */
  pitch?: number;
}

export interface Speech {
  /** PCM, mono, at {@link SPEECH_SAMPLE_RATE}. */
  pcm: Int16Array;
  /** Phonemes with their times in {@link pcm}. */
  phonemes: Phoneme[];
  /** The text's words with their times in {@link pcm}. */
  words: SpokenWord[];
}

interface SpokenWord {
  /** As it was written, with its punctuation. */
  text: string;
  startSeconds: number;
  endSeconds: number;
}

/** espeak-ng's sample rate, Hz, at which frames of 25, 30 and 50 fps last a whole number of samples. */
export const SPEECH_SAMPLE_RATE = 22_050;

/** Maximum length of a text, characters: minutes of speech. */
export const MAX_TEXT_LENGTH = 2_000;

const PAUSE_AFTER_CLAUSE_SECONDS = 0.16;
const PAUSE_AFTER_SENTENCE_SECONDS = 0.34;

/**
 * Synthesizes a text with the program `espeak-ng`.
 *
 * @returns The audio, with the times of its phonemes.
 * @throws {RangeError} if the text has no words or is longer than {@link MAX_TEXT_LENGTH}.
 */
export async function speak(text: string, options: SpeechOptions = {}): Promise<Speech> {
  if (text.length > MAX_TEXT_LENGTH) throw new RangeError(`the text is longer than ${MAX_TEXT_LENGTH} characters`);
  const clauses = splitClauses(text);
  if (clauses.length === 0) throw new RangeError('the text contains no words');

  const parts: Buffer[] = [];
  const phonemes: Phoneme[] = [];
  const words: SpokenWord[] = [];
  let positionSamples = 0;
  for (const [index, clause] of clauses.entries()) {
    const spoken = await speakClause(clause, options);
    const offset = positionSamples / SPEECH_SAMPLE_RATE;
    phonemes.push(...spoken.phonemes.map((phoneme) => later(phoneme, offset)));
    words.push(...spoken.words.map((word) => later(word, offset)));
    const isLast = index === clauses.length - 1;
    const pauseSeconds = isLast ? 0 : /[.!?]$/.test(clause) ? PAUSE_AFTER_SENTENCE_SECONDS : PAUSE_AFTER_CLAUSE_SECONDS;
    const pauseSamples = Math.round(pauseSeconds * SPEECH_SAMPLE_RATE);
    parts.push(toBytes(spoken.pcm), Buffer.alloc(pauseSamples * 2));
    positionSamples += spoken.pcm.length + pauseSamples;
  }
  return { pcm: polishVoice(toSamples(Buffer.concat(parts)), SPEECH_SAMPLE_RATE), phonemes, words };
}

function later<T extends { startSeconds: number; endSeconds: number }>(timed: T, seconds: number): T {
  return { ...timed, startSeconds: timed.startSeconds + seconds, endSeconds: timed.endSeconds + seconds };
}

/** Splits a text where a speaker pauses. Each clause keeps its punctuation, which determines its intonation. */
export function splitClauses(text: string): string[] {
  return text
    .split(/(?<=[.!?,;:…])\s+|\s+[–—-]+\s+|\n+/u)
    .map((clause) => clause.trim())
    .filter((clause) => /[\p{L}\p{N}]/u.test(clause));
}

interface SpokenClause extends Speech {}

async function speakClause(clause: string, options: SpeechOptions): Promise<SpokenClause> {
  const written = clause.split(/\s+/).map(escapeXml);
  const pcm = await synthesize(written.join(' '), options);
  const spoken = await transcribe(written, options);

  const onsets: WordOnset[] = [];
  const starts = new Map([[0, 0]]);
  for (const { writtenIndex, spokenIndex } of await matchWords(written, spoken.length, options)) {
    const seconds = (await findOnset(written, writtenIndex, pcm, options)) / SPEECH_SAMPLE_RATE;
    onsets.push({ word: spokenIndex, seconds });
    starts.set(writtenIndex, seconds);
  }
  const endSeconds = endOfAudio(pcm, FADED) / SPEECH_SAMPLE_RATE;
  return {
    pcm: pcm.subarray(0, endOfAudio(pcm, INAUDIBLE)),
    phonemes: alignPhonemes(spoken, onsets, endSeconds),
    words: timeWords(clause.split(/\s+/), starts, endSeconds),
  };
}

/** Times words by the starts of most of them, in order; words that are spoken as one, such as "of the", share their times. */
function timeWords(texts: readonly string[], starts: ReadonlyMap<number, number>, endSeconds: number): SpokenWord[] {
  const known = [...starts];
  return texts.map((text, index) => {
    const startSeconds = known.findLast(([first]) => first <= index)?.[1] ?? 0;
    const nextSeconds = known.find(([first]) => first > index)?.[1] ?? endSeconds;
    return { text, startSeconds, endSeconds: nextSeconds };
  });
}

async function transcribe(written: string[], options: SpeechOptions): Promise<PhonemeName[][]> {
  const output = await runEspeak(['-q', '--ipa', '--sep=_'], written.join(' '), options);
  return parseIpa(output.toString('utf8'));
}

/**
 * Pairs the starts of written and spoken words, except for the first ones.
 *
 * Most words correspond, but "of the" is spoken as one, and "2026" as several. So each prefix of the written words is
 * transcribed to count the words spoken before each written one.
 */
async function matchWords(written: string[], spokenCount: number, options: SpeechOptions) {
  const pairs: { writtenIndex: number; spokenIndex: number }[] = [];
  const spokenBefore = async (index: number) =>
    written.length === spokenCount ? index : (await transcribe(written.slice(0, index), options)).length;
  let count = await spokenBefore(1);
  for (let index = 1; index < written.length; index++) {
    const countAfter = await spokenBefore(index + 1);
    if (countAfter > count) pairs.push({ writtenIndex: index, spokenIndex: count });
    count = countAfter;
  }
  return pairs;
}

/**
 * Finds the sample at which a word starts.
 *
 * espeak-ng's command line does not report it. But it is deterministic, and a change of volume within a clause leaves
 * everything before it unchanged, so the word starts at the first sample that differs from the unmarked clause.
 */
async function findOnset(words: string[], index: number, plain: Int16Array, options: SpeechOptions): Promise<number> {
  const marked = `${words.slice(0, index).join(' ')} <prosody volume="20">${words.slice(index).join(' ')}</prosody>`;
  const pcm = await synthesize(marked, options);
  let sample = 0;
  while (sample < pcm.length && sample < plain.length && pcm[sample] === plain[sample]) sample++;
  return sample;
}

async function synthesize(ssml: string, options: SpeechOptions): Promise<Int16Array> {
  // -z: no pause at the end, because pauses are inserted here.
  return parseWave(await runEspeak(['-z', '--stdout'], ssml, options));
}

function runEspeak(args: string[], ssml: string, options: SpeechOptions): Promise<Buffer> {
  const { voice = 'en-us+f2', wordsPerMinute = 158, pitch = 48 } = options;
  return run(
    'espeak-ng',
    ['-v', voice, '-s', String(wordsPerMinute), '-p', String(pitch), '-m', '--stdin', ...args],
    `<speak>${ssml}</speak>`,
  );
}

/**
 * Parses a WAV file of 16-bit mono. Lengths in the header are ignored, because espeak-ng does not know them when it writes
 * to a pipe.
 */
function parseWave(file: Buffer): Int16Array {
  const dataStart = file.indexOf('data', 12, 'latin1') + 8;
  if (dataStart < 8) throw new Error('espeak-ng produced no audio');
  const sampleRate = file.readUInt32LE(24);
  if (sampleRate !== SPEECH_SAMPLE_RATE) {
    throw new Error(
      `the voice has a sample rate of ${sampleRate} Hz; choose an espeak-ng voice with ${SPEECH_SAMPLE_RATE} Hz`,
    );
  }
  return toSamples(file.subarray(dataStart));
}

/** Amplitudes relative to the loudest sample: of inaudible samples, and of an echo. */
const INAUDIBLE = 0.001;
const FADED = 0.05;

function endOfAudio(pcm: Int16Array, ratio: number): number {
  const threshold = ratio * pcm.reduce((peak, sample) => Math.max(peak, Math.abs(sample)), 0);
  let length = pcm.length;
  while (length > 0 && Math.abs(pcm[length - 1] ?? 0) <= threshold) length--;
  return length;
}

function toSamples(bytes: Buffer): Int16Array {
  const count = Math.floor(bytes.length / 2);
  // Copied, because samples must be aligned.
  return new Int16Array(Uint8Array.prototype.slice.call(bytes, 0, count * 2).buffer);
}

function toBytes(samples: Int16Array): Buffer {
  return Buffer.from(samples.buffer, samples.byteOffset, samples.byteLength);
}

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

/** Runs a program with the given standard input. */
function run(program: string, args: string[], input: string | Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const child = execFile(
      program,
      args,
      { encoding: 'buffer', maxBuffer: 256 * 1024 * 1024 },
      (error, stdout, stderr) => {
        if (error)
          reject(new Error(`${program} failed: ${stderr.toString('utf8').trim() || error.message}`, { cause: error }));
        else resolve(stdout);
      },
    );
    // A program that ends early breaks the pipe; its exit code is reported above.
    child.stdin?.on('error', () => {});
    child.stdin?.end(input);
  });
}
