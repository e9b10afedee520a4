import { HumancastError } from '@humancast/shared';
import { inputOptions } from '../ffmpeg/input-options.js';
import { inputUrl, ToolProcess } from '../ffmpeg/tool-process.js';
import type { MediaInfo } from '../probe/media-info.js';
import { ScratchFile } from '../upload/scratch-file.js';

export interface CopyLimits {
  readonly maxPixels: number;
  /** Folder for scratch files; `''` for the system's default. */
  readonly scratchDir: string;
}

/** Time limit of the copy, which runs at the speed of the disk. */
const TIMEOUT_MS = 120_000;

/**
 * Copies the used tracks of a file without the display-orientation SEI (ITU-T H.264 D.2.27) of its video. ffmpeg 5 rebuilds
 * its filter graph at each frame that carries one and at the next that does not, and restarts its frame count each time.
 * @returns A file whose first track is the video; the caller closes it.
 * @throws HumancastError `disk_full`, `media_undecodable`, `encoder_failed`; the signal's reason.
 */
export async function copyWithoutOrientation(
  descriptor: number,
  { video, audio }: MediaInfo,
  { maxPixels, scratchDir }: CopyLimits,
  signal: AbortSignal,
): Promise<ScratchFile> {
  const tracks = [video, audio].flatMap((track) => (track ? ['-map', `0:${track.index}`] : []));
  const args = [
    '-nostdin',
    '-hide_banner',
    '-nostats',
    '-loglevel',
    'error',
    ...inputOptions(maxPixels),
    '-i',
    inputUrl(0),
    ...tracks,
    '-c',
    'copy',
    '-bsf:v',
    'h264_metadata=display_orientation=remove',
    '-f',
    'nut',
    'pipe:1',
  ];
  signal.throwIfAborted();
  const scratch = await ScratchFile.create(scratchDir);
  const tool = new ToolProcess('ffmpeg', args, [descriptor]);
  const limit = AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]);
  const kill = () => tool.kill();
  limit.addEventListener('abort', kill, { once: true });
  try {
    tool.stderr.resume();
    for await (const chunk of tool.stdout as AsyncIterable<Buffer>) await scratch.write(chunk);
    const { code, notInstalled } = await tool.exited;
    signal.throwIfAborted();
    if (notInstalled) throw new HumancastError('encoder_failed', 'ffmpeg is not installed');
    if (code !== 0) throw new HumancastError('media_undecodable', 'the video packets could not be read');
    return scratch;
  } catch (error) {
    await scratch.close();
    throw error;
  } finally {
    limit.removeEventListener('abort', kill);
    tool.kill();
  }
}
