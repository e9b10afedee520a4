import { HumancastError } from '@humancast/shared';
import { inputOptions } from '../ffmpeg/input-options.js';
import { type RefusedSize, refusedSize } from '../ffmpeg/refused-size.js';
import { inputUrl, ToolProcess } from '../ffmpeg/tool-process.js';
import { REPORT_ENTRIES, readReport } from './ffprobe-report.js';
import type { MediaInfo } from './media-info.js';

const TIMEOUT_MS = 30_000;
const REPORT_LIMIT_BYTES = 1024 * 1024;
const STDERR_LIMIT_BYTES = 64 * 1024;

/**
 * Reads what a file says about itself.
 * @param descriptor of the open file; its position is neither used nor moved.
 * @throws HumancastError `media_unreadable`, `media_truncated` (its index is missing), `media_too_large`,
 * `encoder_failed`.
 */
export async function probe(descriptor: number, maxPixels: number, signal: AbortSignal): Promise<MediaInfo> {
  signal.throwIfAborted();
  const args = ['-hide_banner', '-v', 'error', '-show_entries', REPORT_ENTRIES, '-of', 'json'];
  const tool = new ToolProcess('ffprobe', [...args, ...inputOptions(maxPixels), '-i', inputUrl(0)], [descriptor]);
  const limit = AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]);
  const kill = () => tool.kill();
  limit.addEventListener('abort', kill, { once: true });
  try {
    const [report, complaints, exit] = await Promise.all([
      textOf(tool.stdout, REPORT_LIMIT_BYTES),
      textOf(tool.stderr, STDERR_LIMIT_BYTES),
      tool.exited,
    ]);
    signal.throwIfAborted();
    if (limit.aborted)
      throw new HumancastError('media_unreadable', `its header was not read in ${TIMEOUT_MS / 1000} s`);
    if (exit.notInstalled) throw new HumancastError('encoder_failed', 'ffprobe is not installed');
    // FFmpeg leaves the size that it refuses out of its report.
    const refused = refusedSize(complaints);
    if (refused) throw oversized(refused, maxPixels);
    if (exit.code !== 0) throw unreadable(complaints);
    return readReport(report);
  } finally {
    limit.removeEventListener('abort', kill);
    tool.kill();
  }
}

export function oversized({ width, height }: RefusedSize, maxPixels: number): HumancastError {
  return new HumancastError('media_too_large', {
    detail: `${width}×${height} is ${width * height} pixels; at most ${maxPixels} are allowed`,
    extra: { width, height, maxPixels },
  });
}

function unreadable(complaints: string): HumancastError {
  if (complaints.includes('moov atom not found')) {
    return new HumancastError(
      'media_truncated',
      'its index (moov) is missing: the file was cut short, or was still being written',
    );
  }
  if (complaints.includes('Format not on whitelist')) {
    return new HumancastError('media_unreadable', 'this kind of file is not accepted; send for example MP4 or WebM');
  }
  return new HumancastError('media_unreadable', 'no known media format was recognised in its content');
}

async function textOf(stream: NodeJS.ReadableStream, limitBytes: number): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    // Read on, so that the tool can end, but keep no more.
    if (bytes <= limitBytes) chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
