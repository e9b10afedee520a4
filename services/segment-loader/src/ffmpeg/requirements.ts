import type { Codec } from '@humancast/protocol';
import { ToolProcess } from './tool-process.js';

const ENCODER: Readonly<Record<Codec, string>> = { vp8: 'libvpx', h264: 'libx264' };

/**
 * Checks that ffmpeg is installed and can encode the configured codecs.
 * @throws Error that tells what to install.
 */
export async function requireFfmpeg(codecs: readonly Codec[]): Promise<void> {
  for (const tool of ['ffmpeg', 'ffprobe'] as const) {
    const { exit } = await outputOf(tool, ['-version']);
    if (exit.notInstalled) throw new Error(`${tool} is not installed; install ffmpeg 5.1 or newer`);
    if (exit.code !== 0)
      throw new Error(`${tool} does not run, it ended with ${exit.signal ?? `exit code ${exit.code}`}`);
  }
  const { text } = await outputOf('ffmpeg', ['-hide_banner', '-encoders']);
  for (const codec of codecs) {
    const encoder = ENCODER[codec];
    if (!new RegExp(`^ V\\S* ${encoder} `, 'm').test(text)) {
      throw new Error(`this ffmpeg has no ${encoder}, which the rendition codec ${codec} needs`);
    }
  }
}

async function outputOf(tool: 'ffmpeg' | 'ffprobe', args: readonly string[]) {
  const run = new ToolProcess(tool, args);
  run.stderr.resume();
  const text = (await run.stdout.setEncoding('utf8').toArray()).join('');
  return { text, exit: await run.exited };
}
