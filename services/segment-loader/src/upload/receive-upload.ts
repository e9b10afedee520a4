import type { IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import { type Composition, compositionSchema, inputsOf, type TextCue } from '@humancast/protocol';
import { HumancastError, parseStrictRequest } from '@humancast/shared';
import busboy, { type Busboy } from 'busboy';
import { ScratchFile } from './scratch-file.js';
import { parseWebVtt } from './web-vtt.js';

export interface UploadLimits {
  /** Limit of all parts together, bytes. */
  readonly limitBytes: number;
  /** Folder of scratch files; `''` for the system's default. */
  readonly scratchDir: string;
  /** Time without any data after which the upload counts as abandoned, ms. */
  readonly idleMs: number;
  /** Aborts the reception; its reason is thrown. */
  readonly signal: AbortSignal;
}

/** Files of the `file` or `video` part and of the `audio` part. */
interface ReceivedFiles {
  readonly video: ScratchFile;
  readonly audio: ScratchFile | undefined;
}

/** The `composition` part and a file for each of its inputs. */
interface ReceivedComposition {
  readonly composition: Composition;
  readonly inputs: ReadonlyMap<string, ScratchFile>;
}

/** A received upload, in scratch files that {@link close} frees. */
export interface ReceivedUpload {
  readonly media: ReceivedFiles | ReceivedComposition;
  /** The text that is spoken in it. */
  readonly text: readonly TextCue[] | undefined;
  /** File name stated by the sender, for display only. */
  readonly fileName: string | undefined;
  close(): Promise<void>;
}

const PARTS = ['file', 'video', 'audio'] as const;
const COMPOSITION_PART = 'composition';
const TEXT_PART = 'text';
/** Size limit of a composition, and of a text. */
const FIELD_LIMIT_BYTES = 64 * 1024;
const HINT = `send "file", or "video" and "audio", or "${COMPOSITION_PART}" first and then a file for each of its inputs`;

/** Allowance for part headers and boundaries, which `Content-Length` includes. */
const ENVELOPE_BYTES = 64 * 1024;

/**
 * Streams a multipart body (RFC 7578) to disk: one `file`, or `video` and `audio`, or a `composition` followed by its
 * inputs; with a `text` in WebVTT, if there is one. Memory use does not depend on its size.
 * @param onReady Called when the upload is admitted, before any of the body is read.
 * @throws HumancastError `upload_too_large` (by `Content-Length`, before anything is read), `upload_incomplete`,
 * `unsupported_media_type`, `bad_request`, `composition_input_missing`, `disk_full`. All scratch files are freed then.
 */
export async function receiveUpload(
  request: IncomingMessage,
  limits: UploadLimits,
  onReady: () => void = () => {},
): Promise<ReceivedUpload> {
  const statedBytes = Number(request.headers['content-length'] ?? 0);
  if (statedBytes > limits.limitBytes + ENVELOPE_BYTES) throw tooLarge(limits.limitBytes);
  const form = openForm(request);
  onReady();
  return new Reception(limits).receive(request, form);
}

class Reception {
  readonly #limits: UploadLimits;
  readonly #begun = new Set<string>();
  readonly #files = new Map<string, ScratchFile>();
  readonly #saving: Promise<void>[] = [];
  readonly #failed = Promise.withResolvers<never>();
  #composition: Composition | undefined;
  #text: readonly TextCue[] | undefined;
  #composing: Promise<void> | undefined;
  #fileName: string | undefined;
  #bytes = 0;

  constructor(limits: UploadLimits) {
    this.#limits = limits;
    // The promise is awaited later; until then, a rejection must not count as unhandled.
    this.#failed.promise.catch(() => {});
  }

  async receive(request: IncomingMessage, form: Busboy): Promise<ReceivedUpload> {
    const fail = this.#failed.reject;
    const parsed = new Promise<void>((resolve) => form.once('close', resolve));
    const idle = setTimeout(
      () => fail(incomplete(`nothing arrived for ${this.#limits.idleMs / 1000} s`)),
      this.#limits.idleMs,
    );
    // A part may lack a name, contrary to the type declarations.
    form.on('file', (name: string | undefined, stream, { filename }) => this.#save(name ?? '', stream, filename));
    form.on('field', (name: string | undefined, value, { valueTruncated }) =>
      this.#takeField(name ?? '', value, valueTruncated),
    );
    form.on('partsLimit', () => fail(new HumancastError('bad_request', 'the form has too many parts')));
    form.on('error', (error: Error) => fail(malformed(error)));
    const onData = () => idle.refresh();
    const onAbort = () => fail(this.#limits.signal.reason);
    this.#limits.signal.addEventListener('abort', onAbort, { once: true });
    const onClose = () => {
      if (!request.complete) fail(incomplete('the connection was closed before the upload was complete'));
    };
    request.on('data', onData).once('close', onClose).once('error', onClose);
    request.pipe(form);
    try {
      await Promise.race([parsed, this.#failed.promise]);
      await Promise.race([Promise.all(this.#saving), this.#failed.promise]);
      return this.#received();
    } catch (error) {
      request.unpipe(form);
      form.destroy();
      await Promise.allSettled(this.#saving);
      await this.#close();
      throw error;
    } finally {
      clearTimeout(idle);
      this.#limits.signal.removeEventListener('abort', onAbort);
      request.off('data', onData).off('close', onClose).off('error', onClose);
    }
  }

  #save(name: string, stream: Readable, fileName: string | undefined): void {
    // Destroying the form also fails its parts.
    stream.on('error', () => {});
    const saving = this.#saveTo(name, stream, fileName);
    saving.catch(this.#failed.reject);
    this.#saving.push(saving);
  }

  async #saveTo(name: string, stream: Readable, fileName: string | undefined): Promise<void> {
    if (name === COMPOSITION_PART) {
      this.#composing = textOf(stream, name).then((text) => this.#takeField(name, text, false));
      return this.#composing;
    }
    // busboy announces the next part before the last bytes of this one have been read.
    await this.#composing;
    if (this.#isText(name)) return this.#takeField(name, await textOf(stream, name), false);
    this.#admit(name);
    const file = await ScratchFile.create(this.#limits.scratchDir);
    this.#files.set(name, file);
    if (!this.#composition && name !== 'audio') this.#fileName = fileName;
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      this.#bytes += chunk.length;
      if (this.#bytes > this.#limits.limitBytes) throw tooLarge(this.#limits.limitBytes);
      await file.write(chunk);
    }
  }

  /** Ignores unknown fields, which browser forms may add. */
  #takeField(name: string, value: string, truncated: boolean): void {
    const isText = this.#isText(name);
    if (name !== COMPOSITION_PART && !isText) return;
    try {
      if (truncated) throw tooLong(name);
      if (isText) {
        if (this.#text) throw new HumancastError('bad_request', `part "${name}" was sent twice`);
        this.#text = parseWebVtt(value);
        return;
      }
      if (this.#begun.size > 0) throw new HumancastError('bad_request', `part "${name}" must come first, and once`);
      this.#begun.add(name);
      this.#composition = parseStrictRequest(compositionSchema, jsonOf(value));
    } catch (error) {
      this.#failed.reject(error);
    }
  }

  /** A composition may have an input of this name. */
  #isText(name: string): boolean {
    return name === TEXT_PART && !(this.#composition && inputsOf(this.#composition).includes(name));
  }

  #admit(part: string): void {
    const known = this.#composition ? inputsOf(this.#composition) : PARTS;
    if (!known.some((name) => name === part)) {
      const hint = this.#composition ? `its inputs are ${known.map((name) => `"${name}"`).join(', ')}` : HINT;
      throw new HumancastError('bad_request', `part "${part.slice(0, 64)}": ${hint}`);
    }
    if (this.#begun.has(part)) throw new HumancastError('bad_request', `part "${part}" was sent twice`);
    this.#begun.add(part);
  }

  #received(): ReceivedUpload {
    const media = this.#composition ? this.#receivedComposition(this.#composition) : this.#receivedFiles();
    return { media, text: this.#text, fileName: this.#fileName, close: () => this.#close() };
  }

  #receivedFiles(): ReceivedFiles {
    const [file, video, audio] = PARTS.map((part) => this.#files.get(part));
    const videoFile = file ?? video;
    if (!videoFile || (file && (video || audio))) throw new HumancastError('bad_request', HINT);
    return { video: videoFile, audio };
  }

  #receivedComposition(composition: Composition): ReceivedComposition {
    const missing = inputsOf(composition).filter((name) => !this.#files.has(name));
    if (missing.length === 0) return { composition, inputs: this.#files };
    throw new HumancastError('composition_input_missing', {
      detail: `no part was sent for ${missing.map((name) => `"${name}"`).join(', ')}`,
      extra: { missing },
    });
  }

  async #close(): Promise<void> {
    await Promise.all([...this.#files.values()].map((file) => file.close()));
  }
}

function openForm(request: IncomingMessage): Busboy {
  const { headers } = request;
  if (!/^multipart\/form-data\s*;/i.test(headers['content-type'] ?? '')) {
    throw new HumancastError('unsupported_media_type', 'send multipart/form-data with a part "file"');
  }
  try {
    return busboy({
      headers,
      defParamCharset: 'utf8',
      limits: { fields: 8, fieldSize: FIELD_LIMIT_BYTES, parts: 40, headerPairs: 50 },
    });
  } catch (error) {
    throw new HumancastError('bad_request', {
      detail: `multipart/form-data: ${(error as Error).message}`,
      cause: error,
    });
  }
}

/** @throws HumancastError `bad_request` once the part exceeds its size limit. */
async function textOf(stream: Readable, part: string): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > FIELD_LIMIT_BYTES) throw tooLong(part);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function tooLong(part: string): HumancastError {
  return new HumancastError('bad_request', `part "${part}" is larger than ${FIELD_LIMIT_BYTES} bytes`);
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const detail = `part "${COMPOSITION_PART}" is not JSON: ${(error as Error).message}`;
    throw new HumancastError('bad_request', { detail, cause: error });
  }
}

function malformed(error: Error): HumancastError {
  // busboy's message for a body without its closing boundary
  if (/Unexpected end/.test(error.message)) return incomplete('the form ends before its closing boundary');
  return new HumancastError('bad_request', { detail: `multipart/form-data: ${error.message}`, cause: error });
}

function incomplete(detail: string): HumancastError {
  return new HumancastError('upload_incomplete', detail);
}

function tooLarge(limitBytes: number): HumancastError {
  return new HumancastError('upload_too_large', {
    detail: `an upload may have at most ${limitBytes} bytes`,
    extra: { limitBytes },
  });
}
