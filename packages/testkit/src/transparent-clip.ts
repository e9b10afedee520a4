import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';

export interface PictureSize {
  readonly width: number;
  readonly height: number;
}

/** Hairs across the picture, each about a pixel wide. */
const HAIRS = 24;

/**
 * Draws a head with hair over nothing: a soft round face, hairs of a pixel's width above it, and shoulders that reach the
 * lower edge.
 * @returns RGBA, not premultiplied.
 */
export function transparentFrame({ width, height }: PictureSize): Buffer {
  const frame = Buffer.alloc(width * height * 4);
  const [x0, y0, radius] = [width / 2, height * 0.55, height * 0.28];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const face = clamp((radius - Math.hypot(x - x0, y - y0)) / 3 + 0.5);
      const body = clamp((y - height * 0.85) / 2 + 0.5) * clamp((width * 0.3 - Math.abs(x - x0)) / 2 + 0.5);
      const hair = y > height * 0.05 && y < y0 ? hairAt(x - x0 + 0.15 * (y - y0), (2 * radius) / HAIRS, radius) : 0;
      const alpha = Math.max(face, body, hair);
      const [red, green, blue] = body > face ? [40, 70, 140] : face > 0.5 ? [222, 170, 140] : [90, 55, 30];
      frame.set([red, green, blue, Math.round(255 * alpha)], 4 * (y * width + x));
    }
  }
  return frame;
}

/** @returns The opacity of the nearest hair. */
function hairAt(x: number, distance: number, reach: number): number {
  if (Math.abs(x) > reach) return 0;
  const from = Math.abs(x / distance - Math.round(x / distance)) * distance;
  return clamp(1.2 - from);
}

function clamp(value: number): number {
  return Math.min(1, Math.max(0, value));
}

/** Encoders of a transparent clip by the name's end; of video, only QuickTime's animation loses nothing. */
const ENCODERS: Readonly<Record<string, readonly string[]>> = {
  '.prores.mov': ['-c:v', 'prores_ks', '-profile:v', '4444', '-pix_fmt', 'yuva444p10le'],
  '.mov': ['-c:v', 'qtrle', '-pix_fmt', 'argb'],
  '.webm': ['-c:v', 'libvpx-vp9', '-pix_fmt', 'yuva420p', '-auto-alt-ref', '0', '-b:v', '8M', '-cpu-used', '8'],
  '.mkv': ['-c:v', 'libvpx', '-pix_fmt', 'yuva420p', '-auto-alt-ref', '0', '-b:v', '8M', '-cpu-used', '8'],
  '.gif': ['-filter_complex', 'split[a][b];[a]palettegen[p];[b][p]paletteuse=alpha_threshold=128'],
  '.png': ['-frames:v', '1', '-c:v', 'png'],
};

/** Makes a silent clip of {@link transparentFrame}, in a format by the name's end. */
export function makeTransparentClip(
  path: string,
  { seconds, fps = 25, ...size }: PictureSize & { readonly seconds: number; readonly fps?: number },
): void {
  mkdirSync(dirname(path), { recursive: true });
  const raw = ['-f', 'rawvideo', '-pix_fmt', 'rgba', '-s', `${size.width}x${size.height}`, '-r', String(fps)];
  const still = ['-v', 'error', '-y', ...raw, '-i', 'pipe:0', '-vf', `loop=-1:1,trim=duration=${seconds}`];
  const encoder = Object.entries(ENCODERS).find(([end]) => path.endsWith(end))?.[1] ?? [];
  const filters = path.endsWith('.gif') ? still.slice(0, -2) : still;
  execFileSync('ffmpeg', [...filters, ...encoder, path], { input: transparentFrame(size) });
}
